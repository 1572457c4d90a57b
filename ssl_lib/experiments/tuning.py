"""Stage `tune`: Optuna over loss weights, temperature, learning rates, and what else is named.

`tuning.search` names what is searched. This is the only module that imports optuna.

A trial is a short run. Its value is the mean over objectives of held-out loss after / before, taken
without weights and at a fixed temperature, so that neither a zero weight nor a soft temperature can
win by itself. The first trial is the settings as they are; another one is used only if it is better
by `tuning.margin`.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from ssl_lib.config import BEST_VALUES, OBJECTIVES, Settings
from ssl_lib.files import replace_folder
from ssl_lib.progress import progress_bar
from ssl_lib.tracking import start_run
from ssl_lib.training.checkpoint import run_key
from ssl_lib.training.fit import fit
from ssl_lib.training.stage import open_corpora
from ssl_lib.training.trainer import DivergedError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from ssl_lib.tracking import NullRun, Run

RANGE = 2.0  # short runs favor what learns fast at first, so the search stays near the settings
HIGHEST = 10.0  # what the settings allow for rates and the temperature
SEARCHED = {  # what each name in `tuning.search` stands for
    "weights": [f"objectives.{name}.weight" for name in OBJECTIVES if name != "ntp"],
    "weight_ends": [f"objectives.{name}.weight_end" for name in OBJECTIVES if name != "ntp"],
    "batch_fractions": [
        f"objectives.{name}.batch_fraction" for name in ("mlm", "contrastive", "denoising")
    ],
    "temperature": ["objectives.contrastive.temperature"],
    "learning_rates": ["training.learning_rate", "training.adamw_learning_rate"],
    "mode_specific_layers": ["model.mode_specific_layers"],
    "mode_embedding": ["model.mode_embedding"],
}
RANDOM_TRIALS = 4  # before the sampler proposes by what it has seen
PRUNE_AFTER = 3  # trials before the median is worth something
HEADER = "# Values that `train` uses in place of those in params.yaml; {} means none was better.\n"


def tune(settings: Settings, root: Path) -> dict[str, Any]:
    """Run the trials and write `tuning/best.yaml` and `tuning/trials.csv`.

    Returns the chosen values; none are chosen where the settings as they are do as well.
    """
    # the bar says how far the trials are
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = create_study(settings, root)
    with start_run(settings, root, "tune") as run:
        run.log_params(settings.model_dump(include={"seed", "tuning", "model"}))
        if "://" not in settings.tuning.storage:
            reap_dead_trials(study)
        _run_trials(study, settings, root, run)
        chosen = choose(study, settings)
        if completed(study):
            used = float(bool(chosen))
            run.log({"best_score": study.best_value, "used_tuned_values": used}, step=0)
        _write(study, chosen, root)
        run.log_artifact(root / "tuning")
    return chosen


def create_study(settings: Settings, root: Path) -> optuna.Study:
    """The study in `tuning.storage`, or in memory; trials of equal settings are shared.

    Nothing stands for memory, a URL for a database (for several machines), a path for a file.
    """
    url = settings.tuning.storage
    storage: optuna.storages.BaseStorage | None = None
    if "://" in url:
        # another machine's trial that sends no heartbeat is dead, and is tried once more
        retry = optuna.storages.RetryFailedTrialCallback(max_retry=1)
        storage = optuna.storages.RDBStorage(
            url, heartbeat_interval=60, failed_trial_callback=retry
        )
    elif url:
        path = root / url
        path.parent.mkdir(parents=True, exist_ok=True)
        file = JournalFileBackend(str(path))
        storage = optuna.storages.JournalStorage(file)
    sampler = optuna.samplers.TPESampler(
        seed=settings.seed, multivariate=True, n_startup_trials=RANDOM_TRIALS
    )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER)
    # another budget or another model is another study
    key = run_key(settings, settings.tuning.model_dump_json())
    return optuna.create_study(
        storage=storage,
        sampler=sampler,
        pruner=pruner,
        study_name=f"ssl-lib-{key}",
        load_if_exists=True,
        direction="minimize",
    )


def reap_dead_trials(study: optuna.Study) -> None:
    """Fail trials that a killed process has left running, and queue their values again.

    For a storage that one machine uses; a database has a heartbeat for it (see `create_study`).
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: complete or pruned."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return list(study.get_trials(deepcopy=False, states=states))


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to their end, in their order."""
    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def current_values(settings: Settings) -> dict[str, Any]:
    """What the settings say now for everything that is searched over."""
    return {key: _value_at(settings, key) for key in search_space(settings)}


def search_space(settings: Settings) -> dict[str, BaseDistribution]:
    """Dotted key and distribution of all that `tuning.search` names.

    Positive numbers: logarithmic, within a factor of RANGE of the settings; a weight of 0 stays 0.
    The weight of `ntp` stays as it is where it is not 0: only ratios of weights matter. What
    belongs to an objective that is not trained is left out.
    """
    space: dict[str, BaseDistribution] = {}
    for key in (key for name in settings.tuning.search for key in SEARCHED[name]):
        section, name, *_ = key.split(".")
        value = _value_at(settings, key)
        if key == "model.mode_specific_layers":
            # gradients are compared on a layer that all modes share
            shared = int(settings.training.gradient_cosine_every_steps > 0)
            space[key] = IntDistribution(0, settings.model.layers - shared)
        elif key == "model.mode_embedding":
            space[key] = CategoricalDistribution((False, True))
        elif value and not (section == "objectives" and name not in settings.trained()):
            highest = 1.0 if key.endswith(".batch_fraction") else HIGHEST
            ends = value / RANGE, min(value * RANGE, highest)
            space[key] = FloatDistribution(*ends, log=True)
    return space


def propose(trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """A value from each distribution."""
    proposed: dict[str, Any] = {}
    for key, distribution in space.items():
        if isinstance(distribution, FloatDistribution):
            ends = distribution.low, distribution.high
            proposed[key] = trial.suggest_float(key, *ends, log=True)
        elif isinstance(distribution, IntDistribution):
            proposed[key] = trial.suggest_int(key, distribution.low, distribution.high)
        elif isinstance(distribution, CategoricalDistribution):
            proposed[key] = trial.suggest_categorical(key, distribution.choices)
    return proposed


def choose(study: optuna.Study, settings: Settings) -> dict[str, Any]:
    """Values of the best trial, or nothing if it does not beat the first one by the margin.

    The first trial that ran to its end is the settings themselves.
    """
    start = next((trial.value for trial in completed(study)), None)
    if start is None or study.best_value >= start * (1.0 - settings.tuning.margin):
        return {}
    return dict(study.best_params)


def _run_trials(study: optuna.Study, settings: Settings, root: Path, run: Run | NullRun) -> None:
    """Short runs with proposed values, pruned at their validations, until there are enough."""
    total = settings.tuning.trials
    steps = settings.tuning.steps
    done = len(finished(study))
    if done >= total:
        return
    # the settings as they are come first: what beats them is measured against this trial
    if not study.trials:
        study.enqueue_trial(current_values(settings))
    encoding, corpora, _ = open_corpora(settings, root)
    # a trial is pruned at its middle; warmup and curriculum take no larger share than in `train`
    training = settings.training
    curriculum = training.curriculum_steps * steps / training.steps
    budget = {"training.steps": steps, "training.curriculum_steps": math.ceil(curriculum)}
    budget["training.validate_every_steps"] = max(1, steps // 2)
    budget["training.warmup_steps"] = min(training.warmup_steps, steps // 4)
    shortened = settings.replaced(budget)

    def score(trial: optuna.Trial) -> float:
        """The best score of one short run, smaller being better. Raises TrialPruned."""

        def report(step: int, found: float) -> None:
            trial.report(found, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        proposed = propose(trial, search_space(settings))
        with run.child(f"trial-{trial.number}") as child:
            child.log_params(proposed)
            own = shortened.replaced(proposed)
            try:
                result = fit(own, encoding, corpora, child, on_validation=report)
            except optuna.TrialPruned:
                state = "pruned"
            except DivergedError:
                state = "diverged"
            else:
                child.log({"score": result.progress.best_score}, steps)
                return result.progress.best_score
            child.set_tags({"state": state})
        # outside the run, which has ended well: a pruned trial is no failure
        raise optuna.TrialPruned

    with progress_bar("tune", "trials", total, done) as bar:

        def advance(study: optuna.Study, trial: FrozenTrial) -> None:
            state = "pruned" if trial.value is None else f"score {trial.value:.4f}"
            bar.advance(text=f"trial {trial.number + 1}: {state}")

        study.optimize(score, n_trials=total - done, callbacks=[advance])


def _value_at(settings: Settings, key: str) -> Any:
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part)
    return node


def _write(study: optuna.Study, chosen: dict[str, Any], root: Path) -> None:
    """The folder `tuning/`, whole or as it was before."""
    from ruamel.yaml import YAML

    scratch = root / ".tuning.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    best = io.StringIO()
    YAML(typ="safe", pure=True).dump(chosen, best)
    best_file = scratch / Path(BEST_VALUES).name
    best_file.write_text(HEADER + best.getvalue(), encoding="utf-8")
    # every trial as CSV: number, state, score, seconds, values
    keys = sorted({key for trial in study.trials for key in trial.params})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["trial", "state", "score", "seconds", *keys])
    for trial in study.trials:
        score = "" if trial.value is None else f"{trial.value:.6f}"
        seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
        values = [trial.params.get(key, "") for key in keys]
        state = trial.state.name.lower()
        writer.writerow([trial.number, state, score, seconds, *values])
    (scratch / "trials.csv").write_text(table.getvalue(), encoding="utf-8")
    replace_folder(scratch, root / "tuning")
