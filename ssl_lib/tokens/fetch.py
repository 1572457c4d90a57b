"""Vocabularies that tiktoken publishes: where their files lie, and how to get genuine ones.

tiktoken itself waits without a limit for a server that does not answer, and takes a cached file as
it is; here every file is checked against its SHA-256 before tiktoken sees it, and a download has a
deadline.
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


# Name, path at _HOST, SHA-256; gpt2 has two files.
_FILES = """
gpt2         gpt-2/encodings/main/vocab.bpe
             1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5
gpt2         gpt-2/encodings/main/encoder.json
             196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783
r50k_base    encodings/r50k_base.tiktoken
             306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930
p50k_base    encodings/p50k_base.tiktoken
             94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069
cl100k_base  encodings/cl100k_base.tiktoken
             223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7
o200k_base   encodings/o200k_base.tiktoken
             446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d
""".split()
VOCABULARY_FILES: dict[str, tuple[VocabularyFile, ...]] = {}
for _name, _path, _sha256 in zip(_FILES[::3], _FILES[1::3], _FILES[2::3], strict=True):
    _file = VocabularyFile(f"{_HOST}/{_path}", _sha256)
    VOCABULARY_FILES[_name] = (*VOCABULARY_FILES.get(_name, ()), _file)


def cache_folder() -> Path:
    """The folder in which tiktoken looks for vocabularies.

    Raises EncodingError if the environment has switched it off.
    """
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        folder = os.environ.get(variable)
        if folder == "":
            raise EncodingError(
                f"{variable} is empty, which switches the cache off; set it to a folder or unset it"
            )
        if folder:
            return Path(folder)
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def ensure_cached(name: str, seconds: float = LOAD_SECONDS) -> None:
    """Make the genuine files of `name` lie in the cache folder, within `seconds`.

    Raises EncodingError that says which file with which SHA-256 to put where.
    """
    fetch_encoding(name, cache_folder(), seconds)


def fetch_encoding(name: str, folder: str | Path, seconds: float = FETCH_SECONDS) -> Path:
    """Put the files of a published vocabulary into `folder`, TIKTOKEN_CACHE_DIR of other machines.

    Files that already lie there and are genuine are kept. Returns the folder. Raises EncodingError.
    """
    folder = Path(folder)
    if name not in VOCABULARY_FILES:
        names = ", ".join(VOCABULARY_FILES)
        raise EncodingError(f"encoding {name!r} is not published; choose one of {names}")
    # Nothing is written before all that was missing has arrived and is genuine.
    missing = [file for file in VOCABULARY_FILES[name] if not _genuine(file, folder)]
    contents = _download_all(missing, seconds)
    for file in missing:
        path = folder / file.cache_name
        data = contents.get(file)
        if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
            reason = "is neither cached nor reachable" if data is None else "came back damaged"
            raise EncodingError(
                f"the vocabulary of {name} {reason}: put {file.url} with SHA-256 {file.sha256} at "
                f"{path}, or run `ssl-lib encodings fetch {name} --to DIR` on a connected machine "
                "and set TIKTOKEN_CACHE_DIR to DIR"
            )
    for file in missing:
        path = folder / file.cache_name
        try:
            write_atomically(path, contents[file])
        except OSError as error:
            raise EncodingError(
                f"{path}: cannot be written ({error.strerror}); name a folder that can be"
            ) from None
    return folder


def _genuine(file: VocabularyFile, folder: Path) -> bool:
    try:
        return sha256_of(folder / file.cache_name) == file.sha256
    except OSError:
        return False


def _download_all(files: list[VocabularyFile], seconds: float) -> dict[VocabularyFile, bytes]:
    """Download side by side; what has not arrived after `seconds` is left out.

    Threads, because name resolution alone may hang for longer.
    """
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
