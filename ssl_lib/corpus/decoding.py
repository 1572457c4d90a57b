"""Bytes to text: which encoding, what to do with bytes that it does not have, lines.

Nothing here holds more than a block and a line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from ssl_lib.corpus.problems import DamagedError, SourceContext

BLOCK = 1 << 20  # bytes that are read at once
LONGEST_LINE = 1 << 28  # characters
_HEAD = 1 << 12  # bytes at the beginning that show whether it is UTF-16
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is the beginning of it
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
# No decoder gives a lone surrogate: it marks where bytes could not be decoded.
_DAMAGE = "\udfff"


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _DAMAGE, error.end


codecs.register_error("ssl_lib.mark", _mark)


def detect_encoding(data: bytes) -> str:
    """Encoding of the beginning of a file: utf-8, utf-16-le, utf-16-be, utf-32-… or cp1252.

    A byte-order mark decides; UTF-16 without one shows by its zeros. What is no UTF-8, but Western
    text if read as cp1252, is that; all else counts as UTF-8, damaged or not.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding
    head = data[:_HEAD]
    # "5 kg" is 35 00 20 00 6B 00 67 00, or the other way around
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > max(1, len(head) // 40, 10 * min(even, odd)):
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        # a sequence may be cut at the end of a block
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return "utf-8" if _mostly_utf8(data) or not _western(data) else "cp1252"
    return "utf-8"


def _mostly_utf8(data: bytes) -> bool:
    """Whether at least as many characters beyond ASCII are valid as are not."""
    text = data.decode("utf-8", "ssl_lib.mark")
    damaged = text.count(_DAMAGE)
    return len(_NOT_ASCII.findall(text)) >= 2 * damaged


def _western(data: bytes) -> bool:
    """Whether it has characters of cp1252 alone, and most letters are ASCII."""
    # "Größe" may be cp1252; five Greek letters in a row are something else
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    letters = "".join(_LETTER.findall(text))
    return "\0" not in text and 2 * len(_NOT_ASCII.findall(letters)) <= len(letters)


def decoded(stream: BinaryIO, name: str, context: SourceContext) -> Iterator[str]:
    """The text of a stream in blocks that end anywhere, without a byte-order mark.

    The encoding is the source's setting or detected: by the first block, or, as ASCII is the
    beginning of most, by the first with another character. Bytes that it does not have raise
    DamagedError with line and byte; or their line becomes empty, or each becomes U+FFFD.
    """
    decoder, held = _Decoder(name, context), ""
    block = b"-"
    try:
        while block:
            block = stream.read(BLOCK)
            text = decoder.decode(block)
            if context.source.on_error == "skip":
                # a line is judged as a whole
                whole, end, held = (
                    (held + text).rpartition("\n") if block else (held + text, "", "")
                )
                text = _without_damage(whole + end, context)
            yield text
    finally:
        context.report.count(context.report.encodings, decoder.encoding or "utf-8")


def _without_damage(text: str, context: SourceContext) -> str:
    if _DAMAGE not in text:
        return text
    found = text.split("\n")
    sound = ["" if _DAMAGE in line else line for line in found]
    damaged = sum(_DAMAGE in line for line in found)
    context.report.count(context.report.damaged, "lines", damaged)
    return "\n".join(sound)


class _Decoder:
    """A decoder that finds its encoding, and counts bytes and lines for messages."""

    def __init__(self, name: str, context: SourceContext) -> None:
        self._name, self._context = name, context
        self.encoding = context.source.encoding
        self._decoder = self._made("strict") if self.encoding else None
        self._offset, self._line = 0, 1

    def _made(self, errors: str) -> codecs.IncrementalDecoder:
        return codecs.getincrementaldecoder(self.encoding)(errors)

    def decode(self, block: bytes) -> str:
        """Text of the next block; an empty one is the end."""
        if self._decoder is None:
            found = detect_encoding(block)
            if found != "utf-8" or not block.isascii():
                self.encoding = found
                self._decoder = self._made("strict")
        if self._decoder is None:
            text = block.decode("ascii")
        else:
            text = self._decoded(block, self._decoder)
        # the mark itself is no text
        if not self._offset:
            text = text.removeprefix("\ufeff")
        self._offset += len(block)
        self._line += text.count("\n")
        return text

    def _decoded(self, block: bytes, decoder: codecs.IncrementalDecoder) -> str:
        before = decoder.getstate()
        try:
            return decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            marking = self._made("ssl_lib.mark")
            marking.setstate(before)
            text = marking.decode(block, not block)
            decoder.setstate(marking.getstate())
            # the decoder kept the beginning of a sequence from the block before
            offset = self._offset - len(before[0]) + error.start
            message = self._message(text, offset, error.object[error.start])
        on_error = self._context.source.on_error
        if on_error == "fail":
            raise DamagedError(message)
        what = "characters" if on_error == "replace" else "lines"
        if on_error == "replace":
            self._context.note(what, message, text.count(_DAMAGE))
            return text.replace(_DAMAGE, "\N{REPLACEMENT CHARACTER}")
        self._context.note(what, message, 0)
        return text

    def _message(self, text: str, offset: int, value: int) -> str:
        line = self._line + text[: text.index(_DAMAGE)].count("\n")
        place = f"{self._name}, line {line}, byte {offset}"
        advice = self._context.advice("encoding")
        if self._context.key:
            advice += ", or on_error to skip such lines or replace such bytes"
        return f"{place}: {value:#04x} is not {self.encoding.upper()} text; {advice}"


def lines(stream: BinaryIO, name: str, context: SourceContext) -> Iterator[str]:
    """All lines of a stream, line ends (LF) left on.

    Raises DamagedError as `decoded` does, and for a line that no memory should hold.
    """
    parts, size, number = [""], 0, 1
    for text in decoded(stream, name, context):
        first, *following = text.split("\n")
        parts.append(first)
        size += len(first)
        if size > LONGEST_LINE:
            raise DamagedError(f"{name}, line {number}: has over {LONGEST_LINE} characters; cut it")
        if not following:
            continue
        yield "".join(parts) + "\n"
        for line in following[:-1]:
            yield line + "\n"
        parts, size = [following[-1]], len(following[-1])
        number += len(following)
    if size:
        yield "".join(parts)
