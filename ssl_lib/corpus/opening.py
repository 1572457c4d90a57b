"""A file of a source, opened: every raw byte hashed, decompressed, faults told in one sentence."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

from ssl_lib.corpus.decoding import BLOCK
from ssl_lib.corpus.problems import CorpusError, DamagedError

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
# A file of more than 200 times its compressed size, and more than 256 MiB, is no text.
EXPANSION, UNBOUNDED = 200, 1 << 28
WHOLE = 1 << 28  # bytes of a file that is read as a whole, as HTML and PDF are
_DECOMPRESSORS: dict[str, Callable[[Any], io.BufferedIOBase]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
# Base errors of the drivers of file systems, where these are no OSErrors.
_DRIVER_ERRORS = {
    "aiohttp": "ClientError",
    "botocore.exceptions": "BotoCoreError",
    "fsspec.exceptions": "FSTimeoutError",
    "gcsfs.retry": "HttpError",
    "google.auth.exceptions": "GoogleAuthError",
    "huggingface_hub.errors": "HfHubHTTPError",
}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    `kind` is an ending such as ".csv"; `compression` is one of COMPRESSIONS, or empty. `domain` is
    that of its documents, where the source does not name one for all files.
    """

    name: str
    kind: str
    compression: str
    open: Callable[[], BinaryIO]
    local: Path | None
    domain: str = ""


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


@dataclass
class OpenFile:
    """A file or a member of an archive while it is read: `stream` gives its plain bytes, once."""

    name: str
    kind: str
    stream: BinaryIO
    scratch: Path
    local: Path | None = None  # where its plain bytes lie, if they do
    copy: Path | None = None

    def whole(self) -> bytes:
        """All bytes; raises DamagedError if they are too many for memory."""
        data = self.stream.read(WHOLE + 1)
        if len(data) > WHOLE:
            advice = "cut it, or give it line by line"
            raise DamagedError(f"{self.name}: has over {WHOLE >> 20} MiB in one piece; {advice}")
        return data

    def path(self) -> Path:
        """A file of the bytes: the file itself, or a copy that goes with the opened file."""
        if self.local:
            return self.local
        with NamedTemporaryFile(dir=self.scratch, delete=False) as copy:
            self.copy = Path(copy.name)
            shutil.copyfileobj(self.stream, copy, BLOCK)
        return self.copy


@contextmanager
def opened(file: SourceFile, digest: Digest, scratch: Path) -> Iterator[OpenFile]:
    """A file, of which `digest` sees every raw byte; of one that is not local, those read.

    Raises CorpusError for a file that cannot be opened, DamagedError for one that breaks off or is
    damaged while the block reads it.
    """
    with explained(file.name), file.open() as raw:
        try:
            tee = io.BufferedReader(_Tee(raw, digest), BLOCK)
            stream: Any = _decompressed(tee, file.compression)
            if file.compression:
                stream = io.BufferedReader(_Bounded(stream, digest, file.name), BLOCK)
            local = None if file.compression else file.local
            # what is decompressed lies nowhere on the disk
            found = OpenFile(file.name, file.kind, stream, scratch, local)
            try:
                yield found
            finally:
                if found.copy:
                    found.copy.unlink()
        except Exception as error:
            if isinstance(error, CorpusError) and not isinstance(error, DamagedError):
                raise
            # its digest stands in the manifest, where damage is passed over
            _exhaust(file, raw, digest)
            raise
        _exhaust(file, raw, digest)


def _exhaust(file: SourceFile, raw: BinaryIO, digest: Digest) -> None:
    """Show the rest of a local file to its digest; a limited read of a URL stays short."""
    while file.local and (data := raw.read(BLOCK)):
        digest.update(data)


def _decompressed(stream: Any, compression: str) -> Any:
    if compression == ".zst":
        import pyarrow

        return pyarrow.CompressedInputStream(stream, "zstd")
    return _DECOMPRESSORS[compression](stream) if compression else stream


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


class _Bounded(io.RawIOBase):
    """A decompressed stream that ends with an error where it grows like no text does."""

    def __init__(self, stream: Any, raw: Digest, name: str) -> None:
        self._stream, self._raw, self._name, self._size = stream, raw, name, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; returns how many bytes there were."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._size += len(data)
        check_expansion(self._name, self._size, self._raw.size)
        return len(data)


def check_expansion(name: str, size: int, compressed: int) -> None:
    """Raise DamagedError if decompressed data is too large for text of its compressed size."""
    if size > UNBOUNDED and size > EXPANSION * compressed:
        grows = f"grows to over {EXPANSION} times its compressed size"
        raise DamagedError(f"{name}: {grows}, as no text does; decompress it if it is one")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what file systems and decompressors raise into one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, CorpusError):
            raise
        raise _sentence(name, error) from None


def _sentence(name: str, error: Exception) -> Exception:
    # a driver that is not loaded has raised nothing
    loaded = [sys.modules.get(module) for module in _DRIVER_ERRORS]
    bases = zip(loaded, _DRIVER_ERRORS.values(), strict=True)
    drivers = tuple(getattr(module, base) for module, base in bases if module)
    if isinstance(error, FileNotFoundError):
        return CorpusError(f"{name}: no such file; correct the path or put the file there")
    if isinstance(error, PermissionError):
        advice = "check its permissions or your credentials"
        return CorpusError(f"{name}: may not be read; {advice}")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)):
        what = f"its compressed data is damaged or cut short ({reason})"
        return DamagedError(f"{name}: {what}; fetch the file again")
    if isinstance(error, (zipfile.BadZipFile, tarfile.TarError)):
        return DamagedError(f"{name}: is no whole archive ({reason}); fetch the file again")
    if isinstance(error, NotImplementedError):
        # of a .zip, in which each file may be compressed in another way
        advice = "unpack it, or pack it with deflate"
        return DamagedError(f"{name}: cannot be read ({reason}); {advice}")
    if isinstance(error, (OSError, *drivers)):
        # decompressors raise errors without a number
        damaged = isinstance(error, OSError) and error.errno is None
        kind = DamagedError if damaged and not isinstance(error, drivers) else CorpusError
        return kind(f"{name}: cannot be read ({reason}); check the file and the connection")
    return error
