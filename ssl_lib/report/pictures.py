"""The main figures as PNG files, for MLflow and DVC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_lib.report import guide
from ssl_lib.report.formats import is_interval, known, name
from ssl_lib.report.inputs import TASKS, Inputs, at, loss_points, number_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER, PLAIN = "#86651f", "#1f5f8b", "#6b7280"
DOTS_PER_INCH = 150


def write_pictures(inputs: Inputs, folder: Path) -> list[Path]:
    """Draw what there is data for; a picture of an earlier run that cannot be drawn anew is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for file, draw in PICTURES.items():
        picture, path = draw(inputs), folder / f"{file}.png"
        if picture is None:
            path.unlink(missing_ok=True)
        else:
            picture.savefig(path, dpi=DOTS_PER_INCH)
            drawn.append(path)
    return drawn


def blank(width: float, height: float) -> Figure:
    """A figure without pyplot, so that nothing is kept in memory and no display is asked for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(picture)
    return picture


def plain_axes(axes: Any, title: str) -> None:
    """A quiet frame."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e2dc", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _losses(inputs: Inputs) -> Figure | None:
    points = loss_points(inputs)
    if not points:
        return None
    picture = blank(3.2 * min(3, len(points)), 2.6 * -(-len(points) // 3))
    for number, (objective, splits) in enumerate(points.items(), start=1):
        axes = picture.add_subplot(-(-len(points) // 3), min(3, len(points)), number)
        plain_axes(axes, name(objective))
        for split, style in (
            ("train", {"color": BEFORE, "lw": 0.8}),
            ("validation", {"color": AFTER, "marker": "o", "ms": 3}),
        ):
            if splits.get(split):
                axes.plot(*zip(*sorted(splits[split]), strict=True), label=split, **style)
        axes.set_xlabel("step", fontsize=8)
        if number == 1:
            axes.legend(fontsize=8, frameon=False)
    return picture


def _downstream(inputs: Inputs) -> Figure | None:
    rows = [(task, inputs.task(task)) for task in TASKS if known(inputs.task(task).get("after"))]
    if not rows:
        return None
    picture = blank(7, 0.7 * len(rows) + 1)
    axes = picture.add_subplot()
    plain_axes(axes, "Downstream tasks, 95% intervals; dashes: the guide's figures")
    for place, (task, row) in enumerate(rows):
        for key, interval, colour, shift in (
            ("before", "before_ci95", BEFORE, 0.13),
            ("after", "ci95", AFTER, -0.13),
        ):
            _interval(
                axes,
                row.get(key),
                row.get(interval),
                place + shift,
                colour,
                key if place == 0 else None,
            )
        bar = guide.TASKS[task][1]
        axes.plot([bar, bar], [place - 0.35, place + 0.35], color="#20242a", ls=":", lw=1.2)
    axes.set_yticks(range(len(rows)), [name(task) for task, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), 1.02)
    picture.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    return picture


def _reasoning(inputs: Inputs) -> Figure | None:
    families = inputs.detail("numerical_reasoning").get("families") or {}
    if not families:
        return None
    picture = blank(7, 0.42 * len(families) + 1)
    axes = picture.add_subplot()
    plain_axes(axes, "Numerical reasoning by family, 95% intervals")
    longer = at(inputs.detail("numerical_reasoning"), "extrapolation", "families") or {}
    for place, (family, row) in enumerate(families.items()):
        first = place == 0
        apart = longer.get(family) or {}
        _interval(
            axes,
            row.get("before"),
            row.get("before_ci95"),
            place + 0.22,
            BEFORE,
            "untrained" if first else None,
        )
        _interval(
            axes, row.get("after"), row.get("ci95"), place, AFTER, "trained" if first else None
        )
        _interval(
            axes,
            apart.get("after"),
            apart.get("ci95"),
            place - 0.22,
            PLAIN,
            "trained, longer numbers" if first else None,
        )
    axes.set_yticks(range(len(families)), [name(family) for family in families])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    picture.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    return picture


def _interval(
    axes: Any, value: Any, interval: Any, place: float, colour: str, label: str | None
) -> None:
    if not known(value):
        return
    if is_interval(interval):
        axes.plot(interval, [place, place], color=colour, lw=2)
    axes.plot([value], [place], "o", color=colour, ms=5, label=label)


def _calibration(inputs: Inputs) -> Figure | None:
    group = inputs.detail("number_prediction").get("all") or {}
    if not at(group, "after", "coverage"):
        return None
    picture = blank(4.2, 4)
    axes = picture.add_subplot()
    plain_axes(axes, "Coverage of central intervals")
    axes.plot([0, 1], [0, 1], color=PLAIN, ls="--", lw=1)
    for who, colour in (("marginal", PLAIN), ("before", BEFORE), ("after", AFTER)):
        points = sorted(
            (float(level), share)
            for level, share in (at(group, who, "coverage") or {}).items()
            if known(share)
        )
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", ms=3, color=colour, label=who)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="promised", ylabel="observed")
    axes.legend(fontsize=8, frameon=False)
    return picture


def _confusion(inputs: Inputs) -> Figure | None:
    detail = inputs.detail("token_classification")
    classes, matrix = detail.get("classes"), detail.get("confusion")
    if not classes or not matrix:
        return None
    picture = blank(5.4, 4.8)
    axes = picture.add_subplot()
    axes.imshow(
        [[value / max(1, sum(line)) for value in line] for line in matrix],
        cmap="Blues",
        vmin=0,
        vmax=1,
    )
    for i, line in enumerate(matrix):
        for j, value in enumerate(line):
            if value:
                axes.text(
                    j,
                    i,
                    value,
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value > 0.6 * sum(line) else "black",
                )
    words = [one.replace("_", " ") for one in classes]
    axes.set_xticks(range(len(words)), words, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(words)), words, fontsize=8)
    axes.set(xlabel="named", ylabel="true")
    axes.set_title("Roles of numbers, trained model", loc="left", fontsize=10)
    return picture


def _number_line(inputs: Inputs) -> Figure | None:
    both = number_lines(inputs)
    if not both:
        return None
    picture = blank(4.2 * len(both), 3.6)
    for number, (one, title) in enumerate(both, start=1):
        axes = picture.add_subplot(1, len(both), number)
        plain_axes(axes, f"Number line, {title.lower()}")
        across, up = zip(*one["points"], strict=True)
        axes.plot(across, up, color=PLAIN, lw=0.7)
        axes.scatter(
            across,
            up,
            c=range(len(across)),
            cmap="Blues",
            edgecolors=AFTER,
            s=28,
            zorder=3,
            vmin=-5,
        )
    return picture


PICTURES: dict[str, Callable[[Inputs], Figure | None]] = {
    "losses": _losses,
    "downstream": _downstream,
    "reasoning": _reasoning,
    "calibration": _calibration,
    "confusion": _confusion,
    "number_line": _number_line,
}
