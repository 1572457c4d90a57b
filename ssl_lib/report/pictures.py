"""The main pictures as PNG files, for MLflow and DVC: one function each, listed in `PICTURES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_lib.drawing import DOTS_PER_INCH, blank, heat_map, plain_axes
from ssl_lib.report.guide import mark_of_task
from ssl_lib.report.inputs import Inputs, Interval, Result, at, known, loss_points, number_lines
from ssl_lib.report.markup import name, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colors of the page's light theme.
BEFORE = "#86651f"
AFTER = "#1f5f8b"
PLAIN = "#6b7280"
INK = "#20242a"


def write_pictures(inputs: Inputs, folder: Path) -> list[Path]:
    """Draw what there is data for; a picture of an earlier run that cannot be drawn is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for file, draw in PICTURES.items():
        picture = draw(inputs)
        path = folder / f"{file}.png"
        if picture is None:
            path.unlink(missing_ok=True)
        else:
            picture.savefig(path, dpi=DOTS_PER_INCH)
            drawn.append(path)
    return drawn


def losses(inputs: Inputs) -> Figure | None:
    """Training and validation losses by step, one frame for each objective."""
    points = loss_points(inputs)
    if not points:
        return None
    columns = min(3, len(points))
    lines = -(-len(points) // columns)
    picture = blank(3.2 * columns, 2.6 * lines)
    for place, (objective, splits) in enumerate(points.items(), start=1):
        axes = picture.add_subplot(lines, columns, place)
        plain_axes(axes, name(objective))
        # [(0, 7.5), (500, 3.7)] → (0, 500), (7.5, 3.7)
        if splits.get("train"):
            steps, values = zip(*sorted(splits["train"]), strict=True)
            axes.plot(steps, values, label="train", color=BEFORE, lw=0.8)
        if splits.get("validation"):
            steps, values = zip(*sorted(splits["validation"]), strict=True)
            axes.plot(steps, values, label="validation", color=AFTER, marker="o", ms=3)
        axes.set_xlabel("step", fontsize=8)
        if place == 1:
            axes.legend(fontsize=8, frameon=False)
    return picture


def downstream(inputs: Inputs) -> Figure | None:
    """Each downstream task before and after, with the guide's result as a dotted line."""
    results = inputs.downstream()
    measured = [task for task, result in results.items() if result.after is not None]
    if not measured:
        return None
    picture = blank(7, 0.7 * len(measured) + 1)
    axes = picture.add_subplot()
    plain_axes(axes, "Downstream tasks, 95% intervals; dashes: the guide's results")
    # Before and after lie a quarter of a row apart.
    for place, task in enumerate(measured):
        result = results[task]
        bar = mark_of_task(task, 1)
        _mark(axes, place + 0.13, result.before, result.before_ci95, BEFORE, "before")
        _mark(axes, place - 0.13, result.after, result.after_ci95, AFTER, "after")
        if bar is not None:
            axes.plot([bar, bar], [place - 0.35, place + 0.35], color=INK, ls=":", lw=1.2)
    _name_rows(picture, axes, measured)
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), 1.02)
    return picture


def reasoning(inputs: Inputs) -> Figure | None:
    """Each family of numerical reasoning before and after, and on longer numbers."""
    detail = inputs.detail("numerical_reasoning")
    families = detail.get("families")
    if not families:
        return None
    picture = blank(7, 0.42 * len(families) + 1)
    axes = picture.add_subplot()
    plain_axes(axes, "Numerical reasoning by family, 95% intervals")
    for place, (family, tree) in enumerate(families.items()):
        result = Result.of(tree)
        longer = Result.of(at(detail, "extrapolation", "families", family))
        _mark(axes, place + 0.22, result.before, result.before_ci95, BEFORE, "random init.")
        _mark(axes, place, result.after, result.after_ci95, AFTER, "trained")
        _mark(axes, place - 0.22, longer.after, longer.after_ci95, PLAIN, "trained, longer numbers")
    _name_rows(picture, axes, list(families))
    axes.set_xlim(0, 1.02)
    return picture


def _mark(
    axes: Axes,
    place: float,
    value: float | None,
    interval: Interval | None,
    color: str,
    label: str,
) -> None:
    """A value as a dot on its interval; nothing where there is no value."""
    if value is None:
        return
    if interval:
        axes.plot(interval, [place, place], color=color, lw=2)
    axes.plot([value], [place], "o", color=color, ms=5, label=label)


def _name_rows(picture: Figure, axes: Axes, keys: Sequence[str]) -> None:
    """Names of rows from top to bottom, and one legend entry for each label."""
    axes.set_yticks(range(len(keys)), [name(key) for key in keys])
    axes.invert_yaxis()
    # Every row has drawn its own "before" and "after".
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    legend = picture.legend(
        once.values(), once.keys(), loc="outside lower center", ncols=3, fontsize=8
    )
    legend.set_frame_on(False)


def calibration(inputs: Inputs) -> Figure | None:
    """Observed by promised coverage of the central intervals of predicted numbers."""
    group = inputs.detail("number_prediction").get("all") or {}
    if not at(group, "after", "coverage"):
        return None
    picture = blank(4.2, 4)
    axes = picture.add_subplot()
    plain_axes(axes, "Coverage of central intervals")
    axes.plot([0, 1], [0, 1], color=PLAIN, ls="--", lw=1)
    for model, color in (("marginal", PLAIN), ("before", BEFORE), ("after", AFTER)):
        coverage = at(group, model, "coverage") or {}
        points = sorted((float(level), held) for level, held in coverage.items() if known(held))
        if points:
            promised, observed = zip(*points, strict=True)
            axes.plot(promised, observed, marker="o", ms=3, color=color, label=model)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="promised", ylabel="observed")
    axes.legend(fontsize=8, frameon=False)
    return picture


def confusion(inputs: Inputs) -> Figure | None:
    """Confusion matrix of the roles of numbers."""
    detail = inputs.detail("token_classification")
    classes = detail.get("classes")
    matrix = detail.get("confusion")
    if not classes or not matrix:
        return None
    picture = blank(5.4, 4.8)
    axes = picture.add_subplot()
    shares = []
    texts = []
    for counts in matrix:
        total = max(1, sum(counts))
        shares.append([value / total for value in counts])
        texts.append([str(value) if value else "" for value in counts])
    names = [spaced(one) for one in classes]
    heat_map(axes, shares, texts, names, names, slant=60)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title("Roles of numbers, trained model", loc="left", fontsize=10)
    return picture


def number_line(inputs: Inputs) -> Figure | None:
    """The number lines of both models, small numbers pale."""
    lines = number_lines(inputs)
    if not lines:
        return None
    picture = blank(4.2 * len(lines), 3.6)
    for place, (line, model) in enumerate(lines, start=1):
        axes = picture.add_subplot(1, len(lines), place)
        plain_axes(axes, f"Number line, {model.lower()}")
        across, up = zip(*line["points"], strict=True)
        axes.plot(across, up, color=PLAIN, lw=0.7)
        # The color of a point is its place in the order; below zero, so that no point is white.
        order = range(len(across))
        colors = axes.scatter(across, up, c=order, cmap="Blues", vmin=-5, s=28, zorder=3)
        colors.set_edgecolor(AFTER)
    return picture


PICTURES: dict[str, Callable[[Inputs], Figure | None]] = {
    "losses": losses,
    "downstream": downstream,
    "reasoning": reasoning,
    "calibration": calibration,
    "confusion": confusion,
    "number_line": number_line,
}
