"""Single tasks in more detail: families of reasoning, next tokens of several kinds, confusion of roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.formats import (
    count,
    difference,
    is_interval,
    known,
    name,
    number,
    percent,
    span,
    with_interval,
)
from ssl_lib.report.inputs import Inputs, at
from ssl_lib.report.markup import (
    Html,
    absent,
    figure,
    folded,
    grid,
    join,
    paragraph,
    scroll_box,
    table,
    tag,
)
from ssl_lib.report.svg import Mark, Row, cloud, interval_chart

POSITIONS = {
    "determined": "determined positions",
    "all": "all positions",
    "numbers": "positions inside numbers",
}
SETS = (
    ("exact_match", "Exact match"),
    ("extrapolation", "Longer numbers"),
    ("reserved_wordings", "Unseen wordings"),
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
        _family_chart(families, detail),
        "Trained model: filled on unseen operands, hollow on longer numbers.",
    )
    return join(
        drawn,
        table(caption, head, rows, foot=_all_families(inputs, detail)),
        paragraph(note, class_="note"),
    )


def similarity(inputs: Inputs) -> Html:
    """Cosine of each pair by its graded similarity, before and after."""
    points = inputs.detail("semantic_similarity").get("points") or []
    if not points:
        return absent("report/evaluation.json holds no pairs of sentences.")
    drawings = []
    for place, who, style in ((2, "Trained", "after"), (1, "Untrained twin", "before")):
        title = f"{who}: cosine by graded similarity, {count(len(points))} pairs"
        drawn = cloud(
            title, [(point[0], point[place]) for point in points], "graded similarity", style
        )
        drawings.append(
            figure(
                drawn,
                join(
                    tag("strong", who),
                    f" · cosine by graded similarity, {count(len(points))} pairs",
                ),
            )
        )
    words = (
        "Each point is a pair of sentences about one quantity. A model that reads numbers gives a high cosine to pairs "
        "that say nearly the same amount, whatever its written form and unit, and a lower one the farther they differ."
    )
    return join(paragraph(words), grid(*drawings), _multiplied(inputs))


def _multiplied(inputs: Inputs) -> Html | None:
    """Mean cosine of sentences with the same one after its amount was multiplied, by factor."""
    found = inputs.detail("semantic_similarity").get("multiplied") or {}
    if not found:
        return None
    body = [
        [f"× {row['factor']:g}", *(number(row[key]) for key in ("graded", "before", "after"))]
        for row in found["rows"]
    ]
    caption = f"Mean cosine with the same sentence, its amount multiplied; {count(found['sentences'])} sentences"
    before, after = found["tenfold_farther"]
    note = (
        f"Ten times an amount is less like it than 3% more in {percent(after)} of these sentences (untrained twin "
        f"{percent(before)}). The rank correlation above hardly depends on this."
    )
    return join(
        table(caption, ["Amount", "Graded", "Untrained", "Trained"], body),
        paragraph(note, class_="note"),
    )


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
        folded(
            "The same for the untrained twin", confusion_table(classes, before, "Untrained twin")
        )
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


def _percent_tick(value: float) -> str:
    return percent(value, 0)


def next_tokens(inputs: Inputs) -> Html:
    """Next tokens beyond the determined positions, and any held-out text of the corpus."""
    detail = inputs.detail("next_token_prediction")
    body = [
        [
            f"Top-1 accuracy, {POSITIONS.get(kind, kind)}",
            count(at(detail, "positions", kind)),
            *_pair(row, "accuracy"),
        ]
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
        ("accuracy_on_numbers", "Top-1 accuracy, positions inside numbers", "accuracy"),
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
        return absent("report/evaluation.json holds no accuracy on next tokens.")
    return table(
        "Next tokens in more detail",
        ["Measure", "n", "Untrained twin", "Trained", "Paired difference"],
        body,
    )


def _pair(row: Mapping[str, Any], metric: str) -> list[Html]:
    before = with_interval(row.get("before"), row.get("before_ci95"), metric)
    return [
        before,
        with_interval(row.get("after"), row.get("ci95"), metric),
        difference(row, metric),
    ]


def _family(family: str, row: Mapping[str, Any], detail: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = [name(family), count(row.get("n")), *_pair(row, "accuracy")[:2]]
    for key, _ in SETS:
        apart = at(detail, key, "families", family) or {}
        cells += [
            count(apart.get("n")),
            with_interval(apart.get("after"), apart.get("ci95"), "accuracy"),
        ]
    return cells


def _all_families(inputs: Inputs, detail: Mapping[str, Any]) -> list[Any]:
    row = inputs.task("numerical_reasoning")
    cells: list[Any] = ["All", count(row.get("n")), *_pair(row, "accuracy")[:2]]
    for key, _ in SETS:
        apart = detail.get(key) or {}
        cells += [
            count(apart.get("n")),
            with_interval(apart.get("after"), apart.get("ci95"), "accuracy"),
        ]
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
    title = "Numerical reasoning by family, trained model: " + ", ".join(
        f"{row.label} {row.shown}" for row in rows
    )
    return interval_chart(title, rows, (0.0, 1.0), _percent_tick)
