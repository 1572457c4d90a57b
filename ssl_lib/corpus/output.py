"""From the spool to `data/raw/`: the documents that stay, their labels and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssl_lib.config import CorpusSettings, Settings
from ssl_lib.corpus.cleaning import SPLITS
from ssl_lib.corpus.duplicates import EXACT, KEPT, NEAR
from ssl_lib.corpus.intake import SourceReport, generator_version
from ssl_lib.corpus.sources import BUILT_IN, CorpusError
from ssl_lib.corpus.spool import Spool


@dataclass
class Counts:
    """What was kept, by (split, domain, source): documents, bytes of text. What was left out, by (source, reason)."""

    documents: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    left_out: Counter[tuple[int, str]] = field(default_factory=Counter)

    def total(
        self,
        what: str,
        split: str | None = None,
        domain: str | None = None,
        source: int | None = None,
    ) -> int:
        """Sum of `documents` or `bytes` over everything that is not named."""
        wanted = (split, domain, source)
        kept: Counter[tuple[str, str, int]] = getattr(self, what)
        return sum(
            n
            for key, n in kept.items()
            if all(w is None or w == k for w, k in zip(wanted, key, strict=True))
        )


def domain_quotas(sizes: dict[str, int], maximum_share: float) -> dict[str, float]:
    """Share of each domain's bytes to keep, so that none has more than `maximum_share` of all that is kept.

    `sizes` are bytes by domain. The largest domains are cut to one common size, the least that is needed. Raises
    CorpusError if there are too few domains.
    """
    ordered = sorted((size for size in sizes.values() if size), reverse=True)
    if maximum_share * len(ordered) < 1 - 1e-9:
        least, have = f"at least {1 / max(1, len(ordered)):.3g}", f"with {len(ordered)} domains"
        raise CorpusError(
            f"corpus.maximum_domain_share: {maximum_share} cannot hold {have}; set {least}"
        )
    cap, cut = float(ordered[0]), 0
    while cap > maximum_share * sum(min(size, cap) for size in ordered) * (1 + 1e-9):
        cut += 1
        cap = max(ordered[cut], maximum_share * sum(ordered[cut:]) / (1 - maximum_share * cut))
    return {domain: min(1.0, cap / size) if size else 1.0 for domain, size in sizes.items()}


def write_corpus(
    spool: Spool, folder: Path, settings: CorpusSettings, counts: Counts
) -> dict[str, str]:
    """Write the three splits and their labels into `folder`, and count what they hold; returns SHA-256 by file.

    Raises CorpusError if a split would be empty.
    """
    domains = list(spool.domains)
    quotas = (
        list(domain_quotas(_kept_sizes(spool, domains), settings.maximum_domain_share).values())
        if domains
        else []
    )
    (folder / "labels").mkdir(parents=True)
    with ExitStack() as stack:
        names = [f"{split}.jsonl" for split in SPLITS]
        documents = [_HashedFile(stack.enter_context((folder / name).open("wb"))) for name in names]
        labels = [
            _HashedFile(stack.enter_context((folder / "labels" / name).open("wb")))
            for name in names
        ]
        for entry, reason, line, label in _judged(spool, quotas):
            split, source = int(entry["split"]), int(entry["source"])
            if reason:
                counts.left_out[source, reason] += 1
                continue
            documents[split].write(line)
            labels[split].write(label)
            key = (SPLITS[split], domains[entry["domain"]], source)
            counts.documents[key] += 1
            counts.bytes[key] += int(entry["size"])
    _check_splits(counts, settings)
    digests = zip(
        [*names, *(f"labels/{name}" for name in names)], [*documents, *labels], strict=True
    )
    return {name: file.hexdigest() for name, file in sorted(digests, key=lambda pair: pair[0])}


def write_manifest(
    folder: Path,
    settings: Settings,
    reports: list[SourceReport],
    counts: Counts,
    digests: dict[str, str],
) -> None:
    """Write `manifest.json`: nothing in it depends on the machine or the hour."""
    splits = SPLITS[::-1]
    reasons: Counter[str] = Counter()
    for (_, reason), number in counts.left_out.items():
        reasons[reason] += number
    manifest: dict[str, Any] = {
        "name": settings.corpus.name,
        "seed": settings.seed,
        "generator": generator_version()
        if any(s.path == BUILT_IN for s in settings.corpus.sources)
        else None,
        "documents": {split: counts.total("documents", split) for split in splits},
        "bytes": {split: counts.total("bytes", split) for split in splits},
        "domains": {
            name: _by_split(counts, domain=name)
            for name in sorted({key[1] for key in counts.documents})
        },
        "duplicates": {reason: reasons[reason] for reason in ("exact", "near")},
        "rejected": {reason: reasons[reason] for reason in ("empty", "too_short")},
        "left_out": {reason: reasons[reason] for reason in ("weight", "domain_share")},
        "sources": [
            _source(place, settings.corpus, report, counts) for place, report in enumerate(reports)
        ],
        "files": digests,
        "settings": settings.corpus.model_dump(),
    }
    (folder / "manifest.json").write_text(
        json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


class _HashedFile:
    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _judged(spool: Spool, quotas: list[float]) -> Iterator[tuple[Any, str | None, bytes, bytes]]:
    """Index entry, reason to leave it out, line and labels of every document.

    A domain's quota is filled evenly along the corpus: a document stays while the kept bytes are within the quota of
    the seen ones.
    """
    reasons = {EXACT: "exact", NEAR: "near"}
    seen: Counter[tuple[int, int]] = Counter()
    kept: Counter[tuple[int, int]] = Counter()
    lines = spool.lines()
    for entries, marks in spool.index():
        for entry, mark in zip(entries, marks.tolist(), strict=True):
            line, label = next(lines)
            reason = reasons.get(mark)
            quota = quotas[entry["domain"]]
            if reason is None and quota < 1.0:
                key, size = (int(entry["split"]), int(entry["domain"])), int(entry["size"])
                seen[key] += size
                stays = kept[key] + size <= quota * seen[key]
                kept[key] += size if stays else 0
                reason = None if stays else "domain_share"
            yield entry, reason, line, label


def _kept_sizes(spool: Spool, domains: list[str]) -> dict[str, int]:
    sizes = np.zeros(len(domains), np.int64)
    for entries, marks in spool.index():
        np.add.at(sizes, entries["domain"], np.where(marks == KEPT, entries["size"], 0))
    return dict(zip(domains, sizes.tolist(), strict=True))


def _check_splits(counts: Counts, settings: CorpusSettings) -> None:
    sizes = {split: counts.total("documents", split) for split in SPLITS}
    empty = [split for split in SPLITS if not sizes[split]]
    if empty:
        left_out = sum(counts.left_out.values())
        shares = "" if empty == ["train"] else f" or raise corpus.{empty[0]}_share"
        raise CorpusError(
            f"corpus.sources: {sum(sizes.values())} documents ({left_out} more left out as duplicates, too short or by "
            f"share) are too few to split: {' and '.join(empty)} would be empty; add documents{shares}"
        )


def _by_split(
    counts: Counts, domain: str | None = None, source: int | None = None
) -> dict[str, int]:
    return {split: counts.total("documents", split, domain, source) for split in SPLITS[::-1]}


def _source(
    place: int, settings: CorpusSettings, report: SourceReport, counts: Counts
) -> dict[str, Any]:
    source = settings.sources[place]
    left_out = {
        reason: number
        for (where, reason), number in sorted(counts.left_out.items())
        if where == place
    }
    return {
        "path": source.path,
        "weight": source.weight,
        **asdict(report),
        "documents": _by_split(counts, source=place),
        "left_out": left_out,
    }
