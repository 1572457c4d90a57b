"""The pages tell the truth where a machine can check it: paths, layers, letters, sections."""

from __future__ import annotations

import ast
import io
import re
import struct
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from tests.test_architecture import LAYERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "ssl_lib|tests|docs|benchmarks|flows"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Names such as `hidden_RTD` or `values_BT`; the letters behind the last underscore are the shape.
SHAPED = re.compile(r"[a-z][a-z0-9_]*_([A-Z]{1,4})")


def section(page: str, title: str) -> str:
    """The text under a heading of the second level, up to the next one."""
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table of Markdown, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_layers_of_the_page_are_those_that_the_imports_keep() -> None:
    told = [
        " ".join(re.findall(r"`(\w+)`", packages))
        for packages, _ in rows(section(ARCHITECTURE, "Layers"))
    ]
    assert told == list(LAYERS)


def test_every_letter_of_a_shape_stands_in_the_legend() -> None:
    legend = {letter for letter, _ in rows(section(ARCHITECTURE, "Letters of shapes"))}
    used: dict[str, str] = {}
    for path in sorted((ROOT / "ssl_lib").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        # A file whose head says "Shapes: ..." may have letters of its own beside those of the page.
        head = ast.get_docstring(ast.parse(source)) or ""
        own = set(re.findall(r"\b([A-Z])\b", head))
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            found = SHAPED.fullmatch(token.string) if token.type == tokenize.NAME else None
            for letter in set(found[1]) - legend - own if found else ():
                used.setdefault(letter, f"{path.relative_to(ROOT)}:{token.start[0]} {token.string}")
    assert used == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    # What a page adds by its own code, as a sixth objective, does not exist before that.
    text = page.read_text(encoding="utf-8")
    added = set(re.findall(r"\*\*The file\*\*, `(ssl_lib/[\w/]+\.py)`", text))
    named = re.findall(
        r"\b((?:ssl_lib|tests|docs|benchmarks|flows)/[\w/]+\.(?:py|md|jsonl|json)\b)", text
    )
    assert [path for path in named if path not in added and not (ROOT / path).exists()] == []


def test_the_file_map_has_every_folder_and_only_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = section(text, "Where things are").split("```")[1]
    entries = [line.split(maxsplit=1) for line in block.splitlines() if line.strip()]
    assert all(len(entry) == 2 for entry in entries), "an entry without its meaning"
    assert all(not meaning.endswith(("et al", "et al.")) for _, meaning in entries)
    paths = [path for path, _ in entries]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    folders = {f"ssl_lib/{path.parent.name}/" for path in (ROOT / "ssl_lib").glob("*/__init__.py")}
    assert folders <= set(paths)
    assert len(entries) <= 60


def test_the_log_lists_its_sections() -> None:
    log = (ROOT / "docs" / "LOG.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\* \[(.+)\]\(#.+\)$", section(log, "Sections"), re.MULTILINE)
    titles = re.findall(r"^## (.+)$", log, re.MULTILINE)
    assert titles[:2] == ["What is believed today", "Sections"]
    assert listed == titles[2:]


def test_every_picture_is_shown_small_and_as_wide_as_a_page() -> None:
    shown = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for told, path in re.findall(r"!\[(.*?)\]\((.+?\.png)\)", text):
            assert told, f"{page.name}: {path} has no words for those who do not see it"
            shown.add((page.parent / path).resolve())
    assert shown == set((ROOT / "docs" / "pictures").glob("*"))
    for path in shown:
        content = path.read_bytes()
        # the first block of a PNG begins with width and height
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">I", content[16:20]) == (1200,)
        assert len(content) < 150_000


def test_the_script_of_the_pictures_tells_what_it_needs(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "docs" / "screenshots.py")]
    told = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True)
    assert "--run" in told.stdout
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("screenshots: .ssl_lib/serve.env is not here")
