"""The documentation of installed packages as a source: what is read of them, and that it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest

from ssl_lib.config import Settings, Source
from ssl_lib.corpus.cleaning import RawDocument
from ssl_lib.corpus.installed import installed_files, prose, required_packages
from ssl_lib.corpus.problems import CorpusError, SourceContext
from ssl_lib.corpus.readers import SourceReader

MODULE = '''"""The scale weighs up to 250 kg, in steps of 0.5 kg, since version 2.1.

    >>> weigh("an apple that the doctest puts upon the scale of this module")
    0.182

Readings were taken on 3 May 2024, and every one of the 12 was within 1% of the true weight.
"""

raise RuntimeError("a module that is read must not run")


class Scale:
    """A scale that a class describes in more than eight words, as people do.

    Parameters
    ----------
    limit : float
        The largest weight that this scale can carry without any damage to its spring.

    Notes
    -----
    The spring gives way at 410 kg, which is why the limit of 250 kg is checked first.
    """

    def weigh(self, thing):
        """Weigh a thing to the nearest half kilogram, as the maker of the scale has it::

            code that nobody should take for the prose of a human being at all

        Args:
            thing: whatever it is that somebody has put onto the plate of the scale.

        Afterwards the scale takes 1.5 seconds until it shows zero to its owner again.
        """
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two packages, of which `scales[oil]` needs the other."""
    package(tmp_path, "scales", "2.1", ["Requires-Dist: oil ; extra == 'oil'"], {
        "scales/__init__.py": MODULE,
        "scales/broken.py": '"""Not a module that anybody can parse."""\ndef (:\n',
        "scales/CHANGELOG.md": "# 2.1\n\n* Weighs 250 kg, and no longer only 200 kg as before.\n",
        "scales/tests/test_scale.py": '"""A docstring of a test is no documentation at all."""',
    })  # fmt: skip
    twice = "Readings were taken on 3 May 2024, and every one of the 12 was within 1% of the true "
    package(tmp_path, "oil", "1.0", [], {"oil.py": f'"""{twice}weight."""\n'})
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    yield tmp_path
    assert "scales" not in sys.modules


def package(site: Path, name: str, version: str, fields: list[str], files: dict[str, str]) -> None:
    info = f"{name}-{version}.dist-info"
    about = f"The package {name} is described here in one sentence of 14 plain English words."
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *fields]
    files = files | {f"{info}/METADATA": "\n".join(head) + f"\n\n{about}\n"}
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
    # what is not in RECORD is not the package's
    (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in files), encoding="utf-8")


def read(wanted: str) -> tuple[dict[str, tuple[str, str]], SourceContext]:
    context = SourceContext(Source(path="installed"), "corpus.sources.0")
    found = {}
    for file in installed_files(context, wanted):
        with file.open() as stream:
            found[file.name] = (file.domain, stream.read().decode())
    return found, context


@pytest.mark.usefixtures("site")
def test_prose_of_docstrings_metadata_and_changelogs_is_read_and_nothing_else() -> None:
    found, context = read("scales")
    assert found["scales/__init__.py"] == ("scales", "\n\n".join([
        "The scale weighs up to 250 kg, in steps of 0.5 kg, since version 2.1.",
        "Readings were taken on 3 May 2024, and every one of the 12 was within 1% of the true "
        "weight.",
        "A scale that a class describes in more than eight words, as people do.",
        "The spring gives way at 410 kg, which is why the limit of 250 kg is checked first.",
        "Weigh a thing to the nearest half kilogram, as the maker of the scale has it::",
        "Afterwards the scale takes 1.5 seconds until it shows zero to its owner again.",
    ]))  # fmt: skip
    assert found["scales/METADATA"][1].startswith("The package scales is described here")
    assert found["scales/CHANGELOG.md"][1] == (
        "* Weighs 250 kg, and no longer only 200 kg as before."
    )
    # what cannot be read is told, not passed over in silence
    assert found["scales/broken.py"][1] == ""
    assert context.report.damaged == {"files": 1}
    assert "broken.py: is no Python" in context.report.examples[0]
    assert set(found) == {f"scales/{name}" for name in (
        "__init__.py", "METADATA", "CHANGELOG.md", "broken.py")}  # fmt: skip


@pytest.mark.usefixtures("site")
def test_required_packages_are_read_and_a_paragraph_once() -> None:
    alone, _ = read("scales")
    both, context = read("scales[oil]")
    assert {domain for domain, _ in alone.values()} == {"scales"}
    assert {domain for domain, _ in both.values()} == {"scales", "oil"}
    taken = [text for _, text in both.values() if "Readings were taken" in text]
    assert len(taken) == 1
    assert context.report.missing["paragraphs that stood before"] == 1
    with pytest.raises(CorpusError, match=r"sources\.0\.path.*no-such-package.*pip install"):
        required_packages("no-such-package", "corpus.sources.0")


def test_markup_goes_and_comparisons_stay() -> None:
    text = "See the :class:`~scales.Scale` or [a page](https://x.example) where people say that "
    text += "3 < 4 and 5 > 4."
    expected = "See the scales.Scale or a page where people say that 3 < 4 and 5 > 4."
    assert list(prose([text])) == [expected]
    assert (
        list(prose(["alpha = beta(1) + 2 * [3, 4] / {5: 6} - 7 == 8 != 9 and so on it goes"])) == []
    )


def test_two_reads_of_the_installed_packages_are_equal_and_name_no_folder(tmp_path: Path) -> None:
    source = {"path": "installed", "documents": 60}
    settings = Settings.model_validate({"corpus": {"sources": [source]}})

    def documents() -> list[RawDocument]:
        return list(SourceReader(settings, tmp_path, tmp_path).documents(0))

    first = documents()
    assert first == documents()
    assert len(first) == 60
    # of all packages, not of the first letters
    assert len({document.domain for document in first}) > 10
    assert not any(document.name.startswith("/") for document in first)
    assert not any(sys.prefix in document.text for document in first)
