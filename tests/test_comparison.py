"""Comparison of runs: metrics from the store, differences with intervals, what is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.config import Settings
from ssl_lib.experiments.comparison import (
    ComparisonError,
    Estimate,
    compare,
    difference,
    draw,
    show,
)
from ssl_lib.tracking import TrackingError, start_run

TASK = "evaluation.downstream.numerical_reasoning"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three runs: two that were evaluated, with different settings, and one that was not."""
    root, ids = tmp_path_factory.mktemp("runs"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for number, after in enumerate((0.70, 0.90)):
            settings = Settings().replaced({"objectives.mlm.weight": 1.0 - number / 2})
            with start_run(settings, root, f"run-{number}") as run:
                run.log_params(settings.model_dump(mode="json"))
                metrics = {
                    "before": 0.25,
                    "after": after,
                    "ci95.low": after - 0.03,
                    "ci95.high": after + 0.03,
                    "n": 1000,
                }
                run.log({f"{TASK}.{key}": value for key, value in metrics.items()}, step=0)
                run.log({"evaluation.losses.mlm.after": 2.0 - number}, step=0)
            ids.append(run.run_id)
        with start_run(Settings(), root, "unfinished") as run:
            ids.append(run.run_id)
    return root, ids


def test_metrics_and_differences_are_those_of_the_store(store: tuple[Path, list[str]]) -> None:
    root, ids = store
    found = compare(Settings(), root, ids[:2])
    task, loss = found.measures
    assert (task.key, task.n) == ("downstream.numerical_reasoning", [1000, 1000])
    assert [value and value.value for value in task.values] == [0.70, 0.90]
    change = task.differences[1]
    assert change is not None
    assert change.value == pytest.approx(0.2)
    assert change.low == pytest.approx(0.2 - math.hypot(0.03, 0.03))
    assert loss.differences[1] == Estimate(pytest.approx(-1.0), None, None)
    assert found.settings == {"objectives.mlm.weight": ["1.0", "0.5"]}
    assert found.over_seeds() == {}
    assert json.loads(json.dumps(found.as_json()))["measures"][0]["values"][1]["value"] == 0.9


def test_runs_are_found_by_name_and_by_the_beginning_of_an_id(
    store: tuple[Path, list[str]],
) -> None:
    root, ids = store
    found = compare(Settings(), root, ["run-1", ids[0][:8]])
    assert [run["run_id"] for run in found.runs] == [ids[1], ids[0]]


def test_users_are_told_what_is_wrong(store: tuple[Path, list[str]]) -> None:
    root, ids = store
    with pytest.raises(ComparisonError, match="at least two runs"):
        compare(Settings(), root, ids[:1])
    with pytest.raises(ComparisonError, match="has not been evaluated"):
        compare(Settings(), root, [ids[0], "unfinished"])
    with pytest.raises(TrackingError, match="nothing-like-it is no run"):
        compare(Settings(), root, [ids[0], "nothing-like-it"])


def test_the_table_and_the_drawing_show_both_runs(
    store: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, ids = store
    monkeypatch.setenv("COLUMNS", "160")
    found = compare(Settings(), root, ids[:2])
    show(found)
    printed = capsys.readouterr().out
    assert "0.9000 (0.8700 to 0.9300)" in printed
    assert "better" in printed
    assert draw(found, tmp_path / "pictures" / "runs.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ComparisonError, match=r"name a \.png"):
        draw(found, tmp_path / "runs.nonsense")


def test_runs_that_differ_in_their_seed_alone_have_a_mean_and_a_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, after in enumerate((0.7, 0.8, 0.6)):
        settings = Settings().replaced({"seed": seed})
        with start_run(settings, tmp_path, f"seed-{seed}") as run:
            run.log_params(settings.model_dump(mode="json"))
            run.log({f"{TASK}.after": after, f"{TASK}.n": 9}, step=0)
    found = compare(Settings(), tmp_path, ["seed-0", "seed-1", "seed-2"])
    assert found.over_seeds()["downstream.numerical_reasoning"] == (pytest.approx(0.7), 0.6, 0.8)
    assert found.as_json()["over_seeds"]["downstream.numerical_reasoning"]["high"] == 0.8
    show(found)
    assert "mean of 3 seeds" in capsys.readouterr().out


def test_the_interval_of_a_difference_is_that_of_independent_estimates() -> None:
    generator = np.random.default_rng(0)
    first, other = generator.normal(0.7, 0.02, 200_000), generator.normal(0.8, 0.01, 200_000)
    estimates = [
        Estimate(float(mean), mean - 1.96 * sd, mean + 1.96 * sd)
        for mean, sd in ((0.7, 0.02), (0.8, 0.01))
    ]
    found = difference(*estimates)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(other - first, [0.025, 0.975])), abs=5e-4
    )
    assert difference(None, estimates[0]) is None
