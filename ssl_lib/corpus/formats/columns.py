"""Parquet and Arrow files: records by columns, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ssl_lib.corpus.fields import check_columns, column_of
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import DamagedError, SourceContext

_ROWS = 512  # at once


def parquet(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet file, with the columns that hold the fields."""
    from pyarrow.parquet import ParquetFile

    path = file.path()
    with _explained(file.name, "Parquet"), ParquetFile(path) as table:
        columns = _wanted(table.schema_arrow.names, file.name, context)
        yield from _records(table.iter_batches(_ROWS, columns=columns), file.name)


def arrow(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of an Arrow file, with the columns that hold the fields.

    Both layouts are read: the one for random access (Feather too), and the stream.
    """
    import pyarrow

    path = file.path()
    with _explained(file.name, "Arrow"), pyarrow.memory_map(str(path)) as data:
        # the layout for random access begins with its name
        if data.read(6) == b"ARROW1":
            table = pyarrow.ipc.open_file(data)
            batches = map(table.get_batch, range(table.num_record_batches))
        else:
            data.seek(0)
            table = batches = pyarrow.ipc.open_stream(data)
        columns = _wanted(table.schema.names, file.name, context)
        chosen = (batch.select(columns) for batch in batches)
        slices = (
            batch.slice(start, _ROWS)
            for batch in chosen
            for start in range(0, batch.num_rows, _ROWS)
        )
        yield from _records(slices, file.name)


def _wanted(names: list[str], place: str, context: SourceContext) -> list[str]:
    """Columns of the fields, each once; a missing one is named before anything is read."""
    check_columns(names, place, context)
    columns = (column_of(path, names) for path in context.fields)
    return list(dict.fromkeys(column for column in columns if column))


def _records(batches: Iterable[Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    row = 0
    for batch in batches:
        for record in batch.to_pylist():
            row += 1
            yield f"{name}, row {row}", record


@contextmanager
def _explained(name: str, kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DamagedError(f"{name}: is no {kind} file ({reason}); write it again") from None
