"""Figures as text: one way to write each kind, with true minus signs and a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.markup import Html, join, tag

NONE = "–"
NAMES = {
    "mlm": "Masked language model",
    "ntp": "Next token",
    "contrastive": "Contrastive",
    "denoising": "Denoising",
    "numerical": "Numerical",
    "token_classification": "Token classification",
    "numerical_reasoning": "Numerical reasoning",
    "semantic_similarity": "Semantic similarity",
    "next_token_prediction": "Next-token prediction",
    "number_prediction": "Number prediction",
    "tfidf_words": "TF-IDF, words",
    "tfidf_characters": "TF-IDF, characters",
    "char_cnn": "char-CNN",
    "ngram_counts": "n-gram counts",
    "unigram_counts": "Unigram counts",
    **{
        f"{key}_alone": f"{key} alone"
        for key in ("mlm", "ntp", "contrastive", "denoising", "numerical")
    },
}
METRICS = {
    "spearman": "Spearman", "rmse": "RMSE", "error_decades": "error, decades", "exact_match": "exact match",
    "bits_per_byte": "bits per byte",
}  # fmt: skip


def known(value: Any) -> bool:
    """Is this a finite number?"""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def name(key: str) -> str:
    """A key of the files as words."""
    return NAMES.get(key) or key.replace("_", " ").capitalize()


def metric_name(metric: str) -> str:
    """A metric as words."""
    return METRICS.get(metric, metric.replace("_", " "))


def percent(value: Any, digits: int = 1) -> str:
    """A share as a percentage."""
    return number(100 * value, digits) + "%" if known(value) else NONE


def number(value: Any, digits: int = 3) -> str:
    """A number with a fixed count of decimals and thousands separators."""
    return f"{value:,.{digits}f}".replace("-", "−") if known(value) else NONE


def count(value: Any) -> str:
    """A whole number."""
    return number(value, 0)


def short(value: Any, digits: int = 4) -> str:
    """A number of any size in a few significant digits, with an exponent below 0.0001 and from a billion on."""
    if not known(value):
        return NONE
    rounded = float(f"{value:.{digits}g}")
    plain = 1e-4 <= abs(rounded) < 1e9 or rounded == 0
    text = (
        (f"{rounded:,.0f}" if abs(rounded) >= 10**digits else f"{rounded:,.{digits}g}")
        if plain
        else f"{rounded:g}"
    )
    return text.replace("-", "−")


def score(value: Any, metric: str) -> str:
    """A figure in the way of its metric: accuracies as percentages, correlations with three decimals."""
    if metric in ("accuracy", "exact_match"):
        return percent(value)
    return short(value) if metric == "rmse" else number(value)


def span(interval: Any, metric: str) -> str:
    """An interval in the way of its metric, without the unit: `91.9–94.8`."""
    if not is_interval(interval):
        return NONE
    low, high = (score(end, metric).removesuffix("%") for end in interval)
    return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def is_interval(interval: Any) -> bool:
    """Are these two finite numbers?"""
    return isinstance(interval, Sequence) and len(interval) == 2 and all(map(known, interval))


def with_interval(value: Any, interval: Any, metric: str) -> Html:
    """A figure and, below it, its 95% interval."""
    below = tag("span", span(interval, metric), class_="ci") if is_interval(interval) else None
    return join(tag("span", score(value, metric), class_="v"), below)


def gain(value: float, metric: str) -> str:
    """A signed difference; of accuracies in percentage points."""
    if not known(value):
        return NONE
    sign = "+" if value > 0 else ""
    return sign + (
        f"{number(100 * value, 1)} pt"
        if metric in ("accuracy", "exact_match")
        else score(value, metric)
    )


def difference(row: Mapping[str, Any], metric: str) -> Html:
    """After - before with the interval of the paired difference."""
    both = known(row.get("after")) and known(row.get("before"))
    value = row["after"] - row["before"] if both else float("nan")
    below = (
        tag("span", span(row["difference_ci95"], metric), class_="ci")
        if is_interval(row.get("difference_ci95"))
        else None
    )
    return join(tag("span", gain(value, metric), class_="v"), below)


def duration(seconds: Any) -> str:
    """Seconds as a person says them."""
    if not known(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
