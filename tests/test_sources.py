"""Every format and place gives the same documents; every mistake is named with its place."""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import json
import lzma
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from ssl_lib.config import Source
from ssl_lib.corpus.opening import Digest, SourceFile
from ssl_lib.corpus.problems import CorpusError, SourceContext, SourceReport
from ssl_lib.corpus.readers import read_documents
from ssl_lib.corpus.sources import find_files, outside_sources

TEXTS = [
    "The sum of 2 + 3 is 5.",
    'He said "1,5 €",\nthen left — at 12:30.',
    "Ελλάδα: 10.4 million",
]


def write_jsonl(path: Path, records: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def write_csv(path: Path, records: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def write_parquet(path: Path, records: list[dict[str, object]]) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)


WRITERS: dict[str, Callable[[Path, list[dict[str, object]]], None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}


def read(
    source: Source, root: Path, maximum_characters: int = 10_000, report: SourceReport | None = None
) -> list[str]:
    """All documents of a source; what else is found goes into `report`."""
    scratch = root / "scratch"
    scratch.mkdir(exist_ok=True)
    report = report or SourceReport()
    context = SourceContext(source, "corpus.sources.0", scratch, root, maximum_characters, report)
    return [
        text
        for file in find_files(source, "corpus.sources.0", root)
        for _, _, text in read_documents(file, context, Digest(), source.documents)
    ]


def message(source: Source, root: Path) -> str:
    """The sentence that reading a source fails with."""
    with pytest.raises(CorpusError) as caught:
        read(source, root)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", ["", *COMPRESSORS])
@pytest.mark.parametrize("format_", WRITERS)
def test_all_formats_give_the_same_documents(tmp_path: Path, format_: str, suffix: str) -> None:
    path = tmp_path / f"texts.{format_}"
    WRITERS[format_](path, [{"id": number, "text": text} for number, text in enumerate(TEXTS)])
    if suffix:
        path.with_name(path.name + suffix).write_bytes(COMPRESSORS[suffix](path.read_bytes()))
        path.unlink()
    assert read(Source(path=f"texts.{format_}{suffix}"), tmp_path) == TEXTS


@pytest.mark.parametrize("suffix", ["", *COMPRESSORS])
@pytest.mark.parametrize("kind", [".txt", ".md"])
def test_a_text_file_is_a_document(tmp_path: Path, kind: str, suffix: str) -> None:
    data = b"\xef\xbb\xbf" + TEXTS[1].encode()
    (tmp_path / f"a{kind}{suffix}").write_bytes(COMPRESSORS[suffix](data) if suffix else data)
    assert read(Source(path=f"a{kind}{suffix}"), tmp_path) == [TEXTS[1]]


def test_a_long_text_file_is_cut_at_paragraphs_while_it_is_read(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number} of é many. " * 20 for number in range(5000)]
    (tmp_path / "long.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    documents = read(Source(path="long.txt"), tmp_path, 6000)
    assert all(len(document) <= 6000 for document in documents)
    assert all(document.startswith("Paragraph ") for document in documents)
    assert " ".join(" ".join(documents).split()) == " ".join(" ".join(paragraphs).split())


@pytest.mark.parametrize("format_", WRITERS)
def test_several_fields_are_joined_by_newlines(tmp_path: Path, format_: str) -> None:
    WRITERS[format_](
        tmp_path / f"q.{format_}", [{"question": "2 + 2?", "id": 7, "answer": "4"}] * 2
    )
    assert (
        read(Source(path=f"q.{format_}", field=["question", "answer"]), tmp_path)
        == ["2 + 2?\n4"] * 2
    )
    assert read(Source(path=f"q.{format_}", field=["id", "answer"], documents=1), tmp_path) == [
        "7\n4"
    ]


def test_null_is_no_text(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": None}, {"text": "x"}])
    assert read(Source(path="a.jsonl"), tmp_path) == ["", "x"]


def test_folders_and_globs_take_known_files_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "sources" / "notes"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    for name in (
        "b.txt",
        "a.md",
        "deep/c.txt",
        "b.txt.dvc",
        ".hidden.txt",
        "deep/.hidden/d.txt",
        "picture.png",
    ):
        (folder / name).write_text(name)
    assert read(Source(path="data/sources/notes"), tmp_path) == ["a.md", "b.txt", "deep/c.txt"]
    assert read(Source(path="data/sources/notes/*.txt"), tmp_path) == ["b.txt"]
    assert read(Source(path="data/sources/**/*.txt"), tmp_path) == ["b.txt", "deep/c.txt"]
    assert read(Source(path=str(folder / "a.md")), tmp_path) == ["a.md"]
    names = [file.name for file in find_files(Source(path="data/sources/notes"), "k", tmp_path)]
    assert names == [
        "data/sources/notes/a.md",
        "data/sources/notes/b.txt",
        "data/sources/notes/deep/c.txt",
    ]


def test_memory_urls_are_read_alone_by_glob_and_by_folder(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    try:
        two = gzip.compress(b"two", mtime=0)
        memory.pipe({"/box/a.txt": b"one", "/box/b.txt.gz": two, "/box/c.bin": b"\0"})
        write_parquet(tmp_path / "x.parquet", [{"text": "three"}])
        memory.pipe("/box/d.parquet", (tmp_path / "x.parquet").read_bytes())
        assert read(Source(path="memory://box/b.txt.gz"), tmp_path) == ["two"]
        assert read(Source(path="memory://box/*.txt*"), tmp_path) == ["one", "two"]
        assert read(Source(path="memory://box"), tmp_path) == ["one", "two", "three"]
        assert "no such file" in message(Source(path="memory://box/z.txt"), tmp_path)
        assert "no file matches" in message(Source(path="memory://box/*.md"), tmp_path)
    finally:
        memory.rm("/box", recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files in `tmp_path/web`."""
    (tmp_path / "web").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None, reason="the http driver of fsspec needs aiohttp"
)
def test_web_addresses_are_read(tmp_path: Path, web: str) -> None:
    write_jsonl(tmp_path / "web" / "a.jsonl", [{"text": text} for text in TEXTS * 500])
    write_parquet(tmp_path / "web" / "b.parquet", [{"text": text} for text in TEXTS])
    assert read(Source(path=f"{web}/a.jsonl?download=1"), tmp_path) == TEXTS * 500
    assert read(Source(path=f"{web}/a.jsonl", documents=2), tmp_path) == TEXTS[:2]
    assert read(Source(path=f"{web}/b.parquet"), tmp_path) == TEXTS
    assert f"{web}/none.txt" in message(Source(path=f"{web}/none.txt"), tmp_path)
    closed = "http://127.0.0.1:9/a.txt"
    assert closed in message(Source(path=closed), tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None, reason="the http driver of fsspec needs aiohttp"
)
def test_a_password_stays_out_of_the_names_of_files(
    tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_SECRET", "hunter2")
    (tmp_path / "web" / "a.txt").write_text("one")
    url = f"{web}/a.txt".replace("//", "//me:$OWN_SECRET@")
    (file,) = find_files(Source(path=url), "corpus.sources.0", tmp_path)
    assert file.name == url
    assert read(Source(path=url), tmp_path) == ["one"]


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed here")
def test_a_missing_driver_names_the_package(tmp_path: Path) -> None:
    assert "s3fs" in message(Source(path="s3://bucket/a.txt"), tmp_path)


def test_digests_are_those_of_the_raw_bytes(tmp_path: Path) -> None:
    data = gzip.compress(b"line\n" * 100_000, mtime=0)
    (tmp_path / "a.txt.gz").write_bytes(data)
    write_parquet(tmp_path / "a.parquet", [{"text": "x"}])
    for name in ("a.txt.gz", "a.parquet"):
        digest = Digest()
        (file,) = find_files(Source(path=name), "k", tmp_path)
        list(read_documents(file, SourceContext(Source(), "k", tmp_path), digest, 1))
        raw = (tmp_path / name).read_bytes()
        assert (digest.hexdigest(), digest.size) == (hashlib.sha256(raw).hexdigest(), len(raw))


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.txt", b"good\nbad \x81\n", ["a.txt, line 2, byte 9", "UTF-8"]),
        (
            "a.txt",
            b"good\n" * 300_000 + b"caf\x81 \n",
            ["a.txt, line 300001, byte 1500003", "UTF-8"],
        ),
        ("a.txt", b"cut short \xe2\x82", ["a.txt, line 1", "UTF-8"]),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\x81"}\n', ["a.jsonl, line 2", "UTF-8"]),
        ("a.jsonl", b'{"text": "x"}\n\n{"text": \n', ["a.jsonl, line 3", "JSON"]),
        ("a.jsonl", b"[1, 2]\n", ["a.jsonl, line 1", "a list"]),
        (
            "a.jsonl",
            b'{"body": "x", "n": 1}\n{"body": "x"}\n',
            ["line 1", "'text'", "'body', 'n'", "sources.0.field"],
        ),
        ("a.jsonl", b'{"text": ["x"]}\n', ["a.jsonl, line 1", "'text'", "a list"]),
        ("a.csv", b"id,body\n1,x\n", ["a.csv, line 1", "'text'", "'id', 'body'"]),
        ("a.csv", b"id,text\n1,x\n2,y,z\n", ["a.csv, line 3", "3 columns", "2"]),
        ("a.csv", b'id,text\n1,"x\n', ["a.csv, line 2", "CSV"]),
        ("a.csv", b"id,text\n1,\x81\n", ["a.csv, line 2", "UTF-8"]),
        ("a.parquet", b"PAR1 not really", ["a.parquet", "Parquet"]),
        ("a.txt.gz", b"not gzip", ["a.txt.gz", "damaged"]),
        ("a.txt.gz", gzip.compress(b"x" * 1000, mtime=0)[:-12], ["a.txt.gz", "cut short"]),
        ("a.txt.bz2", bz2.compress(b"x" * 1000)[:-5], ["a.txt.bz2", "cut short"]),
        ("a.txt.xz", b"not xz", ["a.txt.xz", "damaged"]),
        ("a.txt.zst", b"not zst", ["a.txt.zst", "cannot be read"]),
        ("a.pdf", b"%PDF", ["a.pdf", "no whole PDF file"]),
        ("a.docx", b"PK", ["a.docx", "no whole DOCX file"]),
        ("a.xml", b"<a>5\n<b>6</a>", ["a.xml, line 2, byte", "XML"]),
        ("a.json", b'{"text": "x"}\n{"text": "y"}', ["a.json", "JSON", ".jsonl"]),
        ("a.json", b'[{"text": "x"}, 5]', ["a.json, item 2", "int"]),
        ("a.arrow", b"ARROW1 not really", ["a.arrow", "Arrow"]),
        ("a.zip", b"PK\3\4", ["a.zip", "no whole archive"]),
        ("a.tar.gz", b"not gzip", ["a.tar.gz", "damaged"]),
        ("a.exe", b"MZ", ["sources.0.path", "a.exe", ".jsonl", "sources.0.format"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    text = message(Source(path=name), tmp_path)
    assert all(part in text for part in parts), text


def test_a_parquet_file_without_the_field_names_its_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [{"body": "x", "n": 1}])
    text = message(Source(path="a.parquet"), tmp_path)
    assert all(part in text for part in ("a.parquet", "'text'", "'body', 'n'"))


@pytest.mark.parametrize("path", ["none.txt", "none/*.txt", "empty"])
def test_no_match_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    text = message(Source(path=path), tmp_path)
    assert text.startswith("corpus.sources.0.path")
    assert path in text


def test_domains_come_from_the_setting_or_the_path() -> None:
    expected = {
        "data/sources/news/*.txt": "news",
        "data/sources/sport": "sport",
        "notes.jsonl.gz": "notes",
        "https://host/a/facts.csv?x=1": "facts",
        "*.txt": "text",
    }
    assert {path: Source(path=path).name for path in expected} == expected


def test_sources_that_dvc_does_not_watch_are_known(tmp_path: Path) -> None:
    watched = (
        "data/sources/a.txt",
        "data/sources",
        "built-in",
        "https://host/a.txt",
        "./data/sources/*.csv",
    )
    assert not any(outside_sources(Source(path=path), tmp_path) for path in watched)
    assert all(
        outside_sources(Source(path=path), tmp_path)
        for path in ("a.txt", "/etc/a.txt", "data/sources/../b.txt")
    )


def test_a_file_is_opened_only_when_it_is_read(tmp_path: Path) -> None:
    def refuse() -> io.BytesIO:
        raise PermissionError

    file = SourceFile("a.txt", ".txt", "", refuse, None)
    documents = read_documents(file, SourceContext(Source(), "k", tmp_path), Digest())
    with pytest.raises(CorpusError, match=r"a\.txt: may not be read"):
        next(documents)
