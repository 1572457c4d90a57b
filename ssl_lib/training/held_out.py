"""Losses on held-out rows, with views that are the same whenever they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedRows
from ssl_lib.objectives.base import Objective
from ssl_lib.training.devices import Placement
from ssl_lib.training.group import ObjectiveGroup
from ssl_lib.training.weighting import objective_losses, part_losses

VIEW_SEED = 20_260_203
ROWS_AT_ONCE = 32


def held_out_batches(rows: PackedRows, count: int) -> list[Batch]:
    """The first `count` rows (or all there are) in batches of at most ROWS_AT_ONCE, the same ones every time."""
    count = min(count, rows.rows_per_epoch)
    whole = rows.batch(0, count)
    return [
        Batch(*(tensor[start : start + ROWS_AT_ONCE] for tensor in whole))
        for start in range(0, count, ROWS_AT_ONCE)
    ]


@torch.no_grad()
def held_out_losses(
    objectives: Sequence[Objective], batches: Sequence[Batch], placement: Placement
) -> dict[str, dict[str, float]]:
    """Loss in nats of every objective (`loss`) and of its parts, over all batches; views have a fixed seed."""
    modes = [objective.training for objective in objectives]
    group = ObjectiveGroup(objectives).to(placement.device).eval()
    sums: dict[str, dict[str, torch.Tensor]] = {}
    counts: dict[str, dict[str, int]] = {}
    generator = torch.Generator().manual_seed(VIEW_SEED)
    for batch in batches:
        prepared = group.prepare(batch.to(placement.device), generator)
        with placement.precision():
            _add(sums, group(prepared))
        _add(counts, prepared.counts())
    for objective, mode in zip(objectives, modes, strict=True):
        objective.train(mode)
    totals = objective_losses(sums, counts, group.part_weights())
    parts = part_losses(sums, counts)
    return {
        name: {"loss": float(totals[name])}
        | {part: float(value) for part, value in parts[name].items()}
        for name in totals
    }


def relative_score(
    after: Mapping[str, Mapping[str, float]], before: Mapping[str, Mapping[str, float]]
) -> float:
    """Mean over objectives of loss after / loss before: what validation minimises; it holds no weight and no
    temperature.
    """
    return sum(after[name]["loss"] / before[name]["loss"] for name in after) / len(after)


def _add(totals: dict, values: Mapping) -> None:
    for name, parts in values.items():
        target = totals.setdefault(name, {})
        for part, value in parts.items():
            target[part] = target.get(part, 0) + value
