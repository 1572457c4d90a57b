"""Prepared documents on disk, in the order of the sources, until it is known which of them stay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ssl_lib.corpus.cleaning import normalised
from ssl_lib.corpus.duplicates import KeyFiles, mark_exact, mark_near, rank
from ssl_lib.corpus.preparation import Prepared

INDEX = np.dtype(
    [
        ("offset", "<i8"),
        ("length", "<u4"),
        ("source", "<u2"),
        ("domain", "<u2"),
        ("split", "u1"),
        ("size", "<u4"),
    ]
)
_BLOCK = 1 << 16  # documents whose index entries are held at once


class Spool:
    """Lines, labels, index entries and keys of N documents in one folder; a mark for each says whether it stays."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._documents = (folder / "documents.jsonl").open("w+b")
        self._labels = (folder / "labels.jsonl").open("w+b")
        self._index = (folder / "index").open("w+b")
        self._marks = folder / "marks"
        self._exact, self._near = KeyFiles(folder / "exact"), KeyFiles(folder / "near")
        self._offset = 0
        self.documents = 0
        self.domains: dict[str, int] = {}

    def add(self, prepared: Prepared) -> None:
        """Append a batch."""
        count = len(prepared.lines)
        if not count:
            return
        places = np.array(
            [self.domains.setdefault(domain, len(self.domains)) for domain in prepared.domains]
        )
        index = np.empty(count, INDEX)
        index["length"] = [len(line) for line in prepared.lines]
        index["offset"] = (
            self._offset + np.cumsum(index["length"], dtype=np.int64) - index["length"]
        )
        for name in ("source", "split", "size"):
            index[name] = prepared.info[name]
        index["domain"] = places[prepared.info["domain"]]
        ranks = rank(index["split"], self.documents + np.arange(count))
        self._exact.add(prepared.exact_keys, ranks)
        self._near.add(prepared.near_keys, ranks)
        self._documents.writelines(prepared.lines)
        self._labels.writelines(prepared.labels)
        self._index.write(index.tobytes())
        self._offset += int(index["length"].sum())
        self.documents += count

    def mark_duplicates(self, threshold: float) -> None:
        """Mark every exact duplicate but the first by rank, then near duplicates; see `ssl_lib.corpus.duplicates`."""
        self._documents.flush()
        self._index.flush()
        with (
            self._marks.open("wb") as file
        ):  # written, not only mapped: a write to a mapped hole on a full disk kills the process
            for start in range(0, self.documents, _BLOCK):
                file.write(bytes(min(_BLOCK, self.documents - start)))
        if self.documents:
            marks = np.memmap(self._marks, np.uint8, "r+")
            mark_exact(self._exact, marks)
            mark_near(self._near, marks, threshold, self.normalised_text)
            marks.flush()

    def normalised_text(self, place: int) -> str:
        """What the document at this place is compared by."""
        entry = np.frombuffer(
            os.pread(self._index.fileno(), INDEX.itemsize, place * INDEX.itemsize), INDEX
        )[0]
        line = os.pread(self._documents.fileno(), int(entry["length"]), int(entry["offset"]))
        return normalised(json.loads(line)["text"])

    def index(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Index entries and marks of all documents, a block at a time."""
        self._index.flush()
        with open(self._index.name, "rb") as index, self._marks.open("rb") as marks:
            while block := index.read(_BLOCK * INDEX.itemsize):
                yield np.frombuffer(block, INDEX), np.frombuffer(marks.read(_BLOCK), np.uint8)

    def lines(self) -> Iterator[tuple[bytes, bytes]]:
        """Line and labels of every document, in order."""
        self._documents.seek(0)
        self._labels.seek(0)
        yield from zip(self._documents, self._labels, strict=True)

    def close(self) -> None:
        """Close all files."""
        closers: list[Callable[[], None]] = [
            file.close for file in (self._documents, self._labels, self._index)
        ]
        for close in (*closers, self._exact.close, self._near.close):
            close()
