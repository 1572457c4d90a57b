"""How much each objective weighs in the joint loss: fixed, scheduled or learned."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssl_lib.config import TrainingSettings

# learned factors stay within exp(-4) and exp(4): a density's loss may fall below 0 for good
MOST_LOG_VARIANCE = 4.0


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
