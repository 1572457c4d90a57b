"""Stage `tune`: Optuna over loss weights, temperature, learning rates, and what else is named.

`tuning.search` names what is searched. A trial is a short run; its value is the mean over
objectives of held-out loss as a share of random weights' loss, without weights and at a fixed
temperature, so that neither a zero weight nor a soft temperature can win by itself. The first trial
is the settings as they are. What beats them in short runs is trained once at full length beside
them, and used if it still does.

space.py      what is searched
study.py      studies and their storage
rounds.py     short trials, then the check of the winner
liveness.py   which workers are alive
worker.py     one worker: a process that runs trials
outcome.py    what was found
files.py      the folder tuning/, which train reads

Optuna is imported in this package alone, and not before there is something to search.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_lib.config import Settings
from ssl_lib.errors import UserError, require_extra
from ssl_lib.experiments.tuning.files import write_files
from ssl_lib.progress import progress_bar
from ssl_lib.tracking.store import home_of

if TYPE_CHECKING:
    from optuna.study import Study

CHECKING = "checking the winner at full length"  # what is told once all trials are finished
LOOK_SECONDS = 0.5  # between two looks at the workers
NOT_SEARCHED = "tuning.trials is 0: nothing was searched"


class WorkerError(UserError):
    """A worker has ended before the study was finished."""


def tune(settings: Settings, root: Path) -> dict[str, Any]:
    """Run `tuning.workers` workers until the study is finished, and write `tuning/`.

    Returns the chosen values; none are chosen where the settings as they are do as well. Trials
    that other workers have finished count, so after a fleet of `work` this only writes. Raises
    WorkerError if every worker ends before.
    """
    if not settings.tuning.trials:
        write_files(root, {}, {"reason": NOT_SEARCHED}, [])
        return {}
    require_extra("tuning")
    from ssl_lib.experiments.tuning.outcome import outcome, write_figures
    from ssl_lib.experiments.tuning.rounds import Search
    from ssl_lib.experiments.tuning.study import study_run

    search = Search(settings, root)
    with study_run(settings, root, search.study) as run:
        if not search.is_finished():
            _run_workers(settings, root, search.study)
        found = outcome(search)
        write_files(root, found.chosen, found.summary, found.trials)
        run.log({"used_tuned_values": float(bool(found.chosen))}, step=0)
        run.set_tags({"outcome": found.summary["reason"]})
        run.log_tuning(root / "tuning")
        for picture in write_figures(search.study, home_of(root) / ".ssl_lib" / "tuning"):
            run.log_figure(picture)
    return found.chosen


def work(settings: Settings, root: Path, worker: int = 0) -> None:
    """One worker of a fleet, in a process of its own: it writes nothing but the study.

    It returns when all workers together have finished the study, wherever they run: call it in
    threads, processes, or on the machines of a cluster, and `tune` once after them. `worker` names
    its log. Raises WorkerError.
    """
    if settings.tuning.trials:
        process = _Process(settings, root, worker)
        try:
            if process.wait():
                raise WorkerError(f"worker {worker} of the study ended early: {process.reason()}")
        finally:
            process.end()


def _run_workers(settings: Settings, root: Path, study: Study) -> None:
    """Start workers, wait for them, show how far the study is."""
    from ssl_lib.experiments.tuning.study import finished

    total = settings.tuning.trials
    processes = [_Process(settings, root, index) for index in range(settings.tuning.workers)]
    shown = len(finished(study))
    try:
        with progress_bar("tune", "trials", total, shown) as bar:
            while any(process.is_running() for process in processes):
                time.sleep(LOOK_SECONDS)
                done = len(finished(study))
                text = CHECKING if done >= total and settings.tuning.check else None
                bar.advance(done - shown, text)
                shown = done
    finally:
        for process in processes:
            process.end()
    # a worker that ends well has seen the end of the study, whatever became of the others
    if all(process.wait() for process in processes):
        done = len(finished(study))
        reasons = "; ".join(dict.fromkeys(process.reason() for process in processes))
        raise WorkerError(
            f"{done} of {total} trials are finished, and are kept; "
            f"every worker has ended: {reasons}"
        )


class _Process:
    """A process of `worker.py`, its output in a log that goes when it ends well."""

    def __init__(self, settings: Settings, root: Path, index: int) -> None:
        # the workers of one machine share its cores
        share = (os.cpu_count() or 1) // settings.tuning.workers
        threads = settings.training.threads or max(1, share)
        own = settings.replaced({"training.threads": threads})
        folder = home_of(root) / ".ssl_lib" / "tuning"
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"worker-{index}-{socket.gethostname()}-{os.getpid()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ssl_lib.experiments.tuning.worker"],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends it through its standard input, in order
            )
        task = {"settings": own.model_dump(mode="json"), "root": str(root.resolve())}
        assert self._process.stdin is not None  # it is a pipe
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already; its log says why

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Its exit status, when it has one."""
        return self._process.wait()

    def end(self) -> None:
        """Close its standard input, which ends it if it still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait() == 0:
            self._log.unlink(missing_ok=True)

    def reason(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        told = [line for line in lines if line.strip()]
        return told[-1] if told else f"status {self._process.returncode}, nothing in {self._log}"
