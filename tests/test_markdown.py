"""Front matter is no text; all else of Markdown is, tables included."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_corpus import build, documents, essays

from ssl_lib.config import Settings, parse_settings
from ssl_lib.corpus.formats.markdown import front_matter_end
from ssl_lib.corpus.sample import sample_corpus

BODY = "# Prices\n\n| item | 2023 | 2024 |\n|---|---|---|\n| flour | $1.20 | $1.35 |\n"
HEADS = {
    "yaml": "---\ntitle: Prices\ndate: 2024-05-01\ntags: [a, b]\n---\n",
    "dots": "---\n# made by hand\n\n'title': Prices\n...\n",
    "toml": '+++\ntitle = "Prices"\nweight = 7\n+++\n',
    "table": "+++\n[params]\nweight = 7\n+++\n",
    "windows": "---\r\ntitle: Prices\r\n---\r\n",
    "blanks": "---  \ntitle: Prices\n--- \n",
}


def settings_of(front_matter: str = "drop") -> Settings:
    source = {"path": "notes", "front_matter": front_matter}
    return parse_settings({"corpus": {"sources": [source]}})


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_front_matter_is_dropped_and_the_rest_is_kept(tmp_path: Path, head: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_bytes((head + BODY).encode())
    (row,) = sample_corpus(settings_of(), tmp_path, 5).documents
    assert row["text"] == BODY.strip()
    assert [number["value"] for number in row["numbers"]] == [2023, 2024, 1.2, 1.35]
    (whole,) = sample_corpus(settings_of("keep"), tmp_path, 5).documents
    assert whole["text"].replace("\r\n", "\n") == (head + BODY).strip().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nAn introduction between two rules, 3 lines long.\n\n---\n\nThe rest.\n",
        "---\ntitle: it never ends\n\nText.\n",
        "\n---\ntitle: not at the head\n---\nText.\n",
        "----\ntitle: four\n----\nText.\n",
        "Text.\n\n---\ntitle: later\n---\n",
        "---\n---\nText.\n",
        "+++\n2 + 2\n+++\n",
        "",
    ],
)
def test_what_only_looks_like_it_is_text(text: str) -> None:
    assert front_matter_end(text) == 0


@given(st.text(alphabet="-+.#:= \n\rab1[|", max_size=200))
def test_what_goes_is_a_block_at_the_head(text: str) -> None:
    end = front_matter_end(text)
    head = text[:end].split("\n")
    if end:
        assert head[0].strip() in ("---", "+++")
        last = head[-1] or head[-2]
        assert last.strip() in ("---", "...", "+++")


@pytest.mark.parametrize(
    ("head", "end"),
    [
        ("---\n" + "# a # b " * 50_000, 0),
        ("---\n" + "#\n" * 200_000, 0),
        ("---\n" * 100_000, 0),
        ("---\na: b\n" + "-- \n" * 100_000, 0),
        ("+++\n" + " \n" * 200_000, 0),
        ("---\na: b\n---\n" + "---\n" * 100_000, 13),
    ],
)
def test_no_head_takes_more_than_one_pass(head: str, end: int) -> None:
    # whoever goes back and forth over these does not end
    assert front_matter_end(head) == end


def test_pieces_of_a_long_file_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    text = HEADS["yaml"] + "\n\n".join(essays(40, seed=1))
    (tmp_path / "notes" / "a.md").write_text(text, encoding="utf-8")
    build(tmp_path, {"path": "notes"}, document_characters=500)
    rows = [row for split in ("train", "validation", "test") for row in documents(tmp_path, split)]
    assert len(rows) > 10
    assert all(text[row["start"] :].startswith(row["text"]) for row in rows)
