"""Prediction of the next number's value: error, power of ten, coverage of intervals and CRPS.

Errors are measured on the number scale (`ssl_lib.numbers.scale`), in orders of magnitude; it is
defined for zero and for negative numbers. The accuracy of the exponent and the plain log10 error,
which are not, count only numbers above zero.

Legend: N numbers, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import EvaluatedModel, EvaluationTask, ModelPair
from ssl_lib.evaluation.comparison import Resampling, Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.next_token_prediction import Documents
from ssl_lib.evaluation.statistics import Floats, mean_interval
from ssl_lib.numbers import find_numbers
from ssl_lib.numbers.scale import RESOLUTION, to_scale

INTERVALS = (0.1, 0.3, 0.5, 0.7, 0.9)
# their ends are the quantiles 0.05, 0.15 … 0.95: the midpoint rule for CRPS
LEVELS = tuple(sorted([(1 - p) / 2 for p in INTERVALS] + [(1 + p) / 2 for p in INTERVALS]))
EXAMPLES = 12


class NextNumbers(NamedTuple):
    """N numbers to predict: the text before each, its true value, its text, the document of each.

    `deterministic` says whether the number follows from the text before it.
    """

    prompts: list[str]
    values: Floats
    shown: list[str]
    deterministic: NDArray[np.bool_]
    owner: NDArray[np.int64]


class Forecasts(NamedTuple):
    """Point [N] and quantiles [N, Q] at LEVELS."""

    point: Floats
    quantiles: Floats


class NumberPrediction(EvaluationTask[NextNumbers, Forecasts]):
    """Mean error in orders of magnitude; coverage, CRPS and exponents are in the details."""

    checked = False

    def items(self, data: EvaluationData) -> NextNumbers:
        """Numbers of the documents of next-token prediction."""
        documents = data.cleared["next_token_prediction"]
        return next_numbers(documents, data.settings.items, data.seed)

    def answer(self, model: EvaluatedModel, items: NextNumbers) -> Forecasts:
        """Median and quantiles of the number that follows each prompt."""
        prompts = items.prompts
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        ordered = [prompts[place] for place in order]
        point_N, quantiles_NQ = np.empty(len(prompts)), np.empty((len(prompts), len(LEVELS)))
        predicted = model.predict_numbers(ordered, intervals=INTERVALS)
        for place, one in zip(order, predicted, strict=True):
            ends = [end for interval in INTERVALS for end in one.intervals[interval]]
            point_N[place], quantiles_NQ[place] = one.value, np.sort(ends)
        return Forecasts(point_N, quantiles_NQ)

    def score(self, items: NextNumbers, answers: Forecasts) -> Scores:
        """Absolute errors; the numbers of one document are resampled together."""
        return Scores(absolute_error(answers, items.values), groups=items.owner)

    def baselines(
        self, data: EvaluationData, items: NextNumbers
    ) -> Mapping[str, Forecasts | float]:
        """The quantiles of all numbers of the training split, whatever the text."""
        count = len(items.values)
        known = data.training_values[np.isfinite(data.training_values)]
        if not len(known):
            known = np.zeros(1)
        quantiles_NQ = np.tile(np.quantile(known, LEVELS), (count, 1))
        return {"marginal": Forecasts(np.full(count, np.median(known)), quantiles_NQ)}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: NextNumbers,
        answers: Mapping[str, Forecasts],
    ) -> dict[str, Any]:
        """All measures of all numbers, of those that follow from the text, and of the others."""
        kinds = {
            "all": np.ones(len(items.values), dtype=bool),
            "determined": items.deterministic,
            "free": ~items.deterministic,
        }
        found: dict[str, Any] = {"examples": _examples(items, answers["after"])}
        for name, kept in kinds.items():
            if not kept.any():
                continue
            rows = {
                who: measures(forecasts, items, kept, pair.resampling)
                for who, forecasts in answers.items()
            }
            found[name] = {"n": int(kept.sum()), **rows}
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> dict[str, Any]:
        """The result, with the measures of the trained model on all numbers."""
        result = results[self.task.name]
        after = result.details["all"]["after"]
        return {self.task.name: result.summary() | {"after_details": after}}


def next_numbers(documents: Documents, limit: int, seed: int) -> NextNumbers:
    """Up to `limit` numbers, drawn evenly from the documents.

    Only numbers with a finite value that begin with a digit right after a space count, so that it
    is plain what each prompt asks for. Raises ValueError if there is none.
    """
    rows = []
    for owner, document in enumerate(documents):
        for number in find_numbers(document.text):
            prompt = document.text[: number.start]
            plain = number.text[:1].isdigit() and np.isfinite(number.value)
            if not (plain and prompt.strip() and prompt.endswith(" ")):
                continue
            sure = any(
                start < number.end and number.start < end for start, end in document.deterministic
            )
            rows.append((prompt, number.value, number.text, sure, owner))
    if not rows:
        raise ValueError("no document holds a number with text before it")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:limit])
    prompts, values, shown, sure_N, owners = zip(*(rows[place] for place in chosen), strict=True)
    return NextNumbers(
        list(prompts), np.array(values), list(shown), np.array(sure_N), np.array(owners)
    )


def absolute_error(forecasts: Forecasts, values: Floats) -> Floats:
    """Error of the points [N], in orders of magnitude."""
    return np.abs(to_scale(forecasts.point) - to_scale(values))


def crps(forecasts: Forecasts, values: Floats) -> Floats:
    """Continuous ranked probability score [N] in orders of magnitude.

    Twice the mean quantile loss over LEVELS (Gneiting and Ranjan 2011): the midpoint rule for the
    integral over levels.
    """
    miss_NQ = to_scale(values)[:, None] - to_scale(forecasts.quantiles)
    levels_Q = np.array(LEVELS)
    loss_NQ = np.maximum(levels_Q * miss_NQ, (levels_Q - 1.0) * miss_NQ)
    scores_N: Floats = 2.0 * loss_NQ.mean(axis=1)
    return scores_N


def covered(forecasts: Forecasts, values: Floats, interval: float) -> NDArray[np.bool_]:
    """Which values [N] lie in the central interval; its ends count, within a float32's error."""
    low = LEVELS.index((1 - interval) / 2)
    low_N, high_N = forecasts.quantiles[:, low], forecasts.quantiles[:, -1 - low]
    slack_N = 1e-6 * np.maximum(np.abs(values), RESOLUTION)
    return (values >= low_N - slack_N) & (values <= high_N + slack_N)


def measures(
    forecasts: Forecasts, numbers: NextNumbers, kept: NDArray[np.bool_], resampling: Resampling
) -> dict[str, Any]:
    """All measures of one model on the kept numbers, those that matter with an interval."""
    values, owner = numbers.values[kept], numbers.owner[kept]
    forecasts = Forecasts(forecasts.point[kept], forecasts.quantiles[kept])
    above = values > 0
    positive = above & (forecasts.point > 0)
    true_log, said_log = np.log10(values[positive]), np.log10(forecasts.point[positive])
    exponents = np.zeros(len(values), dtype=bool)
    exponents[positive] = np.floor(true_log + 1e-9) == np.floor(said_log + 1e-9)
    columns: dict[str, NDArray[Any]] = {
        "mean_error": absolute_error(forecasts, values),
        "within_1_percent": np.abs(forecasts.point - values) <= 0.01 * np.abs(values),
        "crps": crps(forecasts, values),
    }
    means = {name: float(column.mean()) for name, column in columns.items()}
    ends = {
        f"{name}_ci95": mean_interval(column, *resampling, owner)
        for name, column in columns.items()
    }
    coverage = {level: covered(forecasts, values, level) for level in INTERVALS}
    found: dict[str, Any] = {
        "mean_error_decades": means["mean_error"],
        "median_error_decades": float(np.median(columns["mean_error"])),
        "median_log10_error": float("nan"),
        "exponent_accuracy": float("nan"),
        "exponent_accuracy_ci95": None,
        "within_1_percent": means["within_1_percent"],
        "crps_decades": means["crps"],
        "coverage": {str(level): float(inside.mean()) for level, inside in coverage.items()},
        "coverage_ci95": {
            str(level): mean_interval(coverage[level], *resampling, owner) for level in (0.5, 0.9)
        },
    }
    if positive.any():
        misses: Floats = np.abs(true_log - said_log)
        found["median_log10_error"] = float(np.median(misses))
    if above.any():
        found["exponent_accuracy"] = float(exponents[above].mean())
        interval = mean_interval(exponents[above], *resampling, owner[above])
        found["exponent_accuracy_ci95"] = interval
    return found | ends


def _examples(numbers: NextNumbers, after: Forecasts) -> list[dict[str, Any]]:
    """The first numbers, with the 90% interval of the trained model."""
    rows = []
    for place, prompt in enumerate(numbers.prompts[:EXAMPLES]):
        quantiles_Q = after.quantiles[place]
        row: dict[str, Any] = {"prompt": prompt, "true": numbers.shown[place]}
        row["value"] = float(after.point[place])
        row["interval"] = [float(quantiles_Q[0]), float(quantiles_Q[-1])]
        row["determined"] = bool(numbers.deterministic[place])
        rows.append(row)
    return rows
