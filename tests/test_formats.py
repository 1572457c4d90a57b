"""Each kind of file gives its text, and what is broken or hostile ends in one sentence."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import docx
import pyarrow
import pypdf
import pytest
from test_sources import COMPRESSORS, TEXTS, message, read, write_parquet

from ssl_lib.config import SettingsError, Source, parse_settings
from ssl_lib.corpus import opening
from ssl_lib.corpus.problems import SourceReport
from ssl_lib.errors import missing_extra

PAGE = """<html><head><title>T</title><script>var x = 99;</script></head><body>
<nav><a href="/">Home</a> <a href="/about">About us</a></nav><article><h1>Report</h1>
<p>Revenue größer by <b>12%</b> to $3.4 million in the quarter, after 5 years of decline.</p>
<p>The second paragraph names 7 sites, and is long enough to count as text of the page.</p>
</article><footer>Copyright, all rights reserved</footer></body></html>"""


def pdf_of(lines: list[str]) -> bytes:
    """A page with some lines, as plain as the format allows."""
    shown = "".join(f"({line}) Tj T* " for line in lines)
    stream = f"BT /F1 12 Tf 14 TL 72 720 Td {shown}ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return (data + f"xref\n0 6\n0000000000 65535 f \n{table}{end}").encode("latin-1")


def encrypted(data: bytes, password: str) -> bytes:
    """The same PDF for those who know the password."""
    writer = pypdf.PdfWriter(io.BytesIO(data))
    writer.encrypt(password, "owner", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_html_gives_its_main_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.html").write_bytes(PAGE.encode(encoding))
    (text,) = read(Source(path="a.html"), tmp_path)
    assert "Revenue größer by 12% to $3.4 million" in text
    assert "names 7 sites" in text
    assert not any(word in text for word in ("About us", "var x", "<p>", "rights reserved"))


def test_html_that_is_no_article_gives_all_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.htm").write_text("<p>Short: 5.</p><script>var x = 9;</script>")
    assert read(Source(path="a.htm"), tmp_path) == ["Short: 5."]


def test_html_keeps_its_boilerplate_if_asked_and_its_tables_always(tmp_path: Path) -> None:
    rows = "<tr><th>item</th><th>2023</th></tr><tr><td>flour</td><td>1.20</td></tr>"
    page = PAGE.replace("</article>", f"<table>{rows}</table></article>")
    (tmp_path / "a.html").write_text(page)
    (main,) = read(Source(path="a.html"), tmp_path)
    (whole,) = read(Source(path="a.html", boilerplate="keep"), tmp_path)
    around = ("About us", "rights reserved")
    assert not any(words in main for words in around)
    assert all(words in whole for words in around)
    assert "var x" not in whole
    # a sentence stays in one piece, whatever tags are in it, and a row of a table in one line
    assert "Revenue größer by 12% to $3.4 million" in whole
    assert "item | 2023\nflour | 1.20" in whole
    assert "| flour | 1.20 |" in main


def test_xml_gives_the_text_of_its_elements(tmp_path: Path) -> None:
    items = "".join(f"<item><id>{n}</id><name>café {n}</name></item>" for n in range(30_000))
    note = "\n <note>5 <b>kg</b> <i>net</i>,\n not 6 &amp; more</note>\n"
    data = f'<?xml version="1.0" encoding="iso-8859-1"?><all>{items}{note}</all>'
    (tmp_path / "a.xml").write_bytes(data.encode("latin-1"))
    texts = read(Source(path="a.xml"), tmp_path)
    lines = "\n".join(texts).split("\n")
    assert lines[:4] == ["0", "café 0", "1", "café 1"]
    assert lines[-4:] == ["café 29999", "5 kg net,", " not 6 & more", ""]
    assert len(lines) == 60_003


def test_xml_entities_neither_grow_nor_read_files(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret 42")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret.txt">]><a>5 &x;</a>'
    (tmp_path / "a.xml").write_text(outside)
    assert "secret" not in "".join(read(Source(path="a.xml"), tmp_path))
    names = '<!ENTITY e0 "lollollol">'
    for number in range(1, 10):
        names += f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">'
    (tmp_path / "b.xml").write_text(f"<!DOCTYPE a [{names}]><a>&e9;</a>")
    assert "b.xml, line 1" in message(Source(path="b.xml"), tmp_path)


def test_pdf_gives_the_text_of_its_pages(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_of(["Revenue rose 12%", "to $3.4 million."]))
    assert read(Source(path="a.pdf"), tmp_path) == ["Revenue rose 12%\nto $3.4 million.\n\n"]
    # an empty password is none
    (tmp_path / "b.pdf").write_bytes(encrypted(pdf_of(["5 kg"]), ""))
    assert read(Source(path="b.pdf"), tmp_path) == ["5 kg\n\n"]
    (tmp_path / "c.pdf").write_bytes(encrypted(pdf_of(["5 kg"]), "secret"))
    assert "c.pdf: is encrypted" in message(Source(path="c.pdf"), tmp_path)


def test_docx_gives_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("Revenue rose 12%.")
    table = document.add_table(2, 2)
    for place, written in enumerate(["Year", "Sales", "2023", "1,234"]):
        table.cell(place // 2, place % 2).text = written
    document.add_paragraph("That was all.")
    document.save(str(tmp_path / "a.docx"))
    (text,) = read(Source(path="a.docx"), tmp_path)
    assert text == "Revenue rose 12%.\n\nYear\tSales\n2023\t1,234\n\nThat was all.\n\n"


@pytest.mark.parametrize("layout", ["file", "stream"])
def test_arrow_files_are_read_in_both_layouts(tmp_path: Path, layout: str) -> None:
    table = pyarrow.table({"id": range(3), "text": TEXTS})
    new = pyarrow.ipc.new_file if layout == "file" else pyarrow.ipc.new_stream
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as out, new(out, table.schema) as writer:
        writer.write_table(table)
    assert read(Source(path="a.arrow"), tmp_path) == TEXTS
    assert "'id', 'text'" in message(Source(path="a.arrow", field="body"), tmp_path)


@pytest.mark.parametrize("suffix", ["", *COMPRESSORS])
def test_archives_are_read_as_folders_are(tmp_path: Path, suffix: str) -> None:
    members = {
        "./b/a.txt": b"one 1",
        "b/c.jsonl": json.dumps({"text": "two 2"}).encode(),
        "b/d.txt.gz": COMPRESSORS[".gz"](b"three 3"),
        "e.pdf": pdf_of(["four 4"]),
        "b/.hidden.txt": b"no",
        "__MACOSX/b/a.txt": b"no",
        "picture.png": b"no",
        "../../outside.txt": b"five 5",
        "/tmp/absolute.txt": b"six 6",
    }
    write_parquet(tmp_path / "x.parquet", [{"text": "seven 7"}])
    members["z.parquet"] = (tmp_path / "x.parquet").read_bytes()
    expected = ["five 5", "four 4\n\n", "one 1", "seven 7", "six 6", "three 3", "two 2"]
    for kind, data in (("zip", zip_of(members)), ("tar", tar_of(members))):
        path = tmp_path / f"a.{kind}{suffix}"
        path.write_bytes(COMPRESSORS[suffix](data) if suffix else data)
        report = SourceReport()
        assert sorted(read(Source(path=path.name), tmp_path, report=report)) == sorted(expected)
    # nothing was written anywhere, and no copy stays
    assert not (tmp_path.parent.parent / "outside.txt").exists()
    assert not list((tmp_path / "scratch").iterdir())
    (tmp_path / "a.tgz").write_bytes(COMPRESSORS[".gz"](tar_of(members)))
    assert len(read(Source(path="a.tgz"), tmp_path)) == len(expected)


def test_links_and_devices_in_archives_are_no_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("passwords.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        pipe = tarfile.TarInfo("pipe.txt")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    assert read(Source(path="a.tar"), tmp_path) == []


@pytest.mark.parametrize("name", ["a.txt.gz", "a.zip", "a.docx", "a.tar.gz"])
def test_bombs_end_in_a_sentence(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNBOUNDED", 4 << 20)
    zeros = bytes(8 << 20)
    if name == "a.txt.gz":
        data = COMPRESSORS[".gz"](zeros)
    elif name == "a.tar.gz":
        data = COMPRESSORS[".gz"](tar_of({"a.txt": zeros}))
    else:
        data = zip_of({"word/document.xml": zeros, "a.txt": zeros})
    assert len(data) < 1 << 16
    (tmp_path / name).write_bytes(data)
    assert "compressed size, as no text does" in message(Source(path=name), tmp_path)


def test_a_broken_file_is_skipped_where_the_source_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("good 1")
    (folder / "b.pdf").write_bytes(encrypted(pdf_of(["5"]), "secret"))
    (folder / "c.txt.gz").write_bytes(COMPRESSORS[".gz"](os.urandom(3000).hex().encode())[:-900])
    archive = zip_of({"good.txt": b"good 2", "bad.pdf": b"%PDF", "last.txt": b"good 3"})
    (folder / "d.zip").write_bytes(archive)
    (folder / "e.zip").write_bytes(b"PK\3\4 no archive")
    (folder / "f.jsonl").write_text('{"text": "good 4"}\n{"text": \n{"text": ["x"]}\n5\n')
    report = SourceReport()
    texts = read(Source(path="docs", on_error="skip"), tmp_path, report=report)
    assert [text for text in texts if "good" in text] == ["good 1", "good 2", "good 3", "good 4"]
    assert report.damaged == {"files": 4, "records": 3}
    assert any("docs/b.pdf: is encrypted" in example for example in report.examples)
    assert "docs/b.pdf" in message(Source(path="docs"), tmp_path)
    # what replaces bytes mends no file
    assert "docs/b.pdf" in message(Source(path="docs", on_error="replace"), tmp_path)


def test_fields_are_reached_through_objects_and_lists(tmp_path: Path) -> None:
    records = [
        {
            "meta": {"title": "A"},
            "messages": [{"content": "x 1"}, {"content": "y 2"}],
            "a.b": "dot",
        },
        {"meta": None, "messages": [{"role": "user"}, {"content": None}]},
        {"meta": {"title": "B", "id": 7}, "messages": []},
    ]
    lines = "\n".join(map(json.dumps, records))
    (tmp_path / "a.jsonl").write_text(lines)
    write_parquet(tmp_path / "a.parquet", records)
    (tmp_path / "a.json").write_text(json.dumps(records))
    for name in ("a.jsonl", "a.parquet", "a.json"):
        report = SourceReport()
        source = Source(path=name, field=["meta.title", "messages[].content"])
        assert read(source, tmp_path, report=report) == ["A\nx 1\ny 2", "", "B"]
        assert report.missing == {"meta.title": 1, "messages[].content": 2}
        assert read(Source(path=name, field="messages[1].content"), tmp_path)[0] == "y 2"
        assert read(Source(path=name, field="a.b"), tmp_path) == ["dot", "", ""]
        assert "messages[]" in message(Source(path=name, field="messages"), tmp_path)


def test_a_field_that_no_record_has_is_told_early(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "x"}\n' * 1000 + "no JSON\n")
    assert "'text'" in message(Source(path="a.jsonl"), tmp_path)
    (tmp_path / "b.jsonl").write_text('{"body": "x"}\n' * 999 + '{"text": "y"}\n')
    report = SourceReport()
    assert read(Source(path="b.jsonl"), tmp_path, report=report)[-1] == "y"
    assert report.missing == {"text": 999}
    with pytest.raises(SettingsError, match=r"corpus\.sources\.0\.field"):
        parse_settings({"corpus": {"sources": [{"path": "a.jsonl", "field": "."}]}})


def test_a_long_line_does_not_multiply_memory(tmp_path: Path) -> None:
    size = 8 << 20
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "5 kg, " * (size // 6)}))
    tracemalloc.start()
    try:
        texts = read(Source(path="a.jsonl"), tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, texts)) > 0.99 * size
    assert peak < 4 * size


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert "is a pipe or a device" in message(Source(path="pipe.txt"), tmp_path)
    assert "is a pipe or a device" in message(Source(path="/dev/zero"), tmp_path)
    (tmp_path / "b.txt").write_text("good")
    assert read(Source(path=str(tmp_path)), tmp_path) == ["good"]


@pytest.mark.parametrize(
    ("format_", "data"),
    [("", b"one 1"), ("jsonl", b'{"text": "one 1"}\n'), ("csv.gz", b"text;n\none 1;2\n")],
)
def test_standard_input_is_read(tmp_path: Path, format_: str, data: bytes) -> None:
    code = (
        "from pathlib import Path\nfrom test_sources import Source, read\n"
        f"print(read(Source(path='-', format={format_!r}), Path({str(tmp_path)!r})))"
    )
    sent = COMPRESSORS[".gz"](data) if format_.endswith("gz") else data
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode().strip() == "['one 1']"


def test_a_format_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "export").write_text('{"text": "x"}\n')
    assert read(Source(path="export", format="jsonl"), tmp_path) == ["x"]
    assert "corpus.sources.0.format" in message(Source(path="export"), tmp_path)


def test_a_format_of_standard_input_that_is_unknown_is_named(tmp_path: Path) -> None:
    told = message(Source(path="-", format="jsonn"), tmp_path)
    assert told.startswith("corpus.sources.0.format: jsonn is no known kind; these are .txt")


@pytest.mark.parametrize("encoding", ["Shift_JIS", "x-unknown"])
def test_an_encoding_that_xml_cannot_be_read_in_is_named(tmp_path: Path, encoding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?>\n<a>5</a>\n'
    (tmp_path / "a.xml").write_text(declared)
    told = message(Source(path="a.xml"), tmp_path)
    assert told.startswith("a.xml, line 1: its encoding cannot be read (")
    assert told.endswith("save it as UTF-8")


def test_a_compression_that_zip_files_are_not_read_in_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr("other.txt", "other")
    # the second file says of itself that it is deflate64, in its own header and in the index
    data = bytearray(path.read_bytes())
    for header, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        start = data.rindex(header)
        data[start + method] = 9
    path.write_bytes(data)
    told = message(Source(path="a.zip"), tmp_path)
    assert told.startswith("a.zip/other.txt: cannot be read (")
    assert "deflate" in told
    assert read(Source(path="a.zip", on_error="skip"), tmp_path) == ["good"]


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("a.pdf", "pypdf", "documents"),
        ("a.docx", "docx", "documents"),
        ("a.html", "trafilatura", "documents"),
        ("a.parquet", "pyarrow", "sources"),
    ],
)
def test_a_missing_library_names_its_extra(
    tmp_path: Path, name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"x")
    # a damaged file may be skipped, a missing library not
    source = Source(path=name, on_error="skip")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(ModuleNotFoundError) as caught:
        read(source, tmp_path)
    assert f"pip install 'ssl-lib[{extra}]'" in str(missing_extra(caught.value))
