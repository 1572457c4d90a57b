"""Tables in text: a header, then a record a row, with a delimiter that is detected."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from ssl_lib.corpus.decoding import lines
from ssl_lib.corpus.fields import check_columns, column_of
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import CorpusError, SourceContext

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_SAMPLE = 1 << 16  # characters that a dialect is detected by


class Dialect(NamedTuple):
    """How a table is written: what separates its columns, and whether quotes surround some."""

    delimiter: str
    quoted: bool = True

    def rows(self, found: Iterable[str]) -> Any:
        """A csv.reader of lines."""
        if not self.quoted:
            return csv.reader(found, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(found, delimiter=self.delimiter, strict=True)


def table(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows below the header as records."""
    csv.field_size_limit(2**31 - 1)
    found = lines(file.stream, file.name, context)
    sample = _beginning(found)
    expected = "\t" if file.kind == ".tsv" else ","
    detected = detect_dialect(sample, context.fields, expected)
    dialect = detected
    # a delimiter that is set wins, with quotes as usual
    if context.source.delimiter not in ("", detected.delimiter):
        dialect = Dialect(context.source.delimiter)
    rows = dialect.rows(chain(sample, found))
    header: list[str] = []
    while True:
        place = f"{file.name}, line {rows.line_num + 1}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            message = f"{place}: is not valid CSV ({error}); fix or remove the row"
            context.damage("records", message)
            continue
        if row is None:
            return
        if row and not header:
            header = row
            _check_header(header, dialect, detected, place, context)
        elif len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        elif row:
            reason = f"has {len(row)} columns, the header {len(header)}"
            advice = f"quote texts that hold {_named(dialect)}"
            context.damage("records", f"{place}: {reason}; {advice}")


def _beginning(found: Iterator[str]) -> list[str]:
    sample, size = [], 0
    for line in found:
        sample.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return sample


def _check_header(
    header: list[str], used: Dialect, detected: Dialect, place: str, context: SourceContext
) -> None:
    """Raise CorpusError for a missing field, with the right reason if it is the delimiter."""
    wanting = any(column_of(path, header) is None for path in context.fields)
    if wanting and used.delimiter != detected.delimiter:
        reason = f"its columns are separated by {_named(detected)}, not by {_named(used)}"
        advice = context.advice("delimiter", repr(detected.delimiter))
        raise CorpusError(f"{place}: {reason}; {advice}")
    check_columns(header, place, context)


def _named(dialect: Dialect) -> str:
    return _DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))


def detect_dialect(sample: list[str], fields: list[str], expected: str) -> Dialect:
    """The dialect that fits the first lines of a table best.

    In turn: it has the wanted fields in its header, as many columns in each row as there, more than
    one column, the expected delimiter. Quotes in a table with tabs may be letters like any others.
    """
    dialects = [Dialect(delimiter) for delimiter in _DELIMITERS] + [Dialect("\t", quoted=False)]

    def fit(dialect: Dialect) -> tuple[float, ...]:
        """How well the sample reads so: larger is better, place by place."""
        widths: list[int] = []
        header: list[str] = []
        rows = dialect.rows(sample)
        while True:
            try:
                row = next(rows, None)
            except csv.Error:
                # counts as a row that is not as wide as the header
                row = [""] * (len(header) + 1)
            if row is None:
                break
            header = header or row
            widths += [len(row)] if row else []
        wanted = sum(column_of(path, header) is not None for path in fields)
        even = widths.count(len(header)) / max(1, len(widths))
        return wanted, even, len(header) > 1, dialect.delimiter == expected

    # the first of equals
    return max(dialects, key=fit)
