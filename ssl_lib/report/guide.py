"""The guide's two tables, and whether a run meets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ssl_lib.report.formats import is_interval, known
from ssl_lib.report.markup import Html, tag

TITLE = "Self-Supervised Learning for Numerical Token Prediction"
LOSSES = {
    "mlm": (5.0, 2.1, 0.58),
    "ntp": (4.5, 1.8, 0.60),
    "contrastive": (3.0, 0.5, 0.83),
    "denoising": (4.2, 1.5, 0.64),
}  # before, after, reduction
TASKS = {
    "token_classification": (0.85, 0.92),
    "numerical_reasoning": (0.70, 0.88),
    "semantic_similarity": (0.78, 0.89),
    "next_token_prediction": (0.60, 0.95),
}  # before, after


class Verdict(NamedTuple):
    """`kind` is met, near or missed; `words` say it."""

    kind: str
    words: str

    def mark(self) -> Html:
        """The verdict as a mark that needs no colour to be read."""
        sign = {"met": "✓", "near": "≈", "missed": "✗"}[self.kind]
        return tag("span", f"{sign} {self.words}", class_=f"mark {self.kind}")


def verdict_of_loss(objective: str, row: Mapping[str, Any]) -> Verdict:
    """Does the reduction of a held-out loss reach the guide's?"""
    reduction = row.get("reduction")
    if known(reduction) and reduction >= LOSSES[objective][2]:
        return Verdict("met", "met")
    return Verdict("missed", "not met")


def verdict_of_task(task: str, row: Mapping[str, Any]) -> Verdict:
    """Does the figure after training reach the guide's, and does its interval stay above it?"""
    bar = TASKS[task][1]
    if not known(row.get("after")) or row["after"] < bar:
        return Verdict("missed", "not met")
    if is_interval(row.get("ci95")) and row["ci95"][0] < bar:
        return Verdict("near", "met, interval reaches below")
    return Verdict("met", "met")


def above_twin(row: Mapping[str, Any]) -> bool:
    """Is the lower end of the trained model's interval above the upper end of the untrained twin's?"""
    both = is_interval(row.get("ci95")) and is_interval(row.get("before_ci95"))
    return both and row["ci95"][0] > row["before_ci95"][1]


def verdict_of_twin(row: Mapping[str, Any]) -> Verdict:
    """`above_twin` as a verdict."""
    return Verdict("met", "above") if above_twin(row) else Verdict("missed", "not above")
