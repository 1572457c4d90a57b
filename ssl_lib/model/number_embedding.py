"""How the value of a number enters the model: its running value as features.

Running values are those of tokens/running_values.py. Sources of the encodings: value (xVal, Golkar
et al. 2023), Fourier (FoNE, Zhou et al. 2025), place value (Abacus, McLeish et al. 2024).

Shapes: B sequences, T positions, F features, D width, V vocabulary, G its digit groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude, to_scale
from ssl_lib.tokens.running_values import RunningNumber, VocabularyTensors

MAGNITUDES = 31  # exponents from -30 to 30
PLACES = 48

Features = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(value, digits before the point, digits after it), each [...], to features [..., F]."""


class NumberEmbedding(nn.Module):
    """A number's features, projected to the width of the model.

    With `on_vocabulary`, the digit groups of the vocabulary get the same features, shared by input
    and output embedding.
    """

    def __init__(self, features: Features, count: int, width: int, on_vocabulary: bool) -> None:
        super().__init__()
        self.features = features
        self.input = nn.Linear(count, width)
        self.vocabulary = nn.Linear(count, width, bias=False) if on_vocabulary else None
        nn.init.normal_(self.input.weight, std=0.5 / math.sqrt(count))
        nn.init.zeros_(self.input.bias)
        if self.vocabulary is not None:
            nn.init.normal_(self.vocabulary.weight, std=0.02 / math.sqrt(count))

    def forward(self, running: RunningNumber) -> Tensor:
        """[B, T, D]; zero where there is no digit."""
        features_BTF = self.features(running.value, running.whole_digits, running.fraction_digits)
        added_BTD: Tensor = self.input(features_BTF.to(self.input.weight.dtype))
        return added_BTD * running.present[..., None]

    def of_vocabulary(self, columns: VocabularyTensors) -> tuple[Tensor, Tensor]:
        """Ids [G] of the digit groups, and what their values add to their embeddings [G, D]."""
        assert self.vocabulary is not None
        ids_G = columns.digits_V.nonzero()[:, 0]
        digits_G = columns.digits_V[ids_G]
        values_G = columns.values_V[ids_G]
        none_G = torch.zeros_like(digits_G)
        features_GF = self.features(values_G, digits_G, none_G)
        return ids_G, self.vocabulary(features_GF.to(self.vocabulary.weight.dtype))


def make_number_embedding(kind: str, width: int) -> NumberEmbedding | None:
    """The embedding that `model.number_embedding` names; None for `none`."""
    if kind == "none":
        return None
    features, on_vocabulary = KINDS[kind]
    # How many features there are is what the function gives for one number.
    one = torch.ones(1, dtype=torch.float64)
    found = features(one, one.long(), one.long())
    return NumberEmbedding(features, found.shape[-1], width, on_vocabulary)


def value_features(value: Tensor, whole_digits: Tensor, fraction_digits: Tensor) -> Tensor:
    """The value in thousands, [..., 1]; 5 from 5,000 on."""
    return (value / 1000.0).clamp(max=5.0)[..., None]


def log_value_features(value: Tensor, whole_digits: Tensor, fraction_digits: Tensor) -> Tensor:
    """log10(1 + value) / 4, [..., 1]."""
    return (to_scale(value, 1.0) / 4.0)[..., None]


def exponent_features(value: Tensor, whole_digits: Tensor, fraction_digits: Tensor) -> Tensor:
    """One-hot exponent and one-hot first digit of the mantissa; zero has a bin of its own."""
    positive = value > 0
    safe = torch.where(positive, value, 1.0)
    exponent, mantissa = exponent_and_mantissa(safe)
    bins = exponent.clamp(-MAGNITUDES + 1, MAGNITUDES - 1) + MAGNITUDES
    bins = torch.where(positive, bins, 0).long()
    # 0.05 has exponent -2 and first digit 5. Rounding may leave a mantissa just below 1 or at 10.
    first = mantissa.clamp(1.0, 9.999999999).floor()
    digit = torch.where(positive, first, 0).long()
    return torch.cat([one_hot(bins, 2 * MAGNITUDES), one_hot(digit, 10)], dim=-1)


def fourier_features(value: Tensor, whole_digits: Tensor, fraction_digits: Tensor) -> Tensor:
    """Sines and cosines of the value and of its logarithm at 40 frequencies.

    Periods of the value are 10^-2 to 10^6, and a half and a fifth of them (its digits, and whether
    these are odd); those of its logarithm are 1/256 to 16 orders of magnitude. A change of unit by
    a power of ten leaves the phases of the short ones as they are, and 0.1% is a ninth of 1/256.
    """
    powers = 10.0 ** torch.arange(-2, 7, dtype=torch.float64, device=value.device)
    periods = torch.cat([powers, powers / 2.0, powers / 5.0])
    orders = 2.0 ** torch.arange(-8, 5, dtype=torch.float64, device=value.device)
    # 1,234 in periods of 1,000 stands at 0.234 of its circle.
    linear = torch.remainder(value[..., None], periods) / periods
    logarithmic = orders_of_magnitude(value, 0.0001)[..., None] / orders
    turns = torch.cat([linear, logarithmic], dim=-1)
    angles = turns * (2 * math.pi)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def place_features(value: Tensor, whole_digits: Tensor, fraction_digits: Tensor) -> Tensor:
    """One-hot count of digits so far, before and after the point."""
    whole = one_hot(whole_digits.clamp(0, PLACES - 1), PLACES)
    fraction = one_hot(fraction_digits.clamp(0, PLACES - 1), PLACES)
    return torch.cat([whole, fraction], dim=-1)


KINDS: dict[str, tuple[Features, bool]] = {
    "value": (value_features, False),
    "log_value": (log_value_features, False),
    "exponent_bins": (exponent_features, False),
    "fourier": (fourier_features, True),
    "place_value": (place_features, False),
}
"""By the name in the settings: features, and whether the vocabulary's digit groups get them too."""
