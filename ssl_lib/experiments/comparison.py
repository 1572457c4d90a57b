"""Runs side by side: downstream tasks, losses and bits per byte, differences from the first run with intervals.

A run's intervals come from resampling its own items. The interval of a difference between two runs takes them as
independent (`independent_difference`). Runs that answered the same items vary together, so that it is mostly wider than
a paired interval would be. Of runs that differ in their seed alone, mean and range are given too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.statistics import independent_difference

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

    def over_seeds(self) -> dict[str, Estimate]:
        """Mean, lowest and highest value of each measure if the runs differ in their seed alone; else nothing."""
        if set(self.settings) != {"seed"}:
            return {}
        found = {
            row.key: [one.value for one in row.values if one is not None] for row in self.measures
        }
        return {
            key: Estimate(sum(row) / len(row), min(row), max(row))
            for key, row in found.items()
            if row
        }

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dicts, for `--json`."""
        measures = [asdict(measure) for measure in self.measures]
        for measure in measures:
            for key in ("values", "differences"):
                measure[key] = [None if one is None else one._asdict() for one in measure[key]]
        spread = {key: one._asdict() for key, one in self.over_seeds().items()}
        return {
            "runs": self.runs,
            "measures": measures,
            "settings": self.settings,
            "over_seeds": spread,
        }


def compare(settings: Settings, root: Path, runs: Sequence[str]) -> Comparison:
    """Compare evaluated runs, each told by id, beginning of an id, or name; the first one is the reference.

    Raises ComparisonError for fewer than two runs or a run without evaluation, TrackingError for an unknown run.
    """
    from ssl_lib.tracking.reading import read_runs

    if len(runs) < 2:
        raise ComparisonError(
            f"compare needs at least two runs, got {len(runs)}; see names and ids with `ssl-lib ui`"
        )
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
    if spread := comparison.over_seeds():
        table = Table("measure", f"mean of {len(names)} seeds", "lowest", "highest")
        for key, one in spread.items():
            table.add_row(key, *(f"{value:.4f}" for value in one))
        console.print(table)
    console.print(
        "Differences are from the first run; in brackets 95% intervals, runs taken as independent."
    )


def draw(comparison: Comparison, path: Path) -> Path:
    """Downstream tasks, and differences from the first run, with 95% intervals; PNG, SVG or PDF by the file's name."""
    picture = _picture(comparison)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        picture.savefig(path, dpi=150)
    except ValueError as error:
        raise ComparisonError(
            f"{path}: cannot be drawn ({error}); name a .png, .svg or .pdf file"
        ) from None
    return path


def difference(first: Estimate | None, other: Estimate | None) -> Estimate | None:
    """other - first, taken as independent; without an interval where one of them has none."""
    if first is None or other is None:
        return None
    value = other.value - first.value
    if not (first.bounded() and other.bounded()):
        return Estimate(value, None, None)
    return Estimate(value, *independent_difference(first, other))


def _measures(stored: Sequence[StoredRun]) -> list[Measure]:
    known = {key for run in stored for key in run.metrics}
    tasks = sorted({key.split(".")[2] for key in known if key.startswith(f"{PREFIX}downstream.")})
    rows = [
        _measure(stored, f"{PREFIX}downstream.{task}", f"downstream.{task}", True) for task in tasks
    ]
    for key in ("extrapolation", "reserved_wordings", "exact_match"):
        rows.append(_measure(stored, PREFIX + key, f"numerical_reasoning.{key}", True))
    rows += [
        _measure(stored, f"{PREFIX}losses.{name}", f"losses.{name}", False) for name in OBJECTIVES
    ]
    rows.append(_measure(stored, f"{PREFIX}bits_per_byte", "bits_per_byte", False))
    rows.append(
        _measure(stored, f"{PREFIX}number_prediction", "number_prediction.error_decades", False)
    )
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
    return Estimate(
        value, run.metrics.get(f"{prefix}.ci95.low"), run.metrics.get(f"{prefix}.ci95.high")
    )


def _described(run: StoredRun) -> dict[str, Any]:
    chosen = ("run_id", "name", "status", "started", "commit")
    return {key: value for key, value in asdict(run).items() if key in chosen}


def _differing(stored: Sequence[StoredRun]) -> dict[str, list[str | None]]:
    keys = sorted({key for run in stored for key in run.params})
    values = {key: [run.params.get(key) for run in stored] for key in keys}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def _cells(measure: Measure) -> list[str]:
    counts = {one for one in measure.n if one is not None}
    cells = [
        measure.key,
        "/".join(f"{one:,}" for one in sorted(counts)) or "–",
        _written(measure.values[0]),
    ]
    for value, change in zip(measure.values[1:], measure.differences[1:], strict=True):
        cells.append(
            f"{_written(value)}\n{_written(change, signed=True)}{_verdict(measure, change)}"
        )
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


def _picture(comparison: Comparison) -> Figure:
    """Two panels side by side: the figures of all runs, and how far each lies from the first run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [measure for measure in comparison.measures if measure.higher_is_better]
    picture = Figure(
        figsize=(11, 1.4 + 0.3 * (len(comparison.runs) + 1) * max(1, len(rows))),
        layout="constrained",
    )
    FigureCanvasAgg(picture)
    figures, differences = picture.subplots(1, 2, sharey=True)
    for number, run in enumerate(comparison.runs):
        label, colour = f"{run['name']} {run['run_id'][:6]}", COLOURS[number % len(COLOURS)]
        shift = 0.8 * ((number + 0.5) / len(comparison.runs) - 0.5)
        _marks(figures, [row.values[number] for row in rows], shift, colour, label)
        if number:
            _marks(differences, [row.differences[number] for row in rows], shift, colour, None)
    figures.set_yticks(
        range(len(rows)), [row.key.partition(".")[2].replace("_", " ") for row in rows], fontsize=8
    )
    figures.invert_yaxis()
    figures.set_title("Trained models on held-out items, 95% intervals", loc="left", fontsize=10)
    differences.axvline(0.0, color="#20242a", lw=0.8)
    differences.set_title("Difference from the first run", loc="left", fontsize=10)
    for axes in (figures, differences):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e5e2dc", linewidth=0.8)
    picture.legend(fontsize=8, frameon=False, loc="outside lower left", ncols=3)
    return picture


def _marks(
    axes: Any, found: Sequence[Estimate | None], shift: float, colour: str, label: str | None
) -> None:
    places = [(place + shift, one) for place, one in enumerate(found) if one is not None]
    axes.plot(
        [one.value for _, one in places],
        [place for place, _ in places],
        "o",
        ms=5,
        color=colour,
        label=label,
    )
    for place, one in places:
        if one.bounded():
            axes.plot([one.low, one.high], [place, place], color=colour, lw=1.6)
