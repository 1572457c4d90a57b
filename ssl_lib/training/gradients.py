"""Do the objectives pull the trunk the same way? Cosines between their gradients (Yu et al. 2020), off the training's
path: nothing here touches a weight, a gradient or a random generator that training uses.

Shapes: K objectives, P weights of the matrices of a trunk's blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.model.devices import Placement, sum_over_processes
from ssl_lib.objectives.group import ObjectiveGroup, Prepared, objective_losses, run_trunk
from ssl_lib.training.trainer import SelfSupervisedTrainer

COSINE, NORM = "gradient_cosine/", "gradient_norm/"


def compare_gradients(trainer: SelfSupervisedTrainer, batch: Batch) -> dict[str, float]:
    """`gradient_cosine/A/B` of every pair of objectives that share a trunk, and each one's `gradient_norm/A`.

    The gradients are those of the unweighted losses with respect to the matrices of the trunk's blocks, on one
    micro-batch of every process, in the views of the trainer's next step. An objective without a gradient is left out.
    """
    found: dict[str, float] = {}
    for group, (prepared,) in zip(trainer.groups, trainer.prepare([batch]), strict=True):
        buffers = {name: buffer.clone() for name, buffer in group.named_buffers()}
        with torch.random.fork_rng():
            products_KK = gradient_products(group, prepared, trainer.placement)
        group.after_step(updated=False)
        for name, buffer in group.named_buffers():
            buffer.copy_(buffers[name])
        group.after_step(updated=False)
        found |= _figures(list(group.objectives), products_KK)
    return found


def gradient_products(group: ObjectiveGroup, prepared: Prepared, placement: Placement) -> Tensor:
    """Inner products [K, K] of the objectives' gradients, in float64."""
    matrices = [weight for weight in group.trunk.blocks.parameters() if weight.ndim == 2]
    totals = sum_over_processes(prepared.counts(), placement)
    gradients_KP = torch.stack(
        [_gradient(group, prepared, name, totals, matrices, placement) for name in totals]
    )
    if placement.world > 1:
        torch.distributed.all_reduce(gradients_KP)
    return (gradients_KP @ gradients_KP.T).double()


def _gradient(
    group: ObjectiveGroup,
    prepared: Prepared,
    name: str,
    totals: Mapping[str, Mapping[str, int]],
    matrices: Sequence[Tensor],
    placement: Placement,
) -> Tensor:
    """Gradient [P] of one objective's loss, from a pass over its own views alone."""
    objective = group.objectives[name]
    views = {view: prepared.views[view] for view in objective.view_makers()}
    with placement.precision():
        sums = {name: objective.loss_sums(run_trunk(group.trunk, views), prepared.selected[name])}
        loss = objective_losses(sums, totals, group.part_weights())[name]
    parts = torch.autograd.grad(loss, matrices, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def _figures(names: Sequence[str], products_KK: Tensor) -> dict[str, float]:
    norms = products_KK.diagonal().clamp_min(0).sqrt().tolist()
    found = {f"{NORM}{name}": norm for name, norm in zip(names, norms, strict=True) if norm > 0}
    for left, first in enumerate(names):
        for right in range(left + 1, len(names)):
            scale = norms[left] * norms[right]
            if scale > 0 and math.isfinite(scale):
                found[f"{COSINE}{first}/{names[right]}"] = float(products_KK[left, right]) / scale
    return found


def mean_cosines(points: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean cosine over all points, by both names of a pair in either order; 1 of an objective with itself."""
    sums: dict[tuple[str, str], list[float]] = {}
    for point in points:
        for key, value in point.items():
            if key.startswith(COSINE):
                first, second = key.removeprefix(COSINE).split("/")
                sums.setdefault((first, second), []).append(value)
    names = list(dict.fromkeys(name for pair in sums for name in pair))
    means = {pair: sum(values) / len(values) for pair, values in sums.items()}
    means |= {(second, first): value for (first, second), value in means.items()} | {
        (name, name): 1.0 for name in names
    }
    return {
        row: {column: means[row, column] for column in names if (row, column) in means}
        for row in names
    }


def draw_cosines(points: Sequence[Mapping[str, float]], path: Path) -> None:
    """A picture of the mean cosines, and beside it of each pair's over the steps: blue agrees, red conflicts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    means = mean_cosines(points)
    pairs = list(dict.fromkeys(key for point in points for key in point if key.startswith(COSINE)))
    picture = Figure(figsize=(11.0, 4.2), layout="constrained")
    FigureCanvasAgg(picture)
    left, right = picture.subplots(1, 2, width_ratios=(1, 1.5))
    _heat(
        left,
        [[means[row].get(column, math.nan) for column in means] for row in means],
        list(means),
        list(means),
    )
    left.set_title("Cosine of gradients, mean over the run", loc="left", fontsize=10)
    steps = [str(int(point["step"])) for point in points]
    rows = [[point.get(pair, math.nan) for point in points] for pair in pairs]
    image = _heat(
        right, rows, [pair.removeprefix(COSINE).replace("/", " · ") for pair in pairs], steps
    )
    right.set_title("By step", loc="left", fontsize=10)
    picture.colorbar(image, ax=right)
    picture.savefig(path, dpi=150)


def _heat(
    axes: Any, rows: Sequence[Sequence[float]], labels: Sequence[str], columns: Sequence[str]
) -> Any:
    image = axes.imshow(rows, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    every = max(1, len(columns) // 8)
    axes.set_xticks(range(0, len(columns), every), columns[::every], fontsize=8, rotation=30)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    if len(columns) <= len(labels):
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
    return image
