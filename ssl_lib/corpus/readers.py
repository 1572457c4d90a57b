"""Documents out of files of each format, and all sources as one stream of batches.

Never more than one document, one batch or one block of bytes is in memory.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any

from ssl_lib.config import Settings
from ssl_lib.corpus.cleaning import BuiltInRange, RawDocument, pieces
from ssl_lib.corpus.sources import (
    BLOCK,
    BUILT_IN,
    CorpusError,
    Digest,
    SourceFile,
    exhaust,
    find_files,
    local_copy,
    reading,
)

GENERATOR_PACKAGES = ("numbers", "synthetic")  # what runs when built-in documents are made
_BATCH_CHARACTERS = 1 << 18
_BATCH_DOCUMENTS = 1000
# Measured, of one process; for choosing between one and two.
_SECONDS_A_BYTE = 2.5e-7
_SECONDS_A_BUILT_IN = 2.5e-4


@dataclass
class SourceReport:
    """What the manifest says of a source's origin."""

    files: int = 0
    bytes: int = 0
    sha256: str | None = None  # None for a URL that was read in part
    documents_read: int = 0


class SourceReader:
    """The sources of a corpus: finds their files at once, reads them as `batches` is consumed."""

    def __init__(self, settings: Settings, root: Path, scratch: Path) -> None:
        """Raises CorpusError for a source without a file, or no number of built-in documents."""
        self._settings = settings
        self._scratch = scratch
        self._sources = settings.corpus.sources
        self.reports = [SourceReport() for _ in self._sources]
        self._files: list[list[SourceFile]] = []
        for place, source in enumerate(self._sources):
            # as the message of an error names it
            key = f"corpus.sources.{place}"
            if source.path != BUILT_IN:
                self._files.append(find_files(source, key, root))
                continue
            self._files.append([])
            if not source.documents:
                raise CorpusError(f"{key}.documents: say how many documents to make, at least 3")

    def expected_seconds(self) -> float:
        """About how long one process would prepare all this; URLs count nothing."""
        seconds = 0.0
        for source, files in zip(self._sources, self._files, strict=True):
            sizes = [file.local.stat().st_size for file in files if file.local]
            seconds += sum(sizes) * _SECONDS_A_BYTE
            if source.path == BUILT_IN:
                seconds += source.documents * _SECONDS_A_BUILT_IN
        return seconds

    def batches(self) -> Iterator[list[RawDocument] | BuiltInRange]:
        """All documents in the order of the settings, in batches of bounded size."""
        for place, source in enumerate(self._sources):
            if source.path == BUILT_IN:
                self.reports[place].sha256 = generator_version()
                self.reports[place].documents_read = source.documents
                yield from BuiltInRange.ranges(self._settings, place, _BATCH_DOCUMENTS)
                continue
            batch: list[RawDocument] = []
            characters = 0
            for document in self.documents(place):
                batch.append(document)
                characters += len(document.text)
                if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
                    yield batch
                    batch, characters = [], 0
            if batch:
                yield batch

    def documents(self, place: int) -> Iterator[RawDocument]:
        """All documents of one source of files, counted in its report."""
        source = self._sources[place]
        report = self.reports[place]
        key = f"corpus.sources.{place}"
        domain = source.domain or source.name
        fields = [source.field] if isinstance(source.field, str) else source.field
        longest = self._settings.corpus.maximum_characters
        lines: list[str] = []  # of the files that were read as a whole
        for file in self._files[place]:
            # 0 stands for all of them, in the settings and as a limit
            left = source.documents - report.documents_read
            if source.documents and not left:
                break
            digest, limit = Digest(), left if source.documents else 0
            found = read_documents(file, fields, key, longest, limit, digest, self._scratch)
            for start, text in found:
                report.documents_read += 1
                yield RawDocument(text, file.name, domain, place, start=start)
            report.files += 1
            report.bytes += digest.size
            if file.local or not source.documents:
                lines.append(f"{digest.hexdigest()}  {file.name}\n")
        if not report.documents_read:
            name = source.path if report.files > 1 else self._files[place][0].name
            what = "holds no documents" if report.bytes else "is empty"
            advice = f"put documents there or take it out of corpus.sources (it is {key})"
            raise CorpusError(f"{name}: {what}; {advice}")
        # what `sha256sum` prints of one file, or `sha256sum FILES | sha256sum` of several
        if len(lines) == report.files:
            listing = hashlib.sha256("".join(lines).encode()).hexdigest()
            report.sha256 = lines[0].split()[0] if report.files == 1 else listing


def generator_version() -> str:
    """SHA-256 of what the built-in documents depend on besides the seed: the generator's code."""
    digest = hashlib.sha256()
    for package in GENERATOR_PACKAGES:
        for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_documents(
    file: SourceFile,
    fields: list[str],
    key: str,
    maximum_characters: int,
    limit: int,
    digest: Digest,
    scratch: Path,
) -> Iterator[tuple[int, str]]:
    """A file's documents, at most `limit` of them (0: all), as (start, text).

    A text file is one document, read in blocks where it is longer than `maximum_characters`, each
    of which begins at character `start` and ends with a paragraph; a line or row of the other
    formats is one, its `fields` joined by newlines. `key` is the source's dotted key. Raises
    CorpusError that names the file and the line.
    """
    if file.format == "parquet":
        path = local_copy(file, digest, scratch)
        for text in islice(_parquet(path, file.name, fields, key), limit or None):
            yield 0, text
        return
    with reading(file, digest) as stream:
        if file.format == "text":
            yield from islice(_text(stream, file.name, maximum_characters), limit or None)
        else:
            read = _jsonl if file.format == "jsonl" else _csv
            for text in islice(read(stream, file.name, fields, key), limit or None):
                yield 0, text
        # a limited read of a URL stays short
        if file.local:
            exhaust(stream)


def _text(stream: BufferedIOBase, name: str, maximum_characters: int) -> Iterator[tuple[int, str]]:
    text, offset, line = "", 0, 1
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    block = b"-"
    while block:
        block = stream.read(BLOCK)
        try:
            text += decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            raise _not_utf8(name, line + before.count(b"\n")) from None
        line += block.count(b"\n")
        if len(text) > maximum_characters:
            # the last piece may go on in the next block
            *whole, last = pieces(text, maximum_characters) or [(len(text), len(text))]
            for start, end in whole:
                yield offset + start, text[start:end]
            offset += last[0]
            text = text[last[0] :]
    if text:
        yield offset, text


def _jsonl(stream: BufferedIOBase, name: str, fields: list[str], key: str) -> Iterator[str]:
    for number, line in enumerate(_lines(stream, name), 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise CorpusError(f"{place}: is not JSON ({reason}); fix or remove the line") from None
        if not isinstance(record, dict):
            raise CorpusError(f"{place}: is {_type_name(record)}, not an object with a text")
        yield _joined(record, fields, place, key)


def _csv(stream: BufferedIOBase, name: str, fields: list[str], key: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(_lines(stream, name), strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            place = f"{name}, line {reader.line_num}"
            if row and len(row) != len(header):
                found = f"has {len(row)} columns, the header {len(header)}"
                raise CorpusError(f"{place}: {found}; quote texts with commas")
            if row:
                yield _joined(dict(zip(header, row, strict=True)), fields, place, key)
    except csv.Error as error:
        place = f"{name}, line {reader.line_num}"
        raise CorpusError(f"{place}: is not valid CSV ({error}); fix or remove it") from None


def _parquet(path: Path, name: str, fields: list[str], key: str) -> Iterator[str]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            # a missing field is named before anything is read
            _joined(dict.fromkeys(names, ""), fields, name, key)
            row = 0
            for batch in parquet.iter_batches(batch_size=512, columns=fields):
                for record in batch.to_pylist():
                    row += 1
                    yield _joined(record, fields, f"{name}, row {row}", key)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{name}: is no Parquet file ({reason}); write it again") from None


def _lines(stream: BufferedIOBase, name: str) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise _not_utf8(name, number) from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _joined(record: dict[str, Any], fields: list[str], place: str, key: str) -> str:
    """{"title": "A", "id": 7, "body": "B"} with fields title and body → "A", newline, "B"."""
    values = []
    for field in fields:
        if field not in record:
            found = f"its fields are {', '.join(map(repr, record)) or 'none'}"
            advice = f"set {key}.field to one with text"
            raise CorpusError(f"{place}: has no field {field!r}; {found}; {advice}")
        value = record[field]
        if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            found = f"field {field!r} holds {_type_name(value)}, not text"
            raise CorpusError(f"{place}: {found}; correct {key}.field or the data")
        if value is not None and value != "":
            values.append(str(value))
    return "\n".join(values)


def _type_name(value: Any) -> str:
    names = {list: "a list", dict: "an object", bool: "true or false"}
    return names.get(type(value), type(value).__name__)


def _not_utf8(name: str, line: int) -> CorpusError:
    advice = "convert the file (iconv does) or remove the line"
    return CorpusError(f"{name}, line {line}: is not UTF-8 text; {advice}")
