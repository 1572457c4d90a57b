"""The four downstream tasks: before, after and baselines; families of reasoning; confusion of roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report import guide
from ssl_lib.report.formats import (
    count,
    difference,
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
from ssl_lib.report.markup import Html, absent, figure, folded, grid, join, paragraph, scroll_box, table, tag
from ssl_lib.report.svg import Mark, Row, interval_chart

POSITIONS = {"determined": "determined positions", "all": "all positions", "numbers": "positions inside numbers"}
SETS = (
    ("exact_match", "Exact match"),
    ("extrapolation", "Longer numbers"),
    ("reserved_wordings", "Unseen wordings"),
)


def downstream(inputs: Inputs) -> Html:
    """A drawing and a table of all tasks, their baselines among them."""
    rows = {task: inputs.task(task) for task in TASKS if inputs.task(task)}
    if not rows:
        return absent("metrics/evaluation.json holds no downstream tasks.")
    colours = legend(("--before", "untrained twin"), ("--after", "trained"), ("--plain", "baselines, without interval"))
    dotted = paragraph("The dotted line is the guide's figure. Lines are 95% intervals.", class_="note")
    return join(
        colours, dotted, grid(*(_chart(task, row) for task, row in rows.items())), _baselines(rows), _text(inputs)
    )


def reasoning(inputs: Inputs) -> Html:
    """Numerical reasoning by family: unseen operands, longer numbers, unseen wordings, exact match."""
    detail = inputs.detail("numerical_reasoning")
    families = detail.get("families") or {}
    if not families:
        return absent("report/evaluation.json holds no families of numerical reasoning.")
    head = ["Family", "n", "Untrained", "Trained"]
    for _, title in SETS:
        head += ["n", title]
    rows = [_family(family, row, detail) for family, row in families.items()]
    caption = "Four-choice accuracy by family of items, 95% intervals below the figures"
    note = (
        "Chance is 25%. Operands are absent from training; longer numbers have more digits than any that the family "
        "shows in training. Exact match is greedy generation of the whole answer, asked of every few items."
    )
    drawn = figure(
        _family_chart(families, detail), "Trained model: filled on unseen operands, hollow on longer numbers."
    )
    return join(drawn, table(caption, head, rows, foot=_all_families(inputs, detail)), paragraph(note, class_="note"))


def roles(inputs: Inputs) -> Html:
    """Confusion matrix of the roles of numbers."""
    detail = inputs.detail("token_classification")
    classes, matrix = detail.get("classes") or [], detail.get("confusion") or []
    if not classes or not matrix:
        return absent("report/evaluation.json holds no confusion matrix of roles.")
    f1 = detail.get("macro_f1") or [None, None]
    row = inputs.task("token_classification")
    right = sum(line[i] for i, line in enumerate(matrix))
    asked = sum(map(sum, matrix))
    words = (
        f"A linear probe on the frozen trunk names the role of {count(asked)} numbers in unseen wordings: "
        f"{count(right)} right, {percent(right / max(1, asked))} ({span(row.get('ci95'), 'accuracy')}); macro F1 "
        f"{number(f1[1])}, untrained twin {number(f1[0])}."
    )
    before = detail.get("confusion_before")
    twin = (
        folded("The same for the untrained twin", confusion_table(classes, before, "Untrained twin"))
        if before
        else None
    )
    return join(paragraph(words), confusion_table(classes, matrix, "Trained model"), twin)


def confusion_table(classes: Sequence[str], matrix: Sequence[Sequence[int]], who: str) -> Html:
    """Counts; a cell is as dark as its share of the row, mistakes in another colour."""
    caption = f"{who}: true role down, named role across, counts of numbers"
    names = [one.replace("_", " ") for one in classes]
    head = tag(
        "tr",
        tag("th", "True role", scope="col"),
        *(tag("th", one, scope="col", class_="n") for one in names),
        tag("th", "n", scope="col", class_="n"),
    )
    body = []
    for i, line in enumerate(matrix):
        total = sum(line)
        cells = [
            tag(
                "td",
                count(value) if value else "·",
                style=f"--w: {_shade(value, total, i == j):.3f}",
                class_=None if i == j else "off",
            )
            for j, value in enumerate(line)
        ]
        body.append(tag("tr", tag("th", names[i], scope="row"), *cells, tag("td", count(total))))
    inner = tag("table", tag("thead", head), tag("tbody", *body), aria_label=caption)
    return tag("div", scroll_box(inner, caption), class_="heat")


def _shade(value: int, total: int, right: bool) -> float:
    """Share of the row; of mistakes its root, so that a few can be seen."""
    share = value / max(1, total)
    return share if right else share**0.5


def _chart(task: str, row: Mapping[str, Any]) -> Html:
    metric = row.get("metric") or "accuracy"
    rows = [_chart_row("Untrained twin", row.get("before"), row.get("before_ci95"), "before", metric)]
    rows.append(_chart_row("Trained", row.get("after"), row.get("ci95"), "after", metric))
    rows += [_chart_row(name(key), value, None, "plain", metric) for key, value in (row.get("baselines") or {}).items()]
    shown = [one for one in rows if one is not None]
    low = min([0.0, *(mark.value for one in shown for mark in one.marks)])
    title = f"{name(task)}: " + ", ".join(f"{one.label} {one.shown}" for one in shown)
    ticks = _percent_tick if metric == "accuracy" else _plain_tick
    drawn = interval_chart(title, shown, (low, 1.0), ticks, guide.TASKS[task][1])
    caption = join(tag("strong", name(task)), f" · {metric_name(metric)} · n = {count(row.get('n'))}")
    return figure(drawn, caption)


def _chart_row(label: str, value: Any, interval: Any, style: str, metric: str) -> Row | None:
    if not known(value):
        return None
    return Row(label, [Mark(value, interval if is_interval(interval) else None, style)], score(value, metric))


def _percent_tick(value: float) -> str:
    return percent(value, 0)


def _plain_tick(value: float) -> str:
    return number(value, 1)


def _baselines(rows: Mapping[str, Mapping[str, Any]]) -> Html:
    body = []
    for task, row in rows.items():
        metric = row.get("metric") or "accuracy"
        title = join(name(task), tag("span", metric_name(metric), class_="ci"))
        others = (
            "; ".join(f"{name(key)} {score(value, metric)}" for key, value in (row.get("baselines") or {}).items())
            or "–"
        )
        before = with_interval(row.get("before"), row.get("before_ci95"), metric)
        after = with_interval(row.get("after"), row.get("ci95"), metric)
        body.append([title, others, count(row.get("n")), before, after, difference(row, metric)])
    head = ["Task", "Baselines on the same items", "n", "Untrained twin", "Trained", "Paired difference"]
    return table("Before and after on the same items", head, body, words=2)


def _text(inputs: Inputs) -> Html | None:
    """Next tokens beyond the determined positions, and any held-out text of the corpus."""
    detail = inputs.detail("next_token_prediction")
    body = [
        [f"Top-1 accuracy, {POSITIONS.get(kind, kind)}", count(at(detail, "positions", kind)), *_pair(row, "accuracy")]
        for kind, row in (detail.get("accuracy") or {}).items()
    ]
    if detail.get("bits_per_byte"):
        body.append(
            [
                "Bits per byte, task documents",
                count(detail.get("documents")),
                *_pair(detail["bits_per_byte"], "bits"),
            ]
        )
    held_out = inputs.evaluation.get("held_out_text") or {}
    for key, title, metric in (
        ("accuracy", "Top-1 accuracy, all positions", "accuracy"),
        ("bits_per_byte", "Bits per byte", "bits"),
    ):
        if held_out.get(key):
            body.append(
                [
                    f"{title}, held-out documents of the corpus",
                    count(held_out.get("documents")),
                    *_pair(held_out[key], metric),
                ]
            )
    if not body:
        return None
    return table("Next tokens in more detail", ["Measure", "n", "Untrained twin", "Trained", "Paired difference"], body)


def _pair(row: Mapping[str, Any], metric: str) -> list[Html]:
    before = with_interval(row.get("before"), row.get("before_ci95"), metric)
    return [before, with_interval(row.get("after"), row.get("ci95"), metric), difference(row, metric)]


def _family(family: str, row: Mapping[str, Any], detail: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = [name(family), count(row.get("n")), *_pair(row, "accuracy")[:2]]
    for key, _ in SETS:
        apart = at(detail, key, "families", family) or {}
        cells += [count(apart.get("n")), with_interval(apart.get("after"), apart.get("ci95"), "accuracy")]
    return cells


def _all_families(inputs: Inputs, detail: Mapping[str, Any]) -> list[Any]:
    row = inputs.task("numerical_reasoning")
    cells: list[Any] = ["All", count(row.get("n")), *_pair(row, "accuracy")[:2]]
    for key, _ in SETS:
        apart = detail.get(key) or {}
        cells += [count(apart.get("n")), with_interval(apart.get("after"), apart.get("ci95"), "accuracy")]
    return cells


def _family_chart(families: Mapping[str, Mapping[str, Any]], detail: Mapping[str, Any]) -> Html:
    rows = []
    for family, row in families.items():
        longer = at(detail, "extrapolation", "families", family) or {}
        marks = [
            Mark(one["after"], one["ci95"] if is_interval(one.get("ci95")) else None, style)
            for one, style in ((longer, "plain hollow"), (row, "after"))
            if known(one.get("after"))
        ]
        rows.append(Row(name(family), marks, percent(row.get("after"), 0)))
    title = "Numerical reasoning by family, trained model: " + ", ".join(f"{row.label} {row.shown}" for row in rows)
    return interval_chart(title, rows, (0.0, 1.0), _percent_tick)
