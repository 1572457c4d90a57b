"""Fields of records by dotted paths: title, answer.text, messages[].content, choices[0].text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from ssl_lib.corpus.problems import CorpusError, DamagedError, SourceContext

# A field that none of so many records has is misspelled, not rare.
MISSPELLED = 1000
_STEP = re.compile(r"\[\d*\]|[^.\[\]]+")
_WRITTEN = (str, int, float, Decimal, date, datetime, time)
_NAMES = {list: "a list", dict: "an object", bool: "true or false", type(None): "null"}


def type_name(value: Any) -> str:
    """What a value is, as messages say it."""
    return _NAMES.get(type(value), type(value).__name__)


def column_of(path: str, columns: Iterable[str]) -> str | None:
    """The column that holds a path: the one of that very name, or of its first step."""
    known = set(columns)
    first = _STEP.findall(path)[0]
    return next((name for name in (path, first) if name in known), None)


def missing_field(
    path: str, names: Iterable[str], place: str, context: SourceContext
) -> CorpusError:
    """Says which fields there are instead."""
    found = f"its fields are {', '.join(map(repr, names)) or 'none'}"
    advice = f"{context.advice('field')} to one with text" if context.key else "name one of them"
    return CorpusError(f"{place}: has no field {path!r}; {found}; {advice}")


def check_columns(columns: list[str], place: str, context: SourceContext) -> None:
    """Raise CorpusError if a table of these columns has none for a field."""
    for path in context.fields:
        if column_of(path, columns) is None:
            raise missing_field(path, columns, place, context)


class FieldReader:
    """The text of the records of one file."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._steps = {path: _STEP.findall(path) for path in context.fields}
        self._absent = set(context.fields)  # from all records so far
        self._records = 0
        self._first: tuple[list[str], str] = [], ""

    def text(self, record: dict[str, Any], place: str) -> str:
        """The texts of all fields, joined by newlines; of a list, each on a line of its own.

        Missing and null are no text, and counted. Raises DamagedError for a value that is no text,
        CorpusError if the first MISSPELLED records all lack a field.
        """
        if not self._records:
            self._first = list(record), place
        self._records += 1
        report, written = self._context.report, []
        for path, steps in self._steps.items():
            found = _values(record, path, steps)
            # null is there, if no text
            if found:
                self._absent.discard(path)
            found = [value for value in found if value is not None]
            if not found:
                report.count(report.missing, path)
            written += [_written(value, path, place, self._context) for value in found]
        if self._absent and self._records == MISSPELLED:
            self.finish()
        return "\n".join(filter(None, written))

    def finish(self) -> None:
        """Raise CorpusError if no record had a field; to be called after the last one."""
        if self._records and self._absent:
            path = next(path for path in self._steps if path in self._absent)
            raise missing_field(path, *self._first, self._context)


def _values(record: dict[str, Any], path: str, steps: list[str]) -> list[Any]:
    """All that stands at a path, null too: {"a": [{"b": 1}, {"b": 2}]} at a[].b → [1, 2]."""
    if path in record:
        return [record[path]]
    found: list[Any] = [record]
    for step in steps:
        found = [inner for value in found for inner in _inside(value, step)]
    return found


def _inside(value: Any, step: str) -> Iterator[Any]:
    if isinstance(value, dict) and step in value:
        yield value[step]
    elif isinstance(value, list) and step == "[]":
        yield from value
    elif isinstance(value, list) and step.startswith("[") and int(step[1:-1]) < len(value):
        yield value[int(step[1:-1])]


def _written(value: Any, path: str, place: str, context: SourceContext) -> str:
    if isinstance(value, bool) or not isinstance(value, _WRITTEN):
        reason = f"field {path!r} holds {type_name(value)}, not text"
        more = f"; {path}[] reads all of a list" if isinstance(value, list) else ""
        advice = f"correct {context.key}.field or the data" if context.key else "correct the data"
        raise DamagedError(f"{place}: {reason}; {advice}{more}")
    return str(value)
