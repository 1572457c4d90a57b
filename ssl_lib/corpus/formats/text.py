"""Plain text, Markdown and reStructuredText: a file is one document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ssl_lib.corpus.cleaning import pieces
from ssl_lib.corpus.decoding import decoded
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import SourceContext


def text(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """The text, cut while it is read if it is long."""
    yield from cut(decoded(file.stream, file.name, context), context.maximum_characters)


def cut(blocks: Iterable[str], maximum_characters: int) -> Iterator[tuple[int, str]]:
    """Text in blocks as pieces that end with a paragraph, each with its first character's place."""
    text, offset = "", 0
    for block in blocks:
        text += block
        if len(text) > maximum_characters:
            # the last piece may go on in the next block
            *whole, last = pieces(text, maximum_characters) or [(len(text), len(text))]
            for start, end in whole:
                yield offset + start, text[start:end]
            offset += last[0]
            text = text[last[0] :]
    if text:
        yield offset, text
