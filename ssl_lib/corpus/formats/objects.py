"""JSON: an object a line, or one value that is an object or a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ssl_lib.corpus.decoding import decoded, lines
from ssl_lib.corpus.fields import type_name
from ssl_lib.corpus.opening import WHOLE, OpenFile
from ssl_lib.corpus.problems import DamagedError, SourceContext


def json_lines(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file with one a line; blank lines do not count."""
    for number, line in enumerate(lines(file.stream, file.name, context), 1):
        if line.isspace():
            continue
        place = f"{file.name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            advice = "fix or remove the line"
            context.damage("records", f"{place}: is not JSON ({_reason(error)}); {advice}")
            continue
        if record := _object(value, place, context):
            yield place, record


def json_value(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, or the one object, that a whole file is."""
    blocks, size = [], 0
    for block in decoded(file.stream, file.name, context):
        blocks.append(block)
        size += len(block)
        if size > WHOLE:
            raise DamagedError(
                f"{file.name}: is too large for one value; write JSON lines (.jsonl)"
            )
    try:
        value = json.loads("".join(blocks))
    except (ValueError, RecursionError) as error:
        advice = "fix it, or name the file .jsonl if it has an object a line"
        raise DamagedError(f"{file.name}: is not JSON ({_reason(error)}); {advice}") from None
    # the text is not needed beside what was read of it
    blocks.clear()
    if not isinstance(value, list):
        value = [value]
    for number, one in enumerate(value, 1):
        place = f"{file.name}, item {number}"
        if record := _object(one, place, context):
            yield place, record


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__


def _object(value: Any, place: str, context: SourceContext) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    context.damage("records", f"{place}: is {type_name(value)}, not an object with a text")
    return None
