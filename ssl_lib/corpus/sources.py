"""Finding and opening what `corpus.sources` names: files, folders, globs and URLs, compressed or not."""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import io
import lzma
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ssl_lib.config import Source
from ssl_lib.errors import UserError

BUILT_IN = "built-in"
FORMATS = {".txt": "text", ".md": "text", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
_KNOWN = f"{', '.join(FORMATS)}, each also with {', '.join(COMPRESSIONS)}"


class CorpusError(UserError):
    """A source that cannot be read, or a corpus that cannot be made of it."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `format` is a value of FORMATS, `compression` one of COMPRESSIONS or empty."""

    name: str
    format: str
    compression: str
    open: Callable[[], BinaryIO]
    local: Path | None


class Digest:
    """SHA-256 and number of the bytes that were read."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Count and hash some more bytes."""
        self._hash.update(data)
        self.size += len(data)

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


def find_files(source: Source, key: str, root: Path) -> list[SourceFile]:
    """All files of a source, by name; `key` is the source's dotted key. Raises CorpusError if there is none."""
    found = (
        _remote_files(source.path, key)
        if "://" in source.path
        else _local_files(source.path, key, root)
    )
    if not found:
        raise CorpusError(
            f"{key}.path: no file matches {source.path}; a folder or glob must hold files of the kinds {_KNOWN}"
        )
    return sorted(found, key=lambda file: file.name)


def domain_of(source: Source) -> str:
    """The source's domain: as set, or the name of its file or innermost plain folder."""
    if source.domain:
        return source.domain
    parts = PurePosixPath(urlsplit(source.path).path if "://" in source.path else source.path).parts
    plain = [part for part in parts if not glob.has_magic(part) and part not in ("/", ".", "..")]
    return plain[-1].split(".")[0] or "text" if plain else "text"


def outside_sources(source: Source, root: Path) -> bool:
    """Whether a local source lies where `dvc.yaml` does not see it change."""
    if source.path == BUILT_IN or "://" in source.path:
        return False
    return not (root / source.path).resolve().is_relative_to((root / "data" / "sources").resolve())


@contextmanager
def reading(file: SourceFile, digest: Digest) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; every raw byte goes through `digest`.

    Raises CorpusError for a file that cannot be opened, or that breaks off or is damaged while the block reads it.
    """
    with (
        _explained(file.name),
        file.open() as raw,
        _decompressed(io.BufferedReader(_Tee(raw, digest), 1 << 20), file) as stream,
    ):
        yield stream


def local_copy(file: SourceFile, digest: Digest, scratch: Path) -> Path:
    """A file for random access to the decompressed bytes: the file itself, else a copy of it in `scratch`."""
    path = file.local if file.local and not file.compression else scratch / "download"
    with reading(file, digest) as stream:
        if path == file.local:
            _drain(stream)
        else:
            with path.open("wb") as copy:
                while block := stream.read(1 << 20):
                    copy.write(block)
    return path


def drain(file: SourceFile, stream: BinaryIO) -> None:
    """Read a local file to its end, for the digest of the whole; a limited read of a URL stays short."""
    if file.local:
        _drain(stream)


def _drain(stream: BinaryIO) -> None:
    while stream.read(1 << 20):
        pass


def _local_files(pattern: str, key: str, root: Path) -> list[SourceFile]:
    path = root / pattern
    if path.is_dir():
        inside = (
            Path(folder) / name
            for folder, _, names in os.walk(path)
            if "/." not in folder[len(str(path)) :]
            for name in names
        )
        names = [
            os.path.join(pattern, found.relative_to(path))
            for found in inside
            if not found.name.startswith(".")
        ]
    elif path.exists():
        return [_local_file(pattern, root, key)]
    else:
        matches = glob.glob(pattern, root_dir=root, recursive=True)
        names = [name for name in matches if (root / name).is_file()]
    return [_local_file(name, root, key) for name in names if _kind(name) is not None]


def _local_file(name: str, root: Path, key: str) -> SourceFile:
    path = root / name
    kind = _kind(name)
    if kind is None:
        raise CorpusError(f"{key}.path: {name} is of an unknown kind; the kinds are {_KNOWN}")
    return SourceFile(Path(name).as_posix(), *kind, lambda: path.open("rb"), path)


def _remote_files(url: str, key: str) -> list[SourceFile]:
    with _explained(url):
        try:
            from fsspec.core import url_to_fs

            filesystem, path = url_to_fs(url)
        except ImportError as error:
            raise CorpusError(
                f"{key}.path: {url} needs a package that is not installed: {error}"
            ) from None
        except ValueError as error:
            raise CorpusError(f"{key}.path: {url} cannot be read: {error}") from None
        web = url.startswith(("http://", "https://"))
        if "*" in path or (not web and glob.has_magic(path)):
            paths = [name for name in filesystem.glob(path) if _kind(name)]
        elif _kind(path):
            paths = [path]
        else:
            paths = [name for name in filesystem.find(path) if _kind(name)]
    return [_remote_file(filesystem, path) for path in paths]


def _remote_file(filesystem: Any, path: str) -> SourceFile:
    kind = _kind(path)
    assert kind is not None
    return SourceFile(
        filesystem.unstrip_protocol(path), *kind, lambda: filesystem.open(path, "rb"), None
    )


def _kind(name: str) -> tuple[str, str] | None:
    """(format, compression) by a file's name; None for an unknown kind."""
    plain = urlsplit(name).path if "://" in name else name
    stem, suffix = os.path.splitext(plain.lower())
    if suffix in COMPRESSIONS:
        inner = FORMATS.get(os.path.splitext(stem)[1])
        return (inner, suffix) if inner else None
    return (FORMATS[suffix], "") if suffix in FORMATS else None


class _Tee(io.RawIOBase):
    """A raw stream that shows every byte read to a digest."""

    def __init__(self, raw: BinaryIO, digest: Digest) -> None:
        self._raw, self._digest = raw, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._digest.update(data)
        return len(data)


def _decompressed(stream: io.BufferedReader, file: SourceFile) -> BinaryIO:
    if file.compression == ".gz":
        return gzip.open(stream)
    if file.compression == ".bz2":
        return bz2.open(stream)
    if file.compression == ".xz":
        return lzma.open(stream)
    if file.compression == ".zst":
        import pyarrow

        return io.BufferedReader(pyarrow.CompressedInputStream(stream, "zstd"), 1 << 20)
    return stream


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what file systems and decompressors raise into one sentence."""
    import zlib

    try:
        yield
    except FileNotFoundError:
        raise CorpusError(
            f"{name}: no such file; correct corpus.sources or put the file there"
        ) from None
    except PermissionError:
        raise CorpusError(
            f"{name}: may not be read; check its permissions or your credentials"
        ) from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise CorpusError(
            f"{name}: its compressed data is damaged or cut short ({error}); fetch the file again"
        ) from None
    except (OSError, TimeoutError, *_driver_errors()) as error:
        raise CorpusError(
            f"{name}: cannot be read ({_brief(error)}); check the file and the connection"
        ) from None


def _driver_errors() -> tuple[type[Exception], ...]:
    """Base errors of the file system drivers that are loaded, where these are not OSErrors."""
    names = (
        ("aiohttp", "ClientError"),
        ("botocore.exceptions", "BotoCoreError"),
        ("fsspec.exceptions", "FSTimeoutError"),
    )
    return tuple(
        getattr(sys.modules[module], name) for module, name in names if module in sys.modules
    )


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
