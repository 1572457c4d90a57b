"""Running values of numbers, computed from token ids alone, and the vocabulary table as tensors.

Nothing but ids that the position may see takes part: a running value is that of the digits up to
and including the token, so a causal position cannot see the rest of its number, and a masked or
corrupted number has no value in that view.

Shapes: B sequences, T positions, V vocabulary.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssl_lib.tokens.vocabulary import VocabularyTable

LARGEST = 1e60  # running values stop there, far above every value that is a target


class VocabularyTensors(NamedTuple):
    """Columns of a `VocabularyTable` as tensors [V] on one device; its `digit_group_ids`."""

    digits_V: Tensor
    values_V: Tensor
    leading_space_V: Tensor
    point_V: Tensor
    comma_V: Tensor
    scale_log10_V: Tensor
    sentence_end_V: Tensor
    word_start_V: Tensor
    word_end_V: Tensor
    digit_group_ids: Tensor


@functools.lru_cache(maxsize=16)
def vocabulary_tensors(table: VocabularyTable, device: torch.device) -> VocabularyTensors:
    """The columns on `device`, made once for each; on a CPU they share the table's memory."""
    columns = (
        table.digits,
        table.value,
        table.leading_space,
        table.point,
        table.comma,
        table.scale_log10,
        table.sentence_end,
        table.word_start,
        table.word_end,
        table.digit_group_ids(),
    )
    return VocabularyTensors(*(torch.as_tensor(column, device=device) for column in columns))


class RunningNumber(NamedTuple):
    """State after each position, [B, T]: value so far, digits before and after the point.

    "1", ",", "234", ".", "5" → 1, 0, 1234, 0, 1234.5: `present` only on digits, `complete` only on
    the last digits of a number.
    """

    value: Tensor
    whole_digits: Tensor
    fraction_digits: Tensor
    present: Tensor
    complete: Tensor


class _Tokens(NamedTuple):
    """What each position is, [B, T]; `attached`: nothing parts it from the position before it."""

    value: Tensor
    digits: Tensor
    attached: Tensor
    point: Tensor
    comma: Tensor


class _Chain(NamedTuple):
    """A chain of digits, commas and points up to and including each position, [B, T].

    `group` is the value of what follows the last comma, `digits` its digits before a point and
    `start` its position; `prefix` is the value of the groups before that comma, which count once
    three digits follow it (`prefix_digits` is 0 where they cannot).
    """

    group: Tensor
    digits: Tensor
    fraction: Tensor
    start: Tensor
    prefix: Tensor
    prefix_digits: Tensor
    prefix_start: Tensor
    behind_point: Tensor
    separator: Tensor  # ends with a comma or a point
    closed: Tensor  # commas stand between numbers of a list, not between thousands

    def number(self) -> tuple[Tensor, Tensor, Tensor]:
        """The number that the chain ends with, its digits before the point, where it begins."""
        joined = (self.prefix_digits > 0) & (self.digits == 3)
        value = torch.where(joined, self.prefix * 1000.0 + self.group, self.group)
        digits = torch.where(joined, self.prefix_digits + 3, self.digits)
        start = torch.where(joined, self.prefix_start, self.start)
        return value.clamp(max=LARGEST), digits, start


def running_numbers(
    ids_BT: Tensor, document_ids_BT: Tensor, vocabulary: VocabularyTensors
) -> RunningNumber:
    """Running values of ids [B, T]; a number never crosses a document border."""
    digits = vocabulary.digits_V[ids_BT]
    same = document_ids_BT.diff(dim=1, prepend=document_ids_BT[:, :1] - 1) == 0
    attached = same & ~vocabulary.leading_space_V[ids_BT]
    point = same & vocabulary.point_V[ids_BT]
    comma = same & vocabulary.comma_V[ids_BT]
    tokens = _Tokens(vocabulary.values_V[ids_BT], digits, attached, point, comma)

    # Nothing has been read: zero, no digits, no separator.
    # Every round reads one position more of all chains at once.
    zero, none, no = (torch.zeros_like(field) for field in (tokens.value, digits, point))
    chain = _Chain(zero, none, none, none, zero, none, none, no, no, no)
    for _ in range(_longest_chain(tokens)):
        before = _Chain(*(_shifted(field) for field in chain))
        chain = _after_digits(before, tokens)
        chain = _after_point(chain, before, tokens)
        chain = _after_comma(chain, before, tokens)
    value, whole, start = chain.number()

    # Complete: a run of digits ends, and no run behind it belongs to a number that began before it.
    present = digits > 0
    beyond = digits.shape[1]
    ends = present & ~functional.pad((attached & present)[:, 1:], (0, 1))
    starts = torch.where(ends, start, beyond)
    earliest = starts.flip(1).cummin(dim=1).values.flip(1)
    later = functional.pad(earliest[:, 1:], (0, 1), value=beyond)
    complete = ends & (later > torch.arange(beyond, device=digits.device))
    return RunningNumber(
        value * present, whole * present, chain.fraction * present, present, complete
    )


def _longest_chain(tokens: _Tokens) -> int:
    """Most positions that any position of digits has to read, itself included."""
    digit = tokens.digits > 0
    separator = tokens.point | tokens.comma
    if not digit.numel():
        return 0
    # "1", ",", "234", " the", "5" → 1, 0, 3, 0, 1
    follows_digit = digit & tokens.attached & _shifted(digit | separator)
    follows = follows_digit | (separator & _shifted(digit))
    place = torch.arange(digit.shape[1], device=digit.device).expand_as(digit)
    begin = torch.where(follows, 0, place).cummax(dim=1).values
    return int(torch.where(digit, place - begin + 1, 0).max())


def _after_digits(old: _Chain, tokens: _Tokens) -> _Chain:
    """Where digits stand, they extend the `old` chain that they touch, or begin one.

    Everywhere else there is no chain.
    """
    is_digit = tokens.digits > 0
    joins = is_digit & tokens.attached & ((old.digits > 0) | old.separator)
    decimal = joins & old.behind_point
    places = torch.where(decimal, old.fraction + tokens.digits, 0)
    # "3." then "14": 3 + 14 / 10^2; "12" then "345": 12 * 10^3 + 345
    added = old.group + tokens.value * 10.0 ** -places.double()
    moved = torch.where(joins, old.group * 10.0**tokens.digits, 0.0)
    group = torch.where(decimal, added, moved + tokens.value)
    longer = torch.where(joins, old.digits, 0) + tokens.digits
    digits = torch.where(decimal, old.digits, longer)
    here = torch.arange(digits.shape[1], device=digits.device)
    return _Chain(
        group=group.clamp(max=LARGEST) * is_digit,
        digits=digits * is_digit,
        fraction=places,
        start=torch.where(joins & (old.digits > 0), old.start, here),
        prefix=torch.where(joins, old.prefix, 0.0),
        prefix_digits=torch.where(joins, old.prefix_digits, 0),
        prefix_start=torch.where(joins, old.prefix_start, 0),
        behind_point=decimal,
        separator=torch.zeros_like(is_digit),
        closed=joins & old.closed,
    )


def _after_point(chain: _Chain, old: _Chain, tokens: _Tokens) -> _Chain:
    """The same with points: one behind digits goes on with them."""
    # "1,234." is 1234 from now on, and no comma may follow: "1.5,234" is 1.5 and 234
    passes = tokens.point & (old.digits > 0) & ~old.separator & ~old.behind_point
    value, digits, start = old.number()
    return chain._replace(
        group=torch.where(passes, value, chain.group),
        digits=torch.where(passes, digits, chain.digits),
        start=torch.where(passes, start, chain.start),
        behind_point=chain.behind_point | passes,
        separator=chain.separator | passes,
        closed=chain.closed | (passes & old.closed),
    )


def _after_comma(chain: _Chain, old: _Chain, tokens: _Tokens) -> _Chain:
    """The same with commas: one to three digits, or such groups, before one may be thousands."""
    passes = tokens.comma & (old.digits > 0) & ~old.separator
    # "12," and "1,234," may be thousands; "1234," and "1,23," are not, nor is anything behind them.
    grouped = torch.where(old.prefix_digits > 0, old.digits == 3, old.digits <= 3)
    opens = passes & grouped & ~old.closed & ~old.behind_point
    value, digits, start = old.number()
    return chain._replace(
        prefix=torch.where(opens, value, chain.prefix),
        prefix_digits=torch.where(opens, digits, chain.prefix_digits),
        prefix_start=torch.where(opens, start, chain.prefix_start),
        separator=chain.separator | passes,
        closed=chain.closed | (passes & ~opens),
    )


def _shifted(tensor: Tensor) -> Tensor:
    return functional.pad(tensor[:, :-1], (1, 0))
