"""Which files `corpus.sources` names, and how they are opened.

A source is a file, a folder, a glob or a URL; its files may be compressed.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import io
import lzma
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ssl_lib.config import Source
from ssl_lib.errors import UserError

BUILT_IN = "built-in"
FORMATS = {".txt": "text", ".md": "text", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
BLOCK = 1 << 20  # bytes that are read at once
OWN_README = Path("data", "sources", "README.md")  # of the project: tells what to put there
_DECOMPRESSORS: dict[str, Callable[[Any], io.BufferedIOBase]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_KNOWN = f"{', '.join(FORMATS)}, each also with {', '.join(COMPRESSIONS)}"

# Base errors of the drivers of file systems, where these are no OSErrors.
_DRIVER_ERRORS = {
    "aiohttp": "ClientError",
    "botocore.exceptions": "BotoCoreError",
    "fsspec.exceptions": "FSTimeoutError",
}


class CorpusError(UserError):
    """A source that cannot be read, or a corpus that cannot be made of it."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `compression` is one of COMPRESSIONS, or empty."""

    name: str
    format: str  # a value of FORMATS
    compression: str
    open: Callable[[], BinaryIO]
    local: Path | None


class Digest:
    """SHA-256 and number of the bytes of a file that is read once, as a URL is."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes) -> None:
        """Count and hash some more bytes."""
        self._hash.update(data)
        self.size += len(data)

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


def find_files(source: Source, key: str, root: Path) -> list[SourceFile]:
    """All files of a source, by name; raises CorpusError, with its dotted key, if there is none.

    The project's own data/sources/README.md is one only for a source that names it.
    """
    if "://" in source.path:
        found = _remote_files(source.path, key)
    else:
        found = _local_files(source.path, key, root)
    if not found:
        needed = f"a folder or glob must hold files of the kinds {_KNOWN}"
        raise CorpusError(f"{key}.path: no file matches {source.path}; {needed}")
    return sorted(found, key=lambda file: file.name)


def _local_files(pattern: str, key: str, root: Path) -> list[SourceFile]:
    path = root / pattern
    if path.is_dir():
        names = []
        for folder, folders, inside in os.walk(path):
            # what `os.walk` visits next is what stays in `folders`
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = os.path.join(pattern, os.path.relpath(folder, path))
            names += [os.path.join(place, name) for name in inside if not name.startswith(".")]
    elif path.exists():
        if _format_of(pattern) is None:
            raise CorpusError(f"{key}.path: {pattern} is of no known kind; these are {_KNOWN}")
        names = [pattern]
    else:
        matches = glob.glob(pattern, root_dir=root, recursive=True)
        names = [name for name in matches if (root / name).is_file()]
    files = []
    own = (root / OWN_README).resolve()
    for name in names:
        local = root / name
        kind = _format_of(name)
        if kind and (name == pattern or local.resolve() != own):
            files.append(SourceFile(Path(name).as_posix(), *kind, partial(io.FileIO, local), local))
    return files


def _remote_files(url: str, key: str) -> list[SourceFile]:
    with _explained(url):
        try:
            from fsspec.core import url_to_fs

            filesystem, path = url_to_fs(url)
        except ImportError as error:
            raise CorpusError(f"{key}.path: {url} needs a missing package: {error}") from None
        except ValueError as error:
            raise CorpusError(f"{key}.path: {url} cannot be read: {error}") from None
        # ? and [ belong to web addresses, and are patterns elsewhere
        web = url.startswith(("http://", "https://"))
        if "*" in path or (not web and glob.has_magic(path)):
            paths = filesystem.glob(path)
        else:
            paths = [path] if _format_of(path) else filesystem.find(path)
    files = []
    for path in paths:
        if kind := _format_of(path):
            name = filesystem.unstrip_protocol(path)
            files.append(SourceFile(name, *kind, partial(filesystem.open, path, "rb"), None))
    return files


def _format_of(name: str) -> tuple[str, str] | None:
    """Format and compression by a file's name: "a/b.csv.gz" → ("csv", ".gz"); None if unknown."""
    plain = urlsplit(name).path if "://" in name else name
    stem, suffix = os.path.splitext(plain.lower())
    compression = ""
    if suffix in COMPRESSIONS:
        compression, suffix = suffix, os.path.splitext(stem)[1]
    return (FORMATS[suffix], compression) if suffix in FORMATS else None


def outside_sources(source: Source, root: Path) -> bool:
    """Whether a local source lies where `dvc.yaml` does not see it change."""
    if source.path == BUILT_IN or "://" in source.path:
        return False
    watched = (root / "data" / "sources").resolve()
    return not (root / source.path).resolve().is_relative_to(watched)


@contextmanager
def reading(file: SourceFile, digest: Digest) -> Iterator[io.BufferedIOBase]:
    """The decompressed bytes of a file; every raw byte goes through `digest`.

    Raises CorpusError for a file that cannot be opened, or that breaks off or is damaged while the
    block reads it.
    """
    with _explained(file.name), file.open() as raw:
        stream: io.BufferedIOBase = io.BufferedReader(_Tee(raw, digest), BLOCK)
        if file.compression == ".zst":
            import pyarrow

            stream = io.BufferedReader(pyarrow.CompressedInputStream(stream, "zstd"), BLOCK)
        elif file.compression:
            stream = _DECOMPRESSORS[file.compression](stream)
        with stream:
            yield stream


def local_copy(file: SourceFile, digest: Digest, scratch: Path) -> Path:
    """A file of the decompressed bytes: the file itself, or a copy in the folder `scratch`."""
    with reading(file, digest) as stream:
        if file.local and not file.compression:
            exhaust(stream)
            return file.local
        path = scratch / "download"
        with path.open("wb") as copy:
            shutil.copyfileobj(stream, copy, BLOCK)
        return path


def exhaust(stream: io.BufferedIOBase) -> None:
    """Read to the end, so that a digest is that of the whole file."""
    while stream.read(BLOCK):
        pass


class _Tee(io.RawIOBase):
    """A raw stream that shows every byte read to a digest."""

    def __init__(self, raw: BinaryIO, digest: Digest) -> None:
        self._raw, self._digest = raw, digest

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; returns how many bytes there were."""
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._digest.update(data)
        return len(data)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what file systems and decompressors raise into one sentence."""
    try:
        yield
    except Exception as error:
        # a driver that is not loaded has raised nothing
        loaded = [sys.modules.get(module) for module in _DRIVER_ERRORS]
        bases = zip(loaded, _DRIVER_ERRORS.values(), strict=True)
        drivers = [getattr(module, base) for module, base in bases if module]
        if isinstance(error, FileNotFoundError):
            advice = "no such file; correct corpus.sources or put the file there"
        elif isinstance(error, PermissionError):
            advice = "may not be read; check its permissions or your credentials"
        elif isinstance(error, (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)):
            advice = f"its compressed data is damaged or cut short ({error}); fetch the file again"
        elif isinstance(error, (OSError, *drivers)):
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            advice = f"cannot be read ({reason}); check the file and the connection"
        else:
            raise
        raise CorpusError(f"{name}: {advice}") from None
