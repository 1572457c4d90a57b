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
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_lib.batches.alterations import group_table
from ssl_lib.tokens.vocabulary import VocabularyFeatures

LARGEST = 1e60  # running values stop there, far above every value that is a target
MAGNITUDES = 31  # exponents from -30 to 30
PLACES = 48


class RunningNumber(NamedTuple):
    """State after each position, [R, T]: value so far, digits before and after the point; `present` only on digits."""

    value: Tensor
    whole_digits: Tensor
    fraction_digits: Tensor
    present: Tensor


class NumberTables(nn.Module):
    """What each vocabulary entry means inside a number: `digits_V`, `values_V` and the point and comma entries.

    Built from `VocabularyFeatures`; `rows` is the height of the model's table, which may exceed the encoding's.
    """

    def __init__(self, rows: int, features: VocabularyFeatures | None = None) -> None:
        super().__init__()
        self.register_buffer("digits_V", torch.zeros(rows, dtype=torch.int64), persistent=False)
        self.register_buffer("values_V", torch.zeros(rows, dtype=torch.float64), persistent=False)
        self.register_buffer("space_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("point_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("comma_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("groups_K", group_table(self.digits_V, self.values_V, self.space_V), persistent=False)
        if features is not None:
            self.fill(features)

    def fill(self, features: VocabularyFeatures) -> None:
        """Take the tables of an encoding. Raises ValueError if it has more entries than the model."""
        height = len(features.digits)
        if height > len(self.digits_V):
            raise ValueError(
                f"the encoding has {height} entries, the model only {len(self.digits_V)}; "
                f"make vocab_size at least {height}"
            )
        self.digits_V[:height] = torch.as_tensor(features.digits).long()
        self.values_V[:height] = torch.nan_to_num(torch.as_tensor(features.value))
        for name in ("space", "point", "comma"):
            getattr(self, f"{name}_V")[:height] = torch.as_tensor(getattr(features, name))
        self.groups_K.copy_(group_table(self.digits_V, self.values_V, self.space_V))

    def forward(self, ids_RT: Tensor, document_ids_RT: Tensor) -> RunningNumber:
        """Running values of [R, T] ids; a number never crosses a document border."""
        digits, value = self.digits_V[ids_RT], self.values_V[ids_RT]
        same = torch.zeros_like(digits, dtype=torch.bool)
        same[:, 1:] = document_ids_RT[:, 1:] == document_ids_RT[:, :-1]
        glued = same & ~self.space_V[ids_RT]
        point, comma = self.point_V[ids_RT] & same, self.comma_V[ids_RT] & same
        running = RunningNumber(value, digits, torch.zeros_like(digits), digits > 0)
        after_point = torch.zeros_like(same)
        for _ in range(ids_RT.shape[1]):
            settled, (running, after_point) = (
                running,
                self._extend(running, after_point, digits, value, glued, point, comma),
            )
            if all(torch.equal(old, new) for old, new in zip(settled, running, strict=True)):
                break
        return running._replace(present=digits > 0)

    @staticmethod
    def _extend(
        running: RunningNumber,
        after_point: Tensor,
        digits: Tensor,
        value: Tensor,
        glued: Tensor,
        point: Tensor,
        comma: Tensor,
    ) -> tuple[RunningNumber, Tensor]:
        """One sweep: every position reads the state of the position before it. As many sweeps as the longest number has
        tokens settle a row.
        """
        before = RunningNumber(*(_shifted(field) for field in running))
        fraction = _shifted(after_point) | (before.fraction_digits > 0)
        separated = _shifted(comma)
        is_digit = digits > 0
        joins = is_digit & glued & before.present & (~separated | ((digits == 3) & ~fraction))
        whole = before.value * 10.0**digits + value
        places = before.fraction_digits + digits
        decimal = before.value + value * 10.0 ** (-places.double())
        passes = (point | comma) & before.present & ~fraction & ~separated & (before.whole_digits > 0)
        new_value = torch.where(
            joins,
            torch.where(fraction, decimal, whole),
            torch.where(passes, before.value, torch.where(is_digit, value, 0.0)),
        )
        new_whole = torch.where(
            joins,
            before.whole_digits + torch.where(fraction, 0, digits),
            torch.where(passes, before.whole_digits, digits),
        )
        new_fraction = torch.where(joins & fraction, places, 0)
        present = joins | passes | is_digit
        return RunningNumber(new_value.clamp(max=LARGEST), new_whole, new_fraction, present), passes & point


class NumberEmbedding(nn.Module):
    """One way to write a number as features: `features(value, whole_digits, fraction_digits) -> [..., F]` and a
    projection to D.

    With `on_vocabulary`, the digit groups of the vocabulary get the same features, shared by input and output
    embedding.
    """

    def __init__(
        self, features: Callable[[Tensor, Tensor, Tensor], Tensor], count: int, width: int, on_vocabulary: bool
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

    def of_vocabulary(self, tables: NumberTables) -> tuple[Tensor, Tensor]:
        """Ids [G] of the digit groups in the vocabulary, and what their values add to their embeddings [G, D]."""
        assert self.vocabulary is not None
        ids_G = tables.digits_V.nonzero()[:, 0]
        digits_G = tables.digits_V[ids_G]
        features_GF = self.features(tables.values_V[ids_G], digits_G, torch.zeros_like(digits_G))
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
    return (torch.log10(1.0 + value) / 4.0)[..., None]


def _exponent_bins(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """One-hot exponent and one-hot first mantissa digit; zero has a bin of its own."""
    exponent, mantissa = _scientific(value)
    bins = torch.where(value > 0, exponent.clamp(-MAGNITUDES + 1, MAGNITUDES - 1) + MAGNITUDES, 0).long()
    digit = torch.where(value > 0, mantissa.floor(), 0).long()
    return torch.cat([nn.functional.one_hot(bins, 2 * MAGNITUDES), nn.functional.one_hot(digit, 10)], dim=-1)


def _fourier(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """Phase of the value in periods of 10^-2 to 10^6 (its digits), of its logarithm in periods of a quarter to 16
    decades.
    """
    periods = 10.0 ** torch.arange(-2, 7, dtype=torch.float64, device=value.device)
    decades = 2.0 ** torch.arange(-2, 5, dtype=torch.float64, device=value.device)
    logarithm = torch.log10(value + 0.01)
    phases = torch.cat(
        [torch.remainder(value[..., None], periods) / periods, logarithm[..., None] / decades], dim=-1
    ) * (2 * math.pi)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def _place_value(value: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """One-hot count of digits so far, before and after the point."""
    counts = (whole.clamp(0, PLACES - 1), fraction.clamp(0, PLACES - 1))
    return torch.cat([nn.functional.one_hot(count, PLACES) for count in counts], dim=-1)


def _scientific(value: Tensor) -> tuple[Tensor, Tensor]:
    """Exponent and mantissa in [1, 10) of positive values; for zero (0, 1)."""
    safe = torch.where(value > 0, value, 1.0)
    exponent = torch.log10(safe).floor()
    mantissa = safe / 10.0**exponent
    return exponent, mantissa.clamp(1.0, 9.999999999)


def _shifted(tensor: Tensor) -> Tensor:
    return nn.functional.pad(tensor[:, :-1], (1, 0))


_KINDS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], bool]] = {
    "value": (_value, False),
    "log_value": (_log_value, False),
    "exponent_bins": (_exponent_bins, False),
    "fourier": (_fourier, True),
    "place_value": (_place_value, False),
}
