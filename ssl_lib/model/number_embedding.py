"""How the value of a number enters the model, computed from the token ids of a view alone.

Nothing but ids that the position may see takes part: a running value is that of the digits up to and including the
token, so a
causal position cannot see the rest of its number, and a masked or noised number has no value in that view. Sources of
the encodings:
value (xVal, Golkar et al. 2023), Fourier (FoNE, Zhou et al. 2025), place value (Abacus, McLeish et al. 2024).

Shapes: R rows, T positions, F features, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude, to_scale
from ssl_lib.tokens.running_values import RunningNumber, VocabularyTensors

MAGNITUDES = 31  # exponents from -30 to 30
PLACES = 48


class NumberEmbedding(nn.Module):
    """One way to write a number as features: `features(value, whole_digits, fraction_digits) -> [..., F]` and a
    projection to D.

    With `on_vocabulary`, the digit groups of the vocabulary get the same features, shared by input and output
    embedding.
    """

    def __init__(
        self,
        features: Callable[[Tensor, Tensor, Tensor], Tensor],
        count: int,
        width: int,
        on_vocabulary: bool,
    ) -> None:
        super().__init__()
        self.features = features
        self.on_vocabulary = on_vocabulary
        self.input = nn.Linear(count, width)
        self.vocabulary = nn.Linear(count, width, bias=False) if on_vocabulary else None
        nn.init.normal_(self.input.weight, std=0.5 / math.sqrt(count))
        nn.init.zeros_(self.input.bias)
        if self.vocabulary is not None:
            nn.init.normal_(self.vocabulary.weight, std=0.02 / math.sqrt(count))

    def forward(self, running: RunningNumber) -> Tensor:
        """[R, T, D]; zero where there is no digit."""
        features_RTF = self.features(running.value, running.whole_digits, running.fraction_digits)
        return self.input(features_RTF.to(self.input.weight.dtype)) * running.present[..., None]

    def of_vocabulary(self, vocabulary: VocabularyTensors) -> tuple[Tensor, Tensor]:
        """Ids [G] of the digit groups in the vocabulary, and what their values add to their embeddings [G, D]."""
        assert self.vocabulary is not None
        ids_G = vocabulary.digits_V.nonzero()[:, 0]
        digits_G = vocabulary.digits_V[ids_G]
        features_GF = self.features(
            vocabulary.values_V[ids_G], digits_G, torch.zeros_like(digits_G)
        )
        return ids_G, self.vocabulary(features_GF.to(self.vocabulary.weight.dtype))


def make_number_embedding(kind: str, width: int) -> NumberEmbedding | None:
    """The embedding that `model.number_embedding` names; None for `none`."""
    if kind == "none":
        return None
    features, on_vocabulary = _KINDS[kind]
    one = torch.ones(1, dtype=torch.float64)
    count = features(one, one.long(), one.long()).shape[-1]
    return NumberEmbedding(features, count, width, on_vocabulary)


def _value(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    return (value / 1000.0).clamp(max=5.0)[..., None]


def _log_value(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    return (to_scale(value, 1.0) / 4.0)[..., None]


def _exponent_bins(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """One-hot exponent and one-hot first mantissa digit; zero has a bin of its own."""
    exponent, mantissa = _scientific(value)
    bins = torch.where(
        value > 0, exponent.clamp(-MAGNITUDES + 1, MAGNITUDES - 1) + MAGNITUDES, 0
    ).long()
    digit = torch.where(value > 0, mantissa.floor(), 0).long()
    return torch.cat(
        [nn.functional.one_hot(bins, 2 * MAGNITUDES), nn.functional.one_hot(digit, 10)], dim=-1
    )


def _fourier(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """Phase of the value in periods of 10^-2 to 10^6, and of a half and a fifth of them (its digits, and whether these
    are odd), and of its logarithm in periods of 1/256 to 16 decades.

    A change of unit by a power of ten leaves the phases of the fine periods as they are, and 0.1% is a ninth of 1/256.
    """
    powers = 10.0 ** torch.arange(-2, 7, dtype=torch.float64, device=value.device)
    periods = torch.cat([powers, powers / 2.0, powers / 5.0])
    decades = 2.0 ** torch.arange(-8, 5, dtype=torch.float64, device=value.device)
    logarithm = orders_of_magnitude(value, 0.0001)
    phases = torch.cat(
        [torch.remainder(value[..., None], periods) / periods, logarithm[..., None] / decades],
        dim=-1,
    ) * (2 * math.pi)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def _place_value(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """One-hot count of digits so far, before and after the point."""
    counts = (whole.clamp(0, PLACES - 1), fraction.clamp(0, PLACES - 1))
    return torch.cat([nn.functional.one_hot(count, PLACES) for count in counts], dim=-1)


def _scientific(value: Tensor) -> tuple[Tensor, Tensor]:
    """Exponent and mantissa in [1, 10) of positive values; for zero (0, 1)."""
    safe = torch.where(value > 0, value, 1.0)
    exponent, mantissa = exponent_and_mantissa(safe)
    return exponent, mantissa.clamp(1.0, 9.999999999)


_KINDS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], bool]] = {
    "value": (_value, False),
    "log_value": (_log_value, False),
    "exponent_bins": (_exponent_bins, False),
    "fourier": (_fourier, True),
    "place_value": (_place_value, False),
}
