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
