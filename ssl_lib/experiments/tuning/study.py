"""Studies and their storage: which study settings belong to, who proposes, whose trials died.

A study is named by all that its values depend on: settings, tokens, code. So a trial is never
counted for anything else, and earlier studies lend their best values to a new one, not their
scores.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import ssl_lib
from ssl_lib.config import Settings
from ssl_lib.databases import with_driver
from ssl_lib.errors import UserError, require_extra
from ssl_lib.experiments.tuning.space import Values, current_values, fits, search_space
from ssl_lib.tracking import NullRun, Run, resume_run, start_run
from ssl_lib.tracking.store import home_of, store_uri

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    Died = Callable[[Study, FrozenTrial], None]

RANDOM_TRIALS = 4  # of a bracket, before the sampler proposes by what it has seen
REDUCTION = 3  # of the trials that got to a rung, the best third goes on
PREFIX = "ssl-lib-"
CODE = ("batches", "model", "numbers", "objectives", "tokens", "training")  # decides the scores
# settings of `training` that decide how fast or how safely a trial runs, not what it scores
NOT_NAMED = {
    "steps", "validate_every_steps", "checkpoint_every_steps", "gradient_cosine_every_steps",
    "compile", "threads",
}  # fmt: skip
DATABASE_ATTEMPTS = 3
HEARTBEAT_SECONDS = 10  # of a trial in a database; after six without one it is dead


class TuningError(UserError):
    """The study cannot be reached or cannot be finished."""


def open_storage(settings: Settings, root: Path, died: Died | None = None) -> BaseStorage:
    """The database or journal of `tuning.storage`, else of SSL_LIB_TUNING_STORAGE.

    `died` is called for a trial of the database that sends no heartbeat any more. Raises
    TuningError if it does not answer, and MissingExtraError without PostgreSQL's driver.
    """
    url = storage_setting(settings)
    if "://" not in url:
        path = journal_path(settings, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _KernelLock(path.with_name(f"{path.name}.flock"))
        _drop_torn_line(path, lock)
        backend = JournalFileBackend(str(path), lock_obj=lock)  # type: ignore[arg-type]  # its base class is private
        return JournalStorage(backend)
    if url.startswith("postgresql+psycopg://"):
        require_extra("postgres")
    # of machines that make the tables at the same time, one wins and the others ask again
    for _ in range(DATABASE_ATTEMPTS - 1):
        try:
            return _database(url, died)
        except Exception:  # every driver raises its own
            time.sleep(1.0)
    try:
        return _database(url, died)
    except Exception as error:
        shown = url.rpartition("@")[2]  # without a password
        reason = str(error).splitlines()[0][:200]
        raise TuningError(
            f"tuning.storage: {shown} cannot be used ({reason}); "
            "start that database, or leave the setting empty for a journal file"
        ) from None


def _database(url: str, died: Died | None) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=6 * HEARTBEAT_SECONDS,
            heartbeat_stale_trial_callback=died,
        )


def storage_setting(settings: Settings) -> str:
    """What `tuning.storage` says, else the environment: a URL with a password stays out of git."""
    return with_driver(settings.tuning.storage or os.environ.get("SSL_LIB_TUNING_STORAGE", ""))


def journal_path(settings: Settings, root: Path) -> Path:
    """Where the journal is, or would be beside a database, whose address may hold a password.

    In the project itself, not in the copies that `dvc exp` makes.
    """
    setting = storage_setting(settings)
    if not setting or "://" in setting:
        setting = ".ssl_lib/tuning/journal.log"
    return home_of(root) / setting


class _KernelLock:
    """A lock of the journal that the kernel drops when its holder dies.

    Optuna's own lock is a file, which a killed worker leaves: all others wait 30 seconds for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait until nobody else holds it; True, as Optuna expects."""
        # flock belongs to the open file: it goes when the process does
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def _drop_torn_line(path: Path, lock: _KernelLock) -> None:
    """Cut off what a power cut has left of a line: the next line would be joined to it."""
    lock.acquire()
    try:
        # every whole line ends with "\n"; what stands behind the last one is torn
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()


def study_name(settings: Settings, digest: str) -> str:
    """Names a study by settings, tokens (their digest) and code: all that its scores depend on."""
    tuning = settings.tuning.model_dump(include={"steps", "halvings", "goal", "search"})
    training = settings.training.model_dump(exclude=NOT_NAMED)
    tree = settings.model_dump(include={"seed", "model", "objectives"})
    text = json.dumps([tree, training, tuning, digest, _code_digest()], sort_keys=True)
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()[:16]


def _code_digest() -> str:
    """SHA-256 of the code that a trial runs through."""
    package = Path(ssl_lib.__file__).parent
    found = hashlib.sha256()
    for folder in CODE:
        for path in sorted((package / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def create_study(
    settings: Settings, storage: BaseStorage, name: str, first: Sequence[Values], stops_early: bool
) -> Study:
    """The study of this name, whose first trials get the `first` values."""
    tuning = settings.tuning
    pareto = tuning.goal == "pareto"
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    # with several goals there is no better half of the trials
    if stops_early and tuning.halvings and not pareto:
        pruner = optuna.pruners.HyperbandPruner(rung_steps(settings), tuning.steps, REDUCTION)
    return optuna.create_study(
        storage=storage,
        sampler=SamplerOfTrials(settings.seed, search_space(settings), first),
        pruner=pruner,
        study_name=name,
        load_if_exists=True,
        directions=["minimize"] * (2 if pareto else 1),
    )


def rung_steps(settings: Settings) -> int:
    """Steps until a trial may be stopped for the first time: 1000 steps, 2 halvings → 111."""
    tuning = settings.tuning
    shortest: int = tuning.steps // REDUCTION**tuning.halvings
    return max(1, shortest)


def first_values(settings: Settings, storage: BaseStorage, name: str) -> list[Values]:
    """What the first trials try: the settings as they are, then the best of earlier studies."""
    space = search_space(settings)
    found = [current_values(settings)]
    most = 1 + settings.tuning.warm_start
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    started = [one for one in summaries if one.datetime_start is not None]
    # the youngest study first; those that check a winner lend nothing
    for one in sorted(started, key=lambda one: str(one.datetime_start), reverse=True):
        if not one.study_name.startswith(PREFIX) or "-check-" in one.study_name:
            continue
        if one.study_name == name or len(found) == most:
            continue
        earlier = optuna.load_study(study_name=one.study_name, storage=storage)
        done = completed(earlier)
        # its best values, where the search of today may propose them
        if done:
            best = min(done, key=mean_value)
            if fits(best.params, space) and best.params not in found:
                found.append(dict(best.params))
    return found


class SamplerOfTrials(BaseSampler):
    """Proposes by a trial's number, which no two workers share.

    The first trials get values that are given; the others those of TPE, whose generator is seeded
    by the study's seed and the number. So workers of any number of machines propose different
    values, and a study that goes on repeats nothing.
    """

    def __init__(
        self, seed: int, space: dict[str, BaseDistribution], first: Sequence[Values]
    ) -> None:
        self._seed = seed
        self._space = space
        self.first = first
        self._tpe = TPESampler()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the proposals of this trial."""
        text = f"{self._seed} {study.study_name} {trial.number}"
        digest = hashlib.sha256(text.encode()).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._tpe = TPESampler(
                seed=int.from_bytes(digest[:4], "big"),
                multivariate=True,
                n_startup_trials=RANDOM_TRIALS,
                constant_liar=True,  # keeps away from what other workers are trying
            )

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Everything that is searched."""
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Values:
        """The given values of a first trial, else the proposal of TPE."""
        if trial.number < len(self.first):
            return self.first[trial.number]
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """A value of one key, while TPE has seen too few trials."""
        return self._tpe.sample_independent(study, trial, name, distribution)


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that count: complete or stopped early."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return list(study.get_trials(deepcopy=False, states=states))


def completed(study: Study) -> list[FrozenTrial]:
    """Trials that ran to their end, in their order."""
    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def mean_value(trial: FrozenTrial) -> float:
    """Of all goals: what trials of a study with several goals are ranked by."""
    mean: float = sum(trial.values) / len(trial.values)
    return mean


def is_surplus(study: Study, number: int, total: int) -> bool:
    """Whether workers that asked at the same time have begun more trials than are wanted.

    Numbers are given one after the other by the storage, so all workers see the same ones first.
    """
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
    trials = study.get_trials(deepcopy=False, states=states)
    before = [trial for trial in trials if trial.number < number]
    return len(before) >= total


def study_run(settings: Settings, root: Path, study: Study) -> Run | NullRun:
    """The study's run in this MLflow store: begun once, then continued by whoever comes later."""
    store = store_key(settings, root)
    lock = home_of(root) / ".ssl_lib" / "locks" / "tuning"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        runs: dict[str, str] = study.user_attrs.get("runs", {})
        if store in runs:
            return resume_run(settings, root, runs[store], "tune")
        run = start_run(settings, root, "tune")
        if run.run_id:
            study.set_user_attr("runs", runs | {store: run.run_id})
    shown = settings.model_dump(include={"seed", "model", "tuning"})
    del shown["tuning"]["storage"]  # it may hold a password
    run.log_params(shown)
    run.set_tags({"study": study.study_name})
    return run


def store_key(settings: Settings, root: Path) -> str:
    """Stands for the MLflow store in attributes of a study: its address may hold a password."""
    uri = store_uri(settings, root)
    return hashlib.sha256(uri.encode()).hexdigest()[:12]
