"""Vectors of sentences: what is said, and how much.

What is said is a learned mean of the hidden states. How much is read from the digits themselves: the logarithm of each
number's value, as phases. Through the trunk alone, a change of a number by 2% would have to pass every layer exactly to
be told from one of 20%; here it reaches the vector directly. What is learned is which numbers count and what their
units are worth. The shares are fixed, of words as of waves: left to themselves, the words of a wording that was never
trained on outweigh the amounts, and waves that do not see a power of ten outweigh those that do (docs/LOG.md).

A span is the positions that hold its index in `span_RT` (-1: no span). Shapes: R rows, T positions, D width, N spans,
S positions inside spans, F frequencies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_lib.batches.views import View, in_clean_order
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.contrastive.spans import sum_by, unit
from ssl_lib.tokens.running_values import running_numbers

FINE = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362)
"""Waves in a decade of the digits. They are whole: between 3.5 km and 3,500 m nothing changes but what TURNS adds."""
COARSE = (0.0625, 0.125, 0.25, 0.5)
"""Waves in a decade of the magnitude, that is of the logarithm in one common unit."""
TURNS = (0.125, 0.375)
"""Waves in a decade of the magnitude that are added to the fine ones in turn: without them, 35 km and 350 km would be
nearly one. They are long, so that a unit known to a tenth of a decade moves little.
"""
AROUND = (1, 2)
"""Where the unit of a number stands, from its last token: 5 km, 5 million dollars."""
WORDS_SHARE = 0.15  # of a vector is what is said, the rest how much, where a number stands
COARSE_SHARE = 0.55  # of how much; the fine waves have the rest
DECADES_EACH = 50.0  # what a weight of one in `units` stands for, so that units are known long before words are


class Written(NamedTuple):
    """Ids [R, T] of a view and the decimal logarithms [R, T], float64, of its numbers, where their last digits stand;
    nan everywhere else.
    """

    ids_RT: Tensor
    decades_RT: Tensor


class SentenceEncoder(nn.Module):
    """Hidden states and the numbers among them to unit-length vectors of spans.

    `units` tells how many decades each token adds to a number beside it: at first the `decades_V` of scale words
    (million: 6), which are known, and nothing for units of measure. `marks_V` are the entries that part digits.
    `waves_DF` lays the waves at right angles (if D allows), so that the cosine of two amounts in one unit is the mean
    of the cosines of their phases by the shares of the waves: 0.64 for 3% more, 0.11 for ten times as much.
    """

    def __init__(self, width: int, marks_V: Tensor, decades_V: Tensor) -> None:
        super().__init__()
        self.attention, self.digit_attention = _scores(width), _scores(width)
        self.register_buffer("marks_V", marks_V, persistent=False)
        self.units = nn.Embedding(len(marks_V), len(AROUND))
        nn.init.zeros_(self.units.weight)
        with torch.no_grad():
            self.units.weight[:, AROUND.index(1)] = decades_V / DECADES_EACH
        self.text = nn.Linear(width, width)
        shares = [(1.0 - COARSE_SHARE) / len(FINE)] * len(FINE) + [
            COARSE_SHARE / len(COARSE)
        ] * len(COARSE)
        axes_DF = nn.init.orthogonal_(torch.empty(width, 2 * len(shares)))
        self.register_buffer("waves_DF", axes_DF * torch.tensor(shares * 2).sqrt())

    def forward(self, hidden_RTD: Tensor, written: Written, span_RT: Tensor, count: int) -> Tensor:
        """Unit-length vectors [N, D] of `count` spans."""
        span_T = span_RT.flatten()
        inside_S = (span_T >= 0).nonzero()[:, 0]
        said_ND = self._attended(hidden_RTD, inside_S, span_T, count)
        digits_S = inside_S[written.decades_RT.flatten()[inside_S].isfinite()]
        measured_ND = self._measured(hidden_RTD, written, digits_S, span_T, count)
        return unit(
            WORDS_SHARE**0.5 * unit(said_ND) + (1.0 - WORDS_SHARE) ** 0.5 * unit(measured_ND)
        )

    def magnitudes(self, written: Written, span_RT: Tensor, at_S: Tensor) -> Tensor:
        """Decimal logarithms [S] of the numbers at flat positions in one common unit: those of their digits, and what
        the tokens around them, inside their span, add as units. What numbers are written with is no unit.
        """
        ids_T, decades_T, span_T = (
            written.ids_RT.flatten(),
            written.decades_RT.flatten(),
            span_RT.flatten(),
        )
        around_SA = (at_S[:, None] + torch.tensor(AROUND, device=at_S.device)).clamp(
            0, len(span_T) - 1
        )
        counts_SA = (span_T[around_SA] == span_T[at_S][:, None]) & decades_T[around_SA].isnan()
        counts_SA &= ~self.marks_V[ids_T[around_SA]]
        places_A = torch.arange(len(AROUND), device=at_S.device)
        units_S = (self.units.weight[ids_T[around_SA], places_A] * counts_SA).sum(1).float()
        units_S = (
            units_S + (DECADES_EACH - 1.0) * units_S.detach()
        )  # a gradient as small as other weights have
        return decades_T[at_S].float() + units_S

    def _attended(self, hidden_RTD: Tensor, inside_S: Tensor, span_T: Tensor, count: int) -> Tensor:
        states_SD = hidden_RTD.flatten(0, 1)[inside_S]
        mean_ND = _weighted_mean(states_SD, self.attention(states_SD), span_T[inside_S], count)
        return self.text(mean_ND.to(hidden_RTD.dtype))

    def _measured(
        self, hidden_RTD: Tensor, written: Written, at_S: Tensor, span_T: Tensor, count: int
    ) -> Tensor:
        phases_SF = self._phases(written, span_T, at_S)
        scores_S1 = self.digit_attention(hidden_RTD.flatten(0, 1)[at_S])
        mean_NF = _weighted_mean(phases_SF, scores_S1, span_T[at_S], count)
        return nn.functional.linear(
            mean_NF.to(hidden_RTD.dtype), self.waves_DF.to(hidden_RTD.dtype)
        )

    def _phases(self, written: Written, span_T: Tensor, at_S: Tensor) -> Tensor:
        """Sines and cosines [S, F] of the numbers at flat positions."""
        decades_S1 = written.decades_RT.flatten()[at_S, None]
        magnitude_S1 = self.magnitudes(written, span_T, at_S).detach()[
            :, None
        ]  # units learn from agreement alone
        turns = (TURNS * len(FINE))[: len(FINE)]
        fine_SF = torch.remainder(decades_S1 * decades_S1.new_tensor(FINE), 1.0).float()
        fine_SF = fine_SF + magnitude_S1 * magnitude_S1.new_tensor(turns)
        waves_SF = torch.cat([fine_SF, magnitude_S1 * magnitude_S1.new_tensor(COARSE)], dim=1) * (
            2.0 * torch.pi
        )
        return torch.cat([waves_SF.sin(), waves_SF.cos()], dim=1)


def as_written(trunk: Trunk, view: View) -> Written:
    """What a view shows, at its clean positions; no value is known if the trunk has no number embedding."""
    ids_RT, decades_RT = written_rows(trunk, view.ids_RT, view.document_ids_RT)
    shown = (
        in_clean_order(tensor[..., None], view.source_N)[..., 0] for tensor in (ids_RT, decades_RT)
    )
    return Written(*shown)


def written_rows(trunk: Trunk, ids_RT: Tensor, document_ids_RT: Tensor) -> Written:
    """The same of plain rows. A value of zero has no logarithm: it counts as no number."""
    if trunk.numbers is None:
        return Written(
            ids_RT, torch.full(ids_RT.shape, torch.nan, dtype=torch.float64, device=ids_RT.device)
        )
    running = running_numbers(ids_RT, document_ids_RT, trunk.columns)
    return Written(
        ids_RT,
        torch.where(running.complete & (running.value > 0), running.value.log10(), torch.nan),
    )


def packed(written: Written, name: object) -> dict[str, Tensor]:
    """As tensors of a selection, under a name of its own."""
    return {f"{field}_{name}": tensor for field, tensor in written._asdict().items()}


def unpacked(tensors: Any, name: object) -> Written:
    """What `packed` took."""
    return Written(*(tensors[f"{field}_{name}"] for field in Written._fields))


def _scores(width: int) -> nn.Linear:
    """One score per state, zero at first. Weights are relative, so a bias would change nothing."""
    scores = nn.Linear(width, 1, bias=False)
    nn.init.zeros_(scores.weight)
    return scores


def _weighted_mean(rows_SF: Tensor, scores_S1: Tensor, span_S: Tensor, count: int) -> Tensor:
    """Mean [N, F] of each span's rows with the softmax of their scores as weights; zeros for a span without rows."""
    weights_S1 = scores_S1.float().clamp(-10, 10).exp()
    return sum_by(rows_SF * weights_S1, span_S, count) / sum_by(
        weights_S1, span_S, count
    ).clamp_min(1e-12)
