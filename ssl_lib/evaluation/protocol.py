"""What a model must offer to be judged, and how texts reach it.

Both the trained model and its untrained twin satisfy `Judged`; every task calls the two through the same functions
with the same arguments. Legend: N texts or items, T tokens of a text, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tiktoken
from numpy.typing import NDArray

Spans = Sequence[tuple[int, int]]


class States(Protocol):
    """Hidden states of one text: `states` [T, D] float32 and `spans` [T, 2], the characters of each token."""

    states: Any
    spans: Any


class Predictions(Protocol):
    """Teacher-forced predictions of one text: `correct` [T] bool, `nll` [T] in nats, `spans` [T, 2]."""

    correct: Any
    nll: Any
    spans: Any


class Judged(Protocol):
    """The methods of a predictor that the tasks use."""

    encoding: tiktoken.Encoding

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]."""
        ...

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> Sequence[States]:
        """States of the bidirectional pass: of its end, or of all layers side by side."""
        ...

    def log_likelihoods(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> NDArray[np.float64]:
        """Log likelihood of each continuation after its prompt, in nats, [N]."""
        ...

    def next_token_ranks(self, texts: Sequence[str]) -> Sequence[Predictions]:
        """Each token predicted from those before it."""
        ...

    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations."""
        ...

    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> Sequence[Any]:
        """The number that follows each text, with central intervals."""
        ...


class Contest(NamedTuple):
    """The two models and the protocol that both undergo."""

    before: Judged
    after: Judged
    seed: int
    bootstrap_samples: int


def inside(token_spans: NDArray[np.int64], text: str, spans: Spans) -> NDArray[np.bool_]:
    """Which tokens [T] lie inside one of the character spans, leading white space of a token not counted."""
    starts_T = np.array(
        [_first_visible(text, start, end) for start, end in token_spans], dtype=np.int64
    ).reshape(-1)
    ends_T = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2)[:, 1]
    mask_T = np.zeros(len(starts_T), dtype=bool)
    for start, end in spans:
        mask_T |= (starts_T >= start) & (ends_T <= end) & (starts_T < ends_T)
    return mask_T


def overlapping(token_spans: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    """Which tokens [T] share a character with [start, end)."""
    token_spans = np.asarray(token_spans).reshape(-1, 2)
    return (token_spans[:, 0] < end) & (token_spans[:, 1] > start)


def _first_visible(text: str, start: int, end: int) -> int:
    piece = text[start:end]
    return int(start) + len(piece) - len(piece.lstrip())
