"""The two rounds of a search: short trials, then the winner beside the settings at full length."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from ssl_lib.config import Settings
from ssl_lib.experiments.tuning.space import Values, current_values
from ssl_lib.experiments.tuning.study import (
    completed,
    create_study,
    finished,
    first_values,
    mean_value,
    open_storage,
    rung_steps,
    study_name,
)
from ssl_lib.training.stage import open_corpora

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from ssl_lib.experiments.tuning.study import Died

Losses = Mapping[str, Mapping[str, float]]  # by objective and part

NUMBERS = ("contrastive", "numerical")  # objectives of the goal "numbers"; the others: "language"
GOALS = {"score": ("score",), "pareto": ("language", "numbers")}


@dataclass(frozen=True)
class Round:
    """Trials of one length; `resumes` says whether one goes on from its last checkpoint."""

    name: str
    study: Study
    settings: Settings
    total: int
    resumes: bool = False

    def is_finished(self) -> bool:
        """Whether all workers together have run enough."""
        return len(finished(self.study)) >= self.total


class Search:
    """The study that settings and tokens belong to, and the check of its winner."""

    def __init__(self, settings: Settings, root: Path, died: Died | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the bar says how far the trials are
        self.settings = settings
        self.encoding, self.corpora, self.digest = open_corpora(settings, root)
        self.storage = open_storage(settings, root, died)
        name = study_name(settings, self.digest)
        first = first_values(settings, self.storage, name)
        self.study = create_study(settings, self.storage, name, first, stops_early=True)

    def rounds(self) -> Iterator[Round]:
        """Short trials; once they are finished and have a winner, two at full length."""
        yield self._short_trials()
        winner = self.winner()
        if winner and self.settings.tuning.check:
            yield self._check(winner)

    def winner(self) -> Values:
        """What beats the settings in short trials; empty if nothing does."""
        return best_by_margin(completed(self.study), self.settings)

    def is_finished(self) -> bool:
        """Whether no round has anything left to do."""
        return all(one.is_finished() for one in self.rounds())

    def _short_trials(self) -> Round:
        """Warmup and curriculum take no larger share of a trial than of the training."""
        tuning, training = self.settings.tuning, self.settings.training
        curriculum = training.curriculum_steps * tuning.steps / training.steps
        budget = {
            "training.steps": tuning.steps,
            "training.curriculum_steps": math.ceil(curriculum),
            "training.warmup_steps": min(training.warmup_steps, tuning.steps // 4),
            # a trial may be stopped whenever it is validated
            "training.validate_every_steps": rung_steps(self.settings),
        }
        return Round("trial", self.study, self.settings.replaced(budget), tuning.trials)

    def _check(self, winner: Values) -> Round:
        full = self.settings.training.model_dump(include={"steps", "validate_every_steps"})
        text = json.dumps([full, winner], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:8]
        name = f"{self.study.study_name}-check-{key}"
        first = [current_values(self.settings), winner]
        study = create_study(self.settings, self.storage, name, first, stops_early=False)
        return Round("check", study, self.settings, total=len(first), resumes=True)


def best_by_margin(trials: Sequence[FrozenTrial], settings: Settings) -> Values:
    """Values of the best complete trial; none unless it beats the settings as they are.

    Its mean over the goals must be lower by `tuning.margin`, and no goal may be worse.
    """
    current = current_values(settings)
    kept = next((trial for trial in trials if trial.params == current), None)
    if kept is None:
        return {}
    bound = mean_value(kept) * (1.0 - settings.tuning.margin)
    better = []
    for trial in trials:
        pairs = zip(trial.values, kept.values, strict=True)
        if mean_value(trial) < bound and all(value <= other for value, other in pairs):
            better.append(trial)
    return dict(min(better, key=mean_value).params) if better else {}


def goal_values(losses: Losses, reference: Losses, goal: str) -> tuple[float, ...]:
    """What a trial is judged by: means of held-out losses, each as a share of its reference.

    The reference are the losses of random weights at the settings as they are. So nothing that is
    searched has a part in it, and every objective counts the same.
    """
    shares = {name: losses[name]["loss"] / reference[name]["loss"] for name in losses}
    groups = [list(shares.values())]
    if goal == "pareto":
        numbers = [share for name, share in shares.items() if name in NUMBERS]
        language = [share for name, share in shares.items() if name not in NUMBERS]
        groups = [language, numbers]
    return tuple(sum(group) / len(group) for group in groups)
