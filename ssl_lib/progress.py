"""The one progress bar: on a terminal a line on standard error, elsewhere silence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """What `progress_bar` gives; without a terminal its methods do nothing."""

    def __init__(self, label: str, display: Progress | None, done: int, total: int | None) -> None:
        self._label, self._display = label, display
        self._task = display.add_task(label, total=total, completed=done) if display else None

    def advance(self, count: float = 1, text: str | None = None) -> None:
        """Count some more as done; `text`, if given, is shown behind the label from now on."""
        if self._display and self._task is not None:
            self._display.advance(self._task, count)
            if text is not None:
                self._display.update(self._task, description=f"{self._label}: {text}")


@contextmanager
def progress_bar(
    label: str, counted: str = "", total: int | None = None, done: int = 0
) -> Iterator[ProgressBar]:
    """A bar over `total` things, named by `counted`, of which some may be done already.

    Without a total it is a spinner, that counts where `counted` says what. rich is imported on a
    terminal only.
    """
    if not sys.stderr.isatty():
        yield ProgressBar(label, None, done, total)
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
        yield ProgressBar(label, display, done, total)
