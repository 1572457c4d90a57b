"""Losses on held-out sequences, with views that are the same whenever they are asked for.

Training validates with them, evaluation compares two models by them.

Shapes: B sequences, T positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.model.devices import Placement
from ssl_lib.objectives.base import Objective, ObjectiveGroup, objective_losses, part_losses

VIEW_SEED = 20_260_203
SEQUENCES_AT_ONCE = 32


def held_out_batches(sequences: PackedSequences, count: int) -> list[Batch]:
    """The first `count` sequences, or all there are, always the same, in batches of at most 32."""
    count = min(count, sequences.sequences_per_epoch)
    whole = sequences.batch(0, count)
    return [
        Batch(*(tensor[start : start + SEQUENCES_AT_ONCE] for tensor in whole))
        for start in range(0, count, SEQUENCES_AT_ONCE)
    ]


@torch.no_grad()
def held_out_losses(
    objectives: Sequence[Objective], batches: Sequence[Batch], placement: Placement
) -> dict[str, dict[str, float]]:
    """Loss in nats of every objective (`loss`) and of its parts, over all batches.

    The generator of the views has a fixed seed. Objectives return in the mode, training or not,
    in which they came.
    """
    modes = [objective.training for objective in objectives]
    group = ObjectiveGroup(objectives).to(placement.device).eval()
    sums: dict[str, dict[str, Tensor]] = defaultdict(dict)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    generator = torch.Generator().manual_seed(VIEW_SEED)
    for batch in batches:
        prepared = group.prepare(batch.to(placement.device), generator)
        with placement.precision():
            found = group(prepared)
        for name, selections in prepared.selected.items():
            for part, selected in selections.items():
                sums[name][part] = sums[name].get(part, 0) + found[name][part]
                counts[name][part] = counts[name].get(part, 0) + selected.count
    for objective, mode in zip(objectives, modes, strict=True):
        objective.train(mode)
    parts = part_losses(sums, counts)
    losses: dict[str, dict[str, float]] = {}
    for name, total in objective_losses(sums, counts, group.part_weights()).items():
        losses[name] = {part: float(value) for part, value in parts[name].items()}
        losses[name]["loss"] = float(total)
    return losses


def relative_score(
    after: Mapping[str, Mapping[str, float]], before: Mapping[str, Mapping[str, float]]
) -> float:
    """Mean over objectives of loss after / loss before: what validation minimizes.

    It holds no weight and no temperature.
    """
    return sum(after[name]["loss"] / before[name]["loss"] for name in after) / len(after)
