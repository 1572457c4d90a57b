"""Text is what its bytes say, whatever the encoding; damage is named, skipped or replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_sources import message, read

from ssl_lib.config import SettingsError, Source, parse_settings
from ssl_lib.corpus.decoding import BLOCK, detect_encoding
from ssl_lib.corpus.problems import SourceReport
from ssl_lib.corpus.readers import read_text

GERMAN = "Größe über 1.234,5 m: 12,5 € für 3 Stück – schön."
GREEK = "Ελλάδα: 10.4 εκατομμύρια κάτοικοι, 131.957 τ.χλμ."


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", GERMAN),
        ("utf-8", GREEK),
        ("utf-8-sig", GERMAN),
        ("utf-16", GERMAN),
        ("utf-16-le", GERMAN),
        ("utf-16-be", GERMAN),
        ("utf-16", GREEK),
        ("utf-32", GREEK),
        ("cp1252", GERMAN),
    ],
)
def test_encodings_are_detected(tmp_path: Path, encoding: str, text: str) -> None:
    report = SourceReport()
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read(Source(path="a.txt"), tmp_path, report=report) == [text]
    assert sum(report.encodings.values()) == 1
    (tmp_path / "a.jsonl").write_bytes(
        json.dumps({"text": text}, ensure_ascii=False).encode(encoding)
    )
    assert read(Source(path="a.jsonl"), tmp_path) == [text]
    (tmp_path / "a.csv").write_bytes(f"text;id\r\n{text};1\r\n".encode(encoding))
    assert read(Source(path="a.csv"), tmp_path) == [text]
    assert read_text(tmp_path / "a.txt") == text


def test_an_encoding_is_found_where_the_first_other_character_stands(tmp_path: Path) -> None:
    ascii_text = "The sum of 2 + 3 is 5.\n" * 100_000
    assert len(ascii_text) > 2 * BLOCK
    (tmp_path / "a.txt").write_bytes(ascii_text.encode() + GERMAN.encode("cp1252"))
    assert read(Source(path="a.txt"), tmp_path, 10_000_000) == [ascii_text + GERMAN]


def test_an_encoding_that_is_set_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Привет 12,5".encode("cp1251"))
    assert read(Source(path="a.txt", encoding="cp1251"), tmp_path) == ["Привет 12,5"]
    # most letters beyond ASCII: no Western text, and no guess among all other encodings
    assert "corpus.sources.0.encoding" in message(Source(path="a.txt"), tmp_path)
    with pytest.raises(SettingsError, match=r"corpus\.sources\.0\.encoding"):
        parse_settings({"corpus": {"sources": [{"path": "a.txt", "encoding": "utf-9"}]}})


def test_sequences_that_a_block_cuts_are_whole(tmp_path: Path) -> None:
    for shift in range(4):
        text = "x" * shift + "é€🙂" * (BLOCK // 4)
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        assert read(Source(path="a.txt"), tmp_path, 10_000_000) == [text]


def test_one_damaged_character_does_not_make_another_encoding() -> None:
    data = GERMAN.encode()
    assert detect_encoding(data + b"\xe9 ") == "utf-8"
    assert detect_encoding(bytes(range(256))) == "utf-8"  # no text at all
    assert detect_encoding(b"a\0 stray zero in a long line of text") == "utf-8"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_damaged_bytes_fail_are_skipped_or_replaced(tmp_path: Path, name: str) -> None:
    texts = [f"line {number} über 5" for number in range(100_000)]
    lines = {
        "a.txt": texts,
        "a.jsonl": [json.dumps({"text": text}, ensure_ascii=False) for text in texts],
        "a.csv": ["id,text"] + [f"{number},{text}" for number, text in enumerate(texts)],
    }[name]
    head = len(lines) - len(texts)
    encoded = [line.encode() for line in lines]
    for damaged in (7, 90_000):
        encoded[damaged + head] = encoded[damaged + head].replace(b"\xc3\xbc", b"\xff")
    (tmp_path / name).write_bytes(b"\n".join(encoded))
    byte = (b"\n".join(encoded)).index(b"\xff")
    found = message(Source(path=name), tmp_path)
    assert f"{name}, line {8 + head}, byte {byte}: 0xff is not UTF-8 text" in found
    report = SourceReport()
    skipped = read(Source(path=name, on_error="skip"), tmp_path, 10_000_000, report)
    sound = texts[:7] + texts[8:90_000] + texts[90_001:]
    assert [line for text in skipped for line in text.split("\n") if line] == sound
    assert report.damaged == {"lines": 2}
    assert len(report.examples) == 2
    report = SourceReport()
    replaced = read(Source(path=name, on_error="replace"), tmp_path, 10_000_000, report)
    assert "\n".join(replaced).split("\n")[7] == "line 7 \ufffdber 5"
    assert len("\n".join(replaced).split("\n")) == len(texts)
    assert report.damaged == {"characters": 2}


def test_every_byte_of_text_in_no_encoding_is_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x81" * (2 * BLOCK))
    report = SourceReport()
    texts = read(Source(path="a.txt", on_error="replace"), tmp_path, report=report)
    assert sum(map(len, texts)) == report.damaged["characters"] == 2 * BLOCK


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_delimiters_are_detected(tmp_path: Path, delimiter: str, ending: str) -> None:
    rows = [["id", "text", "note"], ["1", "a; b, c", ""], ["2", 'said "3"', "x"], ["3", "y", ""]]
    written = [
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in rows
    ]
    (tmp_path / f"a.{ending}").write_text("".join(written))
    expected = ["a; b, c", 'said "3"', "y"]
    assert read(Source(path=f"a.{ending}"), tmp_path) == expected
    assert read(Source(path=f"a.{ending}", delimiter=delimiter), tmp_path) == expected


def test_a_wrong_delimiter_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;text\n1;x\n2;y\n")
    found = message(Source(path="a.csv", delimiter=","), tmp_path)
    assert "a.csv, line 1" in found
    assert "separated by a semicolon, not by a comma" in found
    assert "corpus.sources.0.delimiter" in found


def test_quotes_in_a_table_with_tabs_may_be_letters(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tscore\n"Yes, he said 5\t1\nand 6" wide\t2\n')
    assert read(Source(path="a.tsv"), tmp_path) == ['"Yes, he said 5', 'and 6" wide']


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufefftext,b\n1,"x\ny"\n2,"z\nz",w\n', encoding="utf-8")
    assert "a.csv, line 4: has 3 columns, the header 2" in message(Source(path="a.csv"), tmp_path)
