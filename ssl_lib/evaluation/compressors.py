"""Compressors as baselines of language: what text costs after they have read the training text.

PPMd predicts each byte from up to twelve before it (Shkarin 2002, "PPM: one step to practicality"),
and goes on learning from one held-out text to the next, which a frozen model does not: one such
model reads the training text once, then all texts that are asked, in turn. xz finds repetitions.
Texts are divided by their UTF-8 bytes.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

from ssl_lib.evaluation.baselines import CountedPredictions
from ssl_lib.evaluation.data import thinned
from ssl_lib.evaluation.next_token_prediction import LN2

ORDER = 12
MEMORY = 1 << 28  # bytes of PPMd's contexts
MOST_BYTES = 1 << 24  # of training text, evenly from all of it
MOST_TEXTS = 1 << 16
SEPARATOR = b"\n\n"


class TrainingBytes:
    """Training text up to the limit, a document a piece, of a larger one some documents."""

    def __init__(self, training: Iterable[str]) -> None:
        pieces = [_encoded(text) + SEPARATOR for text in thinned(training, MOST_TEXTS)]
        # 100 MB of text and room for 32: every fourth document
        step = 1 + sum(map(len, pieces)) // MOST_BYTES
        self.pieces = pieces[::step]
        self._bits: dict[str, float] = {}
        self.xz_bits: dict[bytes, float] = {}  # per byte, by what was asked

    @property
    def joined(self) -> bytes:
        """All pieces in one."""
        return b"".join(self.pieces)

    @cached_property
    def _ppmd(self) -> Any:
        """PPMd's model after it has read them."""
        import pyppmd

        encoder = pyppmd.Ppmd8Encoder(ORDER, MEMORY)
        for piece in self.pieces:
            encoder.encode(piece)
        return encoder

    def ppmd_bits(self, text: str) -> float:
        """What PPMd pays for a text; a text that is asked again costs what it cost first."""
        if text not in self._bits:
            self._bits[text] = 8.0 * len(self._ppmd.encode(_encoded(text) + SEPARATOR))
        return self._bits[text]


def ppmd_predictions(texts: Sequence[str], training: TrainingBytes) -> list[CountedPredictions]:
    """What each text costs, as one prediction of the whole text; never right, as none is asked.

    A compressor puts out whole bytes, so that single texts may be off by a few bits.
    """
    found = []
    for text in texts:
        nats_1 = np.array([LN2 * training.ppmd_bits(text)])
        spans_12 = np.array([[0, len(text)]], dtype=np.int64)
        found.append(CountedPredictions(np.zeros(1, dtype=bool), nats_1, spans_12))
    return found


def xz_bits_per_byte(texts: Sequence[str], training: TrainingBytes) -> float:
    """Bits that all texts together add to the compressed training text, over their bytes.

    Texts that are asked again are not compressed again.
    """
    asked = b"".join(_encoded(text) + SEPARATOR for text in texts)
    if asked in training.xz_bits:
        return training.xz_bits[asked]
    # xz lets other threads run while it compresses
    with ThreadPoolExecutor(2) as pool:
        alone, both = pool.map(_xz_size, (training.joined, training.joined + asked))
    training.xz_bits[asked] = 8.0 * (both - alone) / max(1, len(asked))
    return training.xz_bits[asked]


def _xz_size(data: bytes) -> int:
    # a window over all of the training text
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2 * MOST_BYTES}]
    return len(lzma.compress(data, filters=filters))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
