"""Do test texts repeat training text? Counts shared n-grams of tokens.

Thirteen tokens, as in Brown et al. 2020, appendix C. The n-grams of the test texts are hashed to 64
bits and sorted; the training tokens stream past in blocks, so that memory is bounded by the test
texts and one block, whatever the corpus. Two different n-grams share a hash about once in 10^19
pairs.

Legend: N texts, T tokens, W windows of a text, U different n-grams of all test texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NGRAM = 13
BLOCK_TOKENS = 1_000_000
FILTER_BITS = 24
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


class Contamination(NamedTuple):
    """How much of N texts occurs in the training split.

    Texts in all, texts with a shared n-gram, texts without any n-gram, n-grams in all and shared;
    `flags` [N] are True for the texts that share one.
    """

    texts: int
    contaminated: int
    too_short: int
    ngrams: int
    shared: int
    flags: NDArray[np.bool_]

    def counts(self) -> dict[str, int]:
        """Everything but the flags."""
        return {name: int(value) for name, value in self._asdict().items() if name != "flags"}


def shared_ngrams(
    groups: Mapping[str, Sequence[Sequence[int]]],
    training: NDArray[np.integer[Any]],
    end: int,
    length: int = NGRAM,
    block: int = BLOCK_TOKENS,
) -> dict[str, Contamination]:
    """Count n-grams of groups of texts (token ids) that occur inside a document of `training`.

    `training` is the flat, possibly memory-mapped, array of all training tokens, in which `end`
    closes each document; n-grams that contain `end` are no text and are left out. Texts shorter
    than `length` tokens have no n-gram and are counted apart. Training is read once, whatever the
    number of groups.
    """
    hashes = {
        name: [_ngram_hashes(np.asarray(text, dtype=np.int64), end, length) for text in texts]
        for name, texts in groups.items()
    }
    every = [one for texts in hashes.values() for one in texts]
    known_U = np.unique(np.concatenate([np.empty(0, np.uint64), *every]))
    seen_U = _seen(known_U, training, end, length, block)
    found = {}
    for name, texts in hashes.items():
        hits = [seen_U[np.searchsorted(known_U, hashes_W)] for hashes_W in texts]
        flags = np.array([bool(hit_W.any()) for hit_W in hits], dtype=bool)
        too_short = sum(not len(hashes_W) for hashes_W in texts)
        own = np.unique(np.concatenate([np.empty(0, np.uint64), *texts]))
        shared = int(seen_U[np.searchsorted(known_U, own)].sum())
        counts = (len(texts), int(flags.sum()), too_short, len(own), shared)
        found[name] = Contamination(*counts, flags)
    return found


def _seen(
    known_U: NDArray[np.uint64],
    training: NDArray[np.integer[Any]],
    end: int,
    length: int,
    block: int,
) -> NDArray[np.bool_]:
    """Which known hashes [U] occur in training."""
    seen_U = np.zeros(len(known_U), dtype=bool)
    # a table of the upper bits of the known hashes sends away almost all that pass by
    likely = np.zeros(1 << FILTER_BITS, dtype=bool)
    shift = np.uint64(64 - FILTER_BITS)
    likely[known_U >> shift] = True
    for start in range(0, len(training) if len(known_U) else 0, block):
        # blocks overlap, so that every n-gram lies whole in one of them
        tokens_T = np.asarray(training[start : start + block + length - 1], dtype=np.int64)
        passing = _ngram_hashes(tokens_T, end, length)
        passing = passing[likely[passing >> shift]]
        place = np.minimum(np.searchsorted(known_U, passing), len(known_U) - 1)
        seen_U[place[known_U[place] == passing]] = True
    return seen_U


def stated(statements: Sequence[str], documents: Iterable[str]) -> NDArray[np.bool_]:
    """Which statements [N], each of one or two sentences, stand word for word in a document.

    They must be whole sentences there: "2 - 2 = 10." does not stand in "So 12 - 2 = 10."
    """
    wanted = set(statements)
    found: set[str] = set()
    for document in documents:
        sentences = _SENTENCE_END.split(document)
        pairs = (f"{first} {second}" for first, second in pairwise(sentences))
        found |= wanted & {*sentences, *pairs}
    return np.array([statement in found for statement in statements], dtype=bool)


def window_hashes(tokens_T: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Hashes of all windows of `length` tokens, [W]: multilinear over mixed ids, modulo 2^64."""
    windows = max(0, len(tokens_T) - length + 1)
    hashes_W = np.zeros(windows, dtype=np.uint64)
    mixed_T = _mix(np.asarray(tokens_T).astype(np.uint64))
    factors = _mix(np.arange(1_000_003, 1_000_003 + length, dtype=np.uint64)) | np.uint64(1)
    for i in range(length if windows else 0):
        hashes_W += mixed_T[i : i + windows] * factors[i]
    return hashes_W


def _ngram_hashes(tokens_T: NDArray[np.int64], end: int, length: int) -> NDArray[np.uint64]:
    """Hashes of the windows in which no document ends."""
    hashes_W = window_hashes(tokens_T, length)
    ends_T = np.concatenate([[0], np.cumsum(tokens_T == end)])
    # as many ends before the window as before what follows it
    whole_W: NDArray[np.bool_] = ends_T[length:] == ends_T[: len(hashes_W)]
    return hashes_W[whole_W]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele et al. 2014): spreads small ids over all 64 bits."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
