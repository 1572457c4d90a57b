"""The one progress bar: a line that moves on a terminal; elsewhere a new line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ssl_lib.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

INTERVAL = "SSL_LIB_PROGRESS_SECONDS"  # the variable that sets the seconds between two lines
DEFAULT_INTERVAL = "30"


class ProgressBar(Protocol):
    """What `progress_bar` gives: it counts what is done, and shows how far that is."""

    def advance(self, count: float = 1, text: str | None = None) -> None:
        """Count some more as done; `text`, if given, is shown behind the label from now on."""


class _Display(ProgressBar):
    """A bar of rich."""

    def __init__(self, label: str, display: Progress, task: TaskID) -> None:
        self.label, self.display, self.task = label, display, task

    def advance(self, count: float = 1, text: str | None = None) -> None:
        """Move the bar."""
        self.display.advance(self.task, count)
        if text is not None:
            self.display.update(self.task, description=f"{self.label}: {text}")


class _Lines(ProgressBar):
    """`train: 1,250/5,000 steps, 3:20 left, mlm 2.100  …` on standard error, every N seconds."""

    def __init__(self, label: str, counted: str, total: int | None, done: float) -> None:
        self.label, self.counted, self.total = label, counted, total
        self.done = self.done_before = done
        self.text = ""
        self.interval = line_interval()
        self.started = self.last_line = time.monotonic()

    def advance(self, count: float = 1, text: str | None = None) -> None:
        """Print a line if the last one is older than the interval."""
        self.done += count
        if text is not None:
            self.text = text
        now = time.monotonic()
        if now - self.last_line >= self.interval:
            self.last_line = now
            print(self.line(now - self.started), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """How far it is, after so many seconds."""
        parts = []
        if self.counted or self.total is not None:
            of_total = "" if self.total is None else f"/{self.total:,.0f}"
            parts.append(f"{self.done:,.0f}{of_total} {self.counted}".rstrip())
        if self.total is not None and self.done > self.done_before:
            # what was done by an earlier process says nothing about the speed of this one
            each = seconds / (self.done - self.done_before)
            left = round(each * max(0.0, self.total - self.done))
            parts.append(f"{left // 60}:{left % 60:02d} left")
        if self.text:
            parts.append(self.text)
        return f"{self.label}: " + ", ".join(parts)


def line_interval() -> float:
    """Seconds between two lines where there is no terminal. Raises UserError for a bad value."""
    text = os.environ.get(INTERVAL, DEFAULT_INTERVAL)
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{INTERVAL} must be a number of seconds, got {text!r}") from None


@contextmanager
def progress_bar(
    label: str, counted: str = "", total: int | None = None, done: int = 0
) -> Iterator[ProgressBar]:
    """A bar over `total` things, named by `counted`, of which some may be done already.

    Without a total it is a spinner, that counts where `counted` says what. rich is imported on a
    terminal only; without one there are lines on standard error.
    """
    if not sys.stderr.isatty():
        yield _Lines(label, counted, total, done)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [SpinnerColumn(), TimeElapsedColumn()]
    if total is not None:
        columns = [BarColumn(bar_width=20), TimeRemainingColumn()]
    if counted:
        of_total = "" if total is None else "/{task.total:,.0f}"
        columns.append(TextColumn("{task.completed:,.0f}" + of_total + f" {counted}"))
    columns.append(TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(label, total=total, completed=done)
        yield _Display(label, display, task)
