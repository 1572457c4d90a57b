"""Vectors of sentences: what is said, and how much.

What is said is a learned mean of the hidden states. How much is read from the digits themselves:
the logarithm of each number's value, as Fourier features. Through the trunk alone, a change of a
number by 2% would have to pass every layer exactly to be told from one of 20%; here it reaches
the vector directly. What is learned is which numbers count and what their units of measure are
worth. The shares are fixed, of text and amounts as of frequencies: left to themselves, the words
of a template that was never trained on outweigh the amounts, and frequencies that do not see a
power of ten outweigh those that do (docs/LOG.md).

Shapes: R sequences, T positions, D width, N spans, S positions inside spans, A offsets, F Fourier
features, V vocabulary. A span is the positions that hold its index in `span_RT` (-1: no span).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ssl_lib.batches.batch import positions_of
from ssl_lib.batches.views import View, in_clean_order
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import states_at, sum_by, unit_length
from ssl_lib.tokens.running_values import RunningNumber, running_numbers

DIGIT_FREQUENCIES = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362)
"""Cycles in an order of magnitude of the number as it is written. They are whole: between 3.5 km
and 3,500 m nothing changes but what SHIFT_FREQUENCIES add."""
MAGNITUDE_FREQUENCIES = (0.0625, 0.125, 0.25, 0.5)
"""Cycles in an order of magnitude of the number in one common unit of measure."""
SHIFT_FREQUENCIES = (0.125, 0.375)
"""Cycles in an order of that magnitude, added to those of the digits in turn: without them 35 km
and 350 km would be nearly one. They are low, so that a unit that is known to a tenth of an order
moves little."""
UNIT_OFFSETS = (1, 2)
"""Where the unit of a number stands, from its last token: 5 km, 5 million dollars."""
# of a vector is what is said, the rest how much, where a number stands
TEXT_SHARE = 0.15
# of how much; the frequencies of the digits have the rest
MAGNITUDE_SHARE = 0.55
# what a weight of one in `unit_log10` stands for, so that units are known long before words are
LOG10_PER_WEIGHT = 50.0


class WrittenNumbers(NamedTuple):
    """Ids [R, T] of a view and the log10 [R, T], float64, of its numbers at their last digits.

    The logarithm is nan everywhere else.
    """

    ids_RT: Tensor
    log10_RT: Tensor

    def named(self, name: object) -> dict[str, Tensor]:
        """As tensors of a selection, under a name of its own."""
        return {f"{field}_{name}": tensor for field, tensor in self._asdict().items()}

    @classmethod
    def under(cls, name: object, tensors: Mapping[str, Tensor]) -> WrittenNumbers:
        """What `named` gave, from among other tensors."""
        return cls(tensors[f"ids_RT_{name}"], tensors[f"log10_RT_{name}"])


class SentenceEncoder(nn.Module):
    """Hidden states and the numbers among them to unit-length vectors of spans.

    `unit_log10` tells how many orders of magnitude each token adds to a number beside it: at
    first the `scale_log10_V` (million: 6), which are known, and nothing for units of measure.
    `separators_V` are the entries that part digits. `fourier_DF` lays the features at right
    angles (if D allows), so that the cosine of two amounts in one unit is the mean of the cosines
    of their phases by the shares of the frequencies: 0.64 for 3% more, 0.11 for ten times as much.
    """

    separators_V: Tensor
    fourier_DF: Tensor

    def __init__(self, width: int, separators_V: Tensor, scale_log10_V: Tensor) -> None:
        super().__init__()
        # scores are relative, so a bias would change nothing; at first all states count alike
        self.attention = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.attention.weight)
        self.digit_attention = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.digit_attention.weight)
        self.register_buffer("separators_V", separators_V, persistent=False)
        self.unit_log10 = nn.Embedding(len(separators_V), len(UNIT_OFFSETS))
        nn.init.zeros_(self.unit_log10.weight)
        with torch.no_grad():
            beside = UNIT_OFFSETS.index(1)
            self.unit_log10.weight[:, beside] = scale_log10_V / LOG10_PER_WEIGHT
        self.text = nn.Linear(width, width)
        digits = len(DIGIT_FREQUENCIES)
        magnitudes = len(MAGNITUDE_FREQUENCIES)
        shares = [(1.0 - MAGNITUDE_SHARE) / digits] * digits
        shares += [MAGNITUDE_SHARE / magnitudes] * magnitudes
        axes_DF = nn.init.orthogonal_(torch.empty(width, 2 * len(shares)))
        self.register_buffer("fourier_DF", axes_DF * torch.tensor(shares * 2).sqrt())

    def forward(
        self, hidden_RTD: Tensor, written: WrittenNumbers, span_RT: Tensor, count: int
    ) -> Tensor:
        """Unit-length vectors [N, D] of `count` spans."""
        dtype = hidden_RTD.dtype
        # what is said: a mean of all states of a span
        inside_S = positions_of(span_RT >= 0)
        states_SD = states_at(hidden_RTD, inside_S)
        scores_S1 = self.attention(states_SD)
        mean_ND = _weighted_mean(states_SD, scores_S1, span_RT.take(inside_S), count)
        text_ND = self.text(mean_ND.to(dtype))
        # how much: a mean over its numbers, at their last digits
        digits_S = inside_S[written.log10_RT.take(inside_S).isfinite()]
        features_SF = self._fourier_features(written, span_RT, digits_S)
        scores_S1 = self.digit_attention(states_at(hidden_RTD, digits_S))
        mean_NF = _weighted_mean(features_SF, scores_S1, span_RT.take(digits_S), count)
        amount_ND = linear(mean_NF.to(dtype), self.fourier_DF.to(dtype))

        text_ND = TEXT_SHARE**0.5 * unit_length(text_ND)
        amount_ND = (1.0 - TEXT_SHARE) ** 0.5 * unit_length(amount_ND)
        return unit_length(text_ND + amount_ND)

    def magnitudes(self, written: WrittenNumbers, span_RT: Tensor, at_S: Tensor) -> Tensor:
        """Log10 [S] of the numbers at flat positions in one common unit of measure.

        That of their digits, and what the tokens behind them, inside their span, add as units.
        What numbers are written with is no unit.
        """
        # "35 million dollars": at 35, the tokens 1 and 2 behind it
        offsets_A = torch.tensor(UNIT_OFFSETS, device=at_S.device)
        behind_SA = (at_S[:, None] + offsets_A).clamp(0, span_RT.numel() - 1)
        ids_SA = written.ids_RT.take(behind_SA)
        counts_SA = span_RT.take(behind_SA) == span_RT.take(at_S)[:, None]
        counts_SA &= written.log10_RT.take(behind_SA).isnan()
        counts_SA &= ~self.separators_V[ids_SA]
        places_A = torch.arange(len(UNIT_OFFSETS), device=at_S.device)
        weights_SA = self.unit_log10.weight[ids_SA, places_A]
        units_S = (weights_SA * counts_SA).sum(1).float()
        # LOG10_PER_WEIGHT times the value, with a gradient as small as other weights have
        units_S = units_S + (LOG10_PER_WEIGHT - 1.0) * units_S.detach()
        return written.log10_RT.take(at_S).float() + units_S

    def _fourier_features(self, written: WrittenNumbers, span_RT: Tensor, at_S: Tensor) -> Tensor:
        """Sines and cosines [S, F] of the numbers at flat positions."""
        log10_S1 = written.log10_RT.take(at_S)[:, None]
        # units learn from the magnitudes' agreement alone
        magnitude_S1 = self.magnitudes(written, span_RT, at_S).detach()[:, None]
        count = len(DIGIT_FREQUENCIES)
        shifts = (SHIFT_FREQUENCIES * count)[:count]
        # whole cycles are dropped in float64: of 362 cycles a float32 would keep three decimals
        cycles_SF = log10_S1 * log10_S1.new_tensor(DIGIT_FREQUENCIES)
        cycles_SF = torch.remainder(cycles_SF, 1.0).float()
        cycles_SF = cycles_SF + magnitude_S1 * magnitude_S1.new_tensor(shifts)
        low_SF = magnitude_S1 * magnitude_S1.new_tensor(MAGNITUDE_FREQUENCIES)
        phases_SF = torch.cat([cycles_SF, low_SF], dim=1) * (2.0 * torch.pi)
        return torch.cat([phases_SF.sin(), phases_SF.cos()], dim=1)


def _weighted_mean(values_SF: Tensor, scores_S1: Tensor, span_S: Tensor, count: int) -> Tensor:
    """Mean [N, F] of each span's values, weighed by the softmax of their scores.

    A span without values has zeros.
    """
    weights_S1 = scores_S1.float().clamp(-10, 10).exp()
    total_NF = sum_by(values_SF * weights_S1, span_S, count)
    return total_NF / sum_by(weights_S1, span_S, count).clamp_min(1e-12)


def written_numbers(
    trunk: Trunk, ids_RT: Tensor, document_ids_RT: Tensor, running: RunningNumber | None = None
) -> WrittenNumbers:
    """The numbers of plain sequences; none are known if the trunk has no number embedding.

    Zero has no logarithm: it counts as no number. `running` is what the ids spell, if known.
    """
    if trunk.numbers is None:
        unknown_RT = torch.full_like(ids_RT, torch.nan, dtype=torch.float64)
        return WrittenNumbers(ids_RT, unknown_RT)
    if running is None:
        running = running_numbers(ids_RT, document_ids_RT, trunk.columns)
    known_RT = running.complete & (running.value > 0)
    return WrittenNumbers(ids_RT, torch.where(known_RT, running.value.log10(), torch.nan))


def numbers_in_view(trunk: Trunk, view: View) -> WrittenNumbers:
    """The numbers that a view shows, at its clean positions."""
    written = written_numbers(trunk, view.ids_RT, view.document_ids_RT, view.running)
    ids_RT, log10_RT = (
        in_clean_order(tensor[..., None], view.source_N)[..., 0] for tensor in written
    )
    return WrittenNumbers(ids_RT, log10_RT)
