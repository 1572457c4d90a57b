"""Heads that predict the value of the next number, and how its value is measured.

Values live on the signed logarithmic scale of `ssl_lib.numbers.scale`.

Shapes: S scored positions, D width, K components, Q points of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssl_lib.config import NumericalSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers import scale
from ssl_lib.numbers.scale import LARGEST, from_scale, orders_of_magnitude
from ssl_lib.objectives.base import Selection

SHARPEST = 0.01  # smallest standard deviation, in decades
SCALE_POINTS = 4001  # of a cumulative distribution, over [-12, 12] on the scale


class NumberPrediction(NamedTuple):
    """Median of the next number, its central 90% interval, central intervals by level, and P(10^k <= |value| <
    10^(k+1)) by k.
    """

    value: float
    interval: tuple[float, float]
    intervals: dict[float, tuple[float, float]]
    magnitudes: dict[int, float]


def to_scale(values: Tensor) -> Tensor:
    """Values (float64) to the number scale, float32; values beyond 1e30 count as 1e30."""
    return scale.to_scale(values.clamp(-LARGEST, LARGEST)).float()


def scale_points(device: torch.device) -> Tensor:
    """Points [Q] of the scale at which distributions are tabulated, float64."""
    return torch.linspace(-12.0, 12.0, SCALE_POINTS, dtype=torch.float64, device=device)


def number_prediction(
    cumulative_Q: Tensor, scale_Q: Tensor, intervals: Sequence[float]
) -> NumberPrediction:
    """Quantiles and magnitudes of one tabulated distribution."""

    def quantile(level: float) -> float:
        return float(
            from_scale(
                scale_Q[int(torch.searchsorted(cumulative_Q, level).clamp(max=len(scale_Q) - 1))]
            )
        )

    levels = {
        level: (quantile((1 - level) / 2), quantile((1 + level) / 2)) for level in {*intervals, 0.9}
    }
    powers_Q = from_scale(scale_Q).abs().clamp_min(1e-12).log10().floor()
    mass_Q = torch.diff(cumulative_Q, prepend=cumulative_Q[:1] * 0.0)
    magnitudes = {power: float(mass_Q[powers_Q == power].sum()) for power in range(-3, 10)}
    return NumberPrediction(quantile(0.5), levels[0.9], levels, magnitudes)


class MixtureHead(nn.Module):
    """A mixture of K Gaussians on the signed logarithmic scale.

    The loss is -log(p(y) / p_max), p_max being the peak of the sharpest Gaussian the head can state, so that it is
    never negative.
    """

    def __init__(self, width: int, components: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.parameters_SK = nn.Linear(width, 3 * components)
        nn.init.normal_(self.parameters_SK.weight, std=0.5 * width**-0.5)
        with torch.no_grad():
            self.parameters_SK.bias.zero_()
            self.parameters_SK.bias[components : 2 * components] = torch.linspace(
                0.0, 8.0, components
            )

    def mixture(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and standard deviations (decades), each [S, K], float32."""
        raw = self.parameters_SK(functional.gelu(self.inner(hidden_SD))).float()
        weight_SK, mean_SK, spread_SK = raw.chunk(3, dim=-1)
        return weight_SK.log_softmax(-1), mean_SK, SHARPEST + functional.softplus(spread_SK)

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of -log(p(y) / p_max) in nats."""
        log_weight_SK, mean_SK, spread_SK = self.mixture(hidden_SD)
        target_S1 = to_scale(chosen["targets"])[:, None]
        log_density_SK = (
            -0.5 * ((target_S1 - mean_SK) / spread_SK).square()
            - spread_SK.log()
            + math.log(SHARPEST)
        )
        return -(log_weight_SK + log_density_SK).logsumexp(-1).sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= scale) at each point, [S, Q]."""
        log_weight_SK, mean_SK, spread_SK = self.mixture(hidden_SD)
        normal = torch.distributions.Normal(mean_SK[:, None], spread_SK[:, None])
        return (log_weight_SK.exp()[:, None] * normal.cdf(scale_Q[None, :, None].float())).sum(-1)


class RegressionHead(nn.Module):
    """Magnitude on the logarithmic scale by a robust regression, and sign by classification.

    Its distribution is a Gaussian as wide as its recent errors (root mean square, kept in a buffer while training).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.output = nn.Linear(width, 2)
        self.register_buffer("spread", torch.tensor(3.0))

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitude [S] in decades and the logit of a negative sign [S], float32."""
        magnitude_S, negative_S = (
            self.output(functional.gelu(self.inner(hidden_SD))).float().unbind(-1)
        )
        return magnitude_S, negative_S

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the Huber loss (decades) and the cross-entropy of the sign (nats)."""
        magnitude_S, negative_S = self(hidden_SD)
        target_S = to_scale(chosen["targets"])
        if self.training and len(target_S):
            error = (magnitude_S.detach() - target_S.abs()).square().mean().sqrt()
            self.spread.lerp_(error.clamp_min(SHARPEST), 0.02)
        sign = functional.binary_cross_entropy_with_logits(
            negative_S, (target_S < 0).float(), reduction="sum"
        )
        return functional.huber_loss(magnitude_S, target_S.abs(), reduction="sum") + sign

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= scale) at each point, [S, Q]."""
        magnitude_S, negative_S = self(hidden_SD)
        normal = torch.distributions.Normal(magnitude_S[:, None], self.spread)
        below_SQ, negative_S1 = normal.cdf(scale_Q.float()), negative_S.sigmoid()[:, None]
        return (1 - negative_S1) * below_SQ + negative_S1 * (1 - normal.cdf(-scale_Q.float()))


class MantissaExponentHead(nn.Module):
    """Three classifications: sign, decade of the magnitude on the scale, place among the bins of that decade."""

    SIGNS, DECADES, BINS = 2, 34, 20

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.output = nn.Linear(width, self.SIGNS + self.DECADES + self.BINS)

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log probabilities of signs [S, 2], decades [S, 34] and bins [S, 20], float32."""
        logits = self.output(functional.gelu(self.inner(hidden_SD))).float()
        parts = logits.split([self.SIGNS, self.DECADES, self.BINS], dim=-1)
        sign, decade, place = (part.log_softmax(-1) for part in parts)
        return sign, decade, place

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the three cross-entropies in nats."""
        target_S = to_scale(chosen["targets"])
        cell_S = (target_S.abs() * self.BINS).long().clamp(max=self.DECADES * self.BINS - 1)
        answers = ((target_S < 0).long(), cell_S // self.BINS, cell_S % self.BINS)
        losses = [
            functional.nll_loss(part, answer, reduction="sum")
            for part, answer in zip(self(hidden_SD), answers, strict=True)
        ]
        return torch.stack(losses).sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= scale) at each point, [S, Q], uniform inside a bin."""
        sign, decade, place = (part.exp() for part in self(hidden_SD))
        cells_SC = (decade[:, :, None] * place[:, None, :]).flatten(1)
        edges_SC = functional.pad(cells_SC.cumsum(-1), (1, 0))
        return sign[:, :1] * _below(edges_SC, scale_Q, self.BINS) + sign[:, 1:] * (
            1 - _below(edges_SC, -scale_Q, self.BINS)
        )


class TokenDistanceHead(nn.Module):
    """Number Token Loss (Zausinger et al. 2024) on the digit groups: expected distance of the first group's value from
    the truth.

    The logits are those of the vocabulary's digit groups; a second head classifies how many decades follow the first
    group.
    """

    SHIFTS = 46  # from -15 to 30 decades between the first group and the whole number

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk_of = [trunk]  # in a list: the trunk's parameters are not this head's
        self.inner = nn.Linear(trunk.width, trunk.width)
        self.shift = nn.Linear(trunk.width, self.SHIFTS)

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities of the digit groups [S, G], their values [G], log probabilities of the shifts [S, 46]."""
        trunk = self.trunk_of[0]
        ids_G = trunk.columns.digits_V.nonzero()[:, 0]
        states_SD = functional.gelu(self.inner(hidden_SD))
        logits_SG = functional.linear(
            states_SD, trunk.vocabulary_matrix()[ids_G].to(states_SD.dtype)
        ).float()
        return (
            logits_SG.softmax(-1),
            trunk.columns.values_V[ids_G],
            self.shift(states_SD).float().log_softmax(-1),
        )

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the expected distance in decades and the cross-entropy of the shift; numbers not written in
        digits count 0.
        """
        groups_SG, values_G, shift_SK = self(hidden_SD)
        first_S = self.trunk_of[0].columns.values_V[chosen["first_tokens"]]
        written_S = self.trunk_of[0].columns.digits_V[chosen["first_tokens"]] > 0
        value_S = chosen["targets"].abs().clamp(max=LARGEST)
        ratio_S = orders_of_magnitude(value_S) - orders_of_magnitude(first_S)
        shift_S = (ratio_S.round().long() + 15).clamp(0, self.SHIFTS - 1)
        distance_SG = (to_scale(values_G)[None, :] - to_scale(first_S)[:, None]).abs()
        loss_S = (groups_SG * distance_SG).sum(-1) + functional.nll_loss(
            shift_SK, shift_S, reduction="none"
        )
        return (loss_S * written_S).sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= scale) at each point, [S, Q], from all pairs of group and shift."""
        groups_SG, values_G, shift_SK = self(hidden_SD)
        factors_K = 10.0 ** torch.arange(
            -15, self.SHIFTS - 15, dtype=torch.float64, device=values_G.device
        )
        points = to_scale(values_G[:, None] * factors_K[None, :]).flatten()
        order = points.argsort()
        cells = torch.searchsorted(points[order].contiguous(), scale_Q.float(), right=True)
        rows = [
            functional.pad((group[:, None] * shift.exp()).flatten()[order].cumsum(0), (1, 0))[cells]
            for group, shift in zip(groups_SG, shift_SK, strict=True)
        ]
        return torch.stack(rows)


def _below(edges_SC: Tensor, scale_Q: Tensor, bins: int) -> Tensor:
    """Share of the mass on non-negative cells that lies at or below each point, [S, Q]."""
    place_Q = (scale_Q.float() * bins).clamp(0, edges_SC.shape[-1] - 1)
    low_Q = place_Q.floor().long().clamp(max=edges_SC.shape[-1] - 2)
    return edges_SC[:, low_Q] + (place_Q - low_Q) * (edges_SC[:, low_Q + 1] - edges_SC[:, low_Q])


ValueHead = MixtureHead | RegressionHead | MantissaExponentHead | TokenDistanceHead


def make_value_head(settings: NumericalSettings, trunk: Trunk) -> ValueHead:
    """The head that `objectives.numerical.value_head` names."""
    makers = {
        "mixture": lambda: MixtureHead(trunk.width, settings.components),
        "regression": lambda: RegressionHead(trunk.width),
        "mantissa_exponent": lambda: MantissaExponentHead(trunk.width),
        "token_distance": lambda: TokenDistanceHead(trunk),
    }
    return makers[settings.value_head]()
