"""What a model says of the tokens of texts, and how texts run through it in pieces.

Shapes: R sequences that run together, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class TokenStates(NamedTuple):
    """Hidden states [T, D] of a text's tokens and the characters [T, 2] each of them covers."""

    states: Floats
    spans: Ints


class TokenPredictions(NamedTuple):
    """Predictions of a text's tokens, each from the true tokens before it.

    Whether the most probable token was right [T], nats [T], characters [T, 2].
    """

    correct: Flags
    nll: Floats
    spans: Ints


class Piece(NamedTuple):
    """A part of a text that fits the context: which text's, its first token there, its ids."""

    owner: int
    start: int
    ids: Sequence[int]


class Ran(NamedTuple):
    """Sequences that ran together: which ones, ids and documents [R, T], states [R, T, D]."""

    indices: list[int]
    ids_RT: Tensor
    documents_RT: Tensor
    hidden_RTD: Tensor


def cut_into_pieces(
    encoded: Sequence[Sequence[int]], context: int, overlap: int = 0
) -> list[Piece]:
    """Pieces of at most a context; an empty text has none.

    Of 9 tokens and a context of 4: 0-4, 4-8, 8-9; with an overlap of 2: 0-4, 2-6, 4-8, 6-9.
    """
    pieces = []
    for owner, ids in enumerate(encoded):
        end = min(len(ids), 1)
        if len(ids) > context:
            end = len(ids) - overlap
        for start in range(0, end, overlap or context):
            piece = Piece(owner, start, ids[start : start + context])
            pieces.append(piece)
    return pieces


def cut_at(text: str, stop: str) -> str:
    """The text before the first `stop` that no digit follows: "3.5. So" → "3.5"."""
    start = text.find(stop) if stop else -1
    while start >= 0 and text[start + len(stop) : start + len(stop) + 1].isdigit():
        start = text.find(stop, start + 1)
    if start < 0:
        return text
    return text[:start]
