"""`ssl-lib compare`: runs side by side, with intervals for their differences from the first run.

Downstream tasks, skills, losses and bits per byte. A run's intervals come from resampling its own
items. Of two runs that answered the same items, the difference is resampled item by item (paired).
Where test split, items or settings of the evaluation differ, its interval takes the runs as
independent and is mostly wider. Of runs that differ in their seed alone, mean and range are given
too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.drawing import blank, plain_axes
from ssl_lib.errors import UserError
from ssl_lib.evaluation.comparison import Resampling, Scores, load_scores
from ssl_lib.evaluation.skills import SKILLS, skill_name
from ssl_lib.evaluation.statistics import independent_difference
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.tracking import StoredRun, read_artifact, read_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONDITIONS = {  # of an evaluation, and how a user is told that they differ
    "test_tokens": "the test split",
    "items": "the items that were asked",
    "evaluation": "the settings of the evaluation",
}
COLORS = ("#6b7280", "#1f5f8b", "#86651f", "#23693c", "#a3322a", "#6a4c93")


class ComparisonError(UserError):
    """Runs that cannot be compared."""


class Estimate(NamedTuple):
    """A value with its 95% interval; None where the run has recorded none."""

    value: float
    low: float | None
    high: float | None

    def bounded(self) -> tuple[float, float, float] | None:
        """Value and interval, if it has one."""
        if self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high

    def text(self, sign: str = "") -> str:
        """The value, and its interval in brackets; with sign "+" both are signed."""
        shown = f"{self.value:{sign}.4f}"
        if bounded := self.bounded():
            _, low, high = bounded
            shown += f" ({low:{sign}.4f} to {high:{sign}.4f})"
        return shown


class Evaluated(NamedTuple):
    """What an evaluated run holds: `metrics/evaluation.json`, and the value of every item."""

    run: StoredRun
    metrics: dict[str, Any]
    scores: dict[str, Scores]

    def at(self, key: str) -> dict[str, Any]:
        """The result under a dotted key, such as `downstream.numerical_reasoning`."""
        node: Any = self.metrics
        for part in key.split("."):
            node = node.get(part) or {}
        return dict(node)

    def estimate(self, key: str) -> Estimate | None:
        """The trained model's value with its interval, if this run has it."""
        row = self.at(key)
        if row.get("after") is None:
            return None
        low, high = row.get("ci95") or (None, None)
        return Estimate(row["after"], low, high)

    def differing_conditions(self, other: Evaluated) -> list[str]:
        """What was not the same when the two were evaluated, in words."""
        own = self.metrics.get("conditions")
        its = other.metrics.get("conditions")
        if not own or not its:
            return ["the version of the library, one of which recorded no items"]
        return [told for key, told in CONDITIONS.items() if own.get(key) != its.get(key)]


@dataclass(frozen=True)
class Measure:
    """One metric in every run. `differences` are from the first run; None where a run lacks it."""

    key: str
    higher_is_better: bool
    n: list[int | None]
    values: list[Estimate | None]
    differences: list[Estimate | None]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    `settings` holds every recorded setting in which they differ, one value a run; `conditions` what
    was not the same when each run and the first were evaluated: nothing where they are paired.
    """

    runs: list[dict[str, Any]]
    measures: list[Measure]
    settings: dict[str, list[str | None]]
    conditions: list[list[str]]

    def over_seeds(self) -> dict[str, Estimate]:
        """Mean, lowest and highest value if the runs differ in their seed alone; else nothing."""
        if set(self.settings) != {"seed"}:
            return {}
        found = {}
        for measure in self.measures:
            values = [one.value for one in measure.values if one is not None]
            mean = sum(values) / len(values)
            found[measure.key] = Estimate(mean, min(values), max(values))
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dicts, for `--json`."""
        measures = [asdict(measure) for measure in self.measures]
        for measure in measures:
            for key in ("values", "differences"):
                # `asdict` leaves named tuples as they are
                measure[key] = [None if one is None else one._asdict() for one in measure[key]]
        over_seeds = {key: one._asdict() for key, one in self.over_seeds().items()}
        found = {"runs": self.runs, "settings": self.settings, "conditions": self.conditions}
        return found | {"measures": measures, "over_seeds": over_seeds}


def compare(settings: Settings, root: Path, runs: Sequence[str]) -> Comparison:
    """Compare evaluated runs, each told by id, beginning of an id, or name; the first is reference.

    Raises ComparisonError for fewer than two runs or a run without evaluation, TrackingError for an
    unknown run.
    """
    if len(runs) < 2:
        raise ComparisonError(
            f"compare needs at least two runs, got {len(runs)}; see names and ids with `ssl-lib ui`"
        )
    stored = read_runs(settings, root, runs)
    evaluated = [read_evaluation(settings, root, run) for run in stored]
    resampling = Resampling(settings.evaluation.bootstrap_samples, settings.seed)
    described = []
    for run in stored:
        row = asdict(run)
        del row["params"], row["metrics"], row["temporary"]
        described.append(row)
    differing: dict[str, list[str | None]] = {}
    for key in sorted({key for run in stored for key in run.params}):
        values = [run.params.get(key) for run in stored]
        # also where a run of an older version lacks the setting
        if len(set(values)) > 1:
            differing[key] = values
    first = evaluated[0]
    conditions = [first.differing_conditions(one) for one in evaluated]
    return Comparison(described, _measures(evaluated, resampling), differing, conditions)


def read_evaluation(settings: Settings, root: Path, run: StoredRun) -> Evaluated:
    """The evaluation that a run holds. Raises ComparisonError where it holds none."""
    found = read_artifact(settings, root, run.run_id, "evaluation/evaluation.json")
    if found is None:
        raise ComparisonError(
            f"run {run.name} ({run.run_id}) has not been evaluated; run `ssl-lib evaluate` after it"
        )
    scores = read_artifact(settings, root, run.run_id, "report/scores.npz")
    return Evaluated(run, json.loads(found), load_scores(scores) if scores else {})


def show(comparison: Comparison) -> None:
    """Print the table of metrics and that of the settings that differ."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = [_name(run) for run in comparison.runs]
    others = [f"{name}\nfrom the first" for name in names[1:]]
    table = Table("measure", "n", names[0], *others)
    for measure in comparison.measures:
        table.add_row(*_cells(measure))
    console.print(table)
    if comparison.settings:
        table = Table("setting", *names)
        for key, values in comparison.settings.items():
            cells = ["–" if value is None else value for value in values]
            table.add_row(key, *cells)
        console.print(table)
    # only of runs that differ in nothing but their seed
    if spread := comparison.over_seeds():
        table = Table("measure", f"mean of {len(names)} seeds", "lowest", "highest")
        for key, one in spread.items():
            table.add_row(key, *(f"{value:.4f}" for value in one))
        console.print(table)
    console.print("Differences are from the first run; in brackets 95% intervals.")
    for name, differing in zip(names, comparison.conditions, strict=True):
        if differing:
            told = " and ".join(differing)
            console.print(f"{name}: taken as independent, since {told} differ.")


def draw(comparison: Comparison, path: Path) -> Path:
    """Downstream tasks, and differences from the first run, with 95% intervals.

    PNG, SVG or PDF by the file's name; raises ComparisonError for another one.
    """
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
    """The other less the first, taken as independent.

    It has no interval where one of them has none.
    """
    if first is None or other is None:
        return None
    value = other.value - first.value
    first_bounds = first.bounded()
    other_bounds = other.bounded()
    if first_bounds is None or other_bounds is None:
        return Estimate(value, None, None)
    return Estimate(value, *independent_difference(first_bounds, other_bounds))


def paired_difference(
    first: Evaluated, other: Evaluated, task: str, resampling: Resampling
) -> Estimate | None:
    """The other less the first on a task, resampled item by item.

    None where their items differ, or where a run has recorded none.
    """
    own, its = first.scores.get(task), other.scores.get(task)
    if own is None or its is None or first.differing_conditions(other) or not own.pairs_with(its):
        return None
    found = resampling.paired(own, its)
    return Estimate(found.after - found.before, *found.difference_ci95)


def mean_difference(differences: Sequence[Estimate]) -> Estimate:
    """The mean of differences on several tasks, whose items are independent of each other.

    Its ends lie as far from it as those of the differences do together (square-and-add).
    """
    count = len(differences)
    bounded = [bounds for one in differences if (bounds := one.bounded())]
    assert len(bounded) == count, "every difference has an interval"
    mean = sum(value for value, _, _ in bounded) / count
    below = math.hypot(*(value - low for value, low, _ in bounded)) / count
    above = math.hypot(*(high - value for value, _, high in bounded)) / count
    return Estimate(mean, mean - below, mean + above)


def _measures(evaluated: Sequence[Evaluated], resampling: Resampling) -> list[Measure]:
    """Every metric that a run has recorded, downstream tasks and skills first."""
    first = evaluated[0]
    reasoning = ("extrapolation", "training_templates", "exact_match")
    numbers = TASKS["number_prediction"]
    # the key in the file, the one that is shown, and whether more is better
    rows = []
    for task in downstream_tasks():
        key = f"downstream.{task.name}"
        rows.append((key, key, task.higher_is_better))
    rows += [(key, key, True) for key in (f"skills.{name}" for name in SKILLS)]
    rows += [(key, f"numerical_reasoning.{key}", True) for key in reasoning]
    for key in (*(f"losses.{name}" for name in OBJECTIVES), "bits_per_byte"):
        rows.append((key, key, False))
    shown = f"{numbers.name}.{numbers.metric}"
    rows.append((numbers.name, shown, numbers.higher_is_better))
    measures = []
    for key, shown, higher_is_better in rows:
        values = [one.estimate(key) for one in evaluated]
        if all(value is None for value in values):
            continue
        counts = [one.at(key).get("n") for one in evaluated]
        # "downstream.numerical_reasoning" → "numerical_reasoning"
        section, _, name = key.rpartition(".")
        name = skill_name(name) if section == "skills" else name
        differences = []
        for one, value in zip(evaluated, values, strict=True):
            paired = paired_difference(first, one, name, resampling)
            differences.append(paired or difference(values[0], value))
        measure = Measure(shown, higher_is_better, counts, values, differences)
        measures.append(measure)
    return measures


def _cells(measure: Measure) -> list[str]:
    """A row of the table: key, n, the first run, and the others with their differences from it."""
    # mostly the same items: one count
    counts = sorted({count for count in measure.n if count is not None})
    shown_counts = "/".join(f"{count:,}" for count in counts)
    cells = [measure.key, shown_counts or "–"]
    pairs = zip(measure.values, measure.differences, strict=True)
    for place, (value, change) in enumerate(pairs):
        shown = value.text() if value else "–"
        if place:
            signed = change.text("+") if change else "–"
            shown += f"\n{signed}"
        bounded = change.bounded() if change else None
        if place and bounded:
            _, low, high = bounded
            better = (bounded[0] > 0) == measure.higher_is_better
            verdict = "better" if better else "worse"
            shown += " no clear difference" if low <= 0 <= high else f" {verdict}"
        cells.append(shown)
    return cells


def _picture(comparison: Comparison) -> Figure:
    """Two panels side by side: all runs, and how far each lies from the first run."""
    measures = [measure for measure in comparison.measures if measure.higher_is_better]
    runs = comparison.runs
    height = max(1, len(measures))
    lines = height * (len(runs) + 1)
    picture = blank(11, 1.4 + 0.3 * lines)
    values, differences = picture.subplots(1, 2, sharey=True)
    plain_axes(values, "Trained models on held-out items, 95% intervals")
    plain_axes(differences, "Difference from the first run")
    for number, run in enumerate(runs):
        color = COLORS[number % len(COLORS)]
        # the runs of one measure stand below each other, within 0.8 of the way to the next
        shift = 0.8 * ((number + 0.5) / len(runs) - 0.5)
        estimates = [one.values[number] for one in measures]
        _draw_run(values, estimates, shift, color, _name(run))
        if number:
            changes = [one.differences[number] for one in measures]
            _draw_run(differences, changes, shift, color, None)
    # "downstream.numerical_reasoning" → "numerical reasoning"
    names = [measure.key.partition(".")[2] for measure in measures]
    shown = [name.replace("_", " ") for name in names]
    values.set_yticks(range(len(measures)), shown, fontsize=8)
    # the first measure on top
    values.invert_yaxis()
    differences.axvline(0.0, color="#20242a", lw=0.8)
    picture.legend(fontsize=8, frameon=False, loc="outside lower left", ncols=3)
    return picture


def _draw_run(
    axes: Axes, found: Sequence[Estimate | None], shift: float, color: str, label: str | None
) -> None:
    """A point for each estimate, with a line for its interval."""
    known = [(place + shift, one) for place, one in enumerate(found) if one is not None]
    across = [one.value for _, one in known]
    up = [height for height, _ in known]
    axes.plot(across, up, "o", ms=5, color=color, label=label)
    for height, one in known:
        if bounded := one.bounded():
            axes.plot(bounded[1:], [height] * 2, color=color, lw=1.6)


def _name(run: Mapping[str, Any]) -> str:
    """A run's name, and as much of its id as tells it from others of the same name."""
    return f"{run['name']} {run['run_id'][:6]}"
