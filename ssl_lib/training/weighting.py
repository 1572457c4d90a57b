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
        self.weights, self.final_weights, self.settings = weights, final_weights, settings
        learned = weights if settings.weighting == "uncertainty" else ()
        self.log_variances = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(())) for name in learned}
        )

    def at(self, step: int) -> dict[str, float]:
        """What each objective's loss is multiplied with in `step` (from 0)."""
        if self.settings.weighting == "uncertainty":
            return {name: weight * self._precision(name) for name, weight in self.weights.items()}
        if self.settings.weighting == "fixed":
            return dict(self.weights)
        # how much of the way from the first weights to the last ones is done, 0 to 1
        start, end = self.settings.weight_schedule_start, self.settings.weight_schedule_end
        done = step / max(1, self.settings.steps - 1)
        if done <= start or start == end:
            share = float(done > start)
        else:
            share = min(1.0, (done - start) / (end - start))
        weights = {}
        for name, weight in self.weights.items():
            weights[name] = weight + share * (self.final_weights.get(name, weight) - weight)
        return weights

    def joint_loss(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum of the objectives' losses, a scalar, in `step` (from 0)."""
        weights = self.at(step)
        return functools.reduce(
            operator.add, [weights[name] * loss for name, loss in losses.items()]
        )

    def learn(self, losses: Mapping[str, float], counts: Mapping[str, int]) -> None:
        """Give the log-variances their gradients, from the losses of the whole effective batch.

        `counts` are the objectives' target items in it: one without any teaches nothing.
        """
        for name, log_variance in self.log_variances.items():
            log_variance.data.clamp_(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
            if counts.get(name, 0):
                slope = self.weights[name] * (0.5 - self._precision(name) * losses[name])
                log_variance.grad = torch.full_like(log_variance, slope)

    def _precision(self, name: str) -> float:
        return math.exp(-float(self.log_variances[name].detach()))
