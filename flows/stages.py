"""A stage of DVC as a Prefect task: `dvc repro -s STAGE` in a process of its own.

So `dvc.lock` is true whoever started the run, and DVC alone decides what has to run again. The
task's log has the stage's output, its state tells whether the stage ran, was restored or had not
changed, and of a stage that failed the last line that it printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.project import operation
from flows.reports import Progress
from ssl_lib.config import OperationSettings
from ssl_lib.processes import begin, end
from ssl_lib.progress import INTERVAL

RAN, RESTORED, UNCHANGED = "ran", "restored", "unchanged"
BACK_OFF = 10.0  # seconds before the second attempt, doubled before each one after it
TAIL = 6  # lines of a failed command in which a lock is looked for
WAITING = "waiting for the process that holds the lock"
LOOK_AGAIN = 2.0  # seconds between two attempts to get DVC's lock
# What DVC says of a stage when it begins with it, and what that means.
MARKS = {
    r"Running stage '(?P<stage>[^']+)':": RAN,
    r"Stage '(?P<stage>[^']+)' is cached - skipping run": RESTORED,
    r"Stage '(?P<stage>[^']+)' didn't change, skipping": UNCHANGED,
}
# DVC's lock, or that of a stage whose `dvc` was killed, is held by another process.
BUSY = re.compile(
    r"unable to acquire lock|is busy, it is being blocked|is writing this output", re.I
)
NETWORK = re.compile(
    r"timed? ?out|connection (?:refused|reset|aborted|error)|network is unreachable|"
    r"name resolution|name or service not known|remote end closed|too many requests|"
    r"service unavailable|bad gateway|cannot connect to host|max retries exceeded",
    re.I,
)
# `train: 1,250/5,000 steps, 3:20 left, mlm 2.100 …`, as ssl_lib/progress.py writes it
HOW_FAR = re.compile(r"^\w+: (?P<done>[\d,]+)/(?P<total>[\d,]+)\b")


class StageError(RuntimeError):
    """A command has failed; the message is the last line that it printed."""


class PassingError(StageError):
    """It has failed for a reason that may pass: another process is busy, or the network is."""


class BusyError(PassingError):
    """Another process holds DVC's lock, or that of the stage."""


def stage_order(root: Path) -> list[str]:
    """Names of all stages of the project `root`, each after those that it depends on.

    Raises StageError if DVC cannot read them.
    """
    import networkx as nx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            # DVC's arrows go from a stage to those that it needs; data under `dvc add` has no name.
            ordered = reversed(list(nx.topological_sort(repo.index.graph)))
            names = [getattr(stage, "name", None) for stage in ordered]
    except DvcException as error:
        raise StageError(f"dvc.yaml: {error}") from None
    return [name for name in names if name]


def lines_of(process: subprocess.Popen[str], seconds: float = 0.0) -> Iterator[str]:
    """What a process prints, line by line; it ends with the reader, or after so many seconds.

    Raises StageError, with the last line, if the process fails or takes longer (0: no limit).
    """
    assert process.stdout is not None  # it is a pipe
    late = threading.Event()

    def stop() -> None:
        late.set()
        end(process)

    timer = threading.Timer(seconds, stop) if seconds else None
    # a lock is told in several lines, with advice as the last of them
    tail: deque[str] = deque(maxlen=TAIL)
    try:
        if timer:
            timer.start()
        for line in process.stdout:
            if text := line.rstrip():
                # what DVC adds behind the stage's own last line
                if BUSY.search(text) or not text.startswith("ERROR: failed to reproduce"):
                    tail.append(text)
                yield text
        process.wait()
    finally:
        if timer:
            timer.cancel()
        # also where the reader was cancelled, or got SIGTERM
        end(process)
        process.stdout.close()
    if late.is_set():
        raise StageError(f"it took longer than operation.timeout_seconds = {seconds:g}")
    if process.returncode:
        if busy := [line for line in tail if BUSY.search(line)]:
            raise BusyError(busy[0])
        last = tail[-1] if tail else f"it ended with status {process.returncode} and said nothing"
        raise (PassingError if NETWORK.search(last) else StageError)(last)


def begin_command(root: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """Start `python -m WORDS` at the project's root, its whole output in one pipe."""
    # the stages call `python`, which must be the one that runs this
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "true",
        "PYTHONUNBUFFERED": "1",
        "PATH": path,
        INTERVAL: str(operation(root).progress_seconds),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return begin([sys.executable, "-m", *words], root, environment, **pipes)


def run_command(
    root: Path, words: Sequence[str], on_line: Callable[[str], Any] | None = None
) -> None:
    """Run `python -m WORDS`, its lines in the log; wait for whoever holds DVC's lock.

    Raises StageError, PassingError.
    """
    log = get_run_logger()
    settings = operation(root)
    deadline = time.monotonic() + settings.lock_seconds
    shown: set[str] = set()  # a lock that is still held is told once
    while True:
        try:
            for line in lines_of(begin_command(root, words), settings.timeout_seconds):
                if not {line, WAITING} <= shown:
                    log.info(line)
                if on_line:
                    on_line(line)
                shown.add(line)
            return
        except BusyError:
            if time.monotonic() > deadline:
                raise
            if WAITING not in shown:
                log.info(WAITING)
            shown.add(WAITING)
            time.sleep(LOOK_AGAIN)


def reproduce(root: Path, stage: str, force: bool = False) -> str:
    """Run one stage if something that it depends on has changed, and say how it ended.

    Returns `ran`, `restored` or `unchanged`. Raises StageError, PassingError.
    """
    words = ["dvc", "repro", "--single-item", stage]
    if force:
        words.append("--force")
    watch = Watch(stage)
    run_command(root, words, watch.line)
    return watch.outcome


class Watch:
    """Reads the lines of a stage: what DVC did with it, and how far it is."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.outcome = UNCHANGED
        self.progress = Progress(stage)

    def line(self, line: str) -> None:
        """One more line."""
        if mark := marked(line):
            stage, outcome = mark
            if stage == self.stage:
                self.outcome = outcome
        elif found := HOW_FAR.match(line):
            done, total = (float(found[key].replace(",", "")) for key in ("done", "total"))
            self.progress.show(done, total, line)


def marked(line: str) -> tuple[str, str] | None:
    """The stage with which DVC begins, and what it does with it, if a line says so."""
    for pattern, outcome in MARKS.items():
        if found := re.match(pattern, line):
            return found["stage"], outcome
    return None


def may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether another attempt may end better."""
    return isinstance(state.result(raise_on_failure=False), PassingError)


def attempts(settings: OperationSettings) -> dict[str, Any]:
    """How a task is tried again: with back-off, and only after what may pass."""
    delays = [BACK_OFF * 2**number for number in range(settings.retries)]
    return {
        "retries": settings.retries,
        "retry_delay_seconds": delays or None,
        "retry_condition_fn": may_pass,
    }


def as_state(work: Callable[[], str]) -> State[str]:
    """The outcome of some work as a state, whose name and message tell it.

    What may pass is raised, so that Prefect tries again.
    """
    try:
        outcome = work()
    except PassingError:
        raise
    except StageError as error:
        return Failed(message=str(error))
    return Completed(name=outcome.capitalize(), message=outcome, data=outcome)


# DVC is the cache, so Prefect keeps none.
@task(cache_policy=NO_CACHE, task_run_name="{stage}")
def run_stage(root: Path, stage: str, force: bool = False) -> State[str]:
    """One stage; the state is named Ran, Restored or Unchanged."""
    return as_state(lambda: reproduce(root, stage, force))


@task(cache_policy=NO_CACHE, task_run_name="{name}")
def run_tool(root: Path, name: str, words: Sequence[str]) -> State[str]:
    """`python -m WORDS` at the project's root, as `dvc push`."""

    def work() -> str:
        run_command(root, words)
        return RAN

    return as_state(work)
