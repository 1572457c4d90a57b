"""One training step, read from top to bottom in `SelfSupervisedTrainer.train_step`.

`Weighting`, below it, says what each objective weighs in the joint loss: fixed, scheduled, learned.
The loop around it, which validates, logs and saves every so many steps, is in fit.py.
Shapes: B sequences, T positions.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.curriculum import Curriculum
from ssl_lib.config import TrainingSettings
from ssl_lib.errors import UserError
from ssl_lib.model.devices import Placement, can_compile, place, sum_over_processes
from ssl_lib.objectives.base import (
    Objective,
    ObjectiveGroup,
    PartCounts,
    Prepared,
    objective_losses,
    total_counts,
)
from ssl_lib.training.optimizer import Optimizers

# learned factors stay within exp(-4) and exp(4): a density's loss may fall below 0 for good
MOST_LOG_VARIANCE = 4.0


class DivergedError(UserError):
    """A loss or gradient that is not finite."""


class SelfSupervisedTrainer:
    """Trains any of the five objectives together, grouped by the trunk they share.

    `train_step` takes a `Batch`, or several micro-batches, normalized as one, and returns every
    objective's loss in nats. `weights` multiply the objectives' losses; missing ones weigh 1.
    `settings.weighting` says whether they stay as they are, are learned, or move to
    `final_weights` (missing ones: stay) by step `settings.steps`, which also ends the learning-rate
    schedule. `token_counts` [V], how often each id stands in the training text, is what
    `settings.curriculum` needs. Raises UserError if it lacks, or if there is no objective.
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
        self.objectives = objectives
        settings = settings or TrainingSettings()
        placement = placement or place(settings)
        self.settings = settings
        self.placement = placement
        self.seed = seed
        self.steps_done = 0
        self.history: dict[str, list[float]] = defaultdict(list)
        self.curriculum: Curriculum | None = None
        if settings.curriculum != "none":
            if token_counts is None:
                raise UserError(
                    f"training.curriculum = {settings.curriculum} needs token counts; "
                    "pass token_counts=…, or none"
                )
            token_counts = token_counts.to(placement.device)
            steps = settings.curriculum_steps or settings.steps
            self.curriculum = Curriculum(token_counts, steps)
        self.weights = dict(weights or {})
        by_trunk: dict[int, list[Objective]] = defaultdict(list)
        for objective in objectives:
            self.weights.setdefault(objective.name, 1.0)
            shared = by_trunk[id(objective.trunk)]
            shared.append(objective)
        weighting = Weighting(self.weights, final_weights or {}, settings)
        self.weighting = weighting.to(placement.device)
        self.groups: list[ObjectiveGroup] = []
        self.runners: list[nn.Module] = []
        for shared in by_trunk.values():
            group = ObjectiveGroup(shared).to(placement.device)
            self.groups.append(group)
            self.runners.append(self._runner(group))
        modules = [*self.groups, self.weighting]
        self.optimizers = Optimizers(modules, settings, low_precision=placement.autocast)

    def train_step(self, batch: Batch | Sequence[Batch]) -> dict[str, float]:
        """One update; returns the losses in nats by objective, and `gradient_norm`.

        Raises DivergedError, weights and optimizers untouched, if a loss or gradient is not finite.
        """
        batches = [batch] if isinstance(batch, Batch) else batch
        return self.update(self.prepare(batches, self.steps_done))

    def update(self, prepared: Sequence[Sequence[Prepared]]) -> dict[str, float]:
        """`train_step` with what `prepare` has made for this step."""
        # target items of the effective batch: all micro-batches of all processes
        counts = sum_over_processes(total_counts(prepared), self.placement)
        # gradients that others, such as a downstream task, have left in the models
        self.optimizers.zero_grad()
        losses: dict[str, float] = {}
        for group, runner, micro_batches in zip(self.groups, self.runners, prepared, strict=True):
            losses |= self._forward_and_backward(group, runner, micro_batches, counts)
        gradient_norm = self._clip_gradients(losses)
        self.weighting.learn(losses, counts)
        self.optimizers.step(self.steps_done, self.settings.steps)
        for group in self.groups:
            group.after_step(updated=True)
        self.steps_done += 1
        metrics = losses | {"gradient_norm": gradient_norm}
        for name, value in metrics.items():
            self.history[name].append(value)
        return metrics

    def prepare(self, batches: Sequence[Batch], step: int) -> list[list[Prepared]]:
        """Views and selections of every micro-batch for `step` (from 0), by group.

        They are a function of seed, step, process and batches, so that another thread may make
        those of the next step while this one is taken. Raises UserError if a token id is
        none of a model's: it might be taken for its mask or its padding.
        """
        highest = max(int(batch.token_ids_BT.max()) for batch in batches)
        for group in self.groups:
            size = group.trunk.shape.vocab_size
            if highest >= size:
                raise UserError(
                    f"token id {highest} does not fit a model of vocab_size={size}; make the "
                    "models with the n_vocab of the dataset's tokenizer"
                )
        # one seed of three numbers (Knuth's MMIX generator), without overlaps between neighbors
        seed = 0
        for part in (self.seed, step, self.placement.rank):
            seed = seed * 6364136223846793005 + 1442695040888963407 + part
            seed %= 2**63
        generator = torch.Generator().manual_seed(seed)
        sampling = self.curriculum.at(step) if self.curriculum else None
        prepared: list[list[Prepared]] = []
        placed = [batch.trimmed().to(self.placement.device) for batch in batches]
        for group in self.groups:
            prepared.append([group.prepare(batch, generator, sampling) for batch in placed])
        return prepared

    def _forward_and_backward(
        self,
        group: ObjectiveGroup,
        runner: nn.Module,
        micro_batches: Sequence[Prepared],
        counts: PartCounts,
    ) -> dict[str, float]:
        """Gradients and losses of the effective batch, one micro-batch after the other."""
        world = self.placement.world
        last = len(micro_batches) - 1
        totals: dict[str, Tensor] = {}
        for index, micro_batch in enumerate(micro_batches):
            if isinstance(runner, DistributedDataParallel):
                # gradients are exchanged once, in the last backward pass
                runner.require_backward_grad_sync = index == last
            with self.placement.precision():
                # the encoder once over all views, then every objective on its hidden states
                loss_sums = runner(micro_batch)
                part_weights = group.part_weights()
                losses = objective_losses(loss_sums, counts, part_weights)
            joint_loss = self.weighting.joint_loss(losses, self.steps_done)
            # DistributedDataParallel averages gradients; counts span all processes already
            joint_loss = joint_loss * world
            torch.autograd.backward(joint_loss)
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0.0) + loss.detach()
        # each process holds its share of the sums
        if world > 1:
            stacked = torch.stack(list(totals.values()))
            torch.distributed.all_reduce(stacked)
            totals = dict(zip(totals, stacked, strict=True))
        return {name: float(loss) for name, loss in totals.items()}

    def _clip_gradients(self, losses: Mapping[str, float]) -> float:
        """Clip the gradients' common norm and return it; raise DivergedError if not finite."""
        parameters = [parameter for group in self.groups for parameter in group.parameters()]
        norm = float(clip_grad_norm_(parameters, self.settings.clip_norm))
        broken = [name for name, loss in losses.items() if not math.isfinite(loss)]
        if not broken and math.isfinite(norm):
            return norm
        self.optimizers.zero_grad()
        for group in self.groups:
            group.after_step(updated=False)
        where = f"the loss of {', '.join(broken)}" if broken else "the gradient"
        raise DivergedError(
            f"step {self.steps_done}: {where} is not finite; "
            "lower training.learning_rate and training.adamw_learning_rate"
        )

    def _runner(self, group: ObjectiveGroup) -> nn.Module:
        """The group, compiled and distributed over the processes where that is asked for."""
        if self.settings.compile and can_compile(self.placement.device):
            for block in group.trunk.all_blocks:
                block.compile(dynamic=False)
        if self.placement.world == 1:
            return group
        device = self.placement.device
        return DistributedDataParallel(
            group,
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            # without sequences of one mode, that mode's own layers have no gradient
            find_unused_parameters=bool(group.trunk.shape.mode_specific_layers),
        )

    def get_metrics(self) -> dict[str, dict[str, float]]:
        """For every objective, `NAME_loss`: its current, mean and least loss so far, in nats."""
        metrics = {}
        for name, values in self.history.items():
            key = f"{name}_loss" if name in self.weights else name
            metrics[key] = {
                "current": values[-1],
                "mean": sum(values) / len(values),
                "min": min(values),
            }
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs: weights, optimizer states, steps done."""
        return {
            "groups": [group.state_dict() for group in self.groups],
            "weighting": self.weighting.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "steps_done": self.steps_done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        for group, weights in zip(self.groups, state["groups"], strict=True):
            group.load_state_dict(weights)
        self.weighting.load_state_dict(state["weighting"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.steps_done = state["steps_done"]


class Weighting(nn.Module):
    """The weights of the joint loss, by the setting `training.weighting`.

    `fixed`: they are `weights`. `schedule`: they move in a straight line from `weights` to
    `final_weights`, between the shares of the steps that `weight_schedule_start` and
    `weight_schedule_end` name; a weight may be 0 at either end. `uncertainty` (Kendall et al. 2018,
    eq. 10, for likelihoods): the joint loss is the sum of weight * (exp(-s) * loss + s / 2), where
    each objective's log-variance s is a parameter that begins at 0. Training so begins with the
    weights given and is drawn to weight / (2 * loss): the weights remain a preference.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        final_weights: Mapping[str, float],
        settings: TrainingSettings,
    ) -> None:
        super().__init__()
        self.weights = weights
        self.final_weights = final_weights
        self.settings = settings
        self.log_variances = nn.ParameterDict()
        if settings.weighting == "uncertainty":
            for name in weights:
                self.log_variances[name] = nn.Parameter(torch.zeros(()))

    def at(self, step: int) -> dict[str, float]:
        """What each objective's loss is multiplied with in `step` (from 0)."""
        weights = dict(self.weights)
        if self.settings.weighting == "uncertainty":
            for name in weights:
                weights[name] *= self._precision(name)
        elif self.settings.weighting == "schedule":
            start = self.settings.weight_schedule_start
            end = self.settings.weight_schedule_end
            done = step / max(1, self.settings.steps - 1)
            # 0 before the start, 1 after the end; start == end is a jump behind that step
            moved = float(done > start)
            if start < done < end:
                moved = (done - start) / (end - start)
            for name, weight in weights.items():
                last = self.final_weights.get(name, weight)
                weights[name] = weight + moved * (last - weight)
        return weights

    def joint_loss(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum of the objectives' losses, a scalar, in `step` (from 0)."""
        weights = self.at(step)
        weighted = [weights[name] * loss for name, loss in losses.items()]
        return functools.reduce(operator.add, weighted)

    def learn(self, losses: Mapping[str, float], counts: Mapping[str, Mapping[str, int]]) -> None:
        """Give the log-variances their gradients, from the losses of the whole effective batch.

        `counts` are its target items by objective and part: an objective without any teaches
        nothing.
        """
        for name, log_variance in self.log_variances.items():
            # back into its bounds, if the last update has left them
            log_variance.data.clamp_(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
            if any(counts.get(name, {}).values()):
                # d/ds of weight * (exp(-s) * loss + s / 2)
                scaled_loss = self._precision(name) * losses[name]
                slope = self.weights[name] * (0.5 - scaled_loss)
                log_variance.grad = torch.full_like(log_variance, slope)

    def _precision(self, name: str) -> float:
        log_variance = float(self.log_variances[name].detach())
        return math.exp(-log_variance)
