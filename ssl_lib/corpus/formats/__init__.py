"""The kinds of files that sources are made of, by the ending of their names.

The documents of a file are its text (HTML, PDF …), fields of its records (JSON, tables …), or those
of its members.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from ssl_lib.corpus.formats.archives import Member, tar_members, zip_members
from ssl_lib.corpus.formats.columns import arrow, parquet
from ssl_lib.corpus.formats.databases import QUERY, query
from ssl_lib.corpus.formats.markdown import markdown
from ssl_lib.corpus.formats.markup import html, xml
from ssl_lib.corpus.formats.objects import json_lines, json_value
from ssl_lib.corpus.formats.pages import docx, pdf
from ssl_lib.corpus.formats.tables import table
from ssl_lib.corpus.formats.text import text
from ssl_lib.corpus.opening import COMPRESSIONS, OpenFile
from ssl_lib.corpus.problems import SourceContext

# The text of a file in pieces that fit into memory, each with the character at which it begins.
TEXTS: dict[str, Callable[[OpenFile, SourceContext], Iterator[tuple[int, str]]]] = {
    ".txt": text,
    ".md": markdown,
    ".rst": text,
    ".html": html,
    ".htm": html,
    ".xml": xml,
    ".pdf": pdf,
    ".docx": docx,
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
    QUERY: query,
}
ARCHIVES: dict[str, Callable[[OpenFile], Iterator[Member]]] = {
    ".zip": zip_members,
    ".tar": tar_members,
}
KINDS = [kind for kind in (*TEXTS, *RECORDS, *ARCHIVES) if kind != QUERY]
_SHORT = {".tgz": (".tar", ".gz"), ".tbz2": (".tar", ".bz2"), ".txz": (".tar", ".xz")}


def kind_of(name: str) -> tuple[str, str] | None:
    """Kind and compression by a file's name: "a/b.csv.gz" → (".csv", ".gz"); None if unknown."""
    stem, suffix = os.path.splitext(name.lower())
    if suffix in _SHORT:
        return _SHORT[suffix]
    compression = ""
    if suffix in COMPRESSIONS:
        compression, suffix = suffix, os.path.splitext(stem)[1]
    return (suffix, compression) if suffix in KINDS else None
