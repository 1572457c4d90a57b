"""The transfer matrix of an ablation: which objectives help which, as figures, table and picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ssl_lib.config import OBJECTIVES, Settings

Rows = Sequence[Mapping[str, Any]]
Table = dict[str, dict[str, float]]
TITLES = {"losses": "held-out loss", "downstream": "downstream"}
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def summarise(rows: Rows, subsets: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What `ablation/results.json` holds: by subset, means over the seeds of held-out `losses` in nats and of
    `downstream` results, their sample standard `deviation`, and losses `relative` to the objective alone.

    A relative loss is the mean over the seeds of loss / loss of the objective alone with the same seed; it stands
    only where that one was trained too and both losses are above 0, as a density's need not be.
    """
    training = settings.training
    tokens = (
        training.steps * training.sequences * training.accumulate * settings.model.context_length
    )
    relative: Table = {}
    for subset in subsets:
        pairs = {name: _ratios(rows, subset, name) for name in _keys(rows, subset, "losses")}
        relative[subset] = {name: fmean(ratios) for name, ratios in pairs.items() if ratios}
    deviation: Table = {
        subset: _each(rows, subset, "losses", _spread) | _each(rows, subset, "downstream", _spread)
        for subset in subsets
    }
    return {
        "steps": training.steps,
        "tokens": tokens,
        "seeds": sorted({row["seed"] for row in rows}),
        "seconds": round(sum(sum(row["seconds"].values()) for row in rows), 1),
        "subsets": list(subsets),
        "losses": {subset: _each(rows, subset, "losses", fmean) for subset in subsets},
        "relative": relative,
        "downstream": {subset: _each(rows, subset, "downstream", fmean) for subset in subsets},
        "deviation": deviation,
        "runs": list(rows),
    }


def show(found: Mapping[str, Any]) -> None:
    """Two tables on the terminal: losses relative to the objective alone, and the downstream results."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console, seeds = Console(), len(found["seeds"])
    cells = {"losses": _loss_cell, "downstream": _result_cell}
    for kind, cell in cells.items():
        names = columns(found, kind)
        table = RichTable(TITLES[kind], *(name.replace("_", "\n") for name in names))
        for subset in found["subsets"]:
            table.add_row(subset, *(cell(found, subset, name) for name in names))
        console.print(table)
    console.print(
        f"{found['steps']} steps, {found['tokens']:,} tokens each, {seeds} {'seed' if seeds == 1 else 'seeds'}; losses "
        "as shares of the loss of the objective trained alone, in nats where it was not"
        + (f"; {PLUS_MINUS} is the standard deviation over the seeds" if seeds > 1 else "")
    )


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Two heat maps: change of each held-out loss against the objective alone (blue: lower), and downstream results."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    subsets, tasks = found["subsets"], columns(found, "downstream")
    objectives = [
        name
        for name in columns(found, "losses")
        if any(name in row for row in found["relative"].values())
    ]
    picture = Figure(figsize=(11.5, 1.8 + 0.32 * len(subsets)), layout="constrained")
    FigureCanvasAgg(picture)
    left, right = picture.subplots(1, 2)
    changes = [
        [100 * (found["relative"][row].get(name, math.nan) - 1) for name in objectives]
        for row in subsets
    ]
    _heat(left, changes, objectives, subsets, "{:+.1f}", "RdBu_r", 10.0)
    left.set_title("Held-out loss against the objective alone, %", loc="left", fontsize=10)
    results = [[found["downstream"][row].get(name, math.nan) for name in tasks] for row in subsets]
    _heat(
        right,
        results,
        [name.replace("_", "\n") for name in tasks],
        subsets,
        "{:.3f}",
        "Blues",
        None,
    )
    right.set_title("Downstream results", loc="left", fontsize=10)
    picture.savefig(path, dpi=150)


def columns(found: Mapping[str, Any], kind: str) -> list[str]:
    """Names that occur in any row: objectives in their order, tasks in theirs."""
    names = dict.fromkeys(name for row in found[kind].values() for name in row)
    return [name for name in OBJECTIVES if name in names] if kind == "losses" else list(names)


def _keys(rows: Rows, subset: str, kind: str) -> list[str]:
    return list(
        dict.fromkeys(name for row in rows if row["subset"] == subset for name in row[kind])
    )


def _each(rows: Rows, subset: str, kind: str, figure: Any) -> dict[str, float]:
    own = [row for row in rows if row["subset"] == subset]
    return {name: figure([row[kind][name] for row in own]) for name in _keys(rows, subset, kind)}


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _ratios(rows: Rows, subset: str, name: str) -> list[float]:
    alone = {row["seed"]: row["losses"][name] for row in rows if list(row["losses"]) == [name]}
    own = {row["seed"]: row["losses"][name] for row in rows if row["subset"] == subset}
    return [loss / alone[seed] for seed, loss in own.items() if min(loss, alone.get(seed, 0.0)) > 0]


def _loss_cell(found: Mapping[str, Any], subset: str, name: str) -> str:
    if name in found["relative"][subset]:
        return f"{found['relative'][subset][name]:.3f}"
    return f"{found['losses'][subset][name]:.3f} nats" if name in found["losses"][subset] else "–"


def _result_cell(found: Mapping[str, Any], subset: str, name: str) -> str:
    value = found["downstream"][subset].get(name, math.nan)
    return f"{value:.3f}" + (
        f" {PLUS_MINUS} {found['deviation'][subset][name]:.3f}" if len(found["seeds"]) > 1 else ""
    )


def _heat(
    axes: Any,
    rows: Sequence[Sequence[float]],
    names: Sequence[str],
    subsets: Sequence[str],
    form: str,
    colours: str,
    reach: float | None,
) -> None:
    """`reach` is the value at either end of the colours; without it every column has its own scale."""
    if not names:
        axes.set_axis_off()
        return
    limits = [
        (-reach, reach) if reach else _limits([row[j] for row in rows]) for j in range(len(names))
    ]
    shares = [
        [
            (value - low) / (high - low) if high > low else 0.5
            for value, (low, high) in zip(row, limits, strict=True)
        ]
        for row in rows
    ]
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto", alpha=0.6)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_yticks(range(len(subsets)), subsets, fontsize=8)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if math.isfinite(value):
                axes.text(j, i, form.format(value), ha="center", va="center", fontsize=7)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    return min(finite), max(finite)
