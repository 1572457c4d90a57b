"""Stage `tokenize`: documents in (`data/raw/`), tokens and numbers out (`data/tokenized/`), in one pass with flat
memory."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiktoken

from ssl_lib.config import Settings, TokenSettings
from ssl_lib.files import output_lock, replace_folder
from ssl_lib.progress import ProgressBar, progress_bar
from ssl_lib.tokens.alignment import (
    NUMBER_DTYPE,
    Tokenized,
    grouped,
    tokenize_group,
    tokenize_texts,
)
from ssl_lib.tokens.arrays import StoreError, StoreWriter, TokenStore
from ssl_lib.tokens.encodings import encoding, fingerprint, save_encoding, train_encoding
from ssl_lib.tokens.fetch import VOCABULARY_FILES

__all__ = [
    "NUMBER_DTYPE",
    "SPLITS",
    "TRAINING_BYTES",
    "StoreError",
    "TokenStore",
    "Tokenized",
    "tokenize",
    "tokenize_texts",
]

SPLITS = ("train", "validation", "test")
TRAINING_BYTES = (
    20_000_000  # at most about so much of the train split, taken evenly from it, trains an encoding
)


def tokenize(
    settings: Settings, root: Path, executor: Executor | None = None
) -> dict[str, dict[str, Any]]:
    """Write `data/tokenized/` from `data/raw/` and return the `meta.json` of each split.

    The encoding is trained, or taken from `tokens.encoding`. Work is shared out in groups of documents to `executor`,
    which may be any of the standard library's or one with its interface (its workers must see the same files);
    without one, to `tokens.workers` threads (0: one per core). At most a few groups are in memory at a time. The old
    folder stays whole until the new one is complete. Raises StoreError for missing or malformed documents and for a
    full disk, EncodingError for the encoding.
    """
    raw, target = root / "data" / "raw", root / "data" / "tokenized"
    for split in SPLITS:
        if not (raw / f"{split}.jsonl").is_file():
            raise StoreError(f"{raw / split}.jsonl: no such file; run `ssl-lib corpus` first")
    with (
        output_lock(root / ".ssl_lib" / "locks" / "tokenized.lock"),
        _scratch_beside(target) as scratch,
    ):
        chosen = _choose_encoding(settings.tokens, root, raw / "train.jsonl")
        save_encoding(chosen, scratch / "encoding.json")
        size = sum((raw / f"{split}.jsonl").stat().st_size for split in SPLITS)
        with (
            _pool(executor, settings.tokens.workers) as (pool, workers),
            progress_bar("tokenize", "bytes", size) as bar,
        ):
            run = _Runner(
                pool, 2 * workers + 2, str(scratch / "encoding.json"), fingerprint(chosen)
            )
            metas = {
                split: _write_split(run, chosen, raw / f"{split}.jsonl", scratch / split, bar)
                for split in SPLITS
            }
        replace_folder(scratch, target)
    return metas


def _choose_encoding(settings: TokenSettings, root: Path, documents: Path) -> tiktoken.Encoding:
    name = settings.encoding
    if name == "trained":
        return train_encoding(_training_texts(documents), settings.vocabulary_size, settings.digits)
    if name not in VOCABULARY_FILES and (root / name).exists():
        name = str(root / name)
    return encoding(name, settings.digits)


def _training_texts(documents: Path) -> Iterator[str]:
    """Every k-th document, with the smallest k for which they make about TRAINING_BYTES."""
    step = max(1, math.ceil(documents.stat().st_size / TRAINING_BYTES))
    with documents.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if (number - 1) % step == 0:
                yield _text_of(line, documents, number)


def _text_of(line: bytes, path: Path, number: int) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise StoreError(
            f'{path}, line {number}: is no {{"text": ...}} object; run `ssl-lib corpus` again'
        )
    return text


class _Runner:
    """Sends groups of texts to a pool and gives the results back in order, with at most `pending` of them under way."""

    def __init__(self, pool: Executor, pending: int, path: str, sha256: str) -> None:
        self.pool, self.pending = pool, pending
        self.work = functools.partial(_tokenize_with, path, sha256)

    def __call__(self, texts: Iterable[str]) -> Iterator[tuple[Tokenized, int]]:
        waiting: deque[Future[tuple[Tokenized, int]]] = deque()
        for group in grouped(texts):
            waiting.append(self.pool.submit(self.work, group))
            if len(waiting) >= self.pending:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _tokenize_with(path: str, sha256: str, texts: list[str]) -> tuple[Tokenized, int]:
    """What a worker does: the group's arrays and the UTF-8 bytes of its texts."""
    text_bytes = sum(
        len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        for text in texts
    )
    return tokenize_group(_saved_encoding(path, sha256), texts), text_bytes


@functools.lru_cache(maxsize=1)
def _saved_encoding(path: str, sha256: str) -> tiktoken.Encoding:
    """The encoding in `path`, loaded once per worker process; `sha256` tells apart what lies there at different
    times."""
    loaded = encoding(path)
    assert fingerprint(loaded) == sha256
    return loaded


def _write_split(
    run: _Runner, chosen: tiktoken.Encoding, path: Path, folder: Path, bar: ProgressBar
) -> dict[str, Any]:
    def texts() -> Iterator[str]:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                bar.advance(len(line))
                yield _text_of(line, path, number)

    with StoreWriter(folder, chosen) as writer:
        for part, text_bytes in run(texts()):
            writer.append(part, text_bytes)
    return writer.meta()


@contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """An empty folder on the same disk, removed if the block fails; a full or read-only disk becomes a StoreError."""
    scratch = target.with_name(f".{target.name}.scratch")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror or error}); make room or name another folder"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _pool(executor: Executor | None, workers: int) -> Iterator[tuple[Executor, int]]:
    """The given executor, or one of threads for the duration; with the number of its workers as far as it is known."""
    count = workers or len(os.sched_getaffinity(0))
    if executor is not None:
        yield executor, getattr(executor, "_max_workers", count)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="tokenize") as threads:
        yield threads, count
