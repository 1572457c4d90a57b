"""Number prediction and probes of numbers: proper scores, honest coverage, probes that find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import reference
import tiktoken
import torch
from evaluating import evaluation_data, pair_of
from scipy.stats import norm

from ssl_lib.evaluation import probes
from ssl_lib.evaluation.comparison import Resampling
from ssl_lib.evaluation.data import NumberInText
from ssl_lib.evaluation.number_prediction import (
    INTERVALS,
    LEVELS,
    Forecasts,
    NextNumbers,
    NumberPrediction,
    absolute_error,
    covered,
    crps,
    measures,
    next_numbers,
)
from ssl_lib.evaluation.probes import (
    LIST,
    METRICS,
    NEIGHBOR_SHARE,
    Lists,
    NumberProbes,
    Plan,
    draw_lists,
    plain_features,
    probe_scores,
)
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.numbers.scale import RESOLUTION, to_scale
from ssl_lib.synthetic.items import next_token_documents


def _from_scale(scaled: np.ndarray) -> np.ndarray:
    return np.sign(scaled) * (10.0 ** np.abs(scaled) - 1.0) * RESOLUTION


def _normal_forecasts(mean: float, spread: float, count: int) -> Forecasts:
    quantiles = _from_scale(norm.ppf(LEVELS, mean, spread))
    return Forecasts(np.full(count, _from_scale(np.array(mean))), np.tile(quantiles, (count, 1)))


def test_crps_is_near_the_closed_form_of_a_normal_forecasts() -> None:
    truth = np.random.default_rng(0).normal(3.0, 0.5, 4000)
    scores = crps(_normal_forecasts(3.0, 0.5, 4000), _from_scale(truth))
    z = (truth - 3.0) / 0.5
    exact = 0.5 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert scores.mean() == pytest.approx(exact.mean(), rel=0.02)


def test_crps_prefers_the_true_spread_and_a_sure_right_forecast_scores_zero() -> None:
    values = _from_scale(np.random.default_rng(1).normal(3.0, 0.5, 4000))
    honest, boastful, timid = (
        crps(_normal_forecasts(3.0, s, 4000), values).mean() for s in (0.5, 0.1, 2.0)
    )
    assert honest < boastful
    assert honest < timid
    sure = Forecasts(values, np.tile(values[:, None], (1, len(LEVELS))))
    assert crps(sure, values).max() == 0.0
    assert covered(sure, values, 0.5).all()


def test_coverage_of_a_true_forecast_is_its_level() -> None:
    values = _from_scale(np.random.default_rng(2).normal(3.0, 0.5, 8000))
    for interval in INTERVALS:
        assert covered(_normal_forecasts(3.0, 0.5, 8000), values, interval).mean() == pytest.approx(
            interval, abs=0.02
        )


def test_the_scale_is_signed_and_defined_at_zero() -> None:
    values = np.array([0.0, 0.09, -0.09, 99.99])
    assert to_scale(values).tolist() == pytest.approx([0.0, 1.0, -1.0, 4.0])
    assert absolute_error(
        _normal_forecasts(4.0, 1.0, 1), np.array([-99.99])
    ).tolist() == pytest.approx([8.0])


class Prediction(NamedTuple):
    """What a forecaster says of one text."""

    value: float
    intervals: dict[float, tuple[float, float]]

    @property
    def median(self) -> float:
        """The same: one number has all the probability."""
        return self.value


class Constant:
    """Forecasts the same for every text."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[Prediction]:
        spread = {p: (self.value / (1 + p), self.value * (1 + p)) for p in intervals}
        return [Prediction(self.value, spread) for _ in texts]


class Reader(Constant):
    """Knows the number that follows each prompt."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values

    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[Prediction]:
        return [
            Prediction(self.values[t], dict.fromkeys(intervals, (self.values[t],) * 2))
            for t in texts
        ]


def test_number_prediction_of_a_knowing_and_a_constant_model(
    encoding: tiktoken.Encoding,
) -> None:
    numbers = next_numbers(next_token_documents(60, 0, "test"), 150, seed=0)
    reader = Reader(dict(zip(numbers.prompts, numbers.values, strict=True)))
    task = NumberPrediction(TASKS["number_prediction"])
    data = replace(evaluation_data(encoding), training_values=numbers.values)
    result = task.run(pair_of(Constant(100.0), reader, samples=200), data, numbers)
    assert result.after == 0.0 < result.baselines["marginal"]
    assert not result.higher_is_better
    row = result.details["determined"]["after"]
    assert (row["exponent_accuracy"], row["coverage"]["0.9"], row["within_1_percent"]) == (
        1.0,
        1.0,
        1.0,
    )
    assert result.details["all"]["before"]["crps_decades"] > 0.1
    assert result.details["determined"]["n"] + result.details["free"]["n"] == result.n == 150


@pytest.mark.parametrize("sure", [True, False])
def test_a_part_that_is_all_numbers_is_not_measured_twice(
    encoding: tiktoken.Encoding, sure: bool
) -> None:
    numbers = next_numbers(next_token_documents(20, 0, "test"), 30, seed=0)
    numbers = numbers._replace(deterministic=np.full(30, sure))
    task = NumberPrediction(TASKS["number_prediction"])
    pair = pair_of(Constant(100.0), Constant(10.0))
    result = task.run(pair, evaluation_data(encoding), numbers)
    assert set(result.details) == {"examples", "all"}
    assert result.details["all"]["n"] == 30


def test_prompts_end_right_before_a_number_that_is_not_in_them() -> None:
    documents = next_token_documents(40, 1, "test")
    numbers = next_numbers(documents, 10_000, seed=0)
    for prompt, number in zip(numbers.prompts, numbers.numbers, strict=True):
        text = documents[number.owner].text
        shown = number.text
        assert text.startswith(prompt)
        assert text[len(prompt) :].startswith(shown)
        assert prompt.endswith(" ")
        assert shown[0].isdigit()


def test_every_measure_equals_a_loop_over_the_numbers() -> None:
    generator = np.random.default_rng(5)
    values = np.array([3.0, 0.0, -42.0, 99.4, 1000.0, 7.5e5, 12.0, 1e-3])
    points = np.array([3.01, 1.0, 40.0, 101.0, 999.0, 7.4e5, -1.0, 2e-3])
    quantiles = np.sort(generator.normal(50, 400, (8, len(LEVELS))), axis=1)
    known = [
        NumberInText("x ", "1", "", value, "integer", "", owner)
        for owner, value in enumerate(values.tolist())
    ]
    numbers = NextNumbers(known, values, np.ones(8, dtype=bool), np.arange(8))
    found = measures(
        Forecasts(points, quantiles), numbers, np.ones(8, dtype=bool), Resampling(100, seed=0)
    )
    slow = reference.number_measures(
        values.tolist(), points.tolist(), quantiles.tolist(), LEVELS, RESOLUTION
    )
    assert set(slow) < set(found)
    for name, value in slow.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    for interval in INTERVALS:
        inside = reference.coverage(values.tolist(), quantiles.tolist(), LEVELS, interval)
        assert found["coverage"][str(interval)] == pytest.approx(inside)


@pytest.mark.parametrize("count", [20, 200, 3000])
def test_lists_hold_five_different_integers_half_of_them_neighbours(count: int) -> None:
    integers = np.random.default_rng(0).permutation(10 * count)[:count]
    lists = draw_lists("list_maximum", integers, 400, np.random.default_rng(1))
    assert lists.indices.shape == (400, LIST)
    assert all(len(set(row)) == LIST for row in lists.indices.tolist())
    assert np.isin(lists.indices, integers).all()
    assert (
        lists.indices[np.arange(400), lists.targets.astype(int)] == lists.indices.max(axis=1)
    ).all()
    if count == 3000:
        spread = np.ptp(np.searchsorted(np.sort(integers), lists.indices), axis=1)
        assert 0.4 < (spread < NEIGHBOR_SHARE * count).mean() < 0.6


def test_probes_find_a_value_that_is_there_and_none_in_noise() -> None:
    values = np.linspace(-1, 1, 100, dtype=np.float32)[:, None]
    features = {
        "value": values,
        "noise": np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32),
    }
    scores = {task: probe_scores(features, task, seed=0, seeds=2, steps=150) for task in METRICS}
    assert scores["list_maximum"]["value"].mean() > 0.95
    assert scores["list_maximum"]["noise"].mean() < 0.4
    assert (
        np.sqrt(scores["decoding"]["value"].mean())
        < 6.0
        < np.sqrt(scores["decoding"]["noise"].mean())
    )
    assert (
        np.sqrt(scores["addition"]["value"].mean())
        < 10.0
        < np.sqrt(scores["addition"]["noise"].mean())
    )


@pytest.mark.parametrize("task", ["list_maximum", "decoding", "addition"])
def test_scores_of_batched_probes_equal_one_network_asked_row_by_row(task: str) -> None:
    generator = np.random.default_rng(0)
    features = {
        name: generator.normal(size=(30, width)).astype(np.float32)
        for name, width in (("a", 3), ("b", 5))
    }
    splits = [np.split(np.random.default_rng(s).permutation(30), [24])[0] for s in range(2)]
    tables = probes.standardized(features, splits)
    network = probes.Members(4, 5 * (1 if task == "list_maximum" else probes.TERMS[task]), seed=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    lists = [draw_lists(task, np.arange(30), 7, generator) for _ in splits]
    with torch.no_grad():
        fast = probes.member_scores(network, tables, Lists.stacked(lists), task).double().numpy()
    terms = probes.TERMS[task]
    center, scale = terms * 29 / 2, 30 * np.sqrt(terms / 12)
    for member in range(4):
        model, seed = divmod(member, 2)
        weights = [
            (w[member].tolist(), b[member, 0].tolist())
            for w, b in zip(network.weights, network.biases, strict=True)
        ]
        table = [row.tolist() for row in tables[model, seed]]
        slow = reference.probe_scores(
            weights,
            table,
            lists[seed].indices.tolist(),
            lists[seed].targets.tolist(),
            task,
            center,
            scale,
        )
        assert fast[member] == pytest.approx(slow, rel=1e-3, abs=1e-3)


def test_standardized_tables_use_the_training_integers_of_each_seed_alone() -> None:
    table = np.random.default_rng(0).normal(3.0, 2.0, (20, 4)).astype(np.float32)
    first, second = np.arange(15), np.arange(5, 20)
    tables = probes.standardized({"a": table}, [first, second])
    for seed, rows in enumerate((first, second)):
        assert tables[0, seed, rows].mean(dim=0).abs().max() < 1e-5
        assert (tables[0, seed, rows].std(dim=0, correction=0) - 1).abs().max() < 1e-4


def test_members_of_a_probe_share_nothing_but_the_data() -> None:
    digits = plain_features(100)["digits"]
    noise = np.random.default_rng(0).normal(size=digits.shape).astype(np.float32)
    alone = probe_scores({"digits": digits}, "decoding", seed=0, seeds=1, steps=20)["digits"]
    beside = probe_scores(
        {"noise": noise, "digits": digits}, "decoding", seed=0, seeds=1, steps=20
    )["digits"]
    assert beside == pytest.approx(alone, rel=1e-3, abs=1e-3)


class Digits:
    """States that are the digits of the text."""

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> list:
        class States(NamedTuple):
            states: np.ndarray
            spans: np.ndarray

        table = plain_features(100)["digits"]
        return [States(table[int(text)][None], np.array([[0, len(text)]])) for text in texts]


def test_probe_results_name_task_and_range_with_the_paper_beside_them(
    encoding: tiktoken.Encoding,
) -> None:
    task, plan = NumberProbes(TASKS["probes"]), Plan(ranges=(100,), seeds=2, steps=10)
    results = task.results(pair_of(Digits(), Digits()), evaluation_data(encoding), plan)
    assert set(results) == {"list_maximum/100", "decoding/100", "addition/100"}
    result = results["decoding/100"]
    assert result.before == result.after == result.baselines["digits"]
    assert result.details["paper"]["BERT"] == 3.2
    assert not result.higher_is_better
    assert result.difference_ci95 == (0.0, 0.0)
