"""Workers that share a study, with real processes, kills, a real PostgreSQL, a real dashboard."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState
from postgres import new_database
from test_tuning import write_texts

from ssl_lib.config import Settings
from ssl_lib.experiments.tuning import WorkerError, tune, work
from ssl_lib.experiments.tuning.rounds import Search
from ssl_lib.experiments.tuning.study import finished
from ssl_lib.tokens.store import tokenize

pytestmark = pytest.mark.slow
ONLY_TWO = {f"objectives.{name}.weight": 0.0 for name in ("contrastive", "denoising", "numerical")}
TINY = {
    "tokens.vocabulary_size": 1440,
    "tokens.workers": 1,
    "training.steps": 3,
    "training.validation_sequences": 2,
    "tracking.log_every_steps": 3,
    "tuning.trials": 40,
    "tuning.steps": 3,
    "tuning.halvings": 1,
    "tuning.workers": 4,
    "tuning.search": ["weights", "learning_rates"],
    "tuning.check": False,
}


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def project(settings: Settings, texts: list[str], tmp_path: Path) -> tuple[Path, Settings]:
    """A root with tokens in it, and settings for 40 trials of three steps."""
    chosen = settings.replaced(TINY | ONLY_TWO)
    write_texts(tmp_path, texts)
    tokenize(chosen, tmp_path)
    return tmp_path, chosen


def in_background(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """Run a function in a thread; what is returned waits for its result, or raises its error."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(function(*arguments))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> object:
        thread.join(timeout=600)
        assert found, "it still runs"
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    return wait


def kill_a_worker(study: optuna.Study, after: int) -> FrozenTrial:
    """SIGKILL the process of a trial that runs, once some are finished; that trial is returned."""
    while True:
        running = study.get_trials(states=(TrialState.RUNNING,))
        named = [trial for trial in running if "run" in trial.user_attrs]
        if named and len(finished(study)) >= after:
            # "host-4711-9f86d081": the process is 4711, which is halted to see where it is
            process = int(named[0].user_attrs["worker"].split("-")[-2])
            os.kill(process, signal.SIGSTOP)
            time.sleep(0.2)
            (trial,) = (one for one in study.trials if one.number == named[0].number)
            if trial.state == TrialState.RUNNING:
                os.kill(process, signal.SIGKILL)
                return trial
            os.kill(process, signal.SIGCONT)
        time.sleep(0.02)


def holds_together(study: optuna.Study, total: int) -> None:
    """No trial lost, doubled, repeated or stuck."""
    states = [trial.state for trial in study.trials]
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states)
    done = finished(study)
    assert len(done) == total
    assert len({json.dumps(trial.params, sort_keys=True) for trial in done}) == total


def test_four_workers_run_forty_trials_though_one_is_killed(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    study = Search(settings, root).study
    result = in_background(tune, settings, root)
    dead = kill_a_worker(study, after=8)
    result()
    holds_together(study, 40)
    done = finished(study)
    workers = {trial.user_attrs["worker"] for trial in done}
    assert len(workers | {dead.user_attrs["worker"]}) == 4
    # its values were tried again, by another one
    (again,) = (trial for trial in done if trial.params == dead.params)
    assert again.user_attrs["worker"] != dead.user_attrs["worker"]
    with (root / "tuning" / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 40
    # in MLflow nothing runs any more: 40 runs of trials, that of the dead one, the study's own
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.info.run_id: run.info.status for run in client.search_runs(ids, max_results=99)}
    assert runs.pop(dead.user_attrs["run"]["id"]) == "KILLED"
    assert list(runs.values()) == ["FINISHED"] * 41


def test_two_clones_split_the_trials_of_one_database_though_a_worker_is_killed(
    project: tuple[Path, Settings], texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, settings = project
    clone = tmp_path_factory.mktemp("clone")
    write_texts(clone, texts)
    tokenize(settings, clone)
    with new_database() as address:
        chosen = settings.replaced({"tuning.storage": address, "tuning.workers": 2})
        study = Search(chosen, root).study
        results = [in_background(tune, chosen, place) for place in (root, clone)]
        dead = kill_a_worker(study, after=8)
        for result in results:
            result()
        holds_together(study, 40)
        done = finished(study)
        assert any(trial.params == dead.params for trial in done)
        # each clone has its own MLflow store, and ran a good part of the trials
        stores = [trial.user_attrs["run"]["store"] for trial in done]
        assert len(set(stores)) == 2
        assert min(stores.count(store) for store in set(stores)) >= 5
    tables = [(place / "tuning" / "trials.csv").read_text() for place in (root, clone)]
    assert tables[0] == tables[1]


def test_threads_of_a_fleet_are_workers_and_tune_then_writes(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    few = settings.replaced({"tuning.trials": 6, "tuning.workers": 2, "tuning.goal": "pareto"})
    few = few.replaced({"objectives.numerical.weight": 1.0})
    for wait in [in_background(work, few, root, worker) for worker in range(2)]:
        wait()
    assert not (root / "tuning").exists()
    tune(few, root)
    holds_together(Search(few, root).study, 6)
    with (root / "tuning" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    # two goals, of which none is stopped early
    assert {row["state"] for row in rows} == {"complete"}
    points = [(float(row["language"]), float(row["numbers"])) for row in rows]
    front = json.loads((root / "tuning" / "study.json").read_text())["front"]
    for number, point in enumerate(points):
        others = [other for other in points if other != point]
        beaten = any(other[0] <= point[0] and other[1] <= point[1] for other in others)
        assert (number in front) is not beaten
    assert (root / ".ssl_lib" / "tuning" / "pareto_front.png").stat().st_size > 5000


def test_optuna_dashboard_shows_the_study_of_the_journal(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    tune(settings.replaced({"tuning.trials": 2, "tuning.workers": 1}), root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # the command of docs/tuning.md, with a port of its own
    words = ["optuna-dashboard", ".ssl_lib/tuning/journal.log", "--port", str(port)]
    assert " ".join(words[:2]) in Path(__file__).parents[1].joinpath("docs/tuning.md").read_text()
    program = str(Path(sys.executable).parent / words[0])
    with subprocess.Popen([program, *words[1:]], cwd=root, stderr=subprocess.DEVNULL) as server:
        try:
            (shown,) = answer(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
            found = answer(f"http://127.0.0.1:{port}/api/studies/{shown['study_id']}")
        finally:
            server.terminate()
    assert shown["study_name"] == Search(settings, root).study.study_name
    assert [trial["state"] for trial in found["trials"]] == ["Complete"] * 2


def answer(address: str) -> Any:
    """What a server says, once it answers."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(address) as reply:
                return json.load(reply)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


def test_a_worker_that_cannot_begin_says_why_in_the_error(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    for path in (root / "data" / "tokenized" / "validation").glob("*.npy"):
        path.unlink()
    with pytest.raises(WorkerError, match=r"worker 0 of the study ended early: .*validation"):
        work(settings, root)
