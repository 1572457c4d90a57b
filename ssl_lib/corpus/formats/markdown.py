"""Markdown: its text as it is written, without the front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from ssl_lib.corpus.decoding import decoded
from ssl_lib.corpus.formats.text import cut
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import SourceContext

_LONGEST = 1 << 16  # characters of front matter
_LINE_END = r"[ \t]*(?:\r?\n|\Z)"
_COMMENTS = r"\s*(?:#[^\n]*\n\s*)*"
# YAML between --- and --- (or ...), TOML between +++ and +++. The first line inside names a key:
# two rules with an introduction between them are text.
_YAML_KEY = rf"(?={_COMMENTS}[\w\"'-]+[ \t]*:\s)"
_TOML_KEY = rf"(?={_COMMENTS}(?:\[|[\w\"'.-]+[ \t]*=))"
_YAML = rf"---{_LINE_END}{_YAML_KEY}.*?^(?:---|\.\.\.){_LINE_END}"
_TOML = rf"\+\+\+{_LINE_END}{_TOML_KEY}.*?^\+\+\+{_LINE_END}"
_FRONT_MATTER = re.compile(rf"{_YAML}|{_TOML}", re.MULTILINE | re.DOTALL)


def markdown(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """The text, cut while it is read if it is long; `front_matter: keep` keeps its head too."""
    blocks = decoded(file.stream, file.name, context)
    first = next(blocks, "")
    head = front_matter_end(first) if context.source.front_matter == "drop" else 0
    rest = chain([first[head:]], blocks)
    for start, text in cut(rest, context.maximum_characters):
        yield head + start, text


def front_matter_end(text: str) -> int:
    """Where the front matter of a file ends that begins so: 0 without one."""
    found = _FRONT_MATTER.match(text, 0, _LONGEST)
    return found.end() if found else 0
