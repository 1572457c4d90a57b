"""The altered view: every sentence with one of its numbers changed, for graded hard negatives (2% is not 20%).

Shapes: B rows, T positions, C candidates, S changed positions, K keys of digit groups.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.views import View, padded_ids, sentence_ids_BT
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import LONGEST_GROUP, VocabularyTable

SMALLEST_CHANGE = 0.001
LARGEST_CHANGE = 10.0
TENFOLD_SHARE = 0.1  # of the changes are by ten exactly, which leaves the digits as they are and moves the magnitude


def clean_view(batch: Batch, vocabulary: VocabularyTable, rows: int) -> View:
    """The first `rows` rows as they are, seen from both sides; nothing is scored by position."""
    batch = batch.first_rows(rows)
    nothing = torch.zeros(0, dtype=torch.int64, device=batch.token_ids_BT.device)
    return View(padded_ids(batch, vocabulary), batch.document_ids_BT, False, nothing, nothing)


def altered_view(
    batch: Batch, vocabulary: VocabularyTable, rows: int, generator: Generator
) -> View:
    """The first `rows` rows with one digit group changed in every sentence that has one; scored are the changed
    positions.

    The group changes by a factor drawn between 0.1% and 1000%, on a logarithmic scale, or by ten.
    """
    batch = batch.first_rows(rows)
    ids_N = padded_ids(batch, vocabulary).flatten()
    changed_S = _one_per_sentence(batch, vocabulary, generator)
    view_N = ids_N.clone()
    view_N[changed_S] = _near_groups(ids_N, changed_S, batch, vocabulary, generator)
    return View(
        view_N.view_as(batch.token_ids_BT),
        batch.document_ids_BT,
        False,
        changed_S,
        ids_N[changed_S],
    )


def _one_per_sentence(batch: Batch, vocabulary: VocabularyTable, generator: Generator) -> Tensor:
    """Flat positions of one digit group, drawn at random, of every sentence that has one in a number with a usable
    value.
    """
    columns = vocabulary_tensors(vocabulary, batch.token_ids_BT.device)
    digits_BT = columns.digits_V[batch.token_ids_BT]
    sentence_BT = sentence_ids_BT(batch, vocabulary)
    usable_BT = (
        (digits_BT > 0)
        & (digits_BT <= LONGEST_GROUP)
        & batch.values_BT.isfinite()
        & (batch.number_BT != NO_NUMBER)
        & (sentence_BT >= 0)
    )
    positions_C = usable_BT.flatten().nonzero()[:, 0]
    if not len(positions_C):
        return positions_C
    positions_C = positions_C[
        torch.randperm(len(positions_C), generator=generator).to(positions_C.device)
    ]
    sentences_C = sentence_BT.flatten()[positions_C]
    rank_C = torch.arange(len(positions_C), device=positions_C.device)
    first = torch.full((int(sentences_C.max()) + 1,), len(positions_C), device=positions_C.device)
    first = first.scatter_reduce(0, sentences_C, rank_C, "amin")
    return positions_C[first[first < len(positions_C)]].sort().values


def _near_groups(
    ids_N: Tensor,
    changed_S: Tensor,
    batch: Batch,
    vocabulary: VocabularyTable,
    generator: Generator,
) -> Tensor:
    """Ids of other groups, their values a drawn factor away. A number's first group may become shorter or longer where
    the vocabulary has such groups, but keeps a first digit; the others keep their length.
    """
    old_S = ids_N[changed_S]
    columns = vocabulary_tensors(vocabulary, ids_N.device)
    digits_S, values_S = columns.digits_V[old_S], columns.values_V[old_S]
    space_S = columns.leading_space_V[old_S].long()
    draw_3S = torch.rand(3, len(old_S), generator=generator, dtype=torch.float64).to(ids_N.device)
    factor_S = 1.0 + SMALLEST_CHANGE * (LARGEST_CHANGE / SMALLEST_CHANGE) ** draw_3S[0]
    factor_S = torch.where(draw_3S[2] < TENFOLD_SHARE, 10.0, factor_S)
    wanted_S = torch.where(draw_3S[1] < 0.5, values_S * factor_S, values_S / factor_S).round()
    leads_S = _leads(changed_S, batch, vocabulary)
    free_S = _another(wanted_S, values_S, 1.0, 10.0**LONGEST_GROUP - 1.0)
    low_S = torch.where(leads_S, 10.0 ** (digits_S - 1).double(), 0.0)
    same_length_S = _another(wanted_S, values_S, low_S, 10.0 ** digits_S.double() - 1.0)
    resized_S = columns.digit_group_ids[space_S, _digit_count(free_S), free_S.long()]
    kept_S = columns.digit_group_ids[space_S, digits_S, same_length_S.long()]
    new_S = torch.where(leads_S & (resized_S >= 0), resized_S, kept_S)
    return torch.where(new_S >= 0, new_S, old_S)


def _another(
    wanted_S: Tensor, values_S: Tensor, low: Tensor | float, high: Tensor | float
) -> Tensor:
    """The wanted values inside the bounds; a neighbour of the present value where they would be the same."""
    inside_S = wanted_S.clamp(torch.as_tensor(low), torch.as_tensor(high))
    beside_S = torch.where(values_S < torch.as_tensor(high), values_S + 1.0, values_S - 1.0)
    return torch.where(inside_S == values_S, beside_S, inside_S)


def _digit_count(values_S: Tensor) -> Tensor:
    """Decimal digits of whole values of at least 1."""
    return values_S.clamp_min(1.0).log10().floor().long() + 1


def _leads(changed_S: Tensor, batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """Whether no other token of the same number stands before the position."""
    number_N, ids_N = batch.number_BT.flatten(), batch.token_ids_BT.flatten()
    before_S = (changed_S - 1).clamp_min(0)
    inside_row_S = changed_S % batch.token_ids_BT.shape[1] > 0
    columns = vocabulary_tensors(vocabulary, ids_N.device)
    separator_V = columns.point_V | columns.comma_V
    written_S = (columns.digits_V[ids_N[before_S]] > 0) | separator_V[ids_N[before_S]]
    return ~(inside_row_S & (number_N[before_S] == number_N[changed_S]) & written_S)
