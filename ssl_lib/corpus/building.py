"""The stage `corpus`: documents stream into a spool on disk, duplicates are marked there, the rest is written out."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from ssl_lib.config import CorpusSettings, Settings
from ssl_lib.corpus.intake import Intake
from ssl_lib.corpus.output import Counts, write_corpus, write_manifest
from ssl_lib.corpus.preparation import Limits, Prepared, RawDocument, prepare
from ssl_lib.corpus.sources import CorpusError, outside_sources
from ssl_lib.corpus.spool import Spool
from ssl_lib.files import output_lock, replace_folder
from ssl_lib.progress import progress_bar

PARALLEL_SECONDS = (
    4.0  # with less work than this, a process pool saves no more than its start costs
)
_IN_FLIGHT = 6  # batches handed to an executor and not yet taken back


def build(settings: Settings, root: Path, executor: Executor | None = None) -> None:
    """The stage; see `ssl_lib.corpus.build_corpus`."""
    target, scratch = root / "data" / "raw", root / "data" / ".raw.tmp"
    with output_lock(root / "data" / ".raw.lock"):
        _warn_of_unwatched(settings.corpus, root)
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            _build_into(scratch, settings, root, executor)
            replace_folder(scratch, target)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise CorpusError(
                f"{target}: the disk is full; free about four times the size of the text"
            ) from None
        except BrokenExecutor:
            raise CorpusError(
                f"{target}: a process that prepared documents was ended; check the free memory"
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _build_into(scratch: Path, settings: Settings, root: Path, executor: Executor | None) -> None:
    work = scratch / "work"
    spool, counts = Spool(work), Counts()
    try:
        intake = Intake(settings, root, work)
        with _executor(executor, intake) as chosen, progress_bar("corpus", "documents") as bar:
            for prepared in _prepared(intake.batches(), _limits(settings.corpus), chosen):
                spool.add(prepared)
                counts.left_out.update(prepared.left_out)
                bar.advance(len(prepared.lines))
        spool.mark_duplicates(settings.corpus.near_duplicate_threshold)
        digests = write_corpus(spool, scratch, settings.corpus, counts)
    finally:
        spool.close()
    write_manifest(scratch, settings, intake.reports, counts, digests)
    shutil.rmtree(work)


def _limits(settings: CorpusSettings) -> Limits:
    largest = max(source.weight for source in settings.sources)
    return Limits(
        minimum_characters=settings.minimum_characters,
        maximum_characters=settings.maximum_characters,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        near_duplicate_threshold=settings.near_duplicate_threshold,
        keep=tuple(source.weight / largest for source in settings.sources),
    )


def _prepared(
    batches: Iterator[Iterable[RawDocument]], limits: Limits, executor: Executor | None
) -> Iterator[Prepared]:
    """Prepared batches in the order of the raw ones; with an executor, a few are always under way."""
    if executor is None:
        yield from (prepare(batch, limits) for batch in batches)
        return
    under_way: deque[Future[Prepared]] = deque()
    for batch in batches:
        under_way.append(executor.submit(prepare, batch, limits))
        if len(under_way) >= _IN_FLIGHT:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


@contextmanager
def _executor(given: Executor | None, intake: Intake) -> Iterator[Executor | None]:
    if (
        given is not None
        or intake.expected_seconds() < PARALLEL_SECONDS
        or len(os.sched_getaffinity(0)) < 2
    ):
        yield given
        return
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def _warn_of_unwatched(settings: CorpusSettings, root: Path) -> None:
    for source in settings.sources:
        if outside_sources(source, root):
            advice = "put it under data/sources with `dvc add` or `dvc import-url`"
            print(f"warning: {source.path}: dvc does not watch it; {advice}", file=sys.stderr)
