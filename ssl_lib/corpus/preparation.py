"""What happens to a batch of documents without knowing the rest of the corpus: a pure function, run in any process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ssl_lib.corpus.cleaning import (
    SPLITS,
    clean,
    normalised,
    pieces,
    split_of,
    stable_hash,
    stable_share,
)
from ssl_lib.corpus.duplicates import band_keys, chunks
from ssl_lib.corpus.sources import BUILT_IN

# Of a built-in document: (start, end, role) of each number; (start, end) of what the context determines.
Labels = tuple[tuple[tuple[int, int, str], ...], tuple[tuple[int, int], ...]]

# What is known of a document besides its text; `split` indexes SPLITS, `size` is the bytes of the text alone.
INFO = np.dtype([("source", "<u2"), ("domain", "<u2"), ("split", "u1"), ("size", "<u4")])

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class RawDocument(NamedTuple):
    """A document as it was read; `source` is its place in `corpus.sources`; a file's has no `split` and `labels`."""

    text: str
    name: str
    domain: str
    source: int
    split: str | None = None
    labels: Labels | None = None


@dataclass(frozen=True)
class BuiltInRange:
    """Documents `start` to `start + documents - 1` of a split of the generator, to be made where they are prepared."""

    seed: int
    split: str
    start: int
    documents: int
    source: int
    domain: str | None

    def __iter__(self) -> Iterator[RawDocument]:
        from ssl_lib.synthetic.generator import generate

        for made in generate(self.seed, self.documents, self.split, self.start):
            labels = (
                tuple((number.start, number.end, number.role) for number in made.numbers),
                made.deterministic,
            )
            yield RawDocument(
                made.text, BUILT_IN, self.domain or made.domain, self.source, self.split, labels
            )


@dataclass(frozen=True)
class Limits:
    """The settings that preparation needs; `keep` is the share of documents to keep, by source."""

    minimum_characters: int
    maximum_characters: int
    validation_share: float
    test_share: float
    near_duplicate_threshold: float
    keep: tuple[float, ...]


@dataclass
class Prepared:
    """N clean documents: lines of the corpus and of the labels, INFO [N] (`domain` indexes `domains`), and keys."""

    lines: list[bytes] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    info: np.ndarray = field(default_factory=lambda: np.empty(0, INFO))
    exact_keys: np.ndarray = field(default_factory=lambda: np.empty((0, 1), np.uint64))
    near_keys: np.ndarray = field(default_factory=lambda: np.empty((0, 1), np.uint64))
    left_out: Counter[tuple[int, str]] = field(default_factory=Counter)  # by source and reason


class _Piece(NamedTuple):
    text: str
    split: int
    document: RawDocument
    labels: Labels | None


def prepare(documents: Iterable[RawDocument], limits: Limits) -> Prepared:
    """Clean, cut, sample by weight, split and hash a batch of documents: a list of them or a BuiltInRange."""
    result = Prepared()
    found: list[_Piece] = []
    for document in documents:
        for reason in _take(document, limits, found):
            result.left_out[document.source, reason] += 1
    if not found:
        return result
    result.domains = sorted({piece.document.domain for piece in found})
    places = {domain: place for place, domain in enumerate(result.domains)}
    result.lines = [
        _line({"text": p.text, "source": p.document.name, "domain": p.document.domain})
        for p in found
    ]
    result.labels = [
        _line({"numbers": p.labels[0], "determined": p.labels[1]} if p.labels else {})
        for p in found
    ]
    rows = [
        (p.document.source, places[p.document.domain], p.split, len(p.text.encode())) for p in found
    ]
    result.info = np.array(rows, INFO)
    texts = [normalised(piece.text) for piece in found]
    result.exact_keys = np.array([[stable_hash(text, "exact")] for text in texts], np.uint64)
    result.near_keys = np.concatenate(
        [band_keys(chunk, limits.near_duplicate_threshold) for chunk in chunks(texts)]
    )
    return result


def _take(document: RawDocument, limits: Limits, found: list[_Piece]) -> list[str]:
    """Append the document's pieces to `found`; returns why it, or each piece that is missing, was left out."""
    text = clean(document.text)
    assert document.labels is None or text == document.text, (
        f"labelled text must be clean: {document.text!r}"
    )
    if not text:
        return ["empty"]
    key = normalised(text)
    keep = limits.keep[document.source]
    if keep < 1.0 and stable_share(key, "weight") >= keep:
        return ["weight"]
    split = SPLITS.index(
        document.split or split_of(key, limits.validation_share, limits.test_share)
    )
    reasons = []
    for start, end in pieces(text, limits.maximum_characters):
        if end - start < limits.minimum_characters:
            reasons.append("too_short")
        else:
            labels = document.labels and _inside(document.labels, start, end)
            found.append(_Piece(text[start:end], split, document, labels))
    return reasons


def _inside(labels: Labels, start: int, end: int) -> Labels:
    """Labels of a piece of the text: those that lie wholly in it, counted from its start."""
    numbers, determined = labels
    return (
        tuple(
            (first - start, last - start, role)
            for first, last, role in numbers
            if start <= first and last <= end
        ),
        tuple(
            (first - start, last - start)
            for first, last in determined
            if start <= first and last <= end
        ),
    )


def _line(record: dict[str, object]) -> bytes:
    return _ENCODER.encode(record).encode() + b"\n"
