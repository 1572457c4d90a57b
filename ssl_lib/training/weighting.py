"""From the sums of all objectives to one loss, and how much each objective weighs in it.

Shapes: all scalars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssl_lib.config import TrainingSettings

MOST_LOG_VARIANCE = 4.0  # learned factors stay within exp(-4) and exp(4): a density's loss may fall below 0 for good


class Weighting(nn.Module):
    """The weights of the joint loss: fixed, moved from start to end over the run, or learned.

    `schedule`: in a straight line from `weights` to `final_weights`, between the shares of the steps that
    `weight_schedule_start` and `weight_schedule_end` name; a weight may be 0 at either end.
    `uncertainty` (Kendall et al. 2018, eq. 10, for likelihoods): the joint loss is the sum of
    weight * (exp(-s) * loss + s / 2), where each objective's log-variance s is a parameter that begins at 0. Training
    so begins with the weights given and is drawn to weight / (2 * loss): the weights remain a preference.
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
            return {name: weight * self._factor(name) for name, weight in self.weights.items()}
        if self.settings.weighting == "schedule":
            share = self._share(step)
            moved = {
                name: self.final_weights.get(name, weight) - weight
                for name, weight in self.weights.items()
            }
            return {name: weight + share * moved[name] for name, weight in self.weights.items()}
        return dict(self.weights)

    def learn(self, losses: Mapping[str, float], counts: Mapping[str, int]) -> None:
        """Give the log-variances their gradients, from the losses of the whole effective batch; an objective that
        scored nothing in it teaches nothing.
        """
        for name, log_variance in self.log_variances.items():
            log_variance.data.clamp_(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
            if counts.get(name, 0):
                slope = self.weights[name] * (0.5 - self._factor(name) * losses[name])
                log_variance.grad = torch.full_like(log_variance, slope)

    def _factor(self, name: str) -> float:
        return math.exp(-float(self.log_variances[name].detach()))

    def _share(self, step: int) -> float:
        """How much of the way from the first weights to the last ones is done: 0 to 1."""
        start, end = self.settings.weight_schedule_start, self.settings.weight_schedule_end
        done = step / max(1, self.settings.steps - 1)
        if done <= start or start == end:
            return float(done > start)
        return min(1.0, (done - start) / (end - start))


def joint_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the objectives' losses."""
    total = sum(weights[name] * loss for name, loss in losses.items())
    assert isinstance(total, Tensor)
    return total
