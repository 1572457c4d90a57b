"""Exact and near duplicates by MinHash and banding.

Broder 1997, "On the resemblance and containment of documents". Documents are compared as sets of
character 16-grams, of their text without its numbers by default (`cleaning.comparable`). Band keys
propose pairs, and hold a digest of the numbers: documents that differ in one never meet. Every pair
that is proposed is then judged by its exact Jaccard similarity.

Time is linear in the documents: all are hashed once, and one is compared with a bounded number of
those that share a key with it. Memory does not grow with the corpus: keys lie in files by their top
bits, and are read one slice of the hash space at a time.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

GRAM = 16  # characters of a shingle; a power of two, see shingle_hashes
PERMUTATIONS = 128
PARTITIONS = 64  # files of keys; few enough to be open at once anywhere
SLICE_ENTRIES = 1 << 16  # entries that are sorted at once: 1 MiB
LEADERS = 32  # documents of a group, the first by rank, that its others are compared with
JUDGED = 4  # of these, the ones that look most alike and are judged by their exact similarity
# What is like none of the leaders is grouped again, so often, by so many more hashes of its text:
# a pair of similarity 0.9 stays together in two of three groups.
ROUNDS, ROUND_ROWS = 4, 4
# An estimate so far below the threshold, four standard deviations, settles the matter.
MARGIN = 0.125
CACHED_HASHES = 1 << 22  # 32 MiB of shingle sets of documents that are compared again and again
ENTRY = np.dtype([("key", "<u8"), ("rank", "<u8")])
_MULTIPLIER = 0x9E3779B97F4A7C15
_RANK_BITS = 56

KEPT, EXACT, NEAR = 0, 1, 2  # what the marks of `mark_exact` and `mark_near` say

Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint8]
Pair = tuple[int, int]  # indices of a document that stays and of its duplicate


def rank(precedence: NDArray[np.integer], index: NDArray[np.integer]) -> Hashes:
    """Order in which duplicates win: precedence (0 first), then index in the corpus (< 2**56)."""
    return precedence.astype(np.uint64) << np.uint64(_RANK_BITS) | index.astype(np.uint64)


def shingle_hashes(texts: Sequence[str]) -> tuple[Hashes, Hashes]:
    """Hashes of all 16-grams, [S], and where each text's own begin, [N + 1].

    A short text is padded. A polynomial hash by doubling: the hash of 2n characters is made of two
    of n, so 16-grams take four passes over the batch.
    """
    padded = [text.ljust(GRAM, "\0") for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    characters = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32)
    hashes = characters.astype(np.uint64)
    factor, width = _MULTIPLIER, 1
    while width < GRAM:
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor & (2**64 - 1), 2 * width
    # the 15 grams that begin before a text's end and reach into the next one are none
    ends = np.cumsum(lengths)
    inside = np.ones(ends[-1], bool)
    inside[(ends[:, None] - np.arange(1, GRAM)).ravel()] = False
    offsets = np.concatenate([[0], np.cumsum(lengths - GRAM + 1)]).astype(np.uint64)
    return _mix(hashes[inside[: len(hashes)]]), offsets


def chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in groups of about 2**18 characters: hashed at once, they need a few MiB."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if characters >= 1 << 18:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def shingle_set(text: str) -> Hashes:
    """Sorted distinct hashes of one normalized text."""
    return np.unique(shingle_hashes([text])[0])


def jaccard(first: Hashes, second: Hashes, least: float = 0.0) -> float:
    """Share of their union that two shingle sets have in common, in [0, 1].

    0 where the sizes alone say that it is below `least`.
    """
    smaller, larger = sorted((len(first), len(second)))
    if smaller < least * larger:
        return 0.0
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def band_rows(threshold: float) -> int:
    """Rows of the signature matrix in a band.

    The most with which a pair exactly at `threshold` is proposed with probability 0.999.
    """
    for rows in range(32, 1, -1):
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= 0.001:
            return rows
    return 1


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash signatures of texts, [N, PERMUTATIONS].

    The share of columns in which two agree estimates their similarity.
    """
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(*shingle_hashes(texts), PERMUTATIONS, 1)
    return np.array(matrix.to_rows(), np.uint32)


def band_keys(found: NDArray[np.uint32], numbers: Hashes, threshold: float) -> Hashes:
    """Band keys, [N, bands], of signatures and digests of numbers, [N].

    Who share a key may be near duplicates, and have the same numbers.
    """
    rows = band_rows(threshold)
    bands = PERMUTATIONS // rows
    digests = found[:, : bands * rows].reshape(len(found), bands, rows)
    # a key begins with its band's number: equal rows of different bands propose nothing
    keys = numbers[:, None] + np.arange(bands).astype(np.uint64)
    for row in range(rows):
        keys = _mix(keys * np.uint64(_MULTIPLIER) + digests[:, :, row])
    return keys


def short_signatures(found: NDArray[np.uint32]) -> Signatures:
    """The low byte of each entry, which is kept of a signature.

    Entries that differ agree in it once in 256 times (Li and König 2010, "b-Bit minwise hashing").
    """
    return found.astype(np.uint8)


class KeyFiles:
    """Keys of all documents on disk, in files by their top bits: first all written, then read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._open = ExitStack()
        paths = (folder / f"{number:03}" for number in range(PARTITIONS))
        self._files = [self._open.enter_context(path.open("w+b")) for path in paths]

    def add(self, keys: Hashes, ranks: Hashes) -> None:
        """Append keys, [N, bands], of documents with these ranks, [N]."""
        entries = np.empty(keys.size, ENTRY)
        entries["key"] = keys.ravel()
        entries["rank"] = np.repeat(ranks, keys.shape[1])
        # the top 6 bits number the 64 files
        _scatter(entries, entries["key"] >> np.uint64(58), self._files)

    def groups(self) -> Iterator[Hashes]:
        """Ranks, ascending, of each two or more documents that share a key."""
        for file in self._files:
            size = file.seek(0, 2)
            slices = min(PARTITIONS, -(-size // (SLICE_ENTRIES * ENTRY.itemsize)))
            file.seek(0)
            with ExitStack() as stack:
                parts = []
                for _ in range(slices):
                    parts.append(stack.enter_context(TemporaryFile(dir=self._folder)))
                while block := file.read(SLICE_ENTRIES * ENTRY.itemsize):
                    entries = np.frombuffer(block, ENTRY)
                    # the 32 bits after the file's number, as a share of the slices
                    next_bits = entries["key"] >> np.uint64(26) & np.uint64(0xFFFFFFFF)
                    _scatter(entries, next_bits * np.uint64(slices) >> np.uint64(32), parts)
                for part in parts:
                    part.seek(0)
                    entries = np.frombuffer(part.read(), ENTRY)
                    entries = entries[np.lexsort((entries["rank"], entries["key"]))]
                    borders = np.flatnonzero(np.diff(entries["key"])) + 1
                    edges = np.concatenate([[0], borders, [len(entries)]])
                    for group in np.flatnonzero(np.diff(edges) > 1):
                        yield entries["rank"][edges[group] : edges[group + 1]]

    def close(self) -> None:
        """Close all files."""
        self._open.close()


def mark_exact(keys: KeyFiles, marks: NDArray[np.uint8]) -> Pair | None:
    """Mark, in `marks` (one a document), all but the first of the documents that share a key.

    Returns the pair that was found first.
    """
    example = None
    for ranks in keys.groups():
        indices = _indices(ranks)
        marks[indices[1:]] = EXACT
        if example is None:
            example = (int(indices[0]), int(indices[1]))
    return example


class ShingleSets:
    """Shingle sets of documents by their index; those used last are at hand."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        self._text_of = text_of
        self._sets: OrderedDict[int, Hashes] = OrderedDict()
        self._hashes = 0

    def of(self, index: int) -> Hashes:
        """The sorted distinct hashes of a document's comparable text."""
        if index not in self._sets:
            self._sets[index] = shingle_set(self._text_of(index))
            self._hashes += len(self._sets[index])
        self._sets.move_to_end(index)
        # two always stay: those that are being compared
        while self._hashes > CACHED_HASHES and len(self._sets) > 2:
            self._hashes -= len(self._sets.popitem(last=False)[1])
        return self._sets[index]


def mark_near(
    keys: KeyFiles,
    marks: NDArray[np.uint8],
    threshold: float,
    signature_of: Callable[[int], Signatures],
    text_of: Callable[[int], str],
) -> Pair | None:
    """Mark documents like enough to one of lower rank: their Jaccard similarity is the threshold's.

    `signature_of` and `text_of` give the short signature and the comparable text of a document by
    its index. Of a group of documents that share a key, LEADERS are compared with all others; what
    is like none of them is grouped anew, ROUNDS times. In groups of many more documents, all about
    as alike as the threshold, some pairs are missed, and stay. Returns the pair found first.
    """
    shingles = ShingleSets(text_of)
    example = None
    for number, ranks in enumerate(keys.groups()):
        # whoever was marked in one group need not be looked at in the next ones
        members = [index for index in _indices(ranks).tolist() if marks[index] == KEPT]
        waiting = [members] if len(members) > 1 else []
        for round_ in range(ROUNDS):
            unlike = []
            for group in waiting:
                others, pairs = _compare(group, threshold, signature_of, shingles)
                marks[[later for _, later in pairs]] = NEAR
                example = example or next(iter(pairs), None)
                unlike.append(others)
            waiting = []
            if any(unlike):
                # other columns for every group: a pair that is parted in one meets in another
                generator = np.random.default_rng([number, round_])
                columns = generator.choice(PERMUTATIONS, ROUND_ROWS, replace=False)
                waiting = _regrouped(unlike, columns, signature_of)
    return example


def _regrouped(
    groups: list[list[int]], columns: NDArray[np.int64], signature_of: Callable[[int], Signatures]
) -> list[list[int]]:
    """Groups of those, two or more, whose signatures agree in some columns."""
    together: list[list[int]] = []
    for group in groups:
        by_rows: dict[bytes, list[int]] = defaultdict(list)
        for index in group:
            by_rows[signature_of(index)[columns].tobytes()].append(index)
        together += [members for members in by_rows.values() if len(members) > 1]
    return together


def _compare(
    indices: list[int],
    threshold: float,
    signature_of: Callable[[int], Signatures],
    shingles: ShingleSets,
) -> tuple[list[int], list[Pair]]:
    """Of a group by rank: who is like none of its leaders, and pairs of a leader and its like."""
    leaders: list[int] = []
    leader_signatures = np.empty((min(len(indices), LEADERS), PERMUTATIONS), np.uint8)
    enough = (threshold - MARGIN) * PERMUTATIONS
    unlike, pairs = [], []
    for index in indices:
        signature = signature_of(index)
        agreeing = np.count_nonzero(leader_signatures[: len(leaders)] == signature, axis=1)
        for place in np.argsort(-agreeing, kind="stable")[:JUDGED]:
            leader = leaders[place]
            if agreeing[place] < enough:
                continue
            if jaccard(shingles.of(leader), shingles.of(index), threshold) >= threshold:
                pairs.append((leader, index))
                break
        else:
            if len(leaders) < LEADERS:
                leader_signatures[len(leaders)] = signature
                leaders.append(index)
            else:
                unlike.append(index)
    return unlike, pairs


def _indices(ranks: Hashes) -> NDArray[np.int64]:
    return (ranks & np.uint64((1 << _RANK_BITS) - 1)).astype(np.int64)


def _scatter(entries: np.ndarray, places: Hashes, files: Sequence[IO[bytes]]) -> None:
    """Append each entry to the file at its place."""
    entries = entries[np.argsort(places, kind="stable")]
    ends = np.cumsum(np.bincount(places.astype(np.intp), minlength=len(files)))
    for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
        file.write(entries[start:end].tobytes())


def _mix(values: Hashes) -> Hashes:
    """Spread every bit over the whole word: the files go by the top bits.

    SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators").
    """
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)
