"""Vectors of sentences: what is said, and how much.

What is said is a learned mean of the hidden states. How much is read from the digits themselves: the logarithm of each
number's value, as phases. Through the trunk alone, a change of a number by 2% would have to pass every layer exactly to
be told from one of 20%; here it reaches the vector directly (docs/LOG.md has what that gains).

A span is the positions that hold its index in `span_RT` (-1: no span). Shapes: R rows, T positions, D width, N spans,
S positions inside spans, F frequencies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_lib.batches.views import View, in_clean_order
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.spans import sum_by, unit

FINE = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362)
"""Waves in a decade. They are whole, so a change of unit by a power of ten, 3.5 km to 3,500 m, leaves every phase."""
COARSE = (0.0625, 0.125, 0.25, 0.5)
"""Waves in a decade of what tells magnitudes apart; here the unit beside the number shifts the logarithm."""


class SentenceEncoder(nn.Module):
    """Hidden states and the numbers among them to unit-length vectors of spans."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.digit_attention, self.unit_shift = (_scores(width) for _ in range(3))
        self.text = nn.Linear(width, width)
        phases = 2 * (len(FINE) + len(COARSE))
        self.numbers = nn.Linear(phases, width, bias=False)
        nn.init.normal_(self.numbers.weight, std=(2.0 / phases) ** 0.5)

    def forward(self, hidden_RTD: Tensor, decades_RT: Tensor, span_RT: Tensor, count: int) -> Tensor:
        """Unit-length vectors [N, D] of `count` spans; `decades_RT` is what `log_values` gives for the same ids."""
        span_T = span_RT.flatten()
        inside_S = (span_T >= 0).nonzero()[:, 0]
        said_ND = self._attended(hidden_RTD, inside_S, span_T, count)
        with_digits_S = inside_S[decades_RT.flatten()[inside_S].isfinite()]
        return unit(said_ND + self._measured(hidden_RTD, decades_RT, with_digits_S, span_T, count))

    def _attended(self, hidden_RTD: Tensor, inside_S: Tensor, span_T: Tensor, count: int) -> Tensor:
        states_SD = hidden_RTD.flatten(0, 1)[inside_S]
        mean_ND = _weighted_mean(states_SD, self.attention(states_SD), span_T[inside_S], count)
        return self.text(mean_ND.to(hidden_RTD.dtype))

    def _measured(
        self, hidden_RTD: Tensor, decades_RT: Tensor, inside_S: Tensor, span_T: Tensor, count: int
    ) -> Tensor:
        states_SD, decades_S1 = hidden_RTD.flatten(0, 1)[inside_S], decades_RT.flatten()[inside_S, None]
        fine_SF = torch.remainder(decades_S1 * decades_S1.new_tensor(FINE), 1.0).float()
        shifted_S1 = decades_S1.float() + self.unit_shift(states_SD).float()
        waves_SF = torch.cat([fine_SF, shifted_S1 * shifted_S1.new_tensor(COARSE)], dim=1) * (2.0 * torch.pi)
        phases_SF = torch.cat([waves_SF.sin(), waves_SF.cos()], dim=1)
        mean_NF = _weighted_mean(phases_SF, self.digit_attention(states_SD), span_T[inside_S], count)
        return self.numbers(mean_NF.to(hidden_RTD.dtype))


def log_values(trunk: Trunk, view: View) -> Tensor:
    """Decimal logarithms [R, T], float64, of the values that the digits of a view have so far, at its clean positions;
    nan where no digit stands, where the value is zero, and everywhere if the trunk has no number embedding.
    """
    return in_clean_order(logarithms(trunk, view.ids_RT, view.document_ids_RT)[..., None], view.source_N)[..., 0]


def logarithms(trunk: Trunk, ids_RT: Tensor, document_ids_RT: Tensor) -> Tensor:
    """`log_values` of plain rows."""
    if trunk.numbers is None:
        return torch.full(ids_RT.shape, torch.nan, dtype=torch.float64, device=ids_RT.device)
    running = trunk.tables(ids_RT, document_ids_RT)
    return torch.where(running.present & (running.value > 0), running.value.log10(), torch.nan)


def _scores(width: int) -> nn.Linear:
    """One score per state, zero at first. Weights are relative, so a bias would change nothing."""
    scores = nn.Linear(width, 1, bias=False)
    nn.init.zeros_(scores.weight)
    return scores


def _weighted_mean(rows_SF: Tensor, scores_S1: Tensor, span_S: Tensor, count: int) -> Tensor:
    """Mean [N, F] of each span's rows with the softmax of their scores as weights; zeros for a span without rows."""
    weights_S1 = scores_S1.float().clamp(-10, 10).exp()
    return sum_by(rows_SF * weights_S1, span_S, count) / sum_by(weights_S1, span_S, count).clamp_min(1e-12)
