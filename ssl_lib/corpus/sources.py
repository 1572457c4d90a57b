"""Which files `corpus.sources` names: a file, a folder, a glob, a URL or standard input."""

from __future__ import annotations

import glob
import io
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ssl_lib.config import BUILT_IN, Source
from ssl_lib.corpus.formats import KINDS, kind_of
from ssl_lib.corpus.formats.databases import QUERY, with_password
from ssl_lib.corpus.installed import INSTALLED
from ssl_lib.corpus.opening import COMPRESSIONS, SourceFile, explained
from ssl_lib.corpus.problems import CorpusError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

STANDARD_INPUT = "-"
OWN_README = Path("data", "sources", "README.md")  # of the project: tells what to put there
_EXTRAS = {
    **dict.fromkeys(("http", "https", "hf"), "sources"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "azure"),
    "s3": "s3",
}
_KNOWN = f"{', '.join(KINDS)}, each also with {', '.join(COMPRESSIONS)}"


def find_files(source: Source, key: str, root: Path) -> list[SourceFile]:
    """All files of a source, by name; raises CorpusError, with its dotted key, if there is none.

    The project's own data/sources/README.md is one only for a source that names it.
    """
    if source.path == STANDARD_INPUT:
        return [_standard_input(source, key)]
    if source.query:
        # what is read is the query: its bytes, its digest
        with_password(source.path, key)  # raises before anything is read
        text = source.query.encode()
        return [SourceFile(source.path, QUERY, "", partial(io.BytesIO, text), None)]
    find = _remote_files if "://" in source.path else _local_files
    found = find(source, key, root)
    if not found:
        needed = f"a folder or glob must hold files of the kinds {_KNOWN}"
        raise CorpusError(f"{key}.path: no file matches {source.path}; {needed}")
    return sorted(found, key=lambda file: file.name)


def _standard_input(source: Source, key: str) -> SourceFile:
    kind = _kind_of(STANDARD_INPUT, source)
    if source.format and kind is None:
        message = f"{source.format} is no known kind; these are {_KNOWN}"
        raise CorpusError(f"{key}.format: {message}")
    if sys.stdin is None or sys.stdin.isatty():
        advice = "pipe a file into the command, such as: ssl-lib corpus < notes.txt"
        raise CorpusError(f"{key}.path: {STANDARD_INPUT} is standard input, a terminal; {advice}")
    return SourceFile(
        "standard input", *(kind or (".txt", "")), partial(io.FileIO, os.dup(0)), None
    )


def _local_files(source: Source, key: str, root: Path) -> list[SourceFile]:
    pattern = source.path
    path = root / pattern
    if path.is_dir():
        names = []
        for folder, folders, inside in os.walk(path):
            # what `os.walk` visits next is what stays in `folders`
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = os.path.join(pattern, os.path.relpath(folder, path))
            names += [os.path.join(place, name) for name in inside if not name.startswith(".")]
    elif path.exists():
        if not path.is_file():
            advice = "write - to read standard input"
            raise CorpusError(f"{key}.path: {pattern} is a pipe or a device, no file; {advice}")
        if _kind_of(pattern, source) is None:
            advice = f"these are {_KNOWN}; set {key}.format if it is one of them"
            raise CorpusError(f"{key}.path: {pattern} is of no known kind; {advice}")
        names = [pattern]
    else:
        names = glob.glob(pattern, root_dir=root, recursive=True)
    files = []
    own = (root / OWN_README).resolve()
    for name in names:
        local = root / name
        kind = _kind_of(name, source)
        # a pipe in a folder would be waited for
        if kind and local.is_file() and (name == pattern or local.resolve() != own):
            files.append(SourceFile(Path(name).as_posix(), *kind, partial(io.FileIO, local), local))
    return files


def _remote_files(source: Source, key: str, root: Path) -> list[SourceFile]:
    url = source.path
    address = with_password(url, key)
    with explained(url):
        try:
            filesystem, paths = find_paths(address, source)
        except ImportError as error:
            extra = _EXTRAS.get(url.partition("://")[0])
            advice = f"pip install 'ssl-lib[{extra}]' brings it" if extra else str(error)
            raise CorpusError(f"{key}.path: {url} needs a missing package; {advice}") from None
        except ValueError as error:
            advice = f"set {key}.query for a database, or correct the address"
            raise CorpusError(f"{key}.path: {url} cannot be read ({error}); {advice}") from None
    files = []
    for path in paths:
        if kind := _kind_of(path, source):
            name = without_password(filesystem.unstrip_protocol(path), url, address)
            files.append(SourceFile(name, *kind, partial(filesystem.open, path, "rb"), None))
    return files


def find_paths(address: str, source: Source) -> tuple[AbstractFileSystem, list[str]]:
    """The file system of an address, and the paths there: of a pattern, a folder, or one file."""
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(address)
    # ? and [ belong to web addresses, and are patterns elsewhere
    web = address.startswith(("http://", "https://"))
    if "*" in path or (not web and glob.has_magic(path)):
        return filesystem, filesystem.glob(path)
    # a `format` makes a file of a folder too, and the web does not tell one from the other
    if _kind_of(path, source) and (web or not source.format):
        return filesystem, [path]
    return filesystem, filesystem.find(path)


def without_password(text: str, url: str, address: str) -> str:
    """A text that names the address, with `$NAME` in the place of the password, as the URL has."""
    return text.replace(urlsplit(address).netloc, urlsplit(url).netloc)


def _kind_of(name: str, source: Source) -> tuple[str, str] | None:
    """Kind and compression of a file by the source's format, or else by its own name."""
    if source.format:
        return kind_of(f"file.{source.format}")
    return kind_of(urlsplit(name).path if "://" in name else name)


def outside_sources(source: Source, root: Path) -> bool:
    """Whether a local source lies where `dvc.yaml` does not see it change."""
    if source.path == STANDARD_INPUT:
        return True
    path = source.path.removeprefix("sqlite:///")
    if path in (BUILT_IN, INSTALLED) or "://" in path:
        return False
    watched = (root / "data" / "sources").resolve()
    return not (root / path).resolve().is_relative_to(watched)
