"""What a search has found: the values to use, why, and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from ssl_lib.experiments.tuning.rounds import GOALS, Round, Search, best_by_margin
from ssl_lib.experiments.tuning.space import Values
from ssl_lib.experiments.tuning.study import completed, mean_value

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

ENOUGH = 8  # complete trials from which the importance of a setting says something


class Outcome(NamedTuple):
    """What the files of `tuning/` hold."""

    chosen: Values
    summary: dict[str, Any]
    trials: list[dict[str, Any]]


def outcome(search: Search) -> Outcome:
    """Of a finished search."""
    rounds = list(search.rounds())
    goals = GOALS[search.settings.tuning.goal]
    winner = search.winner()
    chosen = winner
    checked: dict[str, float] = {}
    if len(rounds) > 1:
        both = completed(rounds[1].study)
        chosen = best_by_margin(both, search.settings)
        checked = {_who(trial, winner): round(mean_value(trial), 6) for trial in both}
    study = search.study
    front = [trial.number for trial in study.best_trials] if len(goals) > 1 else []
    summary = {
        "reason": _reason(search, winner, chosen),
        "study": study.study_name,
        "runs": study.user_attrs.get("runs", {}),
        "goals": goals,
        "steps": search.settings.tuning.steps,
        "check": {"steps": search.settings.training.steps, **checked} if checked else None,
        "front": front,
        "importance": importance(study, goals),
    }
    rows = []
    for one in rounds:
        for trial in one.study.trials:
            # those that died or were begun once too often have been run again
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                rows.append(_row(trial, one, goals))
    return Outcome(chosen, summary, rows)


def importance(study: Study, goals: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of each setting in how the values differ (PED-ANOVA), by goal; needs ENOUGH trials."""
    found: dict[str, dict[str, float]] = {}
    if len(completed(study)) < ENOUGH:
        return found
    for index, goal in enumerate(goals):

        def value(trial: FrozenTrial, index: int = index) -> float:
            return float(trial.values[index])

        with warnings.catch_warnings():
            # it asks what makes values low, and says so: that is what is asked here
            warnings.simplefilter("ignore", UserWarning)
            shares = optuna.importance.get_param_importances(study, target=value)
        found[goal] = {key: round(share, 4) for key, share in shares.items()}
    return found


def write_figures(study: Study, folder: Path) -> Iterator[Path]:
    """History, importance and parallel coordinates, or the front of two goals, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    pictures: dict[str, Callable[[Study], Any]] = {}
    if len(study.directions) > 1:
        pictures["pareto_front"] = partial(
            draw.plot_pareto_front, target_names=list(GOALS["pareto"])
        )
    else:
        pictures["history"] = draw.plot_optimization_history
        pictures["parallel_coordinates"] = draw.plot_parallel_coordinate
        if len(completed(study)) >= ENOUGH:
            pictures["importance"] = draw.plot_param_importances
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            picture(study)
        pyplot.savefig(path, dpi=120, bbox_inches="tight")
        pyplot.close()
        yield path


def _reason(search: Search, winner: Values, chosen: Values) -> str:
    """Why these values were chosen, in one sentence."""
    tuning, full = search.settings.tuning, search.settings.training.steps
    if not winner:
        return (
            f"No trial of {tuning.steps} steps was better than params.yaml by "
            f"tuning.margin: {tuning.margin:g}"
        )
    if not tuning.check:
        return f"The best trial of {tuning.steps} steps; tuning.check is off"
    if chosen:
        return f"The best trial of {tuning.steps} steps, and better at {full} steps too"
    return f"The best trial of {tuning.steps} steps did not stay better at {full} steps"


def _who(trial: FrozenTrial, winner: Values) -> str:
    return "winner" if trial.params == winner else "params.yaml"


def _row(trial: FrozenTrial, one: Round, goals: Sequence[str]) -> dict[str, Any]:
    """A line of trials.csv: {"round": "trial", "trial": 3, "state": "complete", "score": …}."""
    row: dict[str, Any] = {"round": one.name, "trial": trial.number}
    row["state"] = "complete" if trial.state == TrialState.COMPLETE else "stopped"
    steps = one.settings.training.steps
    row["steps"] = trial.last_step or steps if row["state"] == "stopped" else steps
    values = trial.values or [None] * len(goals)
    for goal, value in zip(goals, values, strict=True):
        row[goal] = "" if value is None else f"{value:.6f}"
    row["seconds"] = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
    return row | trial.params
