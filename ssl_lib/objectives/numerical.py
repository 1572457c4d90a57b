"""Numerical patterns: the type of a token, and the value of the number that comes next.

After the objective stand its value heads, each a distribution over the number scale of
`ssl_lib.numbers.scale`: y = sign(v) * log10(1 + |v| / 0.01), in orders of magnitude. A head gives
its loss and its cumulative distribution, from which `number_prediction` reads quantiles.

Shapes: B sequences, T positions, D width, S target positions, K components or shifts, G digit
groups of the vocabulary, Q points of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    gelu,
    huber_loss,
    linear,
    nll_loss,
    pad,
    softplus,
)

from ssl_lib.batches.batch import Batch, number_starts_BT, positions_of
from ssl_lib.batches.corruption import masked_view
from ssl_lib.batches.views import CAUSAL, MASKED, ViewMaker, causal_view
from ssl_lib.config import MlmSettings, NumericalSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers.scale import LARGEST, from_scale, orders_of_magnitude, to_scale
from ssl_lib.objectives.base import Objective, Selection, Selections, States, Views, states_at
from ssl_lib.tokens.vocabulary import TOKEN_TYPES

# of a Gaussian on the scale: a standard deviation of 2.3%
SMALLEST_SPREAD = 0.01
# of the masked view, if no other objective makes it: all sequences, the rest by default
MASKING = MlmSettings(batch_fraction=1.0, mask_rate=0.15)
# of a tabulated distribution, over [-12, 12] on the scale
SCALE_POINTS = 4001


class NumericalPatternLearner(Objective):
    """Type of masked tokens, type of the next token, and value of the next number."""

    name = "numerical"
    default_settings = NumericalSettings()
    settings: NumericalSettings

    def make_heads(self) -> None:
        """Two classifications, and the value head that the settings name."""
        width = self.trunk.width
        self.type_head = nn.Linear(width, len(TOKEN_TYPES))
        self.next_type_head = nn.Linear(width, len(TOKEN_TYPES))
        make_value_head = VALUE_HEADS[self.settings.value_head]
        self.value_head = make_value_head(self.settings, self.trunk)

    def view_makers(self) -> dict[str, ViewMaker]:
        """The masked and the causal view."""
        vocabulary = self.trunk.vocabulary
        return {
            MASKED: lambda batch, *chance: masked_view(batch, vocabulary, MASKING, *chance),
            CAUSAL: lambda batch, *chance: causal_view(batch, vocabulary),
        }

    def part_weights(self) -> dict[str, float]:
        """Weights of the two classifications and of the value."""
        types = self.settings.type_weight
        return {"type": types, "next_type": types, "value": self.settings.value_weight}

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """Masked positions; positions with a successor; positions right before a number.

        A number is predicted from the position before its first token, if its value is usable.
        """
        masked_S = views[MASKED].target_positions_S
        causal_S = views[CAUSAL].target_positions_S
        ids_N = batch.token_ids_BT.flatten()
        types_N = batch.types_BT.flatten()
        values_N = batch.values_BT.flatten()
        begins_N = number_starts_BT(batch).flatten() & values_N.isfinite()
        # "costs $3.4 million": the value 3.4e6 is asked for at " costs", before the token " $"
        before_S = causal_S[begins_N[causal_S + 1]]
        first_S = before_S + 1
        types = {"positions": masked_S, "targets": types_N[masked_S]}
        next_types = {"positions": causal_S, "targets": types_N[causal_S + 1]}
        values = {"positions": before_S, "targets": values_N[first_S]}
        values["first_tokens"] = ids_N[first_S]
        return {
            "type": Selection(len(masked_S), types),
            "next_type": Selection(len(causal_S), next_types),
            "value": Selection(len(before_S), values),
        }

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Cross-entropy of both classifications, and the value head's loss."""
        parts = (("type", MASKED, self.type_head), ("next_type", CAUSAL, self.next_type_head))
        sums = {}
        for part, view, head in parts:
            chosen = selected[part]
            states_SD = states_at(hidden[view], chosen["positions"])
            logits_SC = head(states_SD).float()
            sums[part] = cross_entropy(logits_SC, chosen["targets"], reduction="sum")
        chosen = selected["value"]
        states_SD = states_at(hidden[CAUSAL], chosen["positions"])
        sums["value"] = self.value_head.loss_sum(states_SD, chosen)
        return sums

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Type logits [B, T, 4] of every position, from bidirectional attention."""
        hidden_BTD = self.encode(token_ids_BT, causal=False)
        logits_BTC: Tensor = self.type_head(hidden_BTD)
        return logits_BTC


class ValueHead(nn.Module):
    """Base of the value heads: two layers from a state to the parameters of a distribution."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.output = nn.Linear(width, outputs)

    def raw(self, hidden_SD: Tensor) -> Tensor:
        """The parameters before they are brought into range, [S, outputs], float32."""
        states_SD = gelu(self.inner(hidden_SD))
        raw: Tensor = self.output(states_SD).float()
        return raw

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """The loss of the values `targets` [S], float64, summed over S."""
        raise NotImplementedError(f"{type(self).__name__} must give its loss")

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= point) at each point of the scale, [S, Q]."""
        raise NotImplementedError(f"{type(self).__name__} must give its distribution")


def scaled(values: Tensor) -> Tensor:
    """Values (float64) on the number scale, float32; values beyond 1e30 count as 1e30."""
    return to_scale(values.clamp(-LARGEST, LARGEST)).float()


class MixtureHead(ValueHead):
    """A mixture of K Gaussians on the scale (mixture density network, Bishop 1994).

    The loss is -log(p(y) / p_max), p_max being the peak of the sharpest Gaussian that the head
    can state, so that it is never negative.
    """

    def __init__(self, width: int, components: int) -> None:
        super().__init__(width, 3 * components)
        nn.init.normal_(self.output.weight, std=0.5 * width**-0.5)
        with torch.no_grad():
            bias = self.output.bias.zero_()
            # the means begin spread over 0 to a million
            bias[components : 2 * components] = torch.linspace(0.0, 8.0, components)

    def mixture(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and standard deviations (orders of magnitude), each [S, K]."""
        weight_SK, mean_SK, spread_SK = self.raw(hidden_SD).chunk(3, dim=-1)
        spread_SK = SMALLEST_SPREAD + softplus(spread_SK)
        log_weight_SK = weight_SK.log_softmax(-1)
        return log_weight_SK, mean_SK, spread_SK

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of -log(p(y) / p_max) in nats."""
        log_weight_SK, mean_SK, spread_SK = self.mixture(hidden_SD)
        target_S = scaled(chosen["targets"])
        # [S, 1] - [S, K]: every target from the means of its own components
        error_SK = target_S[:, None] - mean_SK
        squares_SK = (error_SK / spread_SK).square()
        # p_max = 1 / (SMALLEST_SPREAD * sqrt(2 pi)); the root cancels
        log_density_SK = -0.5 * squares_SK - spread_SK.log() + math.log(SMALLEST_SPREAD)
        weighted_SK = log_weight_SK + log_density_SK
        log_density_S = weighted_SK.logsumexp(-1)
        return -log_density_S.sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= point), the weighted mean over components, [S, Q]."""
        log_weight_SK, mean_SK, spread_SK = self.mixture(hidden_SD)
        points_Q = scale_Q.float()
        # [Q, 1] against [S, 1, K] gives [S, Q, K]
        points_Q1 = points_Q[:, None]
        mean_S1K = mean_SK[:, None]
        spread_S1K = spread_SK[:, None]
        below_SQK = _normal_cdf(points_Q1, mean_S1K, spread_S1K)
        shares_SK = log_weight_SK.exp()
        weighted_SQK = shares_SK[:, None] * below_SQK
        return weighted_SQK.sum(-1)


class RegressionHead(ValueHead):
    """Magnitude on the scale by a robust regression, and sign by classification.

    Its distribution is a Gaussian as wide as its recent errors (root mean square, kept in a
    buffer while training).
    """

    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, 2)
        self.register_buffer("spread", torch.tensor(3.0))

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitude [S] in orders of magnitude and the logit of a negative sign [S], float32."""
        magnitude_S, negative_S = self.raw(hidden_SD).unbind(-1)
        return magnitude_S, negative_S

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the Huber loss of the magnitude and the cross-entropy of the sign."""
        magnitude_S, negative_S = self.forward(hidden_SD)
        target_S = scaled(chosen["targets"])
        size_S = target_S.abs()
        is_negative_S = (target_S < 0).float()
        if self.training and len(target_S):
            error = (magnitude_S.detach() - size_S).square().mean().sqrt()
            self.spread.lerp_(error.clamp_min(SMALLEST_SPREAD), 0.02)
        sign = binary_cross_entropy_with_logits(negative_S, is_negative_S, reduction="sum")
        magnitude = huber_loss(magnitude_S, size_S, reduction="sum")
        return magnitude + sign

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= point), a Gaussian on either side of zero, [S, Q]."""
        magnitude_S, negative_S = self.forward(hidden_SD)
        mean_S1 = magnitude_S[:, None]
        negative_S1 = negative_S.sigmoid()[:, None]
        points_Q = scale_Q.float()
        below_SQ = _normal_cdf(points_Q, mean_S1, self.spread)
        above_SQ = 1 - _normal_cdf(-points_Q, mean_S1, self.spread)
        return (1 - negative_S1) * below_SQ + negative_S1 * above_SQ


def _normal_cdf(points: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """P(x <= points) of Gaussians."""
    deviations = (points - mean) * spread.reciprocal()
    return 0.5 * (1 + torch.erf(deviations / math.sqrt(2)))


class MantissaExponentHead(ValueHead):
    """Three classifications: sign, order of magnitude on the scale, bin in that order."""

    SIGNS, ORDERS, BINS = 2, 34, 20

    def __init__(self, width: int) -> None:
        super().__init__(width, self.SIGNS + self.ORDERS + self.BINS)

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log probabilities of signs [S, 2], orders of magnitude [S, 34] and bins [S, 20]."""
        sizes = [self.SIGNS, self.ORDERS, self.BINS]
        parts = torch.split(self.raw(hidden_SD), sizes, dim=-1)
        sign, order, place = (part.log_softmax(-1) for part in parts)
        return sign, order, place

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the three cross-entropies in nats."""
        target_S = scaled(chosen["targets"])
        # cells of a twentieth of an order: 2.57 on the scale is cell 51, bin 11 of order 2
        cell_S = (target_S.abs() * self.BINS).long()
        cell_S = cell_S.clamp(max=self.ORDERS * self.BINS - 1)
        answers = ((target_S < 0).long(), cell_S // self.BINS, cell_S % self.BINS)
        losses = []
        for part, answer_S in zip(self.forward(hidden_SD), answers, strict=True):
            losses.append(nll_loss(part, answer_S, reduction="sum"))
        return torch.stack(losses).sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= point), uniform inside a bin, [S, Q]."""
        sign, order, place = (part.exp() for part in self.forward(hidden_SD))
        # cell 51 is order 2, bin 11: their probabilities are multiplied
        cells_SC = (order[:, :, None] * place[:, None, :]).flatten(1)
        edges_SC = cells_SC.cumsum(-1)
        edges_SC = pad(edges_SC, (1, 0))
        below_SQ = self._below(edges_SC, scale_Q)
        above_SQ = 1 - self._below(edges_SC, -scale_Q)
        return sign[:, :1] * below_SQ + sign[:, 1:] * above_SQ

    def _below(self, edges_SC: Tensor, scale_Q: Tensor) -> Tensor:
        """Share of the mass on cells from zero upwards that lies at or below a point, [S, Q]."""
        last = edges_SC.shape[-1] - 1
        place_Q = (scale_Q.float() * self.BINS).clamp(0, last)
        low_Q = place_Q.floor().long().clamp(max=last - 1)
        start_SQ = edges_SC[:, low_Q]
        mass_SQ = edges_SC[:, low_Q + 1] - start_SQ
        # a point at 51.25 has all of the cells before 51, and a quarter of that one
        share_Q = place_Q - low_Q
        return start_SQ + share_Q * mass_SQ


class TokenDistanceHead(ValueHead):
    """Number Token Loss (Zausinger et al. 2024) on the vocabulary's digit groups.

    The expected distance of the number's first group from the truth; a second head classifies
    the shift, how many orders of magnitude the whole number lies above its first group. Numbers
    that are not written in digits count 0.
    """

    SHIFTS, LOWEST_SHIFT = 46, -15  # from -15 to 30 orders of magnitude

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk.width, self.SHIFTS)
        self.trunk_of = [trunk]  # in a list: the trunk's parameters are not this head's

    def forward(self, hidden_SD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities of the groups [S, G], their values [G], log probabilities [S, 46]."""
        trunk = self.trunk_of[0]
        columns = trunk.columns
        ids_G = positions_of(columns.digits_V > 0)
        states_SD = gelu(self.inner(hidden_SD))
        groups_GD = trunk.vocabulary_matrix()[ids_G]
        groups_GD = groups_GD.to(states_SD.dtype)
        logits_SG = linear(states_SD, groups_GD).float()
        shares_SG = logits_SG.softmax(-1)
        log_shares_SK = self.output(states_SD).float().log_softmax(-1)
        values_G = columns.values_V[ids_G]
        return shares_SG, values_G, log_shares_SK

    def loss_sum(self, hidden_SD: Tensor, chosen: Selection) -> Tensor:
        """Sum over S of the expected distance on the scale and the shift's cross-entropy."""
        shares_SG, values_G, log_shares_SK = self.forward(hidden_SD)
        columns = self.trunk_of[0].columns
        tokens_S = chosen["first_tokens"]
        first_S = columns.values_V[tokens_S]
        written_S = columns.digits_V[tokens_S] > 0
        # "12,345" begins with the group 12, and lies 3 orders of magnitude above it
        value_S = chosen["targets"].abs().clamp(max=LARGEST)
        orders_S = orders_of_magnitude(value_S) - orders_of_magnitude(first_S)
        shift_S = orders_S.round().long() - self.LOWEST_SHIFT
        shift_S = shift_S.clamp(0, self.SHIFTS - 1)
        distance_SG = (scaled(values_G)[None, :] - scaled(first_S)[:, None]).abs()
        # 0.7 on the right group and 0.3 on one half an order away: a distance of 0.15
        weighted_SG = shares_SG * distance_SG
        distance_S = weighted_SG.sum(-1)
        shift_loss_S = nll_loss(log_shares_SK, shift_S, reduction="none")
        loss_S = distance_S + shift_loss_S
        return (loss_S * written_S).sum()

    def cumulative(self, hidden_SD: Tensor, scale_Q: Tensor) -> Tensor:
        """P(y <= point), from all pairs of group and shift, [S, Q]."""
        shares_SG, values_G, log_shares_SK = self.forward(hidden_SD)
        shifts_K = torch.arange(self.SHIFTS, dtype=torch.float64, device=values_G.device)
        orders_K = shifts_K + self.LOWEST_SHIFT
        factors_K = 10.0**orders_K
        # the pairs in the order of their values, and how much lies below each point
        points = scaled(values_G[:, None] * factors_K).flatten()
        order = points.argsort()
        cells_Q = torch.searchsorted(points[order].contiguous(), scale_Q.float(), right=True)
        found = []
        for shares_G, log_shares_K in zip(shares_SG, log_shares_SK, strict=True):
            mass = (shares_G[:, None] * log_shares_K.exp()).flatten()[order]
            below = mass.cumsum(0)
            below = pad(below, (1, 0))
            found.append(below[cells_Q])
        return torch.stack(found)


VALUE_HEADS: dict[str, Callable[[NumericalSettings, Trunk], ValueHead]] = {
    "mixture": lambda settings, trunk: MixtureHead(trunk.width, settings.components),
    "regression": lambda settings, trunk: RegressionHead(trunk.width),
    "mantissa_exponent": lambda settings, trunk: MantissaExponentHead(trunk.width),
    "token_distance": lambda settings, trunk: TokenDistanceHead(trunk),
}
"""The heads that `objectives.numerical.value_head` names."""


class NumberPrediction(NamedTuple):
    """The next number: its mode, central intervals, and probabilities by order of magnitude.

    `value` is the most probable exact number, or the median where none is more probable than the
    densest step of the scale (1.4%). `interval` is the central 90%, `intervals` are central ones by
    level; `magnitudes` has P(10^k <= |value| < 10^(k+1)) by k, `exact` the probabilities of exact
    numbers, the most probable first.
    """

    value: float
    interval: tuple[float, float]
    intervals: dict[float, tuple[float, float]]
    magnitudes: dict[int, float]
    median: float = math.nan
    exact: tuple[tuple[float, float], ...] = ()


def scale_points(device: torch.device) -> Tensor:
    """Points [Q] of the scale at which distributions are tabulated, float64."""
    return torch.linspace(-12.0, 12.0, SCALE_POINTS, dtype=torch.float64, device=device)


def number_prediction(
    cumulative_Q: Tensor,
    scale_Q: Tensor,
    intervals: Sequence[float],
    exact: Mapping[float, float] | None = None,
) -> NumberPrediction:
    """Quantiles and orders of magnitude of one distribution.

    It has the probabilities of `exact` at these very values, and the rest as tabulated.
    """
    ranked = sorted((exact or {}).items(), key=lambda number: -number[1])
    values_Q = from_scale(scale_Q)
    mass_Q = torch.diff(cumulative_Q, prepend=cumulative_Q[:1] * 0.0)
    mass_Q = mass_Q * (1.0 - sum(share for _, share in ranked))
    densest = float(mass_Q.max())
    if ranked:
        # the exact values stand between the points, without a step of the scale around them
        pairs_K2 = torch.tensor(ranked, dtype=values_Q.dtype, device=values_Q.device)
        values_Q = torch.cat([values_Q, pairs_K2[:, 0]])
        mass_Q = torch.cat([mass_Q, pairs_K2[:, 1]])
        order_Q = values_Q.argsort(stable=True)
        values_Q, mass_Q = values_Q[order_Q], mass_Q[order_Q]
    cumulative_Q = mass_Q.cumsum(0)
    last = len(values_Q) - 1

    def quantile(level: float) -> float:
        # a level that rounding leaves above the whole mass is the last point
        place = int(torch.searchsorted(cumulative_Q, level))
        place = min(place, last)
        return float(values_Q[place])

    central = {}
    for level in {*intervals, 0.9}:
        # the central 90% lies from 5% to 95%
        low = quantile((1 - level) / 2)
        high = quantile((1 + level) / 2)
        central[level] = (low, high)
    powers_Q = values_Q.abs().clamp_min(1e-12).log10().floor()
    magnitudes = {power: float(mass_Q[powers_Q == power].sum()) for power in range(-3, 10)}
    median = quantile(0.5)
    value = ranked[0][0] if ranked and ranked[0][1] >= densest else median
    return NumberPrediction(value, central[0.9], central, magnitudes, median, tuple(ranked))
