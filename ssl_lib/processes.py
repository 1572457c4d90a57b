"""Child processes that end with the process that started them, their own children included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE = 10.0  # seconds that a process has to end by itself
TERMINATED = 143  # exit status of a process that SIGTERM has ended


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait, unless OMP_WAIT_POLICY says otherwise.

    Those that spin make a step of 0.5 s last 3.5 s where one other program is at work, and gain 5%
    where none is. torch reads it once, when it is imported; children inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def begin(
    command: Sequence[str],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **pipes: Any,
) -> subprocess.Popen[str]:
    """Start a command as the head of a process group of its own, for `end`.

    `environment` is added to that of this process; `pipes` are the `stdin`, `stdout` and `stderr`
    of `subprocess.Popen`.
    """
    return subprocess.Popen(
        list(command),
        cwd=cwd,
        env=os.environ | dict(environment or {}),
        text=True,
        errors="replace",
        start_new_session=True,
        **pipes,
    )


def end(process: subprocess.Popen[str], patience: float = PATIENCE) -> None:
    """Terminate a process that `begin` started, with its group: SIGTERM first, then SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    # children that did not listen, also of a head that has ended by itself
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Inside, SIGTERM raises SystemExit, so that `finally` blocks end what was started."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_until_stopped(
    command: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Exit status of a command that Ctrl-C and SIGTERM end together with all of its children."""
    with sigterm_as_exit():
        process = begin(command, cwd, environment)
        try:
            return process.wait()
        finally:
            end(process)
