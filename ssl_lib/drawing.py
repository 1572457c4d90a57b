"""What pictures share: a blank one without a display, a quiet frame, a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

GRID = "#e5e2dc"
DOTS_PER_INCH = 150


def blank(width: float, height: float) -> Figure:
    """A picture of so many inches, without pyplot: no display, and nothing is kept in memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(picture)
    return picture


def plain_axes(axes: Axes, title: str) -> None:
    """A quiet frame."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def heat_map(
    axes: Axes,
    values: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    columns: Sequence[str],
    rows: Sequence[str],
    colors: str = "Blues",
    ends: tuple[float, float] = (0.0, 1.0),
    slant: float = 0.0,
) -> AxesImage:
    """Cells colored by where their value lies between the ends, with a text in each.

    Column names may slant. Returns the colored image, from which a color bar can be drawn.
    """
    low, high = ends
    image = axes.imshow(values, cmap=colors, vmin=low, vmax=high, aspect="auto")
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            share = (values[i][j] - low) / (high - low)
            red, green, blue, _ = image.cmap(share)
            color = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks(range(len(columns)), columns, fontsize=8, rotation=slant)
    if slant:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    return image
