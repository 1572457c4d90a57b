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
Hashes = NDArray[np.uint64]
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
        found = self._asdict()
        del found["flags"]
        return found


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
    hashes = {}
    for name, texts in groups.items():
        hashes[name] = [_ngram_hashes(np.array(ids, np.int64), end, length) for ids in texts]
    every = [one for own in hashes.values() for one in own]
    known_U = _distinct(every)
    seen_U = _seen(known_U, training, end, length, block)
    found = {}
    for name, own in hashes.items():
        # every hash of a text is among the known ones
        hits = [seen_U[np.searchsorted(known_U, hashes_W)].any() for hashes_W in own]
        flags = np.array(hits, dtype=bool)
        distinct = _distinct(own)
        found[name] = Contamination(
            texts=len(own),
            contaminated=int(flags.sum()),
            too_short=sum(not len(hashes_W) for hashes_W in own),
            ngrams=len(distinct),
            shared=int(seen_U[np.searchsorted(known_U, distinct)].sum()),
            flags=flags,
        )
    return found


def _distinct(hashes: Sequence[Hashes]) -> Hashes:
    """The different ones, sorted; none of no texts."""
    return np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]))


def _seen(
    known_U: Hashes,
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
        stop = start + block + length - 1
        tokens_T = np.asarray(training[start:stop], dtype=np.int64)
        passing = _ngram_hashes(tokens_T, end, length)
        passing = passing[likely[passing >> shift]]
        place = np.searchsorted(known_U, passing)
        place = np.minimum(place, len(known_U) - 1)
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
        pairs = [" ".join(pair) for pair in pairwise(sentences)]
        found |= wanted & {*sentences, *pairs}
    return np.array([statement in found for statement in statements], dtype=bool)


def window_hashes(tokens_T: NDArray[np.int64], length: int) -> Hashes:
    """Hashes of all windows of `length` tokens, [W]: multilinear over mixed ids, modulo 2^64."""
    windows = max(0, len(tokens_T) - length + 1)
    hashes_W = np.zeros(windows, dtype=np.uint64)
    unsigned_T = np.asarray(tokens_T).astype(np.uint64)
    mixed_T = _mix(unsigned_T)
    # odd factors, one for each place of the window
    places = np.arange(length, dtype=np.uint64) + np.uint64(1_000_003)
    factors = _mix(places) | np.uint64(1)
    for i in range(length if windows else 0):
        hashes_W += mixed_T[i : i + windows] * factors[i]
    return hashes_W


def _ngram_hashes(tokens_T: NDArray[np.int64], end: int, length: int) -> Hashes:
    """Hashes of the windows in which no document ends."""
    hashes_W = window_hashes(tokens_T, length)
    ends_T = np.concatenate([[0], np.cumsum(tokens_T == end)])
    # as many ends before the window as before what follows it
    before_W = ends_T[: len(hashes_W)]
    kept: Hashes = hashes_W[ends_T[length:] == before_W]
    return kept


def _mix(values: Hashes) -> Hashes:
    """SplitMix64's output function (Steele et al. 2014): spreads small ids over all 64 bits."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
