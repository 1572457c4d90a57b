"""Training: one step, read from top to bottom, and the loop around it.

Shapes: B rows, T positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.curriculum import Curriculum
from ssl_lib.config import TrainingSettings
from ssl_lib.errors import UserError
from ssl_lib.model.devices import Placement, can_compile, place, sum_over_processes
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.group import ObjectiveGroup, Prepared, objective_losses
from ssl_lib.training.optimizer import Optimizers
from ssl_lib.training.weighting import Weighting, joint_loss


class DivergedError(UserError):
    """A loss or gradient that is not finite."""


class SelfSupervisedTrainer:
    """Trains any of the five objectives together, grouped by the trunk they share.

    `train_step` takes a `Batch` (or several micro-batches, normalised as one) and returns every objective's loss in
    nats.
    `weights` multiply the objectives' losses; missing ones weigh 1. `settings.weighting` says whether they stay as they
    are, are learned, or move to `final_weights` (missing ones: stay) by step `settings.steps`, which also ends the
    learning-rate schedule. `token_counts`, how often each id stands in the training text, is what `settings.curriculum`
    needs; UserError if it lacks.
    """

    def __init__(
        self,
        *objectives: Objective,
        weights: Mapping[str, float] | None = None,
        final_weights: Mapping[str, float] | None = None,
        settings: TrainingSettings | None = None,
        seed: int = 0,
        placement: Placement | None = None,
        token_counts: Tensor | None = None,
    ) -> None:
        if not objectives:
            raise UserError("SelfSupervisedTrainer needs at least one objective")
        self.settings = settings or TrainingSettings()
        self.placement = placement or place(self.settings)
        self.curriculum = _curriculum(self.settings, token_counts, self.placement)
        self.weights = {objective.name: 1.0 for objective in objectives} | dict(weights or {})
        self.weighting = Weighting(self.weights, final_weights or {}, self.settings).to(
            self.placement.device
        )
        self.groups = [
            ObjectiveGroup(group).to(self.placement.device) for group in _by_trunk(objectives)
        ]
        self.runners = [self._runner(group) for group in self.groups]
        self.optimizers = Optimizers(
            [*self.groups, self.weighting], self.settings, self.placement.autocast
        )
        self.seed, self.steps_done = seed, 0
        self.history: dict[str, list[float]] = {}

    def train_step(self, batch: Batch | Sequence[Batch]) -> dict[str, float]:
        """One update. Raises DivergedError, weights and optimiser untouched, if a loss or gradient is not finite."""
        batches = [batch] if isinstance(batch, Batch) else list(batch)
        self.optimizers.zero_grad()  # of gradients that others have left in the models, such as a downstream task
        prepared = self.prepare(batches)
        counts = [self._total_counts(group) for group in prepared]
        losses: dict[str, float] = {}
        for runner, group, micro_batches, totals in zip(
            self.runners, self.groups, prepared, counts, strict=True
        ):
            losses |= self._accumulate(runner, group, micro_batches, totals)
        norm = self._checked_norm(losses)
        self.weighting.learn(losses, _scored(counts))
        self.optimizers.step(self.steps_done, self.settings.steps)
        self._after_step(updated=True)
        self.steps_done += 1
        return self._record(losses | {"gradient_norm": norm})

    def prepare(self, batches: Sequence[Batch]) -> list[list[Prepared]]:
        """Views and selections of every micro-batch for every group: a function of (seed, step, process, batch)."""
        generator = torch.Generator().manual_seed(
            _mixed_seed(self.seed, self.steps_done, self.placement.rank)
        )
        emphasis = self.curriculum.at(self.steps_done) if self.curriculum else None
        _check_vocabulary(batches, self.groups)
        placed = [batch.trimmed().to(self.placement.device) for batch in batches]
        return [
            [group.prepare(batch, generator, emphasis) for batch in placed] for group in self.groups
        ]

    def get_metrics(self) -> dict[str, dict[str, float]]:
        """For every objective, `NAME_loss`: its current, mean and least loss so far."""
        return {
            f"{name}_loss" if name in self.weights else name: {
                "current": values[-1], "mean": sum(values) / len(values), "min": min(values)
            }
            for name, values in self.history.items()
        }  # fmt: skip

    def state_dict(self) -> dict:
        """All that resuming needs: weights, optimiser states, steps done."""
        return {
            "groups": [group.state_dict() for group in self.groups],
            "weighting": self.weighting.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "steps_done": self.steps_done,
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from what `state_dict` gave."""
        for group, weights in zip(self.groups, state["groups"], strict=True):
            group.load_state_dict(weights)
        self.weighting.load_state_dict(state["weighting"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.steps_done = state["steps_done"]

    def _runner(self, group: ObjectiveGroup) -> torch.nn.Module:
        runner: torch.nn.Module = group
        if self.settings.compile and can_compile(self.placement.device):
            for block in group.trunk.all_blocks:
                block.compile(dynamic=False)
        if self.placement.world > 1:
            devices = (
                [self.placement.device.index] if self.placement.device.type == "cuda" else None
            )
            # without rows of one kind, that kind's private layers have no gradient
            unused = bool(group.trunk.shape.mode_specific_layers)
            runner = DistributedDataParallel(
                group, device_ids=devices, broadcast_buffers=False, find_unused_parameters=unused
            )
        return runner

    def _total_counts(self, micro_batches: Sequence[Prepared]) -> dict[str, dict[str, int]]:
        """Scored items of the whole effective batch: all micro-batches of all processes."""
        totals = micro_batches[0].counts()
        for prepared in micro_batches[1:]:
            totals = {
                name: {part: count + prepared.counts()[name][part] for part, count in parts.items()}
                for name, parts in totals.items()
            }
        return sum_over_processes(totals, self.placement)

    def _accumulate(
        self,
        runner: torch.nn.Module,
        group: ObjectiveGroup,
        micro_batches: Sequence[Prepared],
        totals: dict[str, dict[str, int]],
    ) -> dict[str, float]:
        """Backward passes of all micro-batches; gradients are exchanged in the last one."""
        collected: dict[str, float] = {}
        weights = self.weighting.at(self.steps_done)
        for index, prepared in enumerate(micro_batches):
            last = index == len(micro_batches) - 1
            if isinstance(runner, DistributedDataParallel):
                runner.require_backward_grad_sync = last
            with self.placement.precision():
                losses = objective_losses(runner(prepared), totals, group.part_weights())
            (joint_loss(losses, weights) * self.placement.world).backward()
            for name, loss in losses.items():
                collected[name] = collected.get(name, 0.0) + loss.detach()
        return {name: float(loss) for name, loss in self._reduced(collected).items()}

    def _reduced(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses added over processes (each holds its share of the sum)."""
        if self.placement.world > 1:
            stacked = torch.stack(list(losses.values()))
            torch.distributed.all_reduce(stacked)
            return dict(zip(losses, stacked, strict=True))
        return losses

    def _checked_norm(self, losses: dict[str, float]) -> float:
        parameters = [parameter for group in self.groups for parameter in group.parameters()]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm))
        broken = [name for name, loss in losses.items() if not math.isfinite(loss)]
        if broken or not math.isfinite(norm):
            self.optimizers.zero_grad()
            self._after_step(updated=False)
            where = f"the loss of {', '.join(broken)}" if broken else "the gradient"
            raise DivergedError(
                f"step {self.steps_done}: {where} is not finite; "
                "lower training.learning_rate and training.adamw_learning_rate"
            )
        return norm

    def _after_step(self, updated: bool) -> None:
        for group in self.groups:
            group.after_step(updated)

    def _record(self, losses: dict[str, float]) -> dict[str, float]:
        for name, loss in losses.items():
            self.history.setdefault(name, []).append(loss)
        return losses


def _curriculum(
    settings: TrainingSettings, token_counts: Tensor | None, placement: Placement
) -> Curriculum | None:
    if settings.curriculum == "none":
        return None
    if token_counts is None:
        raise UserError(
            f"training.curriculum = {settings.curriculum} needs token counts; pass token_counts=…, or none"
        )
    return Curriculum(
        token_counts.to(placement.device), settings.curriculum_steps or settings.steps
    )


def _by_trunk(objectives: Sequence[Objective]) -> list[list[Objective]]:
    groups: dict[int, list[Objective]] = {}
    for objective in objectives:
        groups.setdefault(id(objective.trunk), []).append(objective)
    return list(groups.values())


def _check_vocabulary(batches: Sequence[Batch], groups: Sequence[ObjectiveGroup]) -> None:
    """Raise UserError if a token of the batches is none of a model's: it might be taken for its mask or its padding."""
    highest = max(int(batch.token_ids_BT.max()) for batch in batches)
    for size in (group.trunk.shape.vocab_size for group in groups):
        if highest >= size:
            raise UserError(
                f"token id {highest} does not fit a model of vocab_size={size}; make the models with the n_vocab of "
                "the dataset's tokenizer"
            )


def _scored(counts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, int]:
    """Scored items by objective, over all groups."""
    return {name: sum(parts.values()) for group in counts for name, parts in group.items()}


def _mixed_seed(*parts: int) -> int:
    """One seed from several numbers, without overlaps between neighbours."""
    seed = 0
    for part in parts:
        seed = (seed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return seed
