"""Which workers are alive, and what becomes of a trial whose worker died.

In a database a trial has a heartbeat, by which Optuna finds those that are dead on any machine. A
journal has none: there a trial names its worker, and a worker holds the lock of a file beside the
journal, which the kernel drops when the worker dies.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import TrialState

from ssl_lib.files import is_alive, sign_of_life

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from ssl_lib.experiments.tuning.study import Died

UNNAMED_SECONDS = 60.0  # a running trial that names no worker for so long is dead


@contextmanager
def registered(folder: Path) -> Iterator[str]:
    """The name of this worker, which is alive as long as it holds the lock of its file."""
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with sign_of_life(folder / name):
        yield name


class Reaper:
    """Fails the trials of a study whose workers have died; `died` is called once for each."""

    def __init__(self, study: Study, storage: BaseStorage, folder: Path, died: Died) -> None:
        self._study = study
        self._in_database = isinstance(storage, RDBStorage)
        self._folder = folder
        self._died = died
        # when this process saw them first, by its own clock: those of machines differ
        self._unnamed: dict[int, float] = {}

    def __call__(self) -> None:
        """Look once."""
        if self._in_database:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                fail_stale_trials(self._study)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not self._is_dead(trial):
                continue
            try:
                self._study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, UpdateFinishedTrialError):
                continue  # another worker was faster
            self._died(self._study, trial)

    def _is_dead(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is None:
            # killed in the moment between its begin and its name
            seen = self._unnamed.setdefault(trial.number, time.monotonic())
            return time.monotonic() - seen > UNNAMED_SECONDS
        return not self._in_database and not is_alive(self._folder / worker)
