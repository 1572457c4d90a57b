"""Sentences and short passages of the corpus's own held-out documents."""

from __future__ import annotations

import re
from collections.abc import Iterator

SHORTEST, LONGEST = 20, 400  # characters of a sentence that is asked
_BORDER = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9“\"(])|\n+")


def sentences_of(text: str) -> Iterator[str]:
    """Sentences of a usual length: a border is a stop, a space and a capital, or a line's end."""
    for piece in _BORDER.split(text):
        sentence = piece.strip()
        if SHORTEST <= len(sentence) <= LONGEST:
            yield sentence


def passages_of(text: str) -> Iterator[str]:
    """Sentences that follow each other, put together as far as they stay short."""
    passage = ""
    for sentence in sentences_of(text):
        # "A." and "B." → "A. B." as long as it stays short
        longer = f"{passage} {sentence}".strip()
        if len(longer) > LONGEST and passage:
            yield passage
            longer = sentence
        passage = longer
    if passage:
        yield passage
