"""Files of the vocabularies that tiktoken publishes: where they lie, whether they are genuine, and how to get them.

tiktoken itself waits without a limit for a server that does not answer, and takes a cached file as it is; here every
file is checked against its SHA-256 before tiktoken sees it, and a download has a deadline.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

from ssl_lib.errors import UserError
from ssl_lib.files import sha256_of, write_atomically

LOAD_SECONDS = 2.5  # the whole command must answer within five
FETCH_SECONDS = 120.0
_HOST = "https://openaipublic.blob.core.windows.net"


class EncodingError(UserError):
    """An encoding that is unknown, unreadable, damaged, too small, or cannot be had."""


class VocabularyFile(NamedTuple):
    """One published file."""

    url: str
    sha256: str

    @property
    def cache_name(self) -> str:
        """The name under which tiktoken looks for it: the SHA-1 of its address."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


VOCABULARY_FILES = {
    "gpt2": (
        VocabularyFile(
            f"{_HOST}/gpt-2/encodings/main/vocab.bpe",
            "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        ),
        VocabularyFile(
            f"{_HOST}/gpt-2/encodings/main/encoder.json",
            "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        ),
    ),
    "r50k_base": (
        VocabularyFile(
            f"{_HOST}/encodings/r50k_base.tiktoken",
            "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        ),
    ),
    "p50k_base": (
        VocabularyFile(
            f"{_HOST}/encodings/p50k_base.tiktoken",
            "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        ),
    ),
    "cl100k_base": (
        VocabularyFile(
            f"{_HOST}/encodings/cl100k_base.tiktoken",
            "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        ),
    ),
    "o200k_base": (
        VocabularyFile(
            f"{_HOST}/encodings/o200k_base.tiktoken",
            "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        ),
    ),
}


def cache_folder() -> Path:
    """The folder in which tiktoken looks for vocabularies. Raises EncodingError if the environment has switched it
    off."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if variable in os.environ:
            if not os.environ[variable]:
                raise EncodingError(
                    f"{variable} is empty, which switches the cache off; set it to a folder or unset it"
                )
            return Path(os.environ[variable])
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def ensure_cached(name: str, seconds: float = LOAD_SECONDS) -> None:
    """Make the genuine files of `name` lie in the cache folder, downloading what is not there within `seconds`.

    Raises EncodingError that says which file with which SHA-256 to put where.
    """
    _ensure(name, cache_folder(), seconds)


def fetch_encoding(name: str, folder: str | Path, seconds: float = FETCH_SECONDS) -> Path:
    """Put the files of a published vocabulary into `folder`, for machines that have it as TIKTOKEN_CACHE_DIR.

    Files that already lie there and are genuine are kept. Returns the folder. Raises EncodingError.
    """
    folder = Path(folder)
    _ensure(name, folder, seconds)
    return folder


def _ensure(name: str, folder: Path, seconds: float) -> None:
    if name not in VOCABULARY_FILES:
        raise EncodingError(
            f"encoding {name!r} is not published; choose one of {', '.join(VOCABULARY_FILES)}"
        )
    missing = [
        file
        for file in VOCABULARY_FILES[name]
        if not _genuine(folder / file.cache_name, file.sha256)
    ]
    if not missing:
        return
    contents = _download_all(missing, seconds)
    for file in missing:
        data = contents.get(file)
        if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
            raise EncodingError(_how_to_get(name, file, folder, arrived=data is not None))
    for file in missing:
        _write(folder / file.cache_name, contents[file])


def _genuine(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _download_all(files: list[VocabularyFile], seconds: float) -> dict[VocabularyFile, bytes]:
    """Download side by side; what has not arrived after `seconds` is left out (name resolution alone may hang for
    longer)."""
    contents: dict[VocabularyFile, bytes] = {}

    def download(file: VocabularyFile) -> None:
        """Put a file among the contents, if it arrives."""
        try:
            with urllib.request.urlopen(file.url, timeout=seconds) as response:
                contents[file] = response.read()
        except (OSError, ValueError):
            pass  # reported by the caller, who sees that the file has not arrived

    threads = [threading.Thread(target=download, args=(file,), daemon=True) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds / len(threads))
    return dict(contents)


def _how_to_get(name: str, file: VocabularyFile, folder: Path, arrived: bool) -> str:
    reason = "came back damaged" if arrived else "is neither cached nor reachable"
    return (
        f"the vocabulary of {name} {reason}: put {file.url} with SHA-256 {file.sha256} at {folder / file.cache_name}, "
        f"or run `ssl-lib encodings fetch {name} --to DIR` on a connected machine and set TIKTOKEN_CACHE_DIR to DIR"
    )


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise EncodingError(
            f"{path}: cannot be written ({error.strerror}); name a folder that can be"
        ) from None
