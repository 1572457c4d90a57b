"""Challenger against champion: which model `models:/NAME@champion` means, and why.

A model takes the champion's place if it is better on the same held-out items: the mean of the
downstream tasks, whose paired 95% interval must lie above 0. Where the test split, the items or the
settings of the evaluation differ, nothing can be said, and the champion stays. Every decision is
kept with its reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ssl_lib.config import Settings
from ssl_lib.errors import MissingExtraError, UserError
from ssl_lib.evaluation.comparison import Resampling
from ssl_lib.evaluation.tasks import downstream_tasks
from ssl_lib.experiments.comparison import (
    ComparisonError,
    Estimate,
    Evaluated,
    mean_difference,
    paired_difference,
    read_evaluation,
)
from ssl_lib.tracking import (
    Registered,
    StoredRun,
    TrackingError,
    find_champion,
    find_registered,
    read_runs,
    record_decision,
    trained_run,
)


class PromotionError(UserError):
    """There is no model to promote."""


@dataclass(frozen=True)
class Decision:
    """Whether a run's model has become the champion, and the reason, one sentence.

    `champion` is the run that was champion before, empty where there was none. `mean` is the
    difference of the mean of the downstream tasks, `tasks` that of each of them, challenger less
    champion; both are empty where the two cannot be compared.
    """

    promoted: bool
    reason: str
    challenger: str
    champion: str = ""
    mean: Estimate | None = None
    tasks: dict[str, Estimate] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        tasks = {name: one._asdict() for name, one in self.tasks.items()}
        mean = self.mean._asdict() if self.mean else None
        return asdict(self) | {"mean": mean, "tasks": tasks}


def challenge(
    settings: Settings, root: Path, run: str = "", asked: bool = False, force: bool = False
) -> Decision:
    """Decide whether a run's model becomes the champion, and record the decision in the store.

    `run` is an id, the beginning of one, or a name; empty means the run that trained `model/`. Runs
    of DVC's queue and of `dvc exp run --temp` are considered only if a user has `asked` for it.
    `force` promotes without a comparison. Raises PromotionError where no model was trained or, of a
    run that was asked for, none is registered; TrackingError if the store does not answer.
    """
    run = run or _trained_run(root)
    try:
        (challenger,) = read_runs(settings, root, [run])
    except MissingExtraError as error:
        return Decision(False, f"no run is recorded: {error}", run)
    model = find_registered(settings, root, challenger.run_id)
    if model is None:
        if asked:
            raise PromotionError(
                f"run {challenger.name} ({challenger.run_id}) has registered no model; "
                "name a run of `ssl-lib train`"
            )
        return Decision(False, "the run has registered no model", challenger.run_id)
    champion = find_champion(settings, root)
    if champion and champion.run_id == challenger.run_id:
        # its place was decided before: nothing to record
        return Decision(False, "it is the champion already", model.run_id, model.run_id)
    decision = _decide(settings, root, challenger, champion, asked, force)
    record_decision(settings, root, model, decision.as_json())
    return decision


def _trained_run(root: Path) -> str:
    try:
        run_id = trained_run(root)["run_id"]
    except TrackingError as error:
        raise PromotionError(str(error)) from None
    if not run_id:
        raise PromotionError("model/run.json names no run: the model was trained without MLflow")
    return run_id


def _decide(
    settings: Settings,
    root: Path,
    challenger: StoredRun,
    champion: Registered | None,
    asked: bool,
    force: bool,
) -> Decision:
    """The decision, which changes nothing yet."""
    names = (challenger.run_id, champion.run_id if champion else "")
    if force:
        return Decision(True, "a user has said so, without a comparison", *names)
    if challenger.temporary and not asked:
        told = "experiments of DVC's queue or --temp are promoted by `ssl-lib promote RUN` alone"
        return Decision(False, told, *names)
    # also the first champion must have shown what it can do
    try:
        last = read_evaluation(settings, root, challenger)
    except ComparisonError as error:
        return Decision(False, str(error), *names)
    if champion is None:
        return Decision(True, "there was no champion", *names)
    try:
        (stored,) = read_runs(settings, root, [champion.run_id])
        first = read_evaluation(settings, root, stored)
    except (ComparisonError, TrackingError) as error:
        told = f"the champion cannot be compared with ({error})"
        return Decision(False, told, *names)
    return _compare(settings, first, last)


def _compare(settings: Settings, first: Evaluated, last: Evaluated) -> Decision:
    """Champion and challenger, item by item."""
    names = (last.run.run_id, first.run.run_id)
    if differing := first.differing_conditions(last):
        told = " and ".join(differing)
        reason = f"cannot be compared with the champion: {told} differ"
        return Decision(False, f"{reason}; `ssl-lib promote RUN --force` decides", *names)
    resampling = Resampling(settings.evaluation.bootstrap_samples, settings.seed)
    tasks = {}
    for task in downstream_tasks():
        if task.higher_is_better:
            found = paired_difference(first, last, task.name, resampling)
            if found is None:
                return Decision(False, f"the items of {task.name} differ", *names)
            tasks[task.name] = found
    mean = mean_difference(list(tasks.values()))
    low, high = mean.low, mean.high
    if low is not None and low > 0:
        verdict = "better"
    elif high is not None and high < 0:
        verdict = "worse"
    else:
        verdict = "no clear difference"
    reason = f"{verdict}: mean of {len(tasks)} downstream tasks {mean.text('+')} on the same items"
    return Decision(verdict == "better", reason, *names, mean, tasks)
