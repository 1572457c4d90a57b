"""One writer at a time for each stage's output, which replaces what was there in one step."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_lib.errors import UserError


class LockedError(UserError):
    """Another process is writing the same output."""


@contextmanager
def output_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive `flock` on the file `path` (made if missing, with its folders) until the block ends.

    The kernel drops the lock when its holder dies, however that happens, so a lock file left behind blocks nobody; it
    is never deleted, because a deleted file could be locked by two processes at once. Raises LockedError, which names
    the holder's process id, if the lock is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LockedError(
                f"{path}: process {holder} is writing this output; wait until it has finished, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def replace_folder(scratch: Path, target: Path) -> None:
    """Put a finished scratch folder in the place of `target`; until the last rename the old content stays whole."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(scratch, target)
    shutil.rmtree(old, ignore_errors=True)
