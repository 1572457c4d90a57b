"""Runs side by side: downstream tasks, losses and bits per byte, differences from the first run with intervals.

A run's intervals come from resampling its own items. The interval of a difference between two runs takes them as
independent and is made from the ends of the two intervals (square-and-add: Newcombe 1998, method 10; Zou and Donner
2008). Runs that answered the same items vary together, so that it is mostly wider than a paired interval would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssl_lib.config import OBJECTIVES, Settings, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ssl_lib.tracking.reading import StoredRun

PREFIX = "evaluation."
COLOURS = ("#6b7280", "#1f5f8b", "#86651f", "#23693c", "#a3322a", "#6a4c93")


class ComparisonError(UserError):
    """Runs that cannot be compared."""


class Estimate(NamedTuple):
    """A figure with its 95% interval; None where the run has recorded none."""

    value: float
    low: float | None
    high: float | None

    def bounded(self) -> bool:
        """Has it an interval?"""
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class Measure:
    """One figure in every run. `differences` are from the first run; None where a run lacks the figure."""

    key: str
    higher_is_better: bool
    n: list[int | None]
    values: list[Estimate | None]
    differences: list[Estimate | None]


@dataclass(frozen=True)
class Comparison:
    """`settings` holds every recorded setting in which the runs differ, one value a run."""

    runs: list[dict[str, Any]]
    measures: list[Measure]
    settings: dict[str, list[str | None]]

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dicts, for `--json`."""
        measures = [asdict(measure) for measure in self.measures]
        for measure in measures:
            for key in ("values", "differences"):
                measure[key] = [None if one is None else one._asdict() for one in measure[key]]
        return {"runs": self.runs, "measures": measures, "settings": self.settings}


def compare(settings: Settings, root: Path, runs: Sequence[str]) -> Comparison:
    """Compare evaluated runs, each told by id, beginning of an id, or name; the first one is the reference.

    Raises ComparisonError for fewer than two runs or a run without evaluation, TrackingError for an unknown run.
    """
    from ssl_lib.tracking.reading import read_runs

    if len(runs) < 2:
        raise ComparisonError(f"compare needs at least two runs, got {len(runs)}; see names and ids with `ssl-lib ui`")
    stored = read_runs(settings, root, runs)
    for run in stored:
        if not any(key.startswith(PREFIX) for key in run.metrics):
            raise ComparisonError(
                f"run {run.name} ({run.run_id}) has not been evaluated; run `ssl-lib evaluate` after it"
            )
    return Comparison([_described(run) for run in stored], _measures(stored), _differing(stored))


def show(comparison: Comparison) -> None:
    """Print the table of figures and that of the settings that differ."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = [f"{run['name']} {run['run_id'][:6]}" for run in comparison.runs]
    table = Table("measure", "n", names[0], *(f"{name}\nfrom the first" for name in names[1:]))
    for measure in comparison.measures:
        table.add_row(*_cells(measure))
    console.print(table)
    if comparison.settings:
        table = Table("setting", *names)
        for key, values in comparison.settings.items():
            table.add_row(key, *("–" if value is None else value for value in values))
        console.print(table)
    console.print("Differences are from the first run; in brackets 95% intervals, runs taken as independent.")


def draw(comparison: Comparison, path: Path) -> Path:
    """Bars of the downstream tasks with 95% intervals, one colour a run, as PNG, SVG or PDF by the name of the file."""
    picture = _bars(comparison)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        picture.savefig(path, dpi=150)
    except ValueError as error:
        raise ComparisonError(f"{path}: cannot be drawn ({error}); name a .png, .svg or .pdf file") from None
    return path


def difference(first: Estimate | None, other: Estimate | None) -> Estimate | None:
    """other - first; each end is as far as the two ends on its way are together, taken as independent."""
    if first is None or other is None:
        return None
    value = other.value - first.value
    if not (first.bounded() and other.bounded()):
        return Estimate(value, None, None)
    below = math.hypot(other.value - other.low, first.high - first.value)
    above = math.hypot(other.high - other.value, first.value - first.low)
    return Estimate(value, value - below, value + above)


def _measures(stored: Sequence[StoredRun]) -> list[Measure]:
    known = {key for run in stored for key in run.metrics}
    tasks = sorted({key.split(".")[2] for key in known if key.startswith(f"{PREFIX}downstream.")})
    rows = [_measure(stored, f"{PREFIX}downstream.{task}", f"downstream.{task}", True) for task in tasks]
    for key in ("extrapolation", "reserved_wordings", "exact_match"):
        rows.append(_measure(stored, PREFIX + key, f"numerical_reasoning.{key}", True))
    rows += [_measure(stored, f"{PREFIX}losses.{name}", f"losses.{name}", False) for name in OBJECTIVES]
    rows.append(_measure(stored, f"{PREFIX}bits_per_byte", "bits_per_byte", False))
    rows.append(_measure(stored, f"{PREFIX}number_prediction", "number_prediction.error_decades", False))
    return [row for row in rows if any(value is not None for value in row.values)]


def _measure(stored: Sequence[StoredRun], prefix: str, key: str, higher_is_better: bool) -> Measure:
    values = [_estimate(run, prefix) for run in stored]
    counts = [run.metrics.get(f"{prefix}.n") for run in stored]
    return Measure(
        key=key,
        higher_is_better=higher_is_better,
        n=[None if one is None else int(one) for one in counts],
        values=values,
        differences=[difference(values[0], value) for value in values],
    )


def _estimate(run: StoredRun, prefix: str) -> Estimate | None:
    value = run.metrics.get(f"{prefix}.after")
    if value is None:
        return None
    return Estimate(value, run.metrics.get(f"{prefix}.ci95.low"), run.metrics.get(f"{prefix}.ci95.high"))


def _described(run: StoredRun) -> dict[str, Any]:
    chosen = ("run_id", "name", "status", "started", "commit")
    return {key: value for key, value in asdict(run).items() if key in chosen}


def _differing(stored: Sequence[StoredRun]) -> dict[str, list[str | None]]:
    keys = sorted({key for run in stored for key in run.params})
    values = {key: [run.params.get(key) for run in stored] for key in keys}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def _cells(measure: Measure) -> list[str]:
    counts = {one for one in measure.n if one is not None}
    cells = [measure.key, "/".join(f"{one:,}" for one in sorted(counts)) or "–", _written(measure.values[0])]
    for value, change in zip(measure.values[1:], measure.differences[1:], strict=True):
        cells.append(f"{_written(value)}\n{_written(change, signed=True)}{_verdict(measure, change)}")
    return cells


def _written(estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None:
        return "–"
    sign = "+" if signed else ""
    if not estimate.bounded():
        return f"{estimate.value:{sign}.4f}"
    return f"{estimate.value:{sign}.4f} ({estimate.low:{sign}.4f} to {estimate.high:{sign}.4f})"


def _verdict(measure: Measure, change: Estimate | None) -> str:
    if change is None or not change.bounded():
        return ""
    if change.low <= 0 <= change.high:
        return " no clear difference"
    return " better" if (change.value > 0) == measure.higher_is_better else " worse"


def _bars(comparison: Comparison) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [measure for measure in comparison.measures if measure.higher_is_better]
    height = 0.8 / len(comparison.runs)
    picture = Figure(figsize=(7, 1 + 0.32 * (len(comparison.runs) + 1) * max(1, len(rows))), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    for number, run in enumerate(comparison.runs):
        found = [(place, row.values[number]) for place, row in enumerate(rows) if row.values[number] is not None]
        places = [place - 0.4 + height * (number + 0.5) for place, _ in found]
        label = f"{run['name']} {run['run_id'][:6]}"
        axes.barh(
            places, [one.value for _, one in found], height * 0.9, color=COLOURS[number % len(COLOURS)], label=label
        )
        for place, (_, one) in zip(places, found, strict=True):
            if one.bounded():
                axes.plot([one.low, one.high], [place, place], color="#20242a", lw=1.2)
    axes.set_yticks(range(len(rows)), [row.key.partition(".")[2].replace("_", " ") for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Trained models on held-out items, 95% intervals", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    return picture
