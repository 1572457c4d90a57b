"""Objectives that share a trunk: it runs once over all views, and every objective reads its own.

Shapes: R sequences of all views together, T positions, D width.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.curriculum import SamplingWeights
from ssl_lib.batches.views import View, ViewMaker, in_clean_order
from ssl_lib.objectives.base import Objective, Selection

PartSums = Mapping[str, Mapping[str, Tensor]]
PartCounts = Mapping[str, Mapping[str, int]]


class Prepared(NamedTuple):
    """A micro-batch ready for the trunk: views, and each objective's selections in them by part."""

    views: dict[str, View]
    selected: dict[str, dict[str, Selection]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of target items by objective and part."""
        return {
            name: {part: selection.count for part, selection in parts.items()}
            for name, parts in self.selected.items()
        }


def total_counts(prepared: Iterable[Iterable[Prepared]]) -> PartCounts:
    """Target items of all micro-batches of all groups, by objective and part."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for micro_batch in itertools.chain.from_iterable(prepared):
        for name, parts in micro_batch.counts().items():
            totals[name].update(parts)
    return totals


class ObjectiveGroup(nn.Module):
    """Objectives on one trunk.

    A view that several of them read is made by the settings of the one that owns it.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        assert len({id(objective.trunk) for objective in objectives}) == 1
        self.trunk = objectives[0].trunk
        self.by_name = {objective.name: objective for objective in objectives}
        self.objectives = nn.ModuleDict(self.by_name)  # the same, known to torch

    def prepare(
        self, batch: Batch, generator: Generator, sampling: SamplingWeights | None = None
    ) -> Prepared:
        """Make the views and choose the targets; nothing here depends on the weights.

        `sampling` is what the curriculum prefers to corrupt at this step; without it all positions
        are alike.
        """
        makers: dict[str, ViewMaker] = {}
        for objective in self.by_name.values():
            for name, maker in objective.view_makers().items():
                if name in objective.owns or name not in makers:
                    makers[name] = maker
        views = {name: maker(batch, generator, sampling) for name, maker in makers.items()}
        selected = {
            name: objective.select(batch, views, generator)
            for name, objective in self.by_name.items()
        }
        return Prepared(views, selected)

    def forward(self, prepared: Prepared) -> dict[str, dict[str, Tensor]]:
        """Loss sums in nats by objective and part."""
        hidden = run_trunk(self.trunk, prepared.views)
        return {
            name: objective.loss_sums(hidden, prepared.selected[name])
            for name, objective in self.by_name.items()
        }

    def after_step(self, updated: bool) -> None:
        """Tell every objective that a step has ended."""
        for objective in self.by_name.values():
            objective.after_step(updated)

    def part_weights(self) -> dict[str, dict[str, float]]:
        """Weight of every part inside its objective."""
        return {name: objective.part_weights() for name, objective in self.by_name.items()}


def run_trunk(trunk: nn.Module, views: Mapping[str, View]) -> dict[str, Tensor]:
    """Hidden states [R, T, D] of every view, by clean position, from one pass over all of them."""
    ids_RT = torch.cat([view.ids_RT for view in views.values()])
    documents_RT = torch.cat([view.document_ids_RT for view in views.values()])
    flags = [
        torch.full((len(view.ids_RT),), view.causal, device=ids_RT.device)
        for view in views.values()
    ]
    hidden_RTD: Tensor = trunk(ids_RT, documents_RT, torch.cat(flags))
    sizes = [len(view.ids_RT) for view in views.values()]
    hidden = {}
    for (name, view), states_RTD in zip(views.items(), torch.split(hidden_RTD, sizes), strict=True):
        hidden[name] = in_clean_order(states_RTD, view.source_N)
    return hidden


def part_losses(sums: PartSums, counts: PartCounts) -> dict[str, dict[str, Tensor]]:
    """Mean loss of every part of every objective; a part without targets anywhere is zero."""
    return {
        name: {part: value / max(counts[name][part], 1) for part, value in parts.items()}
        for name, parts in sums.items()
    }


def objective_losses(
    sums: PartSums, counts: PartCounts, part_weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Tensor]:
    """Loss of every objective: the weighted sum of its parts' mean losses."""
    losses = {}
    for name, parts in part_losses(sums, counts).items():
        weighted = [part_weights[name][part] * loss for part, loss in parts.items()]
        losses[name] = functools.reduce(operator.add, weighted)
    return losses
