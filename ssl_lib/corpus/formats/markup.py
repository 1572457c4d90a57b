"""HTML and XML: the text without its tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from ssl_lib.corpus.decoding import BLOCK
from ssl_lib.corpus.formats.text import cut
from ssl_lib.corpus.opening import OpenFile
from ssl_lib.corpus.problems import DamagedError, SourceContext

_BLANKS = re.compile(r"\s+")
_BLOCKS = frozenset(
    "address article aside blockquote br caption dd div dl dt figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 header hr li main nav ol option p pre section table title tr ul".split()
)


def html(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """The main text of a page as trafilatura finds it; of a page without one, all of its text.

    `boilerplate: keep` takes all of every page. Rows of tables are lines, with bars between cells.
    The encoding is the setting, or else what the page declares or trafilatura detects.
    """
    import trafilatura

    data = file.whole()
    page = data.decode(context.source.encoding, "replace") if context.source.encoding else data
    # None: too little on the page to tell the text from the rest
    keep = context.source.boilerplate == "keep"
    main = None if keep else trafilatura.extract(page, include_comments=False)
    if main is None:
        main = _all_text(trafilatura.load_html(page))
    yield from cut([main], context.maximum_characters)


def _all_text(tree: Any) -> str:
    """The text of a page, a line for each block: "<p>5 <b>kg</b></p><p>x</p>" is "5 kg" and "x"."""
    if tree is None:
        return ""
    for element in tree.iter():
        # line ends of the file are blanks on the page
        for side in ("text", "tail"):
            setattr(element, side, _BLANKS.sub(" ", getattr(element, side) or ""))
        if element.tag in _BLOCKS:
            element.text, element.tail = "\n" + element.text, "\n" + element.tail
        elif element.tag in ("td", "th"):
            element.tail = " | " + element.tail
    found = tree.xpath("//text()[not(parent::script or parent::style)]")
    lines = (line.strip(" |") for line in "".join(found).split("\n"))
    return "\n".join(line for line in lines if line)


def xml(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """All text of the elements, read in blocks; tags with nothing or a line end between end a line.

    "<a><b>12</b><b>13</b></a>" gives 12 and 13 on two lines, "<p>5 <i>kg</i></p>" gives "5 kg".
    """
    yield from cut(_elements(file, context), context.maximum_characters)


def _elements(file: OpenFile, context: SourceContext) -> Iterator[str]:
    parser = ParserCreate(context.source.encoding or None)
    parser.buffer_text = True
    written: list[str] = []
    between: list[str] = []  # what stands since the last tag
    line_ended = True

    def tag(*_: object) -> None:
        """Write what stands before this tag."""
        nonlocal line_ended
        text = "".join(between)
        between.clear()
        # "5 <b>kg</b> net" keeps its spaces; "</id><name>" and an indentation end a line
        if text.strip() or (text and "\n" not in text):
            written.append(text)
            line_ended = False
        elif not line_ended:
            written.append("\n")
            line_ended = True

    parser.StartElementHandler = parser.EndElementHandler = tag
    parser.CharacterDataHandler = between.append
    block = b"-"
    while block:
        block = file.stream.read(BLOCK)
        try:
            parser.Parse(block, not block)
        except ExpatError as error:
            place = f"{file.name}, line {error.lineno}, byte {parser.ErrorByteIndex}"
            raise DamagedError(f"{place}: is not XML ({error}); correct it") from None
        except (ValueError, LookupError) as error:
            # expat asks Python for encodings it does not know, and takes those of single bytes
            place = f"{file.name}, line {parser.ErrorLineNumber}"
            problem = f"its encoding cannot be read ({error}); save it as UTF-8"
            raise DamagedError(f"{place}: {problem}") from None
        yield "".join(written)
        written.clear()
    context.report.count(context.report.encodings, context.source.encoding or "declared")
