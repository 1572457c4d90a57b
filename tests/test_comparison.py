"""Comparison of runs: metrics from the store, differences with intervals, what is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from recorded import recorded_run

from ssl_lib.config import Settings
from ssl_lib.evaluation.comparison import Scores
from ssl_lib.evaluation.statistics import mean_interval, paired_means
from ssl_lib.experiments.comparison import (
    Comparison,
    ComparisonError,
    Estimate,
    compare,
    difference,
    draw,
    mean_difference,
    show,
)
from ssl_lib.tracking import TrackingError, start_run

TASK = "downstream.numerical_reasoning"
SAMPLES = Settings().evaluation.bootstrap_samples


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
            row = {"after": after, "ci95": [after - 0.03, after + 0.03], "n": 1000}
            metrics = {
                "downstream": {"numerical_reasoning": row},
                "losses": {"mlm": {"after": 2.0 - number}},
            }
            ids.append(recorded_run(settings, root, f"run-{number}", metrics))
        with start_run(Settings(), root, "train", "unfinished") as run:
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
        row = {"after": after, "n": 9}
        metrics = {"downstream": {"numerical_reasoning": row}}
        recorded_run(settings, tmp_path, f"seed-{seed}", metrics)
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


def scores(right: float, seed: int, items: int = 400) -> Scores:
    """Right and wrong answers; two models of one seed are right about mostly the same items."""
    ease_N = np.random.default_rng(seed).random(items)
    return Scores((ease_N < right).astype(float))


def two_runs(root: Path, items: tuple[str, str]) -> Comparison:
    found = []
    for right, digest in zip((0.70, 0.73), items, strict=True):
        one = scores(right, seed=3)
        value = float(one.values.mean())
        low, high = mean_interval(one.values, SAMPLES, 0)
        row = {"after": value, "ci95": [low, high], "n": 400}
        conditions = {"test_tokens": "t", "items": digest, "evaluation": {}}
        metrics = {"downstream": {"numerical_reasoning": row}, "conditions": conditions}
        kept = {"numerical_reasoning": one}
        found.append(recorded_run(Settings(), root, f"run {right}", metrics, kept))
    return compare(Settings(), root, found)


def test_runs_that_answered_the_same_items_are_compared_item_by_item(tmp_path: Path) -> None:
    found = two_runs(tmp_path, ("same", "same"))
    (change,) = [one.differences[1] for one in found.measures]
    first, last = scores(0.70, seed=3), scores(0.73, seed=3)
    expected = paired_means(first.values, last.values, SAMPLES, 0)
    assert change == Estimate(
        pytest.approx(expected.after - expected.before), *expected.difference_ci95
    )
    assert found.conditions == [[], []]
    # an easier 3% of the same items is clear, where two independent samples would not tell
    assert change.low is not None
    assert change.low > 0


def test_other_items_are_told_and_taken_as_independent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = two_runs(tmp_path, ("some", "others"))
    (measure,) = found.measures
    assert measure.differences[1] == difference(*measure.values)
    assert measure.differences[1].low < 0
    monkeypatch.setenv("COLUMNS", "160")
    show(found)
    told = capsys.readouterr().out
    assert "taken as independent, since the items that were asked differ" in told


def test_the_mean_of_differences_varies_as_that_of_independent_tasks() -> None:
    generator = np.random.default_rng(0)
    spreads = (0.01, 0.02, 0.04)
    drawn = [
        generator.normal(mean, sd, 200_000)
        for mean, sd in zip((0.1, 0.0, 0.2), spreads, strict=True)
    ]
    ends = [np.quantile(one, [0.025, 0.975]) for one in drawn]
    estimates = [Estimate(float(one.mean()), *end) for one, end in zip(drawn, ends, strict=True)]
    found = mean_difference(estimates)
    expected = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    assert found.value == pytest.approx(0.1, abs=1e-3)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=5e-4)
