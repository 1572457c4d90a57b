"""Stage `tune`: Optuna over loss weights, temperature, learning rates, and what else `tuning.search` names. The only
module that imports optuna.

A trial is a short run. Its value is the mean over objectives of held-out loss after / before, taken without weights
and at a fixed
temperature, so that neither a zero weight nor a soft temperature can win by itself. The first trial is the settings as
they are;
another one is used only if it is better by `tuning.margin`.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_lib.config import BEST_VALUES, OBJECTIVES, Settings
from ssl_lib.files import replace_folder

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

    from ssl_lib.tracking import NullRun, Run

RANGE = 2.0  # short runs favour what learns fast at first, so the search stays near the settings
HIGHEST = 10.0  # what config.py allows for rates and the temperature
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
PRUNE_AFTER = 3  # trials before the median is worth something
_log = logging.getLogger(__name__)


def tune(settings: Settings, root: Path) -> dict[str, Any]:
    """Run the trials and write `tuning/best.yaml` and `tuning/trials.csv`; returns the chosen values (empty: the
    settings as they are).
    """
    import optuna

    from ssl_lib.tracking import start_run

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen: dict[str, Any] = {}
    study = create_study(settings, root)
    with start_run(settings, root, "tune") as run:
        run.log_params(settings.model_dump(include={"seed", "tuning", "model"}))
        if "://" not in settings.tuning.storage:
            reap_dead_trials(study)
        remaining = settings.tuning.trials - len(finished(study))
        if remaining > 0:
            if not study.trials:
                study.enqueue_trial(current_values(settings))
            study.optimize(
                _objective(settings, root, run), n_trials=remaining, callbacks=[_progress(settings)]
            )
        chosen = choose(study, settings)
        if completed(study):
            run.log(
                {"best_score": study.best_value, "used_tuned_values": float(bool(chosen))}, step=0
            )
        _write(study, chosen, root)
        run.log_artifact(root / "tuning")
    return chosen


def create_study(settings: Settings, root: Path) -> optuna.Study:
    """The study in `tuning.storage` (any Optuna URL, for several machines), or in memory; trials of equal settings are
    shared.
    """
    import optuna

    from ssl_lib.training.checkpoint import run_key

    sampler = optuna.samplers.TPESampler(seed=settings.seed, multivariate=True, n_startup_trials=4)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER)
    storage = _storage(settings.tuning.storage, root)
    name = f"ssl-lib-{run_key(settings, settings.tuning.model_dump_json())}"
    return optuna.create_study(
        storage=storage,
        sampler=sampler,
        pruner=pruner,
        study_name=name,
        load_if_exists=True,
        direction="minimize",
    )


def _storage(url: str, root: Path) -> Any:
    """Nothing for in memory, an RDB for a URL, Optuna's journal file for a path."""
    import optuna

    if not url:
        return None
    if "://" in url:
        return optuna.storages.RDBStorage(
            url,
            heartbeat_interval=60,
            failed_trial_callback=optuna.storages.RetryFailedTrialCallback(max_retry=1),
        )
    path = root / url
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


def reap_dead_trials(study: optuna.Study) -> None:
    """Fail trials that a killed process has left running, and queue their values again.

    For a storage that one machine uses; a database has a heartbeat for it (see `_storage`).
    """
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count: complete or pruned."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def completed(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that ran to their end, in their order."""
    import optuna

    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def current_values(settings: Settings) -> dict[str, Any]:
    """What the settings say now for everything that is searched over."""
    return {key: _value_at(settings, key) for key in search_space(settings)}


def search_space(settings: Settings) -> dict[str, BaseDistribution]:
    """Dotted key and distribution of all that `tuning.search` names.

    Positive numbers: logarithmic, within a factor of RANGE of the settings; a weight of 0 stays 0. The weight of `ntp`
    stays as it is where it is not 0: only ratios of weights matter.
    """
    from optuna.distributions import CategoricalDistribution, IntDistribution

    space: dict[str, BaseDistribution] = {}
    for key in (key for name in settings.tuning.search for key in SEARCHED[name]):
        if key == "model.mode_specific_layers":
            shared = int(settings.training.gradient_cosine_every_steps > 0)  # layers that it needs
            space[key] = IntDistribution(0, settings.model.layers - shared)
        elif key == "model.mode_embedding":
            space[key] = CategoricalDistribution((False, True))
        elif (value := _value_at(settings, key)) and not _left_out(settings, key):
            space[key] = _around(value, 1.0 if key.endswith(".batch_fraction") else HIGHEST)
    return space


def _around(value: float, highest: float) -> BaseDistribution:
    from optuna.distributions import FloatDistribution

    return FloatDistribution(value / RANGE, min(value * RANGE, highest), log=True)


def _value_at(settings: Settings, key: str) -> Any:
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part)
    return node


def _left_out(settings: Settings, key: str) -> bool:
    """Whether the key belongs to an objective that is not trained."""
    section, name, *_ = key.split(".")
    return section == "objectives" and name not in settings.trained()


def choose(study: optuna.Study, settings: Settings) -> dict[str, Any]:
    """Values of the best trial, or nothing if it is not better than the first trial, the settings themselves, by the
    margin.
    """
    start = next((trial.value for trial in completed(study)), None)
    if start is None:
        return {}
    if study.best_value < start * (1.0 - settings.tuning.margin):
        return dict(study.best_params)
    return {}


def _objective(
    settings: Settings, root: Path, run: Run | NullRun
) -> Callable[[optuna.Trial], float]:
    """One trial: a short run with proposed values, pruned at its validations."""
    from ssl_lib.training.fit import fit
    from ssl_lib.training.stage import open_corpora
    from ssl_lib.training.trainer import DivergedError

    encoding, corpora, _ = open_corpora(settings, root)
    steps = settings.tuning.steps
    plan = {
        "training.steps": steps,
        "training.validate_every_steps": max(1, steps // 2),
        "training.warmup_steps": min(settings.training.warmup_steps, steps // 4),
        "training.curriculum_steps": math.ceil(
            settings.training.curriculum_steps * steps / settings.training.steps
        ),
    }

    def value(trial: optuna.Trial) -> float:
        """The best score of one short run, smaller being better."""
        import optuna

        proposed = propose(trial, search_space(settings))
        with run.child(f"trial-{trial.number}") as child:
            child.log_params(proposed)
            try:
                result = fit(
                    settings.replaced(plan | proposed),
                    encoding,
                    corpora,
                    child,
                    on_validation=_reporter(trial),
                )
            except (optuna.TrialPruned, DivergedError) as stop:
                child.set_tags(
                    {"state": "diverged" if isinstance(stop, DivergedError) else "pruned"}
                )
                pruned = True
            else:
                child.log({"score": result.progress.best_score}, steps)
                pruned = False
        if pruned:
            raise optuna.TrialPruned
        return result.progress.best_score

    return value


def propose(trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """A value from each distribution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    proposed: dict[str, Any] = {}
    for key, distribution in space.items():
        if isinstance(distribution, FloatDistribution):
            proposed[key] = trial.suggest_float(key, distribution.low, distribution.high, log=True)
        elif isinstance(distribution, IntDistribution):
            proposed[key] = trial.suggest_int(key, distribution.low, distribution.high)
        elif isinstance(distribution, CategoricalDistribution):
            proposed[key] = trial.suggest_categorical(key, distribution.choices)
    return proposed


def _reporter(trial: optuna.Trial) -> Callable[[int, float], None]:
    def report(step: int, score: float) -> None:
        """Tell Optuna the score of a validation; raises TrialPruned where the trial is not worth its time."""
        import optuna

        trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    return report


def _progress(settings: Settings) -> Callable[[optuna.Study, optuna.trial.FrozenTrial], None]:
    def show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if sys.stderr.isatty():
            state = "pruned" if trial.value is None else f"score {trial.value:.4f}"
            print(f"trial {trial.number + 1} of {settings.tuning.trials}: {state}", file=sys.stderr)

    return show


def _write(study: optuna.Study, chosen: dict[str, Any], root: Path) -> None:
    from ruamel.yaml import YAML

    scratch = root / ".tuning.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(chosen, text)
    header = "# Values that `train` uses in place of those in params.yaml; {} means that none was better.\n"
    (scratch / Path(BEST_VALUES).name).write_text(header + text.getvalue(), encoding="utf-8")
    (scratch / "trials.csv").write_text(_trial_table(study), encoding="utf-8")
    replace_folder(scratch, root / "tuning")


def _trial_table(study: optuna.Study) -> str:
    """Every trial as CSV: number, state, score, seconds, values. More rows for a view cost more seconds."""
    keys = sorted({key for trial in study.trials for key in trial.params})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "score", "seconds", *keys])
    for trial in study.trials:
        score = "" if trial.value is None else f"{trial.value:.6f}"
        seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
        values = (trial.params.get(key, "") for key in keys)
        writer.writerow([trial.number, trial.state.name.lower(), score, seconds, *values])
    return text.getvalue()
