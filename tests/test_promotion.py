"""Who is the champion: real stores, and every decision kept with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres import new_database
from recorded import recorded_run
from test_tracking import Server, saved_model

from ssl_lib.cli import main
from ssl_lib.config import Settings
from ssl_lib.evaluation.comparison import Scores
from ssl_lib.evaluation.tasks import downstream_tasks
from ssl_lib.experiments.promotion import Decision, PromotionError, challenge
from ssl_lib.tracking import download_model, find_champion
from ssl_lib.tracking.store import connect

TASKS = [task.name for task in downstream_tasks()]
CONDITIONS = {"test_tokens": "t", "items": "i", "evaluation": {"items": 400}}
ITEMS = 400


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server over SQLite."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.start()
    yield running.uri
    running.kill()


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("server", marks=pytest.mark.slow),
        pytest.param("postgresql", marks=pytest.mark.slow),
    ]
)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings whose store is a file, a server, or a database."""
    settings = Settings().replaced({"evaluation.bootstrap_samples": 200})
    if request.param == "server":
        yield settings.replaced({"tracking.uri": request.getfixturevalue("server")})
    elif request.param == "postgresql":
        with new_database() as uri:
            yield settings.replaced({"tracking.uri": uri})
    else:
        yield settings


def trained(
    settings: Settings, root: Path, name: str, right: float, conditions: dict[str, Any] = CONDITIONS
) -> str:
    """A run whose model is right about this share of the items of every task."""
    scores, downstream = {}, {}
    for number, task in enumerate(TASKS):
        ease_N = np.random.default_rng(number).random(ITEMS)
        scores[task] = Scores((ease_N < right).astype(float))
        value = float(scores[task].values.mean())
        downstream[task] = {"after": value, "ci95": [value - 0.05, value + 0.05], "n": ITEMS}
    metrics = {"downstream": downstream, "conditions": conditions}
    model = saved_model(root / name, name.encode())
    return recorded_run(settings, root, name, metrics, scores, model)


def test_the_champion_is_the_better_one_of_the_same_items(stored: Settings, tmp_path: Path) -> None:
    decisions = []
    runs = []
    for name, right in (("first", 0.6), ("equal", 0.6), ("worse", 0.5), ("better", 0.7)):
        runs.append(trained(stored, tmp_path, name, right))
        decisions.append(challenge(stored, tmp_path, runs[-1]))
    assert [one.promoted for one in decisions] == [True, False, False, True]
    assert [one.reason.partition(":")[0] for one in decisions] == [
        "there was no champion", "no clear difference", "worse", "better",
    ]  # fmt: skip
    last = decisions[-1]
    assert (last.challenger, last.champion) == (runs[3], runs[0])
    assert set(last.tasks) == set(TASKS)
    champion = find_champion(stored, tmp_path)
    assert champion is not None
    assert champion.run_id == runs[3]
    # what was promoted comes back by its name, from any store
    (tmp_path / "params.yaml").write_text(json.dumps(stored.model_dump()), encoding="utf-8")
    folder = download_model("models:/ssl-lib@champion", tmp_path)
    assert (folder / "model.safetensors").read_bytes() == b"better"
    assert len(kept_decisions(stored, tmp_path, runs[1])) == 1
    again = challenge(stored, tmp_path, runs[3])
    assert (again.promoted, again.reason) == (False, "it is the champion already")


def kept_decisions(settings: Settings, root: Path, run_id: str) -> list[dict[str, Any]]:
    """Those that the run holds; its tags have the last one."""
    client = connect(settings, root)
    files = sorted(file.path for file in client.list_artifacts(run_id, "decisions"))
    paths = [Path(client.download_artifacts(run_id, file)) for file in files]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    tags = client.get_run(run_id).data.tags
    assert tags["decision.reason"] == found[-1]["reason"]
    assert (tags["decision"] == "promoted") == found[-1]["promoted"]
    return found


@pytest.fixture
def settings() -> Settings:
    return Settings().replaced({"evaluation.bootstrap_samples": 200})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"test_tokens": "u"}, "the test split differ"),
        ({"items": "j"}, "the items that were asked differ"),
        ({"evaluation": {"items": 20}}, "the settings of the evaluation differ"),
    ],
)
def test_what_was_asked_otherwise_changes_no_champion(
    settings: Settings, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    first = trained(settings, tmp_path, "first", 0.6)
    assert challenge(settings, tmp_path, first).promoted
    other = trained(settings, tmp_path, "other", 0.9, CONDITIONS | change)
    decision = challenge(settings, tmp_path, other)
    assert not decision.promoted
    assert told in decision.reason
    assert challenge(settings, tmp_path, other, force=True).promoted
    reasons = [one["reason"] for one in kept_decisions(settings, tmp_path, other)]
    assert reasons == [decision.reason, "a user has said so, without a comparison"]


def test_experiments_of_the_queue_wait_for_a_word(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = trained(settings, tmp_path, "first", 0.6)
    assert challenge(settings, tmp_path, first).promoted
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"
    copy.mkdir(parents=True)
    queued = trained(settings, copy, "queued", 0.8)
    # neither from the copy nor, once it is applied, from the project
    for root in (copy, tmp_path):
        decision = challenge(settings, root, queued)
        assert not decision.promoted
        assert "`ssl-lib promote RUN`" in decision.reason
    (tmp_path / "params.yaml").write_text(json.dumps(settings.model_dump()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["promote", "queued"]) == 0
    assert "is the champion now: better: mean of 4 downstream tasks" in capsys.readouterr().out
    champion = find_champion(settings, tmp_path)
    assert champion is not None
    assert champion.run_id == queued


def test_a_run_without_evaluation_or_model_is_told(settings: Settings, tmp_path: Path) -> None:
    bare = recorded_run(settings, tmp_path, "bare", {})
    assert "no model" in challenge(settings, tmp_path, bare).reason
    with pytest.raises(PromotionError, match="has registered no model; name a run of"):
        challenge(settings, tmp_path, bare, asked=True)
    with pytest.raises(PromotionError, match=r"run\.json: cannot be read"):
        challenge(settings, tmp_path)


def test_a_decision_is_plain_json(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    run_id = trained(settings, tmp_path, "first", 0.6)
    (tmp_path / "model" / "run.json").write_text(json.dumps({"run_id": run_id}))
    decision = challenge(settings, tmp_path)
    assert decision == Decision(True, "there was no champion", run_id)
    assert json.loads(json.dumps(decision.as_json()))["mean"] is None
