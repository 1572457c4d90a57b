"""Do the objectives pull the trunk the same way? Cosines of their gradients (Yu et al. 2020).

Off the training's path: nothing here touches a weight, a gradient or a random generator that
training uses.

Shapes: K objectives, P weights of the matrices of a trunk's blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.drawing import DOTS_PER_INCH, blank, heat_map
from ssl_lib.model.devices import Placement, sum_over_processes
from ssl_lib.objectives.base import ObjectiveGroup, Prepared, objective_losses, run_trunk
from ssl_lib.training.trainer import SelfSupervisedTrainer

COSINE = "gradient_cosine/"
NORM = "gradient_norm/"


def compare_gradients(trainer: SelfSupervisedTrainer, batch: Batch) -> dict[str, float]:
    """`gradient_cosine/A/B` of all objectives that share a trunk, and `gradient_norm/A` of each.

    The gradients are those of the unweighted losses with respect to the matrices of the trunk's
    blocks, on one micro-batch of every process, in the views of the trainer's next step. An
    objective without a gradient is left out.
    """
    found: dict[str, float] = {}
    views = trainer.prepare([batch], trainer.steps_done)
    for group, (prepared,) in zip(trainer.groups, views, strict=True):
        # a pass moves buffers, such as queues of keys, and draws from the global generator
        buffers = {name: buffer.clone() for name, buffer in group.named_buffers()}
        with torch.random.fork_rng():
            products_KK = gradient_products(group, prepared, trainer.placement)
        # after_step drops what the pass has queued, before and behind the old buffers
        group.after_step(updated=False)
        for name, buffer in group.named_buffers():
            buffer.copy_(buffers[name])
        group.after_step(updated=False)
        names = list(group.by_name)
        norms_K = products_KK.diagonal().clamp_min(0).sqrt().tolist()
        for name, norm in zip(names, norms_K, strict=True):
            if norm > 0:
                found[NORM + name] = norm
        for row, column in itertools.combinations(range(len(names)), 2):
            scale = norms_K[row] * norms_K[column]
            if scale > 0 and math.isfinite(scale):
                product = float(products_KK[row, column])
                found[f"{COSINE}{names[row]}/{names[column]}"] = product / scale
    return found


def gradient_products(group: ObjectiveGroup, prepared: Prepared, placement: Placement) -> Tensor:
    """Inner products [K, K] of the objectives' gradients, in float64."""
    matrices = [weight for weight in group.trunk.blocks.parameters() if weight.ndim == 2]
    counts = sum_over_processes(prepared.counts(), placement)
    gradients = []
    for name, objective in group.by_name.items():
        # each from a pass over its own views alone
        views = {view: prepared.views[view] for view in objective.view_makers()}
        with placement.precision():
            hidden = run_trunk(group.trunk, views)
            sums = objective.loss_sums(hidden, prepared.selected[name])
            losses = objective_losses({name: sums}, counts, group.part_weights())
        parts = torch.autograd.grad(
            losses[name], matrices, allow_unused=True, materialize_grads=True
        )
        gradients.append(torch.cat([part.flatten() for part in parts]))
    gradients_KP = torch.stack(gradients)
    if placement.world > 1:
        torch.distributed.all_reduce(gradients_KP)
    return (gradients_KP @ gradients_KP.T).double()


def mean_cosines(points: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean cosine over all points, by both names of a pair in either order; 1 with itself."""
    means: dict[str, dict[str, float]] = {}
    for key in _pairs(points):
        values = [point[key] for point in points if key in point]
        first, second = key.removeprefix(COSINE).split("/")
        for name in (first, second):
            means.setdefault(name, {name: 1.0})
        mean = sum(values) / len(values)
        means[first][second] = mean
        means[second][first] = mean
    # rows and columns in one order: [mlm: [mlm, ntp], ntp: [mlm, ntp]]
    return {
        first: {second: row[second] for second in means if second in row}
        for first, row in means.items()
    }


def _pairs(points: Sequence[Mapping[str, float]]) -> list[str]:
    """Keys of all cosines of any point, in the order in which they come up."""
    keys = dict.fromkeys(key for point in points for key in point)
    return [key for key in keys if key.startswith(COSINE)]


def draw_cosines(points: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the mean cosines, and beside them each pair's over the steps, into a PNG file.

    Blue agrees, red conflicts.
    """
    means = mean_cosines(points)
    names = list(means)
    mean_table = [[row.get(name, math.nan) for name in names] for row in means.values()]
    pairs = _pairs(points)
    labels = [pair.removeprefix(COSINE).replace("/", " · ") for pair in pairs]
    by_step = [[point.get(pair, math.nan) for point in points] for pair in pairs]
    # of many steps every so many is named
    every = max(1, len(points) // 8)
    steps = [""] * len(points)
    for place in range(0, len(points), every):
        steps[place] = f"{points[place]['step']:.0f}"
    picture = blank(11.0, 4.2)
    left, right = picture.subplots(1, 2, width_ratios=(1, 1.5))
    heat_map(left, mean_table, _written(mean_table), names, names, "RdBu", (-1.0, 1.0), slant=30)
    left.set_title("Cosine of gradients, mean over the run", loc="left", fontsize=10)
    # where there is room
    texts = _written(by_step) if len(points) <= len(pairs) else ()
    image = heat_map(right, by_step, texts, steps, labels, "RdBu", (-1.0, 1.0), slant=30)
    right.set_title("By step", loc="left", fontsize=10)
    picture.colorbar(image, ax=right)
    picture.savefig(path, dpi=DOTS_PER_INCH)


def _written(table: Sequence[Sequence[float]]) -> list[list[str]]:
    """What stands in the cells, nothing where there is no value."""
    return [[f"{value:.2f}" if math.isfinite(value) else "" for value in row] for row in table]
