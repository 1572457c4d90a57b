"""docs/numbers.md says what a new form of numbers takes.

This adds it to a copy of the package, and asks the tests of the finder about it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
from ssl_lib.numbers import FORMS, find_number_arrays, find_numbers
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import train_encoding

assert FORMS[-1] == "multiple", FORMS
text = "It is twice as far, or 3 km. "
found = [(number.text, number.value, number.form) for number in find_numbers(text)]
assert found == [("twice", 2.0, "multiple"), ("3", 3.0, "integer")], found
long = find_number_arrays(text * 1000)
assert long.value.tolist() == [2.0, 3.0] * 1000
stored = tokenize_texts(train_encoding([text] * 20, 1370, "right3"), [text]).numbers
assert [FORMS[form] for form in stored["form"]] == ["multiple", "integer"]
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with what the page shows, and nothing else."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("ssl_lib", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    page = folder / "docs" / "numbers.md"
    text = page.read_text(encoding="utf-8")
    (entry,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (line,) = re.findall(r"^```markdown\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    forms = folder / "ssl_lib" / "numbers" / "forms.py"
    head, patterns, tail = forms.read_text(encoding="utf-8").partition("\nPATTERNS = (\n")
    assert "\n)\n" in tail
    forms.write_text(head + patterns + tail.replace("\n)\n", f"\n{entry})\n", 1), encoding="utf-8")
    # the line moves from its example into the tables
    text = text.replace(line, "")
    last = text.rindex("\n\n## How they are found")
    page.write_text(f"{text[:last]}\n{line.rstrip()}{text[last:]}", encoding="utf-8")
    return folder


def run(extended: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(extended)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_new_form_of_the_page_is_found_by_both_engines_and_stored(extended: Path) -> None:
    run(extended, "-c", PROGRAM)


def test_the_tests_of_the_finder_hold_for_the_new_form(extended: Path) -> None:
    """Among them that the page's own line is true and that no form is undocumented."""
    said = run(
        extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_numerals.py",
        "-k", "documented or in_documents",
    )  # fmt: skip
    assert re.search(r"\d passed", said)


def test_the_code_of_the_page_follows_the_rules_of_style(extended: Path) -> None:
    file, settings = extended / "ssl_lib" / "numbers" / "forms.py", ROOT / "pyproject.toml"
    for words in (["check"], ["format", "--check"]):
        run(extended, "-m", "ruff", *words, "--config", str(settings), str(file))
