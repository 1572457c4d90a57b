"""Prediction of the next number's value: error, exponent, coverage of the central intervals and CRPS.

Errors are measured in decades on the scale of `ssl_lib.numbers.scale`, which is defined for zero and for negative
numbers; the exponent accuracy and the plain log10 error, which are not, count only numbers above zero. Legend: N
numbers, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssl_lib.evaluation.protocol import Contest, Judged, Spans
from ssl_lib.evaluation.statistics import TaskResult, lower_is_better, mean_interval, paired_means
from ssl_lib.numbers import find_numbers
from ssl_lib.numbers.scale import RESOLUTION, to_scale

INTERVALS = (
    0.1,
    0.3,
    0.5,
    0.7,
    0.9,
)  # their ends are the quantiles 0.05, 0.15 ... 0.95: the midpoint rule for CRPS
LEVELS = tuple(sorted([(1 - p) / 2 for p in INTERVALS] + [(1 + p) / 2 for p in INTERVALS]))
EXAMPLES = 12


class SpannedText(Protocol):
    """A text with the spans that its context determines (may be empty)."""

    text: str
    deterministic: Spans


class NextNumbers(NamedTuple):
    """N numbers to foretell: the text before each, its true value, its text, and whether the context determines it."""

    prompts: list[str]
    values: NDArray[np.float64]
    shown: list[str]
    determined: NDArray[np.bool_]
    owner: NDArray[np.int64]


class Forecast(NamedTuple):
    """Point [N] and quantiles [N, Q] at LEVELS."""

    point: NDArray[np.float64]
    quantiles: NDArray[np.float64]


def to_decades(values: ArrayLike) -> NDArray[np.float64]:
    """Values on the signed logarithmic scale."""
    return to_scale(np.asarray(values, dtype=np.float64))


def next_numbers(documents: Sequence[SpannedText], limit: int, seed: int) -> NextNumbers:
    """Up to `limit` numbers, drawn evenly from the documents.

    Only numbers with a finite value that begin with a digit right after a space count, so that it is plain what each
    prompt asks for. Raises ValueError if there is none.
    """
    rows = []
    for owner, document in enumerate(documents):
        for number in find_numbers(document.text):
            prompt = document.text[: number.start]
            if (
                prompt.strip()
                and prompt.endswith(" ")
                and number.text[:1].isdigit()
                and np.isfinite(number.value)
            ):
                sure = any(
                    start < number.end and number.start < end
                    for start, end in document.deterministic
                )
                rows.append((prompt, number.value, number.text, sure, owner))
    if not rows:
        raise ValueError("no document holds a number with text before it")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:limit])
    prompts, values, shown, sure, owner = zip(*(rows[i] for i in chosen), strict=True)
    return NextNumbers(
        list(prompts), np.array(values), list(shown), np.array(sure), np.array(owner)
    )


def forecasts(model: Judged, prompts: Sequence[str]) -> Forecast:
    """Median and quantiles of the number that follows each prompt."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    predicted = model.predict_numbers([prompts[i] for i in order], intervals=INTERVALS)
    point_N, quantiles_NQ = np.empty(len(prompts)), np.empty((len(prompts), len(LEVELS)))
    for i, prediction in zip(order, predicted, strict=True):
        ends = [end for interval in INTERVALS for end in prediction.intervals[interval]]
        point_N[i], quantiles_NQ[i] = prediction.value, np.sort(ends)
    return Forecast(point_N, quantiles_NQ)


def evaluate_number_prediction(
    contest: Contest, numbers: NextNumbers, training_values: NDArray[np.float64]
) -> TaskResult:
    """Mean error in decades before and after; coverage, CRPS and exponents in the details.

    The baseline states the quantiles of all numbers of the training split, whatever the text.
    """
    forms = {
        "before": forecasts(contest.before, numbers.prompts),
        "after": forecasts(contest.after, numbers.prompts),
        "marginal": _marginal(training_values, len(numbers.values)),
    }
    errors = {name: absolute_error(forecast, numbers.values) for name, forecast in forms.items()}
    estimate, marginal = (
        paired_means(
            errors[who],
            errors["after"],
            contest.bootstrap_samples,
            contest.seed,
            groups_N=numbers.owner,
        )
        for who in ("before", "marginal")
    )
    every = np.ones(len(numbers.values), dtype=bool)
    details: dict[str, Any] = {"examples": _examples(numbers, forms["after"])}
    for name, here in {
        "all": every,
        "determined": numbers.determined,
        "free": ~numbers.determined,
    }.items():
        if here.any():
            rows = {
                who: measures(forecast, numbers, here, contest) for who, forecast in forms.items()
            }
            details[name] = {"n": int(here.sum()), **rows}
    return lower_is_better(
        estimate.result("error_decades", len(numbers.values), details, {"marginal": marginal})
    )


def absolute_error(forecast: Forecast, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Error of the point forecast [N], in decades."""
    return np.abs(to_decades(forecast.point) - to_decades(values))


def crps(forecast: Forecast, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Continuous ranked probability score [N] in decades.

    Twice the mean quantile loss over LEVELS (Gneiting and Ranjan 2011): the midpoint rule for the integral over levels.
    """
    miss_NQ = to_decades(values)[:, None] - to_decades(forecast.quantiles)
    levels_Q = np.array(LEVELS)
    return 2.0 * np.maximum(levels_Q * miss_NQ, (levels_Q - 1.0) * miss_NQ).mean(axis=1)


def covered(forecast: Forecast, values: NDArray[np.float64], interval: float) -> NDArray[np.bool_]:
    """Which values [N] lie in the central interval; its ends count, with a tolerance of float32."""
    low = LEVELS.index((1 - interval) / 2)
    low_N, high_N = forecast.quantiles[:, low], forecast.quantiles[:, -1 - low]
    slack_N = 1e-6 * np.maximum(np.abs(values), RESOLUTION)
    return (values >= low_N - slack_N) & (values <= high_N + slack_N)


def measures(
    forecast: Forecast, numbers: NextNumbers, here: NDArray[np.bool_], contest: Contest
) -> dict[str, Any]:
    """All measures of one forecast on the numbers chosen by `here`, those that matter with an interval."""
    values, forecast = (
        numbers.values[here],
        Forecast(forecast.point[here], forecast.quantiles[here]),
    )
    samples, seed, owner = contest.bootstrap_samples, contest.seed, numbers.owner[here]
    positive = (values > 0) & (forecast.point > 0)
    logs = np.log10(values[positive]), np.log10(forecast.point[positive])
    exponents = np.zeros(len(values), dtype=bool)
    exponents[positive] = np.floor(logs[0] + 1e-9) == np.floor(logs[1] + 1e-9)
    above, errors, scores = values > 0, absolute_error(forecast, values), crps(forecast, values)
    within = np.abs(forecast.point - values) <= 0.01 * np.abs(values)
    return {
        "mean_error_decades": float(errors.mean()),
        "mean_error_ci95": mean_interval(errors, samples, seed, owner),
        "median_error_decades": float(np.median(errors)),
        "median_log10_error": float(np.median(np.abs(logs[0] - logs[1])))
        if positive.any()
        else float("nan"),
        "exponent_accuracy": float(exponents[above].mean()) if above.any() else float("nan"),
        "exponent_accuracy_ci95": mean_interval(exponents[above], samples, seed, owner[above])
        if above.any()
        else None,
        "within_1_percent": float(within.mean()),
        "within_1_percent_ci95": mean_interval(within, samples, seed, owner),
        "crps_decades": float(scores.mean()),
        "crps_ci95": mean_interval(scores, samples, seed, owner),
        "coverage": {str(p): float(covered(forecast, values, p).mean()) for p in INTERVALS},
        "coverage_ci95": {
            str(p): mean_interval(covered(forecast, values, p), samples, seed, owner)
            for p in (0.5, 0.9)
        },
    }


def _marginal(training_values: NDArray[np.float64], count: int) -> Forecast:
    known = training_values[np.isfinite(training_values)]
    quantiles_Q = np.quantile(known, LEVELS) if len(known) else np.zeros(len(LEVELS))
    point = float(np.median(known)) if len(known) else 0.0
    return Forecast(np.full(count, point), np.tile(quantiles_Q, (count, 1)))


def _examples(numbers: NextNumbers, after: Forecast) -> list[dict[str, Any]]:
    """The first forecasts, with their 90% interval."""
    return [
        {
            "prompt": numbers.prompts[i],
            "true": numbers.shown[i],
            "value": float(after.point[i]),
            "interval": [float(after.quantiles[i, 0]), float(after.quantiles[i, -1])],
            "determined": bool(numbers.determined[i]),
        }
        for i in range(min(EXAMPLES, len(numbers.prompts)))
    ]
