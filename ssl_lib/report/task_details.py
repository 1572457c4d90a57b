"""Single tasks in more detail: families of reasoning, pairs by similarity, next tokens, roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.inputs import Inputs, Result, at
from ssl_lib.report.markup import (
    Cell,
    Html,
    Rows,
    absent,
    after_cell,
    before_cell,
    count,
    figure,
    folded,
    gain_cell,
    grid,
    heat_map,
    interval_text,
    join,
    name,
    note,
    number,
    paragraph,
    percent,
    spaced,
    table,
    tag,
    whole_percent,
)
from ssl_lib.report.svg import Mark, Row, cloud, interval_chart

POSITIONS = {
    "determined": "deterministic positions",
    "all": "all positions",
    "numbers": "positions inside numbers",
}
ITEM_SETS = (
    ("exact_match", "Exact match"),
    ("extrapolation", "Longer numbers"),
    ("training_templates", "Training templates"),
)


def reasoning(inputs: Inputs) -> Html:
    """Numerical reasoning by family: held-out templates, training's, longer numbers."""
    detail = inputs.detail("numerical_reasoning")
    families = detail.get("families")
    if not families:
        return absent("report/evaluation.json holds no families of numerical reasoning.")
    caption = "Trained model, held-out templates: filled; hollow: longer numbers."
    drawn = figure(_family_chart(families, detail), caption)

    head = ["Family", "n", "Random init.", "Trained"]
    for _, title in ITEM_SETS:
        head += ["n", title]
    rows = []
    for family, tree in families.items():
        # The same family among longer numbers, held-out templates and exact match.
        sets = [at(detail, key, "families", family) for key, _ in ITEM_SETS]
        rows.append(_family_row(name(family), Result.of(tree), sets))
    every = inputs.task("numerical_reasoning")
    foot = _family_row("All", every, [detail.get(key) for key, _ in ITEM_SETS])
    words = (
        "Chance is 25%. The first columns, and the result above, are in templates that training "
        "has not; training templates stand beside. Operands are absent from training; longer "
        "numbers have more digits than any that the family shows in training. Exact match is "
        "greedy generation of the whole answer, for every few items."
    )
    caption = "Four-choice accuracy by family of items, 95% intervals below the values"
    return join(drawn, table(caption, head, rows, foot=foot), note(words))


def _family_row(title: str, result: Result, sets: Sequence[Any]) -> list[Any]:
    """n, before and after of a family; then n and after of each set of items apart."""
    cells = [title, count(result.n), before_cell(result), after_cell(result)]
    for tree in sets:
        apart = Result.of(tree)
        cells += [count(apart.n), after_cell(apart)]
    return cells


def _family_chart(families: Mapping[str, Any], detail: Mapping[str, Any]) -> Html:
    rows = []
    for family, tree in families.items():
        result = Result.of(tree)
        longer = Result.of(at(detail, "extrapolation", "families", family))
        marks = []
        for one, style in ((longer, "plain hollow"), (result, "after")):
            if one.after is not None:
                marks.append(Mark(one.after, one.after_ci95, style))
        rows.append(Row(name(family), marks, whole_percent(result.after)))
    values = [f"{row.label} {row.shown}" for row in rows]
    title = f"Numerical reasoning by family, trained model: {', '.join(values)}"
    return interval_chart(title, rows, (0.0, 1.0), whole_percent)


def similarity(inputs: Inputs) -> Html:
    """Cosine of each pair by its target similarity, before and after."""
    detail = inputs.detail("semantic_similarity")
    points = detail.get("points") or []
    if not points:
        return absent("report/evaluation.json holds no pairs of sentences.")
    pairs = f"cosine by target similarity, {count(len(points))} pairs"
    drawings = []
    # A point is (target similarity, cosine before, cosine after).
    for place, model, style in (
        (2, "Trained", "after"),
        (1, "Randomly initialised twin", "before"),
    ):
        chosen = [(point[0], point[place]) for point in points]
        drawn = cloud(f"{model}: {pairs}", chosen, "target similarity", style)
        drawings.append(figure(drawn, join(tag("strong", model), f" · {pairs}")))
    words = (
        "Each point is a pair of sentences about one quantity. A model that reads numbers gives a "
        "high cosine to pairs that say nearly the same amount, whatever its written form and unit, "
        "and a lower one the farther they differ."
    )
    multiplied = detail.get("multiplied") or {}
    below = _multiplied_amounts(multiplied) if multiplied else None
    return join(paragraph(words), grid(*drawings), below)


def _multiplied_amounts(found: Mapping[str, Any]) -> Html:
    """Mean cosine of sentences with the same one after its amount was multiplied, by factor."""
    rows = []
    # {"factor": 10.0, "graded": 0.0114, "before": 0.91, "after": 0.357}
    for row in found["rows"]:
        means = [number(row[key]) for key in ("graded", "before", "after")]
        rows.append([f"× {row['factor']:g}", *means])
    sentences = count(found["sentences"])
    caption = f"Mean cosine with the same sentence, its amount multiplied; {sentences} sentences"
    before, after = found["tenfold_farther"]
    words = (
        f"Ten times an amount is less like it than 3% more in {percent(after)} of these sentences "
        f"(randomly initialised twin {percent(before)}). The rank correlation above hardly depends "
        "on this."
    )
    head = ["Amount", "Target", "Random init.", "Trained"]
    return join(table(caption, head, rows), note(words))


def next_tokens(inputs: Inputs) -> Html:
    """Next tokens beyond the deterministic positions, and any held-out text of the corpus."""
    detail = inputs.detail("next_token_prediction")
    rows: Rows = []

    def add(title: str, n: Any, tree: Any, metric: str = "accuracy") -> None:
        if tree:
            result = Result.of(tree, metric)
            cells = [before_cell(result), after_cell(result), gain_cell(result)]
            rows.append([title, count(n), *cells])

    for kind, tree in (detail.get("accuracy") or {}).items():
        positions = POSITIONS.get(kind, kind)
        add(f"Top-1 accuracy, {positions}", at(detail, "positions", kind), tree)
    bits = detail.get("bits_per_byte")
    add("Bits per byte, task documents", detail.get("documents"), bits, "bits_per_byte")

    held_out = inputs.evaluation.get("held_out_text") or {}
    n = held_out.get("documents")
    place = "held-out documents of the corpus"
    right = held_out.get("accuracy")
    on_numbers = held_out.get("accuracy_on_numbers")
    add(f"Top-1 accuracy, all positions, {place}", n, right)
    add(f"Top-1 accuracy, positions inside numbers, {place}", n, on_numbers)
    add(f"Bits per byte, {place}", n, held_out.get("bits_per_byte"), "bits_per_byte")
    if not rows:
        return absent("report/evaluation.json holds no accuracy on next tokens.")
    head = ["Measure", "n", "Random init.", "Trained", "Paired difference"]
    return table("Next tokens in more detail", head, rows)


def roles(inputs: Inputs) -> Html:
    """Confusion matrices of the roles of numbers."""
    detail = inputs.detail("token_classification")
    classes = detail.get("classes") or []
    matrix = detail.get("confusion") or []
    if not classes or not matrix:
        return absent("report/evaluation.json holds no confusion matrix of roles.")
    # matrix[i][j]: how many numbers of role i were predicted to have role j
    right = sum(counts[i] for i, counts in enumerate(matrix))
    totals = [sum(counts) for counts in matrix]
    asked = sum(totals)
    share = percent(right / max(1, asked))
    result = inputs.task("token_classification")
    ends = interval_text(result.after_ci95, result.metric)
    f1_before, f1_after = detail.get("macro_f1") or (None, None)
    words = (
        f"A linear probe on the frozen encoder predicts the role of {count(asked)} numbers in "
        f"held-out templates: {count(right)} right, {share} ({ends}); macro F1 {number(f1_after)}, "
        f"randomly initialised twin {number(f1_before)}."
    )
    trained = confusion_table(classes, matrix, "Trained model")
    before = detail.get("confusion_before")
    twin = None
    if before:
        twin = confusion_table(classes, before, "Randomly initialised twin")
        twin = folded("The same for the randomly initialised twin", twin)
    return join(paragraph(words), trained, twin)


def confusion_table(classes: Sequence[str], matrix: Sequence[Sequence[int]], model: str) -> Html:
    """Counts; a cell is as dark as its share of the row, mistakes in another color."""
    names = [spaced(one) for one in classes]
    rows = []
    for i, counts in enumerate(matrix):
        total = sum(counts)
        cells: list[Cell | str] = []
        for j, value in enumerate(counts):
            share = value / max(1, total)
            # Of mistakes the root, so that a few can be seen: 2% → 0.14.
            darkness = share if i == j else share**0.5
            cells.append(Cell(count(value) if value else "·", darkness, wrong=i != j))
        rows.append((names[i], [*cells, count(total)]))
    caption = f"{model}: true role down, predicted role across, counts of numbers"
    return heat_map(caption, "True role", [*names, "n"], rows)
