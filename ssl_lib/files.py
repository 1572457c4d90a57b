"""Files and folders that are whole or absent: an atomic writer, a digest, locks for outputs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_lib.errors import UserError


class LockedError(UserError):
    """Another process is writing the same output."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write or replace a file in one step, with its folders; text is written as UTF-8.

    A temporary file beside it is synced and renamed, so that a reader, a crash or a full disk
    leaves either the old content or the new one. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    # the rename itself survives a power cut only once the folder is synced too
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_folder(scratch: Path, target: Path) -> None:
    """Put a finished scratch folder in the place of `target`, whose content stays until then."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(scratch, target)
    shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_path(root: Path, command: str) -> Path:
    """The file that a command locks whose output no other process may write meanwhile."""
    return root / ".ssl_lib" / "locks" / command


@contextmanager
def output_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive `flock` on the file `path` (made if missing, with its folders).

    The kernel drops the lock when its holder dies, however that happens, so a lock file left behind
    blocks nobody; it is never deleted, because a deleted file could be locked by two processes at
    once. Raises LockedError, which names the holder's process id, if the lock is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LockedError(
                f"{path}: process {holder} is writing this output; "
                "wait until it has finished, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def sign_of_life(path: Path) -> Iterator[None]:
    """Inside, the lock of a file that is this process's own, which goes at the end, is held."""
    with output_lock(path):
        yield
        # nobody else waits for this lock
        path.unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """Whether a process is inside `sign_of_life`; one that died has left its file behind."""
    if not path.exists():
        return False
    try:
        with output_lock(path):
            return False
    except LockedError:
        return True
