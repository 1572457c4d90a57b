"""The stage `corpus`, from the first source to the manifest.

Documents stream into a store on disk, duplicates are marked there, the rest is written out.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ssl_lib.config import BUILT_IN, CorpusSettings, Settings
from ssl_lib.corpus.candidates import CandidateStore, beginning, domain_quotas
from ssl_lib.corpus.cleaning import SPLITS, Prepared, RawDocument, prepare
from ssl_lib.corpus.problems import CorpusError, SourceReport
from ssl_lib.corpus.readers import SourceReader, generator_version
from ssl_lib.corpus.redaction import described
from ssl_lib.corpus.sources import outside_sources
from ssl_lib.files import output_lock, replace_folder, sha256_of
from ssl_lib.progress import progress_bar

# With less work than this, a process pool saves no more than its start costs.
PARALLEL_SECONDS = 4.0
_UNDER_WAY = 6  # batches handed to an executor and not yet taken back
# With a larger share of the documents left out for one reason, a sentence says so.
WARNED_SHARE = 0.1


_REASONS = {
    "exact": "exact duplicates",
    "near": "near duplicates",
    "empty": "empty",
    "too_short": "too short",
    "weight": "by the weights of the sources",
    "domain_share": "by corpus.maximum_domain_share",
}


def _advice(reason: str, settings: CorpusSettings) -> str:
    """What to do about documents that are left out for a reason."""
    if reason == "near" and settings.near_duplicates == "text":
        return "set corpus.near_duplicates: text_and_numbers to keep what differs in a number"
    return {
        "near": "set corpus.near_duplicates: none to keep them",
        "exact": "take the copies out of corpus.sources",
        "empty": "correct corpus.sources, or the field that holds their text",
        "too_short": "lower corpus.minimum_characters to keep them",
        "weight": "bring the weights of corpus.sources closer together to keep more of them",
        "domain_share": "raise corpus.maximum_domain_share to keep more of them",
    }[reason]


@dataclass
class Counts:
    """What was kept, by (split, domain, source), and what was left out, by (source, reason)."""

    documents: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # of text
    left_out: Counter[tuple[int, str]] = field(default_factory=Counter)
    # Of each reason: {"source", "text"}, or such a pair, "kept" and "removed".
    examples: dict[str, Any] = field(default_factory=dict)

    def reasons(self) -> Counter[str]:
        """Documents that were left out, by reason."""
        found: Counter[str] = Counter()
        for (_, reason), number in self.left_out.items():
            found[reason] += number
        return found

    def warning(self, settings: CorpusSettings) -> str:
        """The reason for which most documents were left out, if these are more than WARNED_SHARE.

        What weights and shares of domains leave out was asked for.
        """
        reasons = self.reasons()
        total = reasons.total() + self.documents.total()
        asked = {"weight", "domain_share"}
        reason, number = max(
            ((reason, number) for reason, number in reasons.items() if reason not in asked),
            key=lambda found: found[1],
            default=("", 0),
        )
        if number <= WARNED_SHARE * total:
            return ""
        share = f"{number} of {total} documents ({number / total:.0%})"
        example = f"data/raw/manifest.json shows an example; {_advice(reason, settings)}"
        return f"corpus: {share} are left out as {_REASONS[reason]}; {example}"


def by_split(
    kept: Counter[tuple[str, str, int]], domain: str | None = None, source: int | None = None
) -> dict[str, int]:
    """Documents or bytes of each split, of one domain or source if it is named."""
    totals = dict.fromkeys(SPLITS[::-1], 0)
    for (split, its_domain, its_source), count in kept.items():
        if domain in (None, its_domain) and source in (None, its_source):
            totals[split] += count
    return totals


def build_corpus(settings: Settings, root: Path, executor: Executor | None = None) -> None:
    """Write `data/raw/` under the project root: three splits, their labels and a manifest.

    The same inputs give the same bytes, however many processes work. Batches of documents are
    prepared in `executor` (a process pool, or Dask's `client.get_executor()`); without one, in a
    pool of two processes when the sources are large, else in this process. Raises UserError, and
    leaves an older `data/raw/` whole.
    """
    target, scratch = root / "data" / "raw", root / "data" / ".raw.tmp"
    with output_lock(root / "data" / ".raw.lock"):
        for source in settings.corpus.sources:
            if outside_sources(source, root):
                advice = "put it under data/sources with `dvc add` or `dvc import-url`"
                print(f"warning: {source.path}: dvc does not watch it; {advice}", file=sys.stderr)
        # what lies here was left by a run that was killed: the lock is ours
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            _build_into(scratch, settings, root, executor)
            replace_folder(scratch, target)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise CorpusError(f"{target}: the disk is full; free four times the text") from None
        except BrokenExecutor:
            raise CorpusError(f"{target}: a worker process died; check the free memory") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _build_into(scratch: Path, settings: Settings, root: Path, executor: Executor | None) -> None:
    corpus, counts = settings.corpus, Counts()
    work = scratch / "work"
    with closing(CandidateStore(work)) as store, ExitStack() as stack:
        reader = SourceReader(settings, root, work)
        large = reader.expected_seconds() >= PARALLEL_SECONDS
        if executor is None and large and len(os.sched_getaffinity(0)) > 1:
            pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
            executor = stack.enter_context(pool)
        with progress_bar("corpus", "documents") as bar:
            for prepared in _prepared(reader.batches(), settings, executor):
                store.add(prepared)
                counts.left_out.update(prepared.left_out)
                counts.examples = prepared.examples | counts.examples
                bar.advance(len(prepared.lines))
        counts.examples |= store.mark_duplicates(corpus, settings.tokens.locale)
        _write_splits(store, scratch, corpus, counts)
    shutil.rmtree(work)
    if warning := counts.warning(corpus):
        print(f"warning: {warning}", file=sys.stderr)
    manifest = _manifest(scratch, settings, reader.reports, counts)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (scratch / "manifest.json").write_text(text, encoding="utf-8")


def _prepared(
    batches: Iterator[Iterable[RawDocument]], settings: Settings, executor: Executor | None
) -> Iterator[Prepared]:
    """Prepared batches in the order of the raw ones; an executor always has a few under way."""
    fixed = (settings.corpus, settings.tokens.locale)
    if executor is None:
        yield from (prepare(batch, *fixed) for batch in batches)
        return
    # first in, first out: the order does not depend on who is done first
    under_way: deque[Future[Prepared]] = deque()
    for batch in batches:
        under_way.append(executor.submit(prepare, batch, *fixed))
        if len(under_way) >= _UNDER_WAY:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _write_splits(
    store: CandidateStore, folder: Path, settings: CorpusSettings, counts: Counts
) -> None:
    """Write the documents that stay, and their labels, by split; count them and the others.

    Raises CorpusError if a split is empty.
    """
    quotas = domain_quotas(store.kept_sizes(), settings.maximum_domain_share)
    domains = list(store.domains)
    (folder / "labels").mkdir(parents=True)
    # all six files are written at once, in the order of the corpus
    with ExitStack() as stack:
        files = []
        for split in SPLITS:
            documents = stack.enter_context((folder / f"{split}.jsonl").open("wb"))
            labels = stack.enter_context((folder / "labels" / f"{split}.jsonl").open("wb"))
            files.append((documents, labels))
        for candidate in store.judged(quotas):
            entry, source = candidate.entry, int(candidate.entry["source"])
            if candidate.reason:
                counts.left_out[source, candidate.reason] += 1
                if candidate.reason not in counts.examples:
                    counts.examples[candidate.reason] = beginning(json.loads(candidate.line))
                continue
            documents, labels = files[entry["split"]]
            documents.write(candidate.line)
            labels.write(candidate.labels)
            key = (SPLITS[entry["split"]], domains[entry["domain"]], source)
            counts.documents[key] += 1
            counts.bytes[key] += int(entry["size"])
    sizes = by_split(counts.documents)
    empty = [split for split in SPLITS if not sizes[split]]
    if empty:
        reasons = counts.reasons().most_common()
        more = ", ".join(f"{n} {_REASONS[reason]}" for reason, n in reasons)
        found = f"{sum(sizes.values())} documents ({more or 'none'} left out) are too few to split"
        if reasons and reasons[0][1] > sum(sizes.values()):
            advice = _advice(reasons[0][0], settings)
        elif empty == ["train"]:
            advice = "lower corpus.document_characters"
        else:
            advice = f"lower corpus.document_characters, or raise corpus.{empty[0]}_share"
        raise CorpusError(
            f"corpus.sources: {found}: {' and '.join(empty)} would be empty; add documents, or "
            f"{advice}"
        )


def _manifest(
    folder: Path, settings: Settings, reports: list[SourceReport], counts: Counts
) -> dict[str, Any]:
    """What `manifest.json` says: nothing in it depends on the machine or the hour."""
    corpus = settings.corpus
    built_in = any(source.path == BUILT_IN for source in corpus.sources)
    reasons = counts.reasons()
    sources: list[dict[str, Any]] = []
    for place, (source, report) in enumerate(zip(corpus.sources, reports, strict=True)):
        found = {"path": source.path, "weight": source.weight, **asdict(report)}
        found["documents"] = by_split(counts.documents, source=place)
        left_out = sorted(counts.left_out.items())
        found["left_out"] = {reason: n for (where, reason), n in left_out if where == place}
        sources.append(found)
    domains = sorted({domain for _, domain, _ in counts.documents})
    files = sorted(folder.rglob("*.jsonl"))
    return {
        "name": corpus.display_name,
        "seed": settings.seed,
        "generator": generator_version() if built_in else None,
        "documents": by_split(counts.documents),
        "bytes": by_split(counts.bytes),
        "domains": {domain: by_split(counts.documents, domain) for domain in domains},
        "duplicates": {reason: reasons[reason] for reason in ("exact", "near")},
        "rejected": {reason: reasons[reason] for reason in ("empty", "too_short")},
        "left_out": {reason: reasons[reason] for reason in ("weight", "domain_share")},
        "examples": dict(sorted(counts.examples.items())),
        "redact": described(corpus.redact),
        "sources": sources,
        "files": {path.relative_to(folder).as_posix(): sha256_of(path) for path in files},
        "settings": corpus.model_dump(),
    }
