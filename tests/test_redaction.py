"""A function of the user's goes over every text before anything else sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from test_corpus import build, contents, documents, essays, write

from ssl_lib.config import SettingsError, parse_settings
from ssl_lib.corpus.problems import CorpusError
from ssl_lib.corpus.redaction import find
from ssl_lib.files import sha256_of

MODULE = """
import re

def without_names(text):
    return re.sub("(Ann|Bob) Miller", "NAME", text)

def lengths(text):
    return len(text)

def broken(text):
    return text.no_such_method()

LIMIT = 5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with functions of its own, and texts with names in them."""
    (tmp_path / "own_rules.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("own_rules", None)
    find.cache_clear()
    names = ("Ann Miller", "Bob Miller")
    texts = [f"{names[n % 2]} wrote: {text}" for n, text in enumerate(essays(60, seed=1))]
    # a pair that differs in what is taken out alone
    twins = [f"{name} paid 1,250 dollars for 17 barrels of oil." for name in names]
    write(tmp_path, "letters.jsonl", texts + twins)
    return tmp_path


LETTERS = {"path": "data/sources/letters.jsonl"}


def test_no_text_of_the_corpus_holds_what_was_taken_out(project: Path) -> None:
    manifest = build(project, LETTERS, redact="own_rules:without_names")
    texts = [row["text"] for split in ("train", "validation", "test")
             for row in documents(project, split)]  # fmt: skip
    assert len(texts) == 61
    assert all("Miller" not in text for text in texts)
    assert sum(text.startswith("NAME ") for text in texts) == 61
    assert b"Miller" not in b"".join(contents(project).values())
    assert manifest["duplicates"] == {"exact": 1, "near": 0}


def test_documents_are_redacted_before_they_are_cut(project: Path) -> None:
    # without a paragraph or sentence to cut at, every tenth character would end a document
    write(project, "long.jsonl", ["Ann Miller " * 400])
    build(project, LETTERS, {"path": "data/sources/long.jsonl"}, document_characters=15,
          minimum_characters=1, redact="own_rules:without_names")  # fmt: skip
    assert b"Mill" not in b"".join(contents(project).values())


def test_the_manifest_says_which_function_and_which_file(project: Path) -> None:
    manifest = build(project, LETTERS, redact="own_rules:without_names")
    digest = sha256_of(project / "own_rules.py")
    assert manifest["redact"] == {"function": "own_rules:without_names", "sha256": digest}
    assert build(project, LETTERS)["redact"] is None


def test_processes_redact_as_one_does(project: Path) -> None:
    build(project, LETTERS, redact="own_rules:without_names")
    alone = contents(project)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        build(project, LETTERS, executor=pool, redact="own_rules:without_names")
    assert contents(project) == alone


def test_built_in_text_keeps_its_labels(project: Path) -> None:
    made = {"path": "built-in", "documents": 60}
    build(project, made)
    plain = documents(project, "train"), documents(project, "train", "labels")
    build(project, made, redact="own_rules:without_names")
    assert plain == (documents(project, "train"), documents(project, "train", "labels"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_rules:mask", "no_such_rules:mask cannot be imported .* put no_such_rules into"),
        ("own_rules:mask", "module own_rules has no mask; name one of its functions"),
        ("own_rules:LIMIT", "own_rules:LIMIT is int; name a function"),
        ("own_rules:lengths", r"returned int for a text of .*letters\.jsonl; return a string"),
        ("own_rules:broken", r"failed on a text of .*letters\.jsonl \(AttributeError: .*correct"),
    ],
)
def test_a_wrong_function_is_one_sentence(project: Path, name: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        build(project, LETTERS, redact=name)
    assert str(caught.value).startswith("corpus.redact: ")
    assert "\n" not in str(caught.value)
    assert not (project / "data" / "raw").exists()


@pytest.mark.parametrize(
    ("name", "code", "problem"),
    [
        ("rules_cut", "def mask(text:\n", "SyntaxError: .*"),
        ("rules_named", "LIMIT = no_such_name\n", "NameError: .*no_such_name.*"),
        (
            "rules_old",
            "import re\nPATTERN = re.no_such_thing\n",
            "AttributeError: .*no_such_thing.*",
        ),
    ],
)
def test_a_module_that_fails_is_one_sentence(
    project: Path, name: str, code: str, problem: str
) -> None:
    (project / f"{name}.py").write_text(code, encoding="utf-8")
    message = rf"corpus\.redact: {name}:mask cannot be imported \({problem}\); correct it"
    with pytest.raises(CorpusError, match=message) as caught:
        build(project, LETTERS, redact=f"{name}:mask")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["own_rules", "own_rules:", ":mask", "own-rules:mask", "a b:c"])
def test_a_name_has_a_module_and_a_function(name: str) -> None:
    with pytest.raises(SettingsError, match=r"corpus\.redact"):
        parse_settings({"corpus": {"redact": name}})


def test_the_command_finds_a_module_of_the_project(project: Path) -> None:
    params = "corpus:\n  redact: own_rules:without_names\n  sources:\n  - path: {path}\n"
    (project / "params.yaml").write_text(params.format(**LETTERS), encoding="utf-8")
    script = Path(sys.executable).parent / "ssl-lib"
    done = subprocess.run([script, "corpus"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert b"Miller" not in b"".join(contents(project).values())


def test_the_example_of_the_page_redacts(project: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (project / "redaction.py").write_text(example, encoding="utf-8")
    write(project, "mail.jsonl", [f"Write to a{n}.b@c.org: {text}" for n, text in
                                  enumerate(essays(30, seed=2))])  # fmt: skip
    build(project, {"path": "data/sources/mail.jsonl"}, redact="redaction:without_mail")
    written = b"".join(contents(project).values())
    assert b"@" not in written
    assert b"Write to MAIL" in written
