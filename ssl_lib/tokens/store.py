"""The token store: one folder for each split, written by stage `tokenize` with flat memory.

A split has `tokens.npy` (uint16 or uint32), `documents.npy` (int64 offsets), `numbers.npy`
(NUMBER_DTYPE), `types.npy` (uint8) and `meta.json` (counts, fingerprint of the encoding, SHA-256 of
each array file). `TokenStore` reads it through memory maps, `tokenize` makes it from `data/raw/`.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.config import Settings, TokenSettings
from ssl_lib.errors import UserError
from ssl_lib.files import output_lock, replace_folder, sha256_of
from ssl_lib.progress import ProgressBar, progress_bar
from ssl_lib.tokens.alignment import (
    NUMBER_DTYPE,
    Ints,
    Numbers,
    Tokenized,
    Tokens,
    Types,
    grouped,
    shifted,
    token_dtype,
    tokenize_group,
)
from ssl_lib.tokens.encodings import encoding as load_encoding
from ssl_lib.tokens.encodings import fingerprint, save_encoding, train_encoding
from ssl_lib.tokens.fetch import VOCABULARY_FILES

SPLITS = ("train", "validation", "test")
# At most about so much of the train split, taken evenly from it, trains an encoding.
TRAINING_BYTES = 20_000_000


class StoreError(UserError):
    """A corpus or a token store that is missing, damaged, or cannot be written."""


@dataclass(frozen=True)
class TokenStore:
    """One split, read-only and memory-mapped: the arrays of `Tokenized`, counts and digests.

    `len(store)` is its number of documents; document i is `tokens[documents[i]:documents[i + 1]]`,
    end of text included.
    """

    tokens: Tokens
    documents: Ints
    numbers: Numbers
    types: Types
    meta: dict[str, Any]
    folder: Path

    def __len__(self) -> int:
        return len(self.documents) - 1

    @classmethod
    def open(cls, folder: str | Path, verify: bool = True) -> Self:
        """Open `data/tokenized/{split}`.

        `verify` reads every file once (about 2 GB/s) and compares its SHA-256. Raises StoreError
        that names the file which is missing or does not match.
        """
        folder = Path(folder)
        arrays: dict[str, Any] = {}
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            for name in Tokenized._fields:
                path = folder / f"{name}.npy"
                if verify and sha256_of(path) != meta["sha256"][path.name]:
                    raise StoreError(
                        f"{path}: does not match its SHA-256 in meta.json; "
                        "run `ssl-lib tokenize` again"
                    )
                arrays[name] = np.load(path, mmap_mode="r")
            return cls(**arrays, meta=meta, folder=folder)
        except FileNotFoundError as error:
            raise StoreError(
                f"{error.filename}: no such file; run `ssl-lib tokenize` first"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{folder}: is no readable token store ({error}); run `ssl-lib tokenize` again"
            ) from None

    def encoding(self) -> tiktoken.Encoding:
        """The encoding beside the splits.

        Raises StoreError if it is not the one that the tokens were made with.
        """
        path = self.folder.parent / "encoding.json"
        loaded = load_encoding(path)
        if fingerprint(loaded) != self.meta["encoding"]:
            raise StoreError(
                f"{path}: is not the encoding of {self.folder}; run `ssl-lib tokenize` again"
            )
        return loaded


class StoreWriter:
    """Writes one split, a part at a time; the files are complete when the `with` block ends."""

    def __init__(self, folder: Path, encoding: tiktoken.Encoding) -> None:
        folder.mkdir(parents=True)
        dtypes: dict[str, np.dtype[Any]] = {
            "tokens": token_dtype(encoding),
            "documents": np.dtype(np.int64),
            "numbers": NUMBER_DTYPE,
            "types": np.dtype(np.uint8),
        }
        # `documents` holds offsets: one more than there are documents.
        self.folder = folder
        self.encoding = encoding
        self.text_bytes = 0
        self.arrays: dict[str, GrowingArray] = {}
        for name, dtype in dtypes.items():
            self.arrays[name] = GrowingArray(folder / f"{name}.npy", dtype)
        self.arrays["documents"].append(np.zeros(1, np.int64))

    def append(self, part: Tokenized, text_bytes: int) -> None:
        """Add the documents of `part`, whose texts have `text_bytes` bytes of UTF-8."""
        moved = shifted(part, self.arrays["tokens"].count)
        for name, values in moved._asdict().items():
            self.arrays[name].append(values)
        self.text_bytes += text_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for array in self.arrays.values():
            array.close()
        if kind is None:
            content = json.dumps(self.meta(), indent=1, sort_keys=True) + "\n"
            (self.folder / "meta.json").write_text(content, encoding="utf-8")

    def meta(self) -> dict[str, Any]:
        """Counts, fingerprint and digests of the closed files."""
        paths = [self.folder / f"{name}.npy" for name in self.arrays]
        return {
            "documents": self.arrays["documents"].count - 1,
            "tokens": self.arrays["tokens"].count,
            "numbers": self.arrays["numbers"].count,
            "text_bytes": self.text_bytes,
            "encoding": fingerprint(self.encoding),
            "sha256": {path.name: sha256_of(path) for path in paths},
        }


class GrowingArray:
    """A 1-D `.npy` file that grows at its end; its header has room for the final length."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.count = 0
        self.file: BinaryIO = path.open("wb")
        self._write_header()
        self.start = self.file.tell()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write the values behind the others."""
        self.file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.count += len(values)

    def close(self) -> None:
        """Write the header anew, with the final length."""
        self.file.seek(0)
        self._write_header()
        assert self.file.tell() == self.start
        self.file.close()

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self.count,)}
        np.lib.format.write_array_header_1_0(self.file, header)


def tokenize(
    settings: Settings, root: Path, executor: Executor | None = None
) -> dict[str, dict[str, Any]]:
    """Stage `tokenize`: write `data/tokenized/` from `data/raw/`; returns each split's `meta.json`.

    The encoding is trained, or taken from `tokens.encoding`. Work is shared out in groups of
    documents to `executor`, which may be any of the standard library's or one with its interface
    (its workers must see the same files); without one, to `tokens.workers` threads (0: one per
    core). At most a few groups are in memory at a time. The old folder stays whole until the new
    one is complete. Raises StoreError for missing or malformed documents and for a full disk,
    EncodingError for the encoding.
    """
    target = root / "data" / "tokenized"
    documents = {split: root / "data" / "raw" / f"{split}.jsonl" for split in SPLITS}
    for path in documents.values():
        if not path.is_file():
            raise StoreError(f"{path}: no such file; run `ssl-lib corpus` first")
    workers = settings.tokens.workers or len(os.sched_getaffinity(0))
    # Enough groups under way that no worker waits, few enough that memory stays flat.
    pending = 2 * int(getattr(executor, "_max_workers", workers)) + 2
    metas = {}
    with ExitStack() as stack:
        stack.enter_context(output_lock(root / ".ssl_lib" / "locks" / "tokenized.lock"))
        scratch = stack.enter_context(_scratch_beside(target))
        encoding = _choose_encoding(settings.tokens, root, documents["train"])
        save_encoding(encoding, scratch / "encoding.json")
        size = sum(path.stat().st_size for path in documents.values())
        bar = stack.enter_context(progress_bar("tokenize", "bytes", size))
        pool = executor
        if pool is None:
            pool = stack.enter_context(ThreadPoolExecutor(workers))
        saved = str(scratch / "encoding.json")
        work = functools.partial(_tokenize_with, saved, fingerprint(encoding))
        for split, path in documents.items():
            with StoreWriter(scratch / split, encoding) as writer:
                # Results are taken in the order in which groups were sent.
                waiting: deque[Future[tuple[Tokenized, int]]] = deque()
                for locale, group in _groups(path, settings.tokens.locale, bar):
                    waiting.append(pool.submit(work, locale, group))
                    if len(waiting) >= pending:
                        writer.append(*waiting.popleft().result())
                while waiting:
                    writer.append(*waiting.popleft().result())
            metas[split] = writer.meta()
        replace_folder(scratch, target)
    return metas


@contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """An empty folder on the same disk, removed if the block fails.

    A full or read-only disk becomes a StoreError.
    """
    scratch = target.with_name(f".{target.name}.scratch")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror or error}); "
            "make room or name another folder"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _choose_encoding(settings: TokenSettings, root: Path, documents: Path) -> tiktoken.Encoding:
    name = settings.encoding
    if name == "trained":
        texts = training_texts(documents)
        return train_encoding(texts, settings.vocabulary_size, settings.digits)
    if name not in VOCABULARY_FILES and (root / name).exists():
        name = str(root / name)
    return load_encoding(name, settings.digits)


def training_texts(documents: Path) -> Iterator[str]:
    """Every k-th document, with the smallest k for which they make about TRAINING_BYTES."""
    size = documents.stat().st_size
    step = max(1, math.ceil(size / TRAINING_BYTES))
    return (document["text"] for document in _read(documents, step))


def _groups(documents: Path, locale: str, bar: ProgressBar) -> Iterator[tuple[str, list[str]]]:
    """Texts in groups, each with the locale of its documents: their own, or else `locale`."""
    read = _read(documents, bar=bar)
    # those of a source stand together
    for own, alike in itertools.groupby(read, lambda document: document.get("locale", locale)):
        for group in grouped(document["text"] for document in alike):
            yield own, group


def _read(
    documents: Path, step: int = 1, bar: ProgressBar | None = None
) -> Iterator[dict[str, Any]]:
    """The document of every `step`-th line; the bar advances by bytes."""
    with documents.open("rb") as lines:
        for number, line in enumerate(lines):
            if bar is not None:
                bar.advance(len(line))
            if number % step:
                continue
            try:
                document = json.loads(line)
                valid = isinstance(document["text"], str)
            except (ValueError, KeyError, TypeError):
                valid = False
            if not valid:
                raise StoreError(
                    f'{documents}, line {number + 1}: is no {{"text": ...}} object; '
                    "run `ssl-lib corpus` again"
                )
            yield document


def _tokenize_with(path: str, sha256: str, locale: str, texts: list[str]) -> tuple[Tokenized, int]:
    """What a worker does: the group's arrays and the UTF-8 bytes of its texts."""
    text_bytes = 0
    for text in texts:
        plain = text.isascii()
        text_bytes += len(text) if plain else len(text.encode("utf-8", "surrogatepass"))
    return tokenize_group(_saved_encoding(path, sha256), texts, locale), text_bytes


@functools.lru_cache(maxsize=1)
def _saved_encoding(path: str, sha256: str) -> tiktoken.Encoding:
    """The encoding in `path`, loaded once per worker process.

    `sha256` tells apart what lies there at different times.
    """
    loaded = load_encoding(path)
    assert fingerprint(loaded) == sha256
    return loaded
