"""What an ablation found: which objectives help which, as results, tables and a picture."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.drawing import blank, heat_map
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.files import write_atomically

Results = Sequence[Mapping[str, Any]]
TITLES = {"losses": "held-out loss", "downstream": "downstream"}
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
FARTHEST_PERCENT = 10.0  # change of a loss at either end of the colors


def summarize(results: Results, subsets: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What `ablation/results.json` holds, by subset.

    Means over the seeds of held-out `losses` in nats and of `downstream` results, their sample
    standard `deviation`, and losses `relative` to the objective alone: the mean over the seeds of
    loss / loss of the objective alone with the same seed. It stands only where that one was trained
    too and both losses are above 0, as a density's need not be.
    """
    training = settings.training
    sequences = training.steps * training.sequences * training.accumulate
    found: dict[str, Any] = {"steps": training.steps, "subsets": list(subsets)}
    found["tokens"] = sequences * settings.model.context_length
    found["seeds"] = sorted({result["seed"] for result in results})
    seconds = [sum(result["seconds"].values()) for result in results]
    found["seconds"] = round(sum(seconds), 1)
    found |= {"losses": {}, "relative": {}, "downstream": {}, "deviation": {}}
    for subset in subsets:
        own = [result for result in results if result["subset"] == subset]
        spread: dict[str, float] = {}
        for kind in TITLES:
            found[kind][subset] = _each(own, kind, fmean)
            spread |= _each(own, kind, deviation)
        found["deviation"][subset] = spread
        found["relative"][subset] = relative = {}
        for name in found["losses"][subset]:
            if ratios := _ratios(results, own, name):
                relative[name] = fmean(ratios)
    found["runs"] = list(results)
    return found


def show(found: Mapping[str, Any]) -> None:
    """Two tables on the terminal: relative losses, and the downstream results."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    seeds = len(found["seeds"])
    for kind, title in TITLES.items():
        names = columns(found, kind)
        headings = [name.replace("_", "\n") for name in names]
        table = Table(title, *headings)
        for subset in found["subsets"]:
            cells = [_cell(found, kind, subset, name) for name in names]
            table.add_row(subset, *cells)
        console.print(table)
    budget = f"{found['steps']} steps, {found['tokens']:,} tokens each, {seeds} "
    losses = "losses as shares of the loss of the objective trained alone, in nats where it was not"
    console.print(f"{budget}{'seed' if seeds == 1 else 'seeds'}; {losses}")
    if seeds > 1:
        console.print(f"{PLUS_MINUS} is the standard deviation over the seeds")


def write_files(found: Mapping[str, Any], folder: Path) -> None:
    """`results.json`, `transfer.csv` and `transfer.png`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subset", "kind", "name", "mean", "deviation", "relative_to_alone"])
    for kind in TITLES:
        for subset, values in found[kind].items():
            # a downstream result of one objective alone is no measure of the others
            relative = found["relative"][subset] if kind == "losses" else {}
            for name, value in values.items():
                spread = found["deviation"][subset][name]
                against_alone = relative.get(name, "")
                writer.writerow([subset, kind, name, value, spread, against_alone])
    content = json.dumps(found, indent=2)
    write_atomically(folder / "results.json", content + "\n")
    write_atomically(folder / "transfer.csv", text.getvalue())
    draw(found, folder / "transfer.png")


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Two heat maps: change of each held-out loss against the objective alone, and results.

    Blue is lower for the losses. Each task has a scale of its own.
    """
    subsets = found["subsets"]
    relative = found["relative"]
    compared = {name for values in relative.values() for name in values}
    objectives = [name for name in columns(found, "losses") if name in compared]
    tasks = columns(found, "downstream")
    # as high as there are subsets, so that cells keep their shape
    picture = blank(11.5, 1.8 + 0.32 * len(subsets))
    left, right = picture.subplots(1, 2)
    left.set_title("Held-out loss against the objective alone, %", loc="left", fontsize=10)
    right.set_title("Downstream results", loc="left", fontsize=10)
    changes = []
    results = []
    for subset in subsets:
        ratios = [relative[subset].get(name, math.nan) for name in objectives]
        changes.append([100 * (ratio - 1) for ratio in ratios])
        values = found["downstream"][subset]
        results.append([values.get(name, math.nan) for name in tasks])
    # no change is in the middle of the colors
    reach = 2 * FARTHEST_PERCENT
    shares = [[0.5 + change / reach for change in row] for row in changes]
    if objectives:
        signed = _texts(changes, "{:+.1f}")
        heat_map(left, shares, signed, objectives, subsets, colors="RdBu_r")
    else:
        left.set_axis_off()  # no objective was trained alone
    names = [name.replace("_", "\n") for name in tasks]
    written = _texts(results, "{:.3f}")
    heat_map(right, _scaled(results), written, names, subsets)
    picture.savefig(path, dpi=150)


def columns(found: Mapping[str, Any], kind: str) -> list[str]:
    """Names that occur in any subset: objectives in their order, tasks in that of the registry."""
    # a loss stands in the subsets that train it
    names = {name for values in found[kind].values() for name in values}
    known = OBJECTIVES if kind == "losses" else tuple(TASKS)
    # a task that is no longer there comes last
    others = sorted(names.difference(known))
    return [name for name in known if name in names] + others


def _each(own: Results, kind: str, summary: Callable[[Sequence[float]], float]) -> dict[str, float]:
    """A summary over the seeds of every loss or downstream result."""
    found: dict[str, float] = {}
    for name in own[0][kind] if own else ():
        values = [result[kind][name] for result in own]
        found[name] = summary(values)
    return found


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 of a single seed."""
    if len(values) > 1:
        return stdev(values)
    return 0.0


def _ratios(results: Results, own: Results, name: str) -> list[float]:
    """By seed, the loss over that of the objective alone."""
    alone = {}
    for result in results:
        if list(result["losses"]) == [name]:
            seed = result["seed"]
            alone[seed] = result["losses"][name]
    ratios = []
    for result in own:
        loss = result["losses"][name]
        baseline = alone.get(result["seed"], 0.0)
        # a density's negative log likelihood may fall below 0
        if min(loss, baseline) > 0:
            ratios.append(loss / baseline)
    return ratios


def _cell(found: Mapping[str, Any], kind: str, subset: str, name: str) -> str:
    """What a table of the terminal shows of one loss or task."""
    values = found[kind][subset]
    value = values.get(name)
    if value is None:
        return "–"
    if kind == "losses":
        relative = found["relative"][subset].get(name)
        if relative is None:
            return f"{value:.3f} nats"
        return f"{relative:.3f}"
    if len(found["seeds"]) == 1:
        return f"{value:.3f}"
    spread = found["deviation"][subset][name]
    return f"{value:.3f} {PLUS_MINUS} {spread:.3f}"


def _texts(values: Sequence[Sequence[float]], form: str) -> list[list[str]]:
    """What stands in each cell, nothing where there is no value."""
    texts = []
    for row in values:
        texts.append([form.format(value) if math.isfinite(value) else "" for value in row])
    return texts


def _scaled(values: Sequence[Sequence[float]]) -> list[list[float]]:
    """Every column from 0 for its lowest to 1 for its highest value."""
    # rows to columns, and back
    columns = []
    for column in zip(*values, strict=True):
        finite = [value for value in column if math.isfinite(value)]
        low = min(finite, default=0.0)
        reach = max(finite, default=0.0) - low
        columns.append([(value - low) / reach if reach else 0.5 for value in column])
    return [list(row) for row in zip(*columns, strict=True)]
