"""Documents out of a file of each format; never more than one document, or one block of bytes, in memory."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ssl_lib.corpus.cleaning import pieces
from ssl_lib.corpus.sources import CorpusError, Digest, SourceFile, drain, local_copy, reading

_BLOCK = 1 << 20  # bytes


def read_documents(
    file: SourceFile,
    fields: list[str],
    key: str,
    maximum_characters: int,
    limit: int,
    digest: Digest,
    scratch: Path,
) -> Iterator[str]:
    """Texts of a file's documents, at most `limit` of them (0: all).

    A text file is one document, cut at paragraphs where it is longer than `maximum_characters`; a line or row of the
    other formats is one, its `fields` joined by newlines. `key` is the source's dotted key. Raises CorpusError that
    names the file and the line.
    """
    if file.format == "parquet":
        yield from _limited(
            _parquet(local_copy(file, digest, scratch), file.name, fields, key), limit
        )
        return
    with reading(file, digest) as stream:
        if file.format == "text":
            documents = _text(stream, file.name, maximum_characters)
        elif file.format == "jsonl":
            documents = _jsonl(stream, file.name, fields, key)
        else:
            documents = _csv(stream, file.name, fields, key)
        yield from _limited(documents, limit)
        drain(file, stream)


def _limited(documents: Iterator[str], limit: int) -> Iterator[str]:
    for number, document in enumerate(documents, 1):
        yield document
        if number == limit:
            return


def _text(stream: BinaryIO, name: str, maximum_characters: int) -> Iterator[str]:
    text, line = "", 1
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    block = b"-"
    while block:
        block = stream.read(_BLOCK)
        try:
            text += decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _not_utf8(name, line + error.object[: error.start].count(b"\n")) from None
        line += block.count(b"\n")
        if len(text) > maximum_characters:
            *whole, last = pieces(text, maximum_characters) or [(len(text), len(text))]
            yield from (text[start:end] for start, end in whole)
            text = text[last[0] :]
    if text:
        yield text


def _jsonl(stream: BinaryIO, name: str, fields: list[str], key: str) -> Iterator[str]:
    for number, line in enumerate(_lines(stream, name), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise CorpusError(
                f"{name}, line {number}: is not valid JSON ({reason}); mend or remove the line"
            ) from None
        if not isinstance(record, dict):
            raise CorpusError(
                f"{name}, line {number}: is {_kind(record)}, not a JSON object with a field of text"
            )
        yield _joined(record, fields, f"{name}, line {number}", key)


def _csv(stream: BinaryIO, name: str, fields: list[str], key: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(_lines(stream, name), strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            if row and len(row) != len(header):
                place = f"{name}, line {reader.line_num}"
                raise CorpusError(
                    f"{place}: has {len(row)} columns, the header {len(header)}; quote texts with commas"
                )
            if row:
                yield _joined(
                    dict(zip(header, row, strict=True)),
                    fields,
                    f"{name}, line {reader.line_num}",
                    key,
                )
    except csv.Error as error:
        raise CorpusError(
            f"{name}, line {reader.line_num}: is not valid CSV ({error}); mend or remove it"
        ) from None


def _parquet(path: Path, name: str, fields: list[str], key: str) -> Iterator[str]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            _joined(dict.fromkeys(names, ""), fields, name, key)
            row = 0
            for batch in parquet.iter_batches(batch_size=512, columns=fields):
                for record in batch.to_pylist():
                    row += 1
                    yield _joined(record, fields, f"{name}, row {row}", key)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(
            f"{name}: is not a readable Parquet file ({reason}); write or fetch it again"
        ) from None


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise _not_utf8(name, number) from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _joined(record: dict[str, Any], fields: list[str], place: str, key: str) -> str:
    values = []
    for field in fields:
        if field not in record:
            there = f"its fields are {', '.join(map(repr, record)) or 'none'}; set {key}.field to one with text"
            raise CorpusError(f"{place}: has no field {field!r}; {there}")
        value = record[field]
        if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            raise CorpusError(
                f"{place}: field {field!r} holds {_kind(value)}, not text; correct {key}.field or the data"
            )
        values.append("" if value is None else str(value))
    return "\n".join(value for value in values if value)


def _kind(value: Any) -> str:
    return {list: "a list", dict: "an object", bool: "true or false"}.get(
        type(value), type(value).__name__
    )


def _not_utf8(name: str, line: int) -> CorpusError:
    return CorpusError(
        f"{name}, line {line}: is not UTF-8 text; convert the file (iconv does) or remove the line"
    )
