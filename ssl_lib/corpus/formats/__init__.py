"""The kinds of files that sources are made of, by the ending of their names.

The documents of a file are its text (HTML, PDF …), or fields of its records (JSON, tables …).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ssl_lib.corpus.formats.columns import arrow, parquet
from ssl_lib.corpus.formats.markdown import markdown
from ssl_lib.corpus.formats.objects import json_lines, json_value
from ssl_lib.corpus.formats.tables import table
from ssl_lib.corpus.formats.text import text
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import SourceContext

# The text of a file in pieces that fit into memory, each with the character at which it begins.
TEXTS: dict[str, Callable[[OpenFile, SourceContext], Iterator[tuple[int, str]]]] = {
    ".txt": text,
    ".md": markdown,
    ".rst": text,
}
# Records with the place of each as messages name it: ("a.csv, line 3", {"text": "…"}).
RECORDS: dict[str, Callable[[OpenFile, SourceContext], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_value,
    ".csv": table,
    ".tsv": table,
    ".parquet": parquet,
    ".arrow": arrow,
}
KINDS = (*TEXTS, *RECORDS)
