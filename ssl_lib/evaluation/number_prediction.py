"""Prediction of the next number's value: error, power of ten, coverage of intervals and CRPS.

Errors are measured on the number scale (`ssl_lib.numbers.scale`), in orders of magnitude; it is
defined for zero and for negative numbers. The accuracy of the exponent and the plain log10 error,
which are not, count only numbers above zero.

Legend: N numbers, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import (
    Answered,
    Baselines,
    EvaluatedModel,
    EvaluationTask,
    shortest_first,
)
from ssl_lib.evaluation.comparison import Details, Resampling, Scores, TaskResult
from ssl_lib.evaluation.data import Document, EvaluationData, NumberInText, numbers_in
from ssl_lib.evaluation.next_token_prediction import Documents
from ssl_lib.evaluation.statistics import Bools, Floats, Integers, mean_interval
from ssl_lib.numbers.scale import RESOLUTION, to_scale

INTERVALS = (0.1, 0.3, 0.5, 0.7, 0.9)
# their ends are the quantiles 0.05, 0.15 … 0.95: the midpoint rule for CRPS
LEVELS = (
    *((1 - p) / 2 for p in reversed(INTERVALS)),
    *((1 + p) / 2 for p in INTERVALS),
)
EXAMPLES = 12


class NextNumbers(NamedTuple):
    """N numbers to predict: each in its text, its true value, and the document that it stands in.

    `deterministic` says whether the number follows from the text before it.
    """

    numbers: list[NumberInText]
    values: Floats
    deterministic: Bools
    owner: Integers

    @property
    def prompts(self) -> list[str]:
        """The text before each number."""
        return [number.before for number in self.numbers]


class Forecasts(NamedTuple):
    """Median [N], quantiles [N, Q] at LEVELS, and the mode [N] of who has one beside the median."""

    point: Floats
    quantiles: Floats
    mode: Floats | None = None


class NumberPrediction(EvaluationTask[NextNumbers, Forecasts]):
    """Mean error in orders of magnitude; coverage, CRPS and exponents are in the details."""

    checked = False

    def items(self, data: EvaluationData) -> NextNumbers:
        """Numbers of the documents of next-token prediction."""
        documents = data.cleared["next_token_prediction"]
        return next_numbers(documents, data.settings.items, data.seed)

    def answer(self, model: EvaluatedModel, items: NextNumbers) -> Forecasts:
        """Median, quantiles and mode of the number that follows each prompt."""
        prompts = items.prompts
        count = len(prompts)
        order = shortest_first(prompts)
        ordered = [prompts[place] for place in order]
        point_N = np.empty(count)
        mode_N = np.empty(count)
        quantiles_NQ = np.empty((count, len(LEVELS)))
        predicted = model.predict_numbers(ordered, intervals=INTERVALS)
        for place, one in zip(order, predicted, strict=True):
            # {0.1: (4.9, 5.1), 0.9: (2.0, 9.0), …} → quantiles in ascending order
            ends = [end for interval in INTERVALS for end in one.intervals[interval]]
            point_N[place] = one.median
            mode_N[place] = one.value
            quantiles_NQ[place] = np.sort(ends)
        return Forecasts(point_N, quantiles_NQ, mode_N)

    def score(self, items: NextNumbers, answers: Forecasts) -> Scores:
        """Absolute errors; the numbers of one document are resampled together."""
        errors = absolute_error(answers, items.values)
        return Scores(errors, groups=items.owner)

    def baselines(self, data: EvaluationData, items: NextNumbers) -> Baselines[Forecasts]:
        """The quantiles of all numbers of the training split, whatever the text."""
        count = len(items.values)
        values = data.training_values
        known = values[np.isfinite(values)]
        if not len(known):
            known = np.zeros(1)
        quantiles_Q = np.quantile(known, LEVELS)
        point_N = np.full(count, np.median(known))
        quantiles_NQ = np.tile(quantiles_Q, (count, 1))
        return {"marginal": Forecasts(point_N, quantiles_NQ)}

    def details(self, asked: Answered[NextNumbers, Forecasts]) -> Details:
        """All measures of all numbers, of those that follow from the text, and of the others."""
        items = asked.items
        resampling = asked.pair.resampling
        sure = items.deterministic
        kinds = {"all": np.ones_like(sure), "determined": sure, "free": ~sure}
        examples = _examples(items, asked.answers["after"])
        found: Details = {"examples": examples}
        for name, kept in kinds.items():
            # a part that is the whole says nothing new
            if not kept.any() or (name != "all" and kept.all()):
                continue
            found[name] = {"n": int(kept.sum())}
            for who, forecasts in asked.answers.items():
                found[name][who] = measures(forecasts, items, kept, resampling)
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """The result, with the measures of the trained model on all numbers."""
        result = results[self.task.name]
        after = result.details["all"]["after"]
        return {self.task.name: result.summary() | {"after_details": after}}


def next_numbers(documents: Documents, limit: int, seed: int) -> NextNumbers:
    """Up to `limit` numbers, drawn evenly from the documents.

    Only those of `numbers_in` count, so that it is plain what each prompt asks for. Raises
    ValueError if there is none.
    """
    texts = [Document(document.text, "") for document in documents]
    found = []
    sure = []
    for number in numbers_in(texts):
        start = len(number.before)
        end = start + len(number.text)
        spans = documents[number.owner].deterministic
        found.append(number)
        sure.append(any(first < end and start < last for first, last in spans))
    if not found:
        raise ValueError("no document holds a number with text before it")
    # of all documents alike, then in their order again
    places = spread(len(found), limit, seed)
    return as_items([found[place] for place in places], [sure[place] for place in places])


def spread(count: int, limit: int, seed: int) -> list[int]:
    """Up to `limit` places of `count`, drawn evenly, in ascending order."""
    order = np.random.default_rng(seed).permutation(count)
    places: list[int] = np.sort(order[:limit]).tolist()
    return places


def as_items(numbers: list[NumberInText], deterministic: Sequence[bool]) -> NextNumbers:
    """Numbers with their columns."""
    values = np.array([number.value for number in numbers], dtype=np.float64)
    owner = np.array([number.owner for number in numbers], dtype=np.int64)
    return NextNumbers(numbers, values, np.array(deterministic, dtype=bool), owner)


def absolute_error(forecasts: Forecasts, values: Floats) -> Floats:
    """Error of the points [N], in orders of magnitude."""
    misses = to_scale(forecasts.point) - to_scale(values)
    return np.abs(misses)


def crps(forecasts: Forecasts, values: Floats) -> Floats:
    """Continuous ranked probability score [N] in orders of magnitude.

    Twice the mean quantile loss over LEVELS (Gneiting and Ranjan 2011): the midpoint rule for the
    integral over levels.
    """
    quantiles_NQ = to_scale(forecasts.quantiles)
    miss_NQ = to_scale(values)[:, None] - quantiles_NQ
    levels_Q = np.array(LEVELS)
    above_NQ = levels_Q * miss_NQ
    below_NQ = (levels_Q - 1.0) * miss_NQ
    loss_NQ = np.maximum(above_NQ, below_NQ)
    scores_N: Floats = 2.0 * loss_NQ.mean(axis=1)
    return scores_N


def covered(forecasts: Forecasts, values: Floats, interval: float) -> Bools:
    """Which values [N] lie in the central interval; its ends count, within a float32's error."""
    # the central 90% lies between the quantiles 0.05 and 0.95: first and last
    low = LEVELS.index((1 - interval) / 2)
    quantiles_QN = forecasts.quantiles.T
    low_N = quantiles_QN[low]
    high_N = quantiles_QN[-1 - low]
    slack_N = 1e-6 * np.maximum(np.abs(values), RESOLUTION)
    inside_N: Bools = (values >= low_N - slack_N) & (values <= high_N + slack_N)
    return inside_N


def measures(
    forecasts: Forecasts, numbers: NextNumbers, kept: Bools, resampling: Resampling
) -> Details:
    """All measures of one model on the kept numbers, those that matter with an interval."""
    values = numbers.values[kept]
    owner = numbers.owner[kept]
    forecasts = Forecasts(forecasts.point[kept], forecasts.quantiles[kept])

    def interval(column_N: NDArray[Any]) -> tuple[float, float]:
        return mean_interval(column_N, *resampling, owner)

    errors = absolute_error(forecasts, values)
    scores = crps(forecasts, values)
    misses = np.abs(forecasts.point - values)
    within = misses <= 0.01 * np.abs(values)
    found: Details = {
        "mean_error_decades": float(errors.mean()),
        "mean_error_ci95": interval(errors),
        "median_error_decades": float(np.median(errors)),
        "within_1_percent": float(within.mean()),
        "within_1_percent_ci95": interval(within),
        "crps_decades": float(scores.mean()),
        "crps_ci95": interval(scores),
        "coverage": {},
        "coverage_ci95": {},
    }
    for level in INTERVALS:
        inside = covered(forecasts, values, level)
        found["coverage"][str(level)] = float(inside.mean())
        if level in (0.5, 0.9):
            found["coverage_ci95"][str(level)] = interval(inside)
    return found | _exponents(forecasts, values, owner, resampling)


def _exponents(
    forecasts: Forecasts, values: Floats, owner: Integers, resampling: Resampling
) -> Details:
    """How often the power of ten is right, and how far off the logarithm is, above zero."""
    above = values > 0
    both = above & (forecasts.point > 0)
    true_log = np.log10(values[both])
    said_log = np.log10(forecasts.point[both])
    # log10(1000) may come out a little below 3
    same_power = np.floor(true_log + 1e-9) == np.floor(said_log + 1e-9)
    right = np.zeros(len(values), dtype=bool)
    right[both] = same_power
    found: Details = {
        "median_log10_error": float("nan"),
        "exponent_accuracy": float("nan"),
        "exponent_accuracy_ci95": None,
    }
    if both.any():
        misses: Floats = np.abs(true_log - said_log)
        found["median_log10_error"] = float(np.median(misses))
    if above.any():
        found["exponent_accuracy"] = float(right[above].mean())
        groups = owner[above]
        interval = mean_interval(right[above], *resampling, groups)
        found["exponent_accuracy_ci95"] = interval
    return found


def _examples(numbers: NextNumbers, after: Forecasts) -> list[Details]:
    """The first numbers, with the 90% interval of the trained model."""
    rows = []
    for place, prompt in enumerate(numbers.prompts[:EXAMPLES]):
        shown = numbers.numbers[place].text
        low, *_, high = after.quantiles[place].tolist()
        row: Details = {"prompt": prompt, "true": shown, "interval": [low, high]}
        row["value"] = float(after.point[place])
        row["determined"] = bool(numbers.deterministic[place])
        rows.append(row)
    return rows
