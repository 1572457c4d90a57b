"""Which sentences of a batch belong together, and how much: by the numbers in them.

Two sentences in a row that have half of their quantities or more in common, in another form or unit (the same
significant digits, three or more), restate each other; a sentence whose number was changed is as near to the original
as the two values are (grade).

Shapes: B rows, T positions, M numbers, N sentences, Q pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.views import View
from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude
from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.tokens.running_values import VocabularyTensors, running_numbers

MOST_NUMBERS = 1024


class Numbers(NamedTuple):
    """Numbers of a batch with a usable value: sentence, document, value, last flat position with a digit, each [M]."""

    sentence_M: Tensor
    document_M: Tensor
    value_M: Tensor
    last_M: Tensor


class GradedPairs(NamedTuple):
    """Pairs of sentences [Q, 2]: `restated` say the same, `altered` are (clean, altered) with their grades [Q].

    `places` [Q, 2] are the last flat positions of the two numbers by which sentences restate each other.
    """

    restated: Tensor
    places: Tensor
    altered: Tensor
    grades: Tensor


def numbers_of(
    batch: Batch, sentence_BT: Tensor, columns: VocabularyTensors
) -> tuple[Numbers, Tensor]:
    """The numbers of a batch, at most MOST_NUMBERS, and the index of the number at every flat position (-1: none)."""
    index_N = number_index_BT(batch).flatten()
    inside = (index_N >= 0).nonzero()[:, 0]
    count = int(index_N.max()) + 1 if len(inside) else 0
    digits_first = inside + len(index_N) * (
        columns.digits_V[batch.token_ids_BT.flatten()[inside]] > 0
    )
    last_M = torch.zeros(count, dtype=torch.int64, device=index_N.device)
    last_M = last_M.scatter_reduce(0, index_N[inside], digits_first, "amax") % len(index_N)
    sentence_M = sentence_BT.flatten()[last_M]
    numbers = Numbers(
        sentence_M,
        batch.document_ids_BT.flatten()[last_M],
        batch.values_BT.flatten()[last_M],
        last_M,
    )
    return Numbers(*(field[:MOST_NUMBERS] for field in numbers)), torch.where(
        index_N < MOST_NUMBERS, index_N, -1
    )


def restatements(numbers: Numbers) -> Tensor:
    """Pairs of numbers [Q, 2] with the same significant digits, three or more, in consecutive sentences of one
    document that say the same: half of the numbers of each, or more, are in the other too. Digits that a sentence has
    twice (10% of 234 is 23.4) do not tell which of the two is meant.
    """
    value_M = numbers.value_M.abs().clamp_min(1e-30)
    mantissa_M = exponent_and_mantissa(value_M)[1]
    precise_M = ((mantissa_M * 10.0).round() - mantissa_M * 10.0).abs() > 1e-6
    equal_MM = (mantissa_M[:, None] - mantissa_M[None, :]).abs() < 1e-9
    next_MM = (numbers.sentence_M[None, :] == numbers.sentence_M[:, None] + 1) & (
        numbers.sentence_M[:, None] >= 0
    )
    same_MM = numbers.document_M[:, None] == numbers.document_M[None, :]
    shared_MM = equal_MM & next_MM & same_MM & precise_M[:, None]
    left_M, right_M = (_once_in_half(shared_MM.sum(along), numbers.sentence_M) for along in (1, 0))
    return (shared_MM & left_M[:, None] & right_M[None, :]).nonzero()


def _once_in_half(partners_M: Tensor, sentence_M: Tensor) -> Tensor:
    """Whether each number has one partner, in a sentence half of whose numbers, or more, have any."""
    own_MM = sentence_M[:, None] == sentence_M[None, :]
    return (partners_M == 1) & (2 * (own_MM & (partners_M > 0)).sum(1) >= own_MM.sum(1))


def graded_pairs(
    batch: Batch, altered: View, sentence_BT: Tensor, columns: VocabularyTensors
) -> GradedPairs:
    """All graded pairs of a batch and its altered view; sentences by their index in `sentence_BT`."""
    numbers, index_N = numbers_of(batch, sentence_BT, columns)
    changed_M = torch.zeros(len(numbers.last_M), dtype=torch.bool, device=index_N.device)
    at_S = index_N[altered.scored_S]
    changed_M[at_S[at_S >= 0]] = True
    grades_M = similarity_of_orders(_decades(batch, altered, numbers.last_M, columns))
    shared = restatements(numbers)
    own_M = changed_M.nonzero()[:, 0]
    left = torch.cat([own_M, shared[:, 0][changed_M[shared[:, 1]]]])
    right = torch.cat([own_M, shared[:, 1][changed_M[shared[:, 1]]]])
    sentence_M = numbers.sentence_M
    return GradedPairs(
        restated=torch.stack([sentence_M[shared[:, 0]], sentence_M[shared[:, 1]]], dim=1),
        places=numbers.last_M[shared],
        altered=torch.stack([sentence_M[left], sentence_M[right]], dim=1),
        grades=grades_M[right],
    )


def _decades(batch: Batch, altered: View, last_M: Tensor, columns: VocabularyTensors) -> Tensor:
    """How far apart each number's values are in the two views, [M]."""
    before, after = (
        orders_of_magnitude(
            running_numbers(ids, batch.document_ids_BT, columns).value.flatten()[last_M]
        )
        for ids in (batch.token_ids_BT, altered.ids_RT)
    )
    return (after - before).abs()
