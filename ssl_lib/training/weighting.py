"""From the sums of all objectives to one loss.

Shapes: all scalars.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

PartSums = Mapping[str, Mapping[str, Tensor]]
PartCounts = Mapping[str, Mapping[str, int]]


def part_losses(sums: PartSums, counts: PartCounts) -> dict[str, dict[str, Tensor]]:
    """Mean loss of every part of every objective; a part that scores nothing anywhere is zero."""
    return {
        objective: {part: value / max(counts[objective][part], 1) for part, value in parts.items()}
        for objective, parts in sums.items()
    }


def objective_losses(
    sums: PartSums, counts: PartCounts, part_weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Tensor]:
    """Loss of every objective: its weighted parts."""
    means = part_losses(sums, counts)
    return {
        name: sum(part_weights[name][part] * value for part, value in parts.items()) for name, parts in means.items()
    }


def joint_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the objectives' losses."""
    total = sum(weights[name] * loss for name, loss in losses.items())
    assert isinstance(total, Tensor)
    return total
