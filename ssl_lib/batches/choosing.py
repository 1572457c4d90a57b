"""Which positions of a batch are corrupted: an exact number of them, drawn at random, alone or in units that belong
together.

Shapes: N flat positions of the batch, C candidates, U units, S chosen positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.curriculum import Emphasis
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import VocabularyTable

LONGEST_SPAN = 10  # words, as in SpanBERT (Joshi et al. 2020)


class Chance(NamedTuple):
    """Where a draw gets its randomness from, and what the curriculum prefers (None: all positions are alike)."""

    generator: Generator
    emphasis: Emphasis | None = None


def choose(positions_C: Tensor, wanted: int, batch: Batch, chance: Chance) -> Tensor:
    """`wanted` of the candidates, in their order."""
    order_C = _order(
        _log_weights(positions_C, batch, chance), len(positions_C), positions_C.device, chance
    )
    return positions_C[order_C[:wanted]].sort().values


def choose_units(
    positions_C: Tensor, unit_C: Tensor, wanted: int, batch: Batch, chance: Chance
) -> Tensor:
    """`wanted` of the candidates, in their order, unit by unit; `unit_C` counts the units upwards from 0.

    Units are taken whole as long as they fit, then single tokens make up the number. Where none are left, one unit is
    cut, a number only if there is nothing else.
    """
    sizes_U = torch.bincount(unit_C)
    order_U = _order(
        _unit_weights(positions_C, unit_C, batch, chance), len(sizes_U), positions_C.device, chance
    )
    sizes_in_order_U = sizes_U[order_U]
    fits_U = sizes_in_order_U.cumsum(0) <= wanted
    missing = wanted - int(sizes_in_order_U[fits_U].sum())
    singles_U = (~fits_U & (sizes_in_order_U == 1)).nonzero()[:missing, 0]
    fits_U[singles_U] = True
    chosen_U = torch.zeros_like(sizes_U, dtype=torch.bool)
    chosen_U[order_U[fits_U]] = True
    chosen_C = chosen_U[unit_C]
    if missing > len(singles_U):
        chosen_C[_cut(positions_C, unit_C, order_U[~fits_U], missing - len(singles_U), batch)] = (
            True
        )
    return positions_C[chosen_C]


def units(
    positions_C: Tensor, batch: Batch, vocabulary: VocabularyTable, whole_numbers: bool, words: bool
) -> Tensor:
    """Unit index of each candidate: the tokens of one number share theirs, those of one word too, if asked for; every
    other token has its own. A unit ends with its row at the latest.
    """
    together_C = torch.zeros_like(positions_C, dtype=torch.bool)
    if whole_numbers:
        number_C = batch.number_BT.flatten()[positions_C]
        together_C[1:] |= (number_C[1:] == number_C[:-1]) & (number_C[1:] != NO_NUMBER)
    if words:
        ids_C = batch.token_ids_BT.flatten()[positions_C]
        columns = vocabulary_tensors(vocabulary, ids_C.device)
        together_C[1:] |= columns.word_start_V[ids_C[1:]] & columns.word_end_V[ids_C[:-1]]
    begins_C = ~(together_C & _touch(positions_C, batch))
    return begins_C.long().cumsum(0) - 1


def spans(
    positions_C: Tensor, word_C: Tensor, batch: Batch, span_words: float, generator: Generator
) -> Tensor:
    """Unit index of each candidate, the units being runs of words whose length is geometric with mean `span_words`,
    cut after LONGEST_SPAN words and at the end of a document or row (Joshi et al. 2020).
    """
    starts_C = torch.ones_like(positions_C, dtype=torch.bool)
    starts_C[1:] = word_C[1:] != word_C[:-1]
    drawn_C = (
        torch.rand(len(positions_C), generator=generator).to(positions_C.device) < 1.0 / span_words
    )
    begins_C = starts_C & drawn_C | ~_touch(positions_C, batch)
    first_word_C = torch.where(begins_C, word_C, 0).cummax(0).values
    begins_C |= starts_C & ((word_C - first_word_C) % LONGEST_SPAN == 0)
    return begins_C.long().cumsum(0) - 1


def random_ids(
    count: int, ids_N: Tensor, hidden_S: Tensor, vocabulary: VocabularyTable, generator: Generator
) -> Tensor:
    """Ordinary token ids, [count], as often as they stand in `ids_N` outside the positions `hidden_S`, whose tokens
    nothing in the view may tell.

    Drawn from the whole vocabulary, most would be rare ones, and a rare token in clean text would look like noise.
    Where everything is hidden, they come from the vocabulary all the same.
    """
    open_N = ids_N < vocabulary.ordinary
    open_N[hidden_S] = False
    pool_M = (
        ids_N[open_N] if open_N.any() else torch.arange(vocabulary.ordinary, device=ids_N.device)
    )
    return pool_M[torch.randint(len(pool_M), (count,), generator=generator).to(ids_N.device)]


def permutation(count: int, device: torch.device, generator: Generator) -> Tensor:
    """The numbers from 0 to count - 1 in random order."""
    return torch.randperm(count, generator=generator).to(device)


def _touch(positions_C: Tensor, batch: Batch) -> Tensor:
    """True where the candidate before stands right before it in the same row and document."""
    rows_C = positions_C // batch.token_ids_BT.shape[1]
    documents_C = batch.document_ids_BT.flatten()[positions_C]
    touch_C = torch.zeros_like(positions_C, dtype=torch.bool)
    touch_C[1:] = positions_C[1:] == positions_C[:-1] + 1
    touch_C[1:] &= (rows_C[1:] == rows_C[:-1]) & (documents_C[1:] == documents_C[:-1])
    return touch_C


def _order(log_weights: Tensor | None, count: int, device: torch.device, chance: Chance) -> Tensor:
    """A random order in which what weighs more stands earlier: drawing without replacement (Efraimidis and Spirakis
    2006, by Gumbel noise).
    """
    if log_weights is None:
        return permutation(count, device, chance.generator)
    exponential = -torch.log1p(-torch.rand(count, generator=chance.generator, dtype=torch.float64))
    return (log_weights - exponential.clamp_min(1e-300).log().to(device)).argsort(
        descending=True, stable=True
    )


def _log_weights(positions_C: Tensor, batch: Batch, chance: Chance) -> Tensor | None:
    return None if chance.emphasis is None else chance.emphasis.log_weights_N(batch)[positions_C]


def _unit_weights(
    positions_C: Tensor, unit_C: Tensor, batch: Batch, chance: Chance
) -> Tensor | None:
    """A unit weighs as much as the mean of its tokens."""
    weights_C = _log_weights(positions_C, batch, chance)
    if weights_C is None:
        return None
    sums_U = torch.bincount(unit_C, weights_C)
    return sums_U / torch.bincount(unit_C)


def _cut(positions_C: Tensor, unit_C: Tensor, left_U: Tensor, missing: int, batch: Batch) -> Tensor:
    """The first `missing` candidates of one of the units that are left: of one that is no number, if there is one as
    long as that.
    """
    sizes_U = torch.bincount(unit_C)
    numeric_C = batch.number_BT.flatten()[positions_C] != NO_NUMBER
    numeric_U = torch.bincount(unit_C, numeric_C.double()) > 0
    long_U = left_U[sizes_U[left_U] >= missing]
    unit = long_U[numeric_U[long_U].int().argsort(stable=True)[0]]
    return (unit_C == unit).nonzero()[:missing, 0]
