"""Prepared documents on disk, in the order of the sources, and which of them stay.

Duplicates are marked once all documents are here; then domains that are too large are thinned out.
Memory does not grow with the corpus.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import CorpusSettings
from ssl_lib.corpus.cleaning import EXAMPLE_CHARACTERS, INFO, Prepared, comparable
from ssl_lib.corpus.duplicates import (
    EXACT,
    KEPT,
    NEAR,
    PERMUTATIONS,
    KeyFiles,
    Signatures,
    mark_exact,
    mark_near,
    rank,
)
from ssl_lib.corpus.problems import CorpusError

# Of each document: where its line begins and how long it is, and what `cleaning.INFO` says of it.
INDEX = np.dtype([("offset", "<i8"), ("length", "<u4"), *INFO.descr])
_BLOCK = 1 << 16  # documents whose index entries are held at once
_REASONS = {EXACT: "exact", NEAR: "near"}


class Candidate(NamedTuple):
    """A prepared document: entry of INDEX, lines for the corpus and the labels, why it goes."""

    entry: Any  # numpy.void
    line: bytes
    labels: bytes
    reason: str | None  # to leave it out; None for a document that stays


class CandidateStore:
    """Lines, labels, index entries and keys of N documents in one folder, which it makes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._open = ExitStack()
        self._documents = self._open.enter_context((folder / "documents.jsonl").open("w+b"))
        self._labels = self._open.enter_context((folder / "labels.jsonl").open("w+b"))
        self._index = self._open.enter_context((folder / "index").open("w+b"))
        self._signatures = self._open.enter_context((folder / "signatures").open("w+b"))
        self._marks = folder / "marks"
        self._exact, self._near = KeyFiles(folder / "exact"), KeyFiles(folder / "near")
        self._open.callback(self._exact.close)
        self._open.callback(self._near.close)
        self._offset = 0
        self.documents = 0
        self.domains: dict[str, int] = {}  # name → number

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def add(self, prepared: Prepared) -> None:
        """Append a batch."""
        count = len(prepared.lines)
        if not count:
            return
        # a batch numbers its domains for itself
        numbers = [self.domains.setdefault(name, len(self.domains)) for name in prepared.domains]
        index = np.empty(count, INDEX)
        index["length"] = [len(line) for line in prepared.lines]
        # lines of 10 and 12 bytes after 100 others: ends 110 and 122, offsets 100 and 110
        ends = self._offset + np.cumsum(index["length"], dtype=np.int64)
        index["offset"] = ends - index["length"]
        for name in ("source", "split", "size"):
            index[name] = prepared.info[name]
        index["domain"] = np.array(numbers)[prepared.info["domain"]]
        ranks = rank(index["split"], self.documents + np.arange(count))
        self._exact.add(prepared.exact_keys, ranks)
        self._near.add(prepared.near_keys, ranks)
        self._documents.writelines(prepared.lines)
        self._labels.writelines(prepared.labels)
        self._index.write(index.tobytes())
        self._signatures.write(prepared.signatures.tobytes())
        self._offset = int(ends[-1])
        self.documents += count

    def mark_duplicates(self, settings: CorpusSettings, locale: str = "auto") -> dict[str, Any]:
        """Mark exact duplicates but the first by rank, then near ones; see `corpus.duplicates`.

        `locale` is that of `tokens.locale`, for documents that have none of their own.
        Returns an example of each: the beginnings of the document that stays and of its duplicate.
        """
        for written in (self._documents, self._index, self._signatures):
            written.flush()
        # written, not only mapped: a write to a mapped hole on a full disk kills the process
        with self._marks.open("wb") as file:
            for start in range(0, self.documents, _BLOCK):
                file.write(bytes(min(_BLOCK, self.documents - start)))
        if not self.documents:
            return {}

        def text_of(place: int) -> str:
            record = self.record(place)
            locales = [record.get("locale", locale)]
            return comparable([record["text"]], settings.near_duplicates, locales)[0].text

        marks = np.memmap(self._marks, np.uint8, "r+")
        pairs = {"exact": mark_exact(self._exact, marks)}
        if settings.near_duplicates != "none":
            threshold = settings.near_duplicate_threshold
            pairs["near"] = mark_near(self._near, marks, threshold, self.signature, text_of)
        marks.flush()
        examples = {}
        for reason, pair in pairs.items():
            if pair:
                kept, removed = (beginning(self.record(place)) for place in pair)
                examples[reason] = {"kept": kept, "removed": removed}
        return examples

    def record(self, place: int) -> dict[str, Any]:
        """The document at this place as its line in the corpus says it."""
        raw = os.pread(self._index.fileno(), INDEX.itemsize, place * INDEX.itemsize)
        entry = np.frombuffer(raw, INDEX)[0]
        line = os.pread(self._documents.fileno(), int(entry["length"]), int(entry["offset"]))
        record: dict[str, Any] = json.loads(line)
        return record

    def signature(self, place: int) -> Signatures:
        """Short signature of the document at this place."""
        raw = os.pread(self._signatures.fileno(), PERMUTATIONS, place * PERMUTATIONS)
        return np.frombuffer(raw, np.uint8)

    def kept_sizes(self) -> dict[str, int]:
        """Bytes of text by domain, without duplicates."""
        sizes = np.zeros(len(self.domains), np.int64)
        for entries, marks in self._entries():
            # unlike `sizes[domains] += …`, this counts a domain as often as it occurs
            np.add.at(sizes, entries["domain"], np.where(marks == KEPT, entries["size"], 0))
        return dict(zip(self.domains, sizes.tolist(), strict=True))

    def judged(self, quotas: dict[str, float]) -> Iterator[Candidate]:
        """Every document, in order, with the reason to leave it out.

        A domain's quota is filled evenly along the corpus: a document stays while the kept bytes
        are within the quota of the seen ones.
        """
        shares = [quotas[domain] for domain in self.domains]
        seen: Counter[tuple[int, int]] = Counter()  # bytes, by split and domain
        kept: Counter[tuple[int, int]] = Counter()
        self._documents.seek(0)
        self._labels.seek(0)
        lines = zip(self._documents, self._labels, strict=True)
        for entries, marks in self._entries():
            for entry, mark in zip(entries, marks.tolist(), strict=True):
                reason = _REASONS.get(mark)
                split, domain, size = int(entry["split"]), int(entry["domain"]), int(entry["size"])
                if reason is None and shares[domain] < 1.0:
                    seen[split, domain] += size
                    if kept[split, domain] + size <= shares[domain] * seen[split, domain]:
                        kept[split, domain] += size
                    else:
                        reason = "domain_share"
                yield Candidate(entry, *next(lines), reason)

    def _entries(self) -> Iterator[tuple[np.ndarray, NDArray[np.uint8]]]:
        """Index entries and marks of all documents, a block at a time."""
        self._index.flush()
        with open(self._index.name, "rb") as index, self._marks.open("rb") as marks:
            while block := index.read(_BLOCK * INDEX.itemsize):
                yield np.frombuffer(block, INDEX), np.frombuffer(marks.read(_BLOCK), np.uint8)


def beginning(record: dict[str, Any]) -> dict[str, str]:
    """A document as the manifest shows it for an example: its source and its first characters."""
    return {"source": record["source"], "text": record["text"][:EXAMPLE_CHARACTERS]}


def domain_quotas(sizes: dict[str, int], maximum_share: float) -> dict[str, float]:
    """Share of each domain's bytes to keep: none then has more than `maximum_share` of all kept.

    `sizes` are bytes by domain. The largest domains are cut to one common size, the least that is
    needed. Raises CorpusError if there are too few domains.
    """
    ordered = sorted((size for size in sizes.values() if size), reverse=True)
    if not sizes:
        return {}
    if maximum_share * len(ordered) < 1 - 1e-9:
        cannot = f"{maximum_share} cannot hold with {len(ordered)} domains"
        least = 1 / max(1, len(ordered))
        raise CorpusError(f"corpus.maximum_domain_share: {cannot}; set at least {least:.3g}")
    cap, cut = float(ordered[0]), 0
    while cap > maximum_share * sum(min(size, cap) for size in ordered) * (1 + 1e-9):
        # with `cut` domains at the cap and the others whole, the cap is its share of them all
        cut += 1
        whole = sum(ordered[cut:])
        cap = max(ordered[cut], maximum_share * whole / (1 - maximum_share * cut))
    return {domain: min(1.0, cap / size) if size else 1.0 for domain, size in sizes.items()}
