"""The vocabulary table as tensors, and the running values of numbers, computed with it from token ids alone.

Nothing but ids that the position may see takes part: a running value is that of the digits up to and including the
token, so a causal position cannot see the rest of its number, and a masked or corrupted number has no value in that
view.

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
    """Columns of a `VocabularyTable` as tensors [V] on one device, `digit_group_ids` [2, 4, 1000]."""

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
    """The columns on `device`, made once for each device; on a processor they share the table's memory."""
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
    """State after each position, [R, T]: value so far, digits before and after the point; `present` only on digits,
    `complete` only on the last digits of a number.
    """

    value: Tensor
    whole_digits: Tensor
    fraction_digits: Tensor
    present: Tensor
    complete: Tensor


def running_numbers(
    ids_RT: Tensor, document_ids_RT: Tensor, vocabulary: VocabularyTensors
) -> RunningNumber:
    """Running values of [R, T] ids; a number never crosses a document border."""
    tokens = _tokens(ids_RT, document_ids_RT, vocabulary)
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


def _tokens(ids_RT: Tensor, document_ids_RT: Tensor, vocabulary: VocabularyTensors) -> _Tokens:
    digits = vocabulary.digits_V[ids_RT]
    same = torch.zeros_like(digits, dtype=torch.bool)
    same[:, 1:] = document_ids_RT[:, 1:] == document_ids_RT[:, :-1]
    return _Tokens(
        vocabulary.values_V[ids_RT],
        digits,
        same & ~vocabulary.leading_space_V[ids_RT],
        vocabulary.point_V[ids_RT] & same,
        vocabulary.comma_V[ids_RT] & same,
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
    ends = present & ~functional.pad((glued & present)[:, 1:], (0, 1))
    earliest = torch.where(ends, start, beyond).flip(1).cummin(dim=1).values.flip(1)
    later = functional.pad(earliest[:, 1:], (0, 1), value=beyond)
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


def _shifted(tensor: Tensor) -> Tensor:
    return functional.pad(tensor[:, :-1], (1, 0))
