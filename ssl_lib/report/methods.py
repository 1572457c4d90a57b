"""Before, after and baselines of each task: a drawing and a table with every method on the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ssl_lib.report import guide
from ssl_lib.report.formats import (
    count,
    gain,
    is_interval,
    known,
    metric_name,
    name,
    number,
    percent,
    score,
    span,
    with_interval,
)
from ssl_lib.report.inputs import TASKS, Inputs, at
from ssl_lib.report.learning import legend
from ssl_lib.report.markup import Html, absent, figure, grid, join, paragraph, table, tag
from ssl_lib.report.svg import Mark, Row, interval_chart

SHARES = ("accuracy", "exact_match")
LESS_IS_BETTER = " Less is better."


class Method(NamedTuple):
    """One way to answer the items: its figure, and by how much the trained model is ahead of it."""

    label: str
    value: Any
    interval: Any
    ahead: Any
    style: str


def downstream(inputs: Inputs) -> Html:
    """The four tasks, one after the other."""
    rows = {task: inputs.task(task) for task in TASKS if inputs.task(task)}
    if not rows:
        return absent("metrics/evaluation.json holds no downstream tasks.")
    words = (
        "Every method answers the same items. Lines and the small figures are 95% intervals, by resampling the items, "
        "or whole documents where several items stand in one; the last column is the paired difference, on the same "
        "resampled items. The dotted line is the guide's figure."
    )
    blocks = [_block(name(task), row, guide.TASKS[task][1]) for task, row in rows.items()]
    return join(_colours(), paragraph(words), *blocks)


def external(inputs: Inputs) -> Html:
    """Files that `evaluation.external` names."""
    rows = inputs.evaluation.get("external") or {}
    if not rows:
        return absent("evaluation.external names no file, so none was judged.")
    blocks = [_block(key, row, None, _file(row)) for key, row in rows.items() if row]
    return join(_colours(), *blocks)


def methods(row: Mapping[str, Any]) -> Iterator[Method]:
    """The untrained twin, the trained model, then its baselines; those without a figure are left out."""
    yield Method(
        "Untrained twin",
        row.get("before"),
        row.get("before_ci95"),
        row.get("difference_ci95"),
        "before",
    )
    yield Method("Trained", row.get("after"), row.get("ci95"), None, "after")
    for key, value in (row.get("baselines") or {}).items():
        yield Method(
            name(key),
            value,
            at(row, "baselines_ci95", key),
            at(row, "over_baselines_ci95", key),
            "plain",
        )


def _block(title: str, row: Mapping[str, Any], bar: float | None, words: str = "") -> Html:
    metric = row.get("metric") or "accuracy"
    found = [method for method in methods(row) if known(method.value)]
    note = words + (LESS_IS_BETTER if row.get("higher_is_better") is False else "")
    below = paragraph(note.strip(), class_="note") if note else None
    caption = f"{title}: {metric_name(metric)}, n = {count(row.get('n'))}"
    drawn = figure(_chart(caption, found, metric, bar), caption) if found else None
    return join(
        tag("h3", title),
        below,
        grid(drawn, tag("div", _table(title, found, row.get("after"), metric))),
    )


def _chart(caption: str, found: list[Method], metric: str, bar: float | None) -> Html:
    rows = [
        Row(
            one.label,
            [Mark(one.value, one.interval if is_interval(one.interval) else None, one.style)],
            score(one.value, metric),
        )
        for one in found
    ]
    title = f"{caption}; " + ", ".join(f"{row.label} {row.shown}" for row in rows)
    ends = [
        end for row in rows for mark in row.marks for end in (mark.value, *(mark.interval or ()))
    ]
    high = 1.0 if metric in (*SHARES, "spearman") else 1.05 * max(ends)
    return interval_chart(title, rows, (min(0.0, *ends), high), _tick_of(metric), bar)


def _table(title: str, found: list[Method], after: Any, metric: str) -> Html:
    body = [
        [one.label, with_interval(one.value, one.interval, metric), _ahead(one, after, metric)]
        for one in found
    ]
    return table(
        f"{title}: methods on the same items", ["Method", "Figure", "Trained less it"], body
    )


def _ahead(one: Method, after: Any, metric: str) -> Html | str:
    if one.style == "after" or not (known(after) and known(one.value)):
        return "–"
    below = tag("span", span(one.ahead, metric), class_="ci") if is_interval(one.ahead) else None
    return join(tag("span", gain(after - one.value, metric), class_="v"), below)


def _file(row: Mapping[str, Any]) -> str:
    """What was asked of which file."""
    seen = at(dict(row), "contamination", "contaminated")
    asked = f"{count(row.get('asked'))} of {count(row.get('of'))} items"
    words = f"{name(row.get('task') or '')} on {row.get('path')}: {asked}."
    if seen:
        words += f" {count(seen)} of those drawn share a 13-gram of tokens with training and were left out."
    if row.get("repeated"):
        words += f" {count(row['repeated'])} repeat a sentence that the probe learns from and were left out."
    for key, label in (
        ("exact_match", "Exact match by generation"),
        ("four_choice", "Four-choice with near numbers"),
    ):
        if beside := row.get(key):
            shown, ends = (
                score(beside.get("after"), "accuracy"),
                span(beside.get("ci95"), "accuracy"),
            )
            words += f" {label}: {shown} ({ends}), untrained twin {score(beside.get('before'), 'accuracy')}."
    for kind, label in (("all", "all tokens"), ("numbers", "tokens inside numbers")):
        if right := at(dict(row), "accuracy", kind):
            words += f" Top-1 accuracy on {label}: {score(right.get('after'), 'accuracy')}."
    return words


def _colours() -> Html:
    return legend(
        ("--before", "untrained twin"), ("--after", "trained"), ("--plain", "other methods")
    )


def _tick_of(metric: str) -> Any:
    return (
        (lambda value: percent(value, 0)) if metric in SHARES else (lambda value: number(value, 1))
    )
