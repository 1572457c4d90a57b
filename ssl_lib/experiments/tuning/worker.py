"""One worker: a process that runs trials until the study has enough, of all workers together.

`python -m ssl_lib.experiments.tuning.worker` reads its task as a line of JSON from standard input
and ends when that is closed, so that it never outlives the process that started it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import torch

from ssl_lib.config import Settings, parse_settings
from ssl_lib.errors import UserError
from ssl_lib.experiments.tuning.liveness import Reaper, registered
from ssl_lib.experiments.tuning.rounds import GOALS, Losses, Round, Search, goal_values
from ssl_lib.experiments.tuning.space import current_values, propose, search_space
from ssl_lib.experiments.tuning.study import (
    SamplerOfTrials,
    finished,
    is_surplus,
    journal_path,
    store_key,
    study_run,
)
from ssl_lib.model.devices import place
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tracking import resume_run
from ssl_lib.tracking.store import home_of
from ssl_lib.training.checkpoint import run_key
from ssl_lib.training.fit import fit
from ssl_lib.training.trainer import DivergedError

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

WAIT_SECONDS = 0.5  # between two looks at trials of others
RETRIES = 1  # of the values of a trial whose process died: they may be what killed it


class SurplusError(Exception):
    """A trial that another worker has begun at the same time as the last one that is wanted."""


def random_losses(settings: Settings, search: Search) -> Losses:
    """Held-out losses of the random weights with which training would begin."""
    torch.manual_seed(settings.seed)
    objectives = build_objectives(settings, search.encoding)
    trained = [objectives[name] for name in settings.trained()]
    batches = held_out_batches(search.corpora.validation, settings.training.validation_sequences)
    return held_out_losses(trained, batches, place(settings.training))


class Worker:
    """Runs trials of a search, then of the check of its winner, beside other workers."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings
        self.root = root
        self.search = Search(settings, root, self._died)
        self.run = study_run(settings, root, self.search.study)
        self.store = store_key(settings, root)
        self.folder = journal_path(settings, root).parent / "workers"
        self.space = search_space(settings)
        self.current = current_values(settings)
        self.reference = random_losses(settings, self.search)
        self.name = ""

    def work(self) -> None:
        """Until the search, and the check of its winner, are finished by all workers together."""
        with registered(self.folder) as self.name:
            for one in self.search.rounds():
                self._run(one)

    def _run(self, one: Round) -> None:
        reap = Reaper(one.study, self.search.storage, self.folder, self._died)
        while not one.is_finished():
            reap()
            states = (optuna.trial.TrialState.RUNNING,)
            running = one.study.get_trials(deepcopy=False, states=states)
            if len(finished(one.study)) + len(running) < one.total:
                objective = partial(self._score, one)
                one.study.optimize(objective, n_trials=1, catch=(SurplusError,))
            else:
                # one of them may die, and then its values are tried here
                time.sleep(WAIT_SECONDS)

    def _score(self, one: Round, trial: optuna.Trial) -> tuple[float, ...]:
        """The lowest values of one run. Raises TrialPruned, SurplusError."""
        trial.set_user_attr("worker", self.name)
        if is_surplus(one.study, trial.number, one.total):
            raise SurplusError
        try:
            return self._train(one, trial)
        except optuna.TrialPruned:
            raise
        except (Exception, KeyboardInterrupt):
            self._ask_again(one.study, trial.params, trial.number, trial.user_attrs)
            raise

    def _train(self, one: Round, trial: optuna.Trial) -> tuple[float, ...]:
        values = propose(trial, self.space)
        own = one.settings.replaced(values)
        scratch = None
        if one.resumes:
            scratch = home_of(self.root) / ".ssl_lib" / "tuning" / run_key(own, self.search.digest)
        goal = self.settings.tuning.goal
        # the settings as they are, which the others are measured against, run to their end
        may_stop = goal == "score" and values != self.current
        lowest = (math.inf,) * len(GOALS[goal])

        def measure(step: int, losses: Losses) -> None:
            """Keep the lowest goals so far, and stop a trial that is among the worse."""
            nonlocal lowest
            lowest = min(lowest, goal_values(losses, self.reference, goal), key=sum)
            if goal == "score":
                trial.report(lowest[0], step)
            if may_stop and trial.should_prune():
                raise optuna.TrialPruned

        with self.run.child(f"{one.name} {trial.number}") as child:
            trial.set_user_attr("run", {"id": child.run_id, "store": self.store})
            child.log_params(values)
            state = "complete"
            try:
                fit(own, self.search.encoding, self.search.corpora, child, scratch, measure)
            except optuna.TrialPruned:
                state = "stopped early"
            except DivergedError:
                state = "diverged"
            child.set_tags({"state": state})
            if math.isfinite(lowest[0]):
                child.log(dict(zip(GOALS[goal], lowest, strict=True)), own.training.steps)
        # outside the run, which has ended well: a trial that was stopped is no failure
        if state != "complete" or not math.isfinite(sum(lowest)):
            raise optuna.TrialPruned
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        return lowest

    def _died(self, study: Study, trial: FrozenTrial) -> None:
        """What becomes of a trial whose worker died: its values again, its run closed."""
        self._ask_again(study, trial.params, trial.number, trial.user_attrs)
        run = trial.user_attrs.get("run", {})
        if run.get("id") and run["store"] == self.store:
            resume_run(self.settings, self.root, run["id"], "tune").finish("KILLED")

    def _ask_again(
        self, study: Study, values: Mapping[str, Any], number: int, attributes: Mapping[str, Any]
    ) -> None:
        """Queue the values of a trial that failed; those of the first trials however often."""
        assert isinstance(study.sampler, SamplerOfTrials)
        first = study.sampler.first
        if not values and number < len(first):
            values = first[number]
        retries = attributes.get("retries", 0)
        if values and (values in first or retries < RETRIES):
            study.enqueue_trial(dict(values), user_attrs={"retries": retries + 1})


def main() -> None:
    """Run one worker: the task is a line of JSON, {"settings": {…}, "root": "/…"}."""
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        Worker(parse_settings(task["settings"]), Path(task["root"])).work()
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, or closes its standard input."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
