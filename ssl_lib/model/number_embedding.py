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
from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude, to_scale
from ssl_lib.tokens.vocabulary import VocabularyFeatures

LARGEST = 1e60  # running values stop there, far above every value that is a target
MAGNITUDES = 31  # exponents from -30 to 30
PLACES = 48


class RunningNumber(NamedTuple):
    """State after each position, [R, T]: value so far, digits before and after the point; `present` only on digits,
    `complete` only on the last digits of a number.
    """

    value: Tensor
    whole_digits: Tensor
    fraction_digits: Tensor
    present: Tensor
    complete: Tensor


class NumberTables(nn.Module):
    """What each vocabulary entry means inside a number: `digits_V`, `values_V` and the point and comma entries; and
    behind one: the `decades_V` of scale words.

    Built from `VocabularyFeatures`; `rows` is the height of the model's table, which may exceed the encoding's.
    """

    def __init__(self, rows: int, features: VocabularyFeatures | None = None) -> None:
        super().__init__()
        self.register_buffer("digits_V", torch.zeros(rows, dtype=torch.int64), persistent=False)
        self.register_buffer("values_V", torch.zeros(rows, dtype=torch.float64), persistent=False)
        self.register_buffer("space_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("point_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("comma_V", torch.zeros(rows, dtype=torch.bool), persistent=False)
        self.register_buffer("decades_V", torch.zeros(rows), persistent=False)
        self.register_buffer(
            "groups_K", group_table(self.digits_V, self.values_V, self.space_V), persistent=False
        )
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
        self.decades_V[:height] = torch.as_tensor(features.decades).float()
        for name in ("space", "point", "comma"):
            getattr(self, f"{name}_V")[:height] = torch.as_tensor(getattr(features, name))
        self.groups_K.copy_(group_table(self.digits_V, self.values_V, self.space_V))

    def forward(self, ids_RT: Tensor, document_ids_RT: Tensor) -> RunningNumber:
        """Running values of [R, T] ids; a number never crosses a document border."""
        tokens = self._tokens(ids_RT, document_ids_RT)
        nothing, none, no = (
            torch.zeros_like(field) for field in (tokens.value, tokens.digits, tokens.point)
        )
        state = _State(nothing, none, none, none, nothing, none, none, no, no, no)
        for _ in range(_longest_chain(tokens)):
            before = _State(*(_shifted(field) for field in state))
            state = _after_comma(
                _after_point(_after_digits(before, tokens), before, tokens), before, tokens
            )
        value, whole, start = state.whole()
        present = tokens.digits > 0
        complete = _complete(start, present, tokens.glued)
        return RunningNumber(
            value * present, whole * present, state.fraction * present, present, complete
        )

    def _tokens(self, ids_RT: Tensor, document_ids_RT: Tensor) -> _Tokens:
        digits = self.digits_V[ids_RT]
        same = torch.zeros_like(digits, dtype=torch.bool)
        same[:, 1:] = document_ids_RT[:, 1:] == document_ids_RT[:, :-1]
        glued = same & ~self.space_V[ids_RT]
        return _Tokens(
            self.values_V[ids_RT],
            digits,
            glued,
            self.point_V[ids_RT] & same,
            self.comma_V[ids_RT] & same,
        )


class _Tokens(NamedTuple):
    """What each position of a row is, [R, T]; `glued`: nothing parts it from the position before it."""

    value: Tensor
    digits: Tensor
    glued: Tensor
    point: Tensor
    comma: Tensor


class _State(NamedTuple):
    """A chain of digits, commas and points up to and including each position, [R, T].

    `group` is the value of what follows the last comma, `digits` its digits before a point and `start` its position;
    `prefix` is the value of the groups before that comma, which count once three digits follow it (`prefix_digits` is 0
    where they cannot).
    """

    group: Tensor
    digits: Tensor
    fraction: Tensor
    start: Tensor
    prefix: Tensor
    prefix_digits: Tensor
    prefix_start: Tensor
    behind_point: Tensor
    mark: Tensor  # ends with a comma or a point
    closed: Tensor  # commas stand between numbers of a list, not between thousands

    def whole(self) -> tuple[Tensor, Tensor, Tensor]:
        """The number that the chain ends with, its digits before the point, and where it begins."""
        joined = (self.prefix_digits > 0) & (self.digits == 3)
        value = torch.where(joined, self.prefix * 1000.0 + self.group, self.group)
        whole = torch.where(joined, self.prefix_digits + 3, self.digits)
        return value.clamp(max=LARGEST), whole, torch.where(joined, self.prefix_start, self.start)


def _longest_chain(tokens: _Tokens) -> int:
    """Most positions that any position of digits has to read, itself included."""
    digit, mark = tokens.digits > 0, tokens.point | tokens.comma
    follows = (digit & tokens.glued & _shifted(digit | mark)) | (mark & _shifted(digit))
    place = torch.arange(digit.shape[1], device=digit.device).expand_as(digit)
    begin = torch.where(follows, 0, place).cummax(dim=1).values
    return int(torch.where(digit, place - begin + 1, 0).max()) if digit.numel() else 0


def _complete(start: Tensor, present: Tensor, glued: Tensor) -> Tensor:
    """[R, T], True where a run of digits ends and no run behind it belongs to a number that began before it."""
    beyond = start.shape[1]
    ends = present & ~nn.functional.pad((glued & present)[:, 1:], (0, 1))
    earliest = torch.where(ends, start, beyond).flip(1).cummin(dim=1).values.flip(1)
    later = nn.functional.pad(earliest[:, 1:], (0, 1), value=beyond)
    return ends & (later > torch.arange(beyond, device=start.device))


def _after_digits(old: _State, tokens: _Tokens) -> _State:
    """Where digits stand: they extend the `old` chain that they touch, or begin one. Everywhere else: no chain."""
    is_digit = tokens.digits > 0
    joins = is_digit & tokens.glued & ((old.digits > 0) | old.mark)
    decimal = joins & old.behind_point
    places = torch.where(decimal, old.fraction + tokens.digits, 0)
    group = torch.where(decimal, old.group + tokens.value * 10.0 ** -places.double(),
                        torch.where(joins, old.group * 10.0**tokens.digits, 0.0) + tokens.value)  # fmt: skip
    digits = torch.where(decimal, old.digits, torch.where(joins, old.digits, 0) + tokens.digits)
    here = torch.arange(digits.shape[1], device=digits.device)
    return _State(
        group=group.clamp(max=LARGEST) * is_digit,
        digits=digits * is_digit,
        fraction=places,
        start=torch.where(joins & (old.digits > 0), old.start, here),
        prefix=torch.where(joins, old.prefix, 0.0),
        prefix_digits=torch.where(joins, old.prefix_digits, 0),
        prefix_start=torch.where(joins, old.prefix_start, 0),
        behind_point=decimal,
        mark=torch.zeros_like(is_digit),
        closed=joins & old.closed,
    )


def _after_point(state: _State, old: _State, tokens: _Tokens) -> _State:
    """The same with points: one behind digits goes on with them."""
    passes = tokens.point & (old.digits > 0) & ~old.mark & ~old.behind_point
    value, whole, start = old.whole()
    return state._replace(
        group=torch.where(passes, value, state.group),
        digits=torch.where(passes, whole, state.digits),
        start=torch.where(passes, start, state.start),
        behind_point=state.behind_point | passes,
        mark=state.mark | passes,
        closed=state.closed | (passes & old.closed),
    )


def _after_comma(state: _State, old: _State, tokens: _Tokens) -> _State:
    """The same with commas: what stands before one may be thousands if it is one to three digits or such groups."""
    passes = tokens.comma & (old.digits > 0) & ~old.mark
    grouped = torch.where(old.prefix_digits > 0, old.digits == 3, old.digits <= 3)
    opens = passes & grouped & ~old.closed & ~old.behind_point
    value, whole, start = old.whole()
    return state._replace(
        prefix=torch.where(opens, value, state.prefix),
        prefix_digits=torch.where(opens, whole, state.prefix_digits),
        prefix_start=torch.where(opens, start, state.prefix_start),
        mark=state.mark | passes,
        closed=state.closed | (passes & ~opens),
    )


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


def _shifted(tensor: Tensor) -> Tensor:
    return nn.functional.pad(tensor[:, :-1], (1, 0))


_KINDS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], bool]] = {
    "value": (_value, False),
    "log_value": (_log_value, False),
    "exponent_bins": (_exponent_bins, False),
    "fourier": (_fourier, True),
    "place_value": (_place_value, False),
}
