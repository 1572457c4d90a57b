"""How the model learned: loss curves of each objective, transfer between objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.report.inputs import Inputs, at, known, loss_points
from ssl_lib.report.markup import (
    Cell,
    Html,
    absent,
    count,
    figure,
    grid,
    heat_map,
    join,
    legend,
    name,
    note,
    number,
    paragraph,
    short,
    tag,
)
from ssl_lib.report.svg import Mark, Point, Series, line_chart

STYLES = {"train": "before thin", "validation": "after"}


def loss_curves(inputs: Inputs) -> Html:
    """One drawing for each objective, training and validation; which step was kept."""
    points = loss_points(inputs)
    if not points:
        return absent("plots/losses.csv is missing or empty: there are no loss curves.")
    weights = inputs.train.get("weights") or {}
    drawings = []
    for objective, splits in points.items():
        weight = weights.get(objective)
        drawings.append(loss_curve(objective, splits, weight))
    step = inputs.train.get("best_step")
    best = inputs.train.get("best_score")
    kept = None
    if known(step) and known(best):
        kept = note(
            f"The model of step {count(step)} was kept, whose validation losses, as shares of "
            f"those at the start, are least: {number(best)} on average over the objectives."
        )
    colors = legend(("--before", "training batches"), ("--after", "validation"))
    return join(kept, colors, grid(*drawings), gradient_cosines(inputs))


def loss_curve(objective: str, splits: Mapping[str, Sequence[Point]], weight: Any) -> Html:
    """The losses of one objective by step; a dot for each validation."""
    series = []
    for split, points in splits.items():
        series.append(Series(split, sorted(points), STYLES.get(split, "plain")))
    # "train 1.690; validation 1.651"
    last = "; ".join(f"{one.name} {number(one.points[-1][1])}" for one in series)
    dots = []
    for step, loss in sorted(splits.get("validation", [])):
        mark = Mark(loss, None, "after")
        dots.append((step, mark))
    words = " · loss in nats by step"
    if known(weight):
        words += f" · weight {short(weight)}"
    words += f" · at the end {last}"
    title = f"{name(objective)}: loss by step, at the end {last}"
    drawn = line_chart(title, series, "step", errors=dots)
    return figure(drawn, join(tag("strong", name(objective)), words))


def gradient_cosines(inputs: Inputs) -> Html | None:
    """Cosines of the objectives' gradients, where `training.gradient_cosine_every_steps` is set."""
    means = inputs.train.get("gradient_cosines")
    if not means:
        return None
    rows = []
    # {"mlm": {"mlm": 1.0, "ntp": -0.125}, "ntp": {…}}: -1 is white, 1 is dark.
    for objective, cosines in means.items():
        values = [cosines.get(other) for other in means]
        cells = [_cell(value, (-1.0, 1.0)) for value in values]
        rows.append((name(objective), cells))
    caption = (
        "Cosine of the objectives' gradients in the shared encoder, mean over the run "
        "(darker: they agree)"
    )
    columns = [name(other) for other in means]
    return heat_map(caption, "Objective", columns, rows)


def transfer(inputs: Inputs) -> Html:
    """Which objectives help which: losses and tasks of models trained with some of them."""
    found = inputs.ablation
    if not found.get("subsets"):
        return absent(
            "ablation/results.json is not there: `ssl-lib ablate` has trained no model with a "
            "subset of the objectives."
        )
    shares = None
    if found.get("relative"):
        caption = "Held-out loss as a share of the single-task baseline's (darker: lower)"
        shares = transfer_matrix(caption, found, "relative", lower_is_darker=True)
    caption = "Held-out loss by objectives trained, nats (darker: lower)"
    losses = transfer_matrix(caption, found, "losses", lower_is_darker=True)
    caption = "Downstream result by objectives trained (darker: higher)"
    results = transfer_matrix(caption, found, "downstream", lower_is_darker=False)
    words = (
        "Each row is a model of its own, trained with the objectives it names and as many tokens "
        "as the others."
    )
    return join(paragraph(words), grid(shares, losses, results))


def transfer_matrix(
    caption: str, found: Mapping[str, Any], kind: str, lower_is_darker: bool
) -> Html:
    """Subsets of the objectives down, losses or tasks across; each column has its own scale."""
    subsets = found["subsets"]
    values = found.get(kind)
    # {"mlm+ntp": {"mlm": 2.5, "ntp": 2.45, …}, …}; a subset may lack some of the columns.
    keys = [key for subset in subsets for key in at(values, subset) or {}]
    columns = list(dict.fromkeys(keys))
    if not columns:
        title = caption.partition(" (")[0]
        return absent(f"{title}: ablation/results.json holds no such results.")
    # The two ends of a column's scale: its white value, its dark value.
    scales = {}
    for column in columns:
        column_values = [at(values, subset, column) for subset in subsets]
        finite = [value for value in column_values if known(value)] or [0.0]
        low = min(finite)
        high = max(finite)
        scales[column] = (high, low) if lower_is_darker else (low, high)

    rows = []
    for subset in subsets:
        # "all-mlm" → All but Masked language model; "mlm+ntp" → Masked language model + Next token
        title = " + ".join(name(part) for part in subset.split("+"))
        if subset.startswith("all-"):
            title = f"All but {name(subset.removeprefix('all-'))}"
        cells = [_cell(at(values, subset, column), scales[column]) for column in columns]
        rows.append((title, cells))
    return heat_map(caption, "Trained with", [name(column) for column in columns], rows)


def _cell(value: Any, scale: tuple[float, float]) -> Cell:
    """A value with its place between the white end and the dark end of a scale."""
    white, dark = scale
    share = 0.0
    if known(value) and dark != white:
        share = abs(value - white) / abs(dark - white)
    return Cell(number(value), share)
