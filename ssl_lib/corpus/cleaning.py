"""From raw text to clean documents: characters, length, and the shares that a stable hash of the text decides."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import deque

SPLITS = (
    "test",
    "validation",
    "train",
)  # by precedence: where duplicates meet, the first of these keeps its document

_NEW_LINE = re.compile(r"\r\n|[\r\v\f\x85]")
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
# Borders match nothing but white space, or the empty place after a CJK full stop.
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)\]]))\s+|\n\s*|(?<=[。！？])")
_WORD = re.compile(r"\s+")


def clean(text: str) -> str:
    """Unicode NFC, newlines as line ends, no control characters but tab and newline, no white space around.

    Vertical tab, form feed and U+0085 end a line; other characters of category Cc, lone surrogates and byte-order marks
    go. Idempotent: clean(clean(x)) == clean(x).
    """
    if _UNCLEAN.search(text):
        text = _REMOVED.sub("", _NEW_LINE.sub("\n", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()


def normalised(text: str) -> str:
    """The text that duplicates are judged by: case folded, every run of white space one space."""
    return " ".join(text.casefold().split())


def pieces(text: str, maximum_characters: int) -> list[tuple[int, int]]:
    """Character spans (start, end), none longer than `maximum_characters`: all of the text but white space between.

    A span ends at the last paragraph border of the second half of what fits; failing that, in turn, at the end of a
    sentence or line there, at the last white space, anywhere.
    """
    spans: list[tuple[int, int]] = []
    start = _skip_space(text, 0)
    while len(text) - start > maximum_characters:
        end, following = _cut(text, start, maximum_characters)
        spans.append((start, end))
        start = following
    if start < len(text):
        spans.append((start, _skip_back(text, len(text))))
    return spans


def stable_hash(text: str, purpose: str) -> int:
    """64-bit hash of a text, the same on every machine; different purposes ("split", "weight", ...) are independent."""
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=purpose.encode())
    return int.from_bytes(digest.digest(), "little")


def stable_share(text: str, purpose: str) -> float:
    """`stable_hash` as a number in [0, 1)."""
    return (stable_hash(text, purpose) >> 11) / 2**53


def split_of(normalised_text: str, validation_share: float, test_share: float) -> str:
    """Split of a document by a hash of its text alone: it keeps its split whatever else comes into the corpus."""
    share = stable_share(normalised_text, "split")
    if share < test_share:
        return "test"
    return "validation" if share < test_share + validation_share else "train"


def _cut(text: str, start: int, maximum: int) -> tuple[int, int]:
    """(end of the piece that begins at `start`, start of the next one)."""
    limit, half = start + maximum, start + 1 + maximum // 2
    for border, begin in ((_PARAGRAPH, half), (_SENTENCE, half), (_WORD, start + 1)):
        last = deque(
            border.finditer(text, begin, limit + 1), maxlen=1
        )  # a border may begin exactly at the limit
        if last and last[0].start() <= limit:
            return _skip_back(text, last[0].start()), _skip_space(text, last[0].end())
    return limit, _skip_space(text, limit)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _skip_back(text: str, position: int) -> int:
    while text[position - 1].isspace():
        position -= 1
    return position
