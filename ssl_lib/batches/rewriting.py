"""Views with numbers rewritten: numeric hard negatives, and equal values in other written forms.

The anchor is the text as it stands. A hard negative has one number of each sentence changed, by 2%
or by 20%; in the equivalent-form view numbers keep their value: 1,000 is 1000, 1e3, one thousand.

Shapes: B sequences, T positions, N = B * T, C candidates, S changed positions.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import tiktoken
import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import NO_NUMBER, PADDING_DOCUMENT, Batch, number_index_BT, positions_of
from ssl_lib.batches.views import View, padded_ids, sentence_ids_BT
from ssl_lib.numbers import FORMS, equivalent_forms
from ssl_lib.tokens.encodings import decode, encode
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import LONGEST_GROUP, VocabularyTable

SMALLEST_CHANGE = 0.001
LARGEST_CHANGE = 10.0
# Of the changes; ten leaves the digits as they are and moves the order of magnitude.
TENFOLD_SHARE = 0.1
# Of the numbers; with all of them in longer forms, sequences would lose their second half.
REWRITTEN = 0.5


@dataclass(frozen=True)
class EquivalentFormView(View):
    """A view whose sequences may be cut or padded.

    `number_RT` is the index in the batch (`number_index_BT`) of the rewritten number that a
    position belongs to, -1 where there is none or the sequence ends inside it.
    """

    number_RT: Tensor


def anchor_view(batch: Batch, vocabulary: VocabularyTable, count: int) -> View:
    """The first `count` sequences as they are, with bidirectional attention and no targets."""
    batch = batch.first(count)
    nothing = torch.zeros(0, dtype=torch.int64, device=batch.token_ids_BT.device)
    return View(padded_ids(batch, vocabulary), batch.document_ids_BT, False, nothing, nothing)


def hard_negative_view(
    batch: Batch, vocabulary: VocabularyTable, count: int, generator: Generator
) -> View:
    """The first `count` sequences with one digit group changed in every sentence that has one.

    The group changes by a factor drawn between 0.1% and 1000%, on a logarithmic scale, or by ten.
    The changed positions are the targets.
    """
    batch = batch.first(count)
    ids_N = padded_ids(batch, vocabulary).flatten()
    changed_S = _one_per_sentence(batch, vocabulary, generator)
    view_N = ids_N.clone()
    view_N[changed_S] = _near_groups(ids_N, changed_S, batch, vocabulary, generator)
    ids_BT = view_N.view_as(batch.token_ids_BT)
    return View(ids_BT, batch.document_ids_BT, False, changed_S, ids_N[changed_S])


def _one_per_sentence(batch: Batch, vocabulary: VocabularyTable, generator: Generator) -> Tensor:
    """Flat positions [S] of one random digit group of every sentence that has one in a number."""
    columns = vocabulary_tensors(vocabulary, batch.token_ids_BT.device)
    digits_BT = columns.digits_V[batch.token_ids_BT]
    sentence_BT = sentence_ids_BT(batch, vocabulary)
    group_BT = (digits_BT > 0) & (digits_BT <= LONGEST_GROUP)
    number_BT = (batch.number_BT != NO_NUMBER) & batch.values_BT.isfinite()
    positions_C = positions_of(group_BT & number_BT & (sentence_BT >= 0))
    if not len(positions_C):
        return positions_C
    order_C = torch.randperm(len(positions_C), generator=generator)
    positions_C = positions_C[order_C.to(positions_C.device)]
    sentence_C = sentence_BT.flatten()[positions_C]
    # The candidate of each sentence that comes first in the random order; len(...) where none does.
    rank_C = torch.arange(len(positions_C), device=positions_C.device)
    sentences = int(sentence_C.max()) + 1
    nowhere = torch.full((sentences,), len(positions_C), device=positions_C.device)
    first = nowhere.scatter_reduce(0, sentence_C, rank_C, "amin")
    first = first[first < len(positions_C)]
    return positions_C[first].sort().values


def _near_groups(
    ids_N: Tensor,
    changed_S: Tensor,
    batch: Batch,
    vocabulary: VocabularyTable,
    generator: Generator,
) -> Tensor:
    """Ids [S] of other groups, their values a drawn factor away.

    A number's first group may become shorter or longer where the vocabulary has such groups, but
    keeps a first digit; the others keep their length.
    """
    columns = vocabulary_tensors(vocabulary, ids_N.device)
    old_S = ids_N[changed_S]
    digits_S = columns.digits_V[old_S]
    values_S = columns.values_V[old_S]
    space_S = columns.leading_space_V[old_S].long()
    draw_3S = torch.rand(3, len(old_S), generator=generator, dtype=torch.float64)
    size_S, up_S, tenfold_S = draw_3S.to(ids_N.device)
    # A change of 0.1% to 1000%, up or down, and now and then a factor of ten.
    largest = LARGEST_CHANGE / SMALLEST_CHANGE
    factor_S = 1.0 + SMALLEST_CHANGE * largest**size_S
    factor_S = torch.where(tenfold_S < TENFOLD_SHARE, 10.0, factor_S)
    wanted_S = torch.where(up_S < 0.5, values_S * factor_S, values_S / factor_S)
    wanted_S = wanted_S.round()

    # No other token of the number stands before its first group, neither digits nor a separator.
    before_S = (changed_S - 1).clamp_min(0)
    number_N = batch.number_BT.flatten()
    written_V = (columns.digits_V > 0) | columns.point_V | columns.comma_V
    inside_S = changed_S % batch.token_ids_BT.shape[1] > 0
    inside_S &= number_N[before_S] == number_N[changed_S]
    leads_S = ~(inside_S & written_V[ids_N[before_S]])

    # A first group is free from 1 to 999, others keep their length: "1,234" may become "2,234" or
    # "1,204", and "12" also "120".
    free_S = _another(wanted_S, values_S, 1.0, 10.0**LONGEST_GROUP - 1.0)
    low_S = torch.where(leads_S, 10.0 ** (digits_S - 1).double(), 0.0)
    same_length_S = _another(wanted_S, values_S, low_S, 10.0 ** digits_S.double() - 1.0)
    free_digits_S = free_S.clamp_min(1.0).log10().floor().long() + 1
    resized_S = columns.digit_group_ids[space_S, free_digits_S, free_S.long()]
    kept_S = columns.digit_group_ids[space_S, digits_S, same_length_S.long()]
    new_S = torch.where(leads_S & (resized_S >= 0), resized_S, kept_S)
    return torch.where(new_S >= 0, new_S, old_S)


def _another(
    wanted_S: Tensor, values_S: Tensor, low: Tensor | float, high: Tensor | float
) -> Tensor:
    """The wanted values inside the bounds; a neighbor of the present value where they are equal."""
    low = torch.as_tensor(low)
    high = torch.as_tensor(high)
    inside_S = wanted_S.clamp(low, high)
    beside_S = torch.where(values_S < high, values_S + 1.0, values_S - 1.0)
    return torch.where(inside_S == values_S, beside_S, inside_S)


def equivalent_form_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    encoding: tiktoken.Encoding,
    count: int,
    generator: Generator,
) -> EquivalentFormView:
    """The first `count` sequences, about half of the numbers in another form where they have one.

    There are no targets. Numbers that touch an end of their sequence may go on beyond it, so they
    stay as they are. A longer sequence loses its last tokens, a shorter one is padded.
    """
    batch = batch.first(count)
    ids_BT = padded_ids(batch, vocabulary)
    index_BT = number_index_BT(batch)
    numbers = int(index_BT.max()) + 1
    draws = torch.rand(numbers, generator=generator).tolist()
    # Plain lists, sequence by sequence: lengths change.
    columns = (ids_BT, batch.document_ids_BT, index_BT, batch.values_BT, batch.forms_BT)
    sequences = zip(*(column.tolist() for column in columns), strict=True)
    rewritten = [_rewritten(encoding, draws, *sequence) for sequence in sequences]

    width = ids_BT.shape[1]
    device = ids_BT.device
    fillers = (vocabulary.special.padding, PADDING_DOCUMENT, -1)
    cut = []
    for parts, filler in zip(zip(*rewritten, strict=True), fillers, strict=True):
        padded = [(part + [filler] * width)[:width] for part in parts]
        cut.append(torch.tensor(padded, device=device))
    new_ids_BT, documents_BT, number_BT = cut
    for number_T, (_, _, index) in zip(number_BT, rewritten, strict=True):
        # A number that goes on beyond the end of its sequence is none.
        if len(index) > width and index[width] >= 0 and index[width] == index[width - 1]:
            number_T[number_T == index[width]] = -1
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    return EquivalentFormView(new_ids_BT, documents_BT, False, nothing, nothing, number_BT)


def _rewritten(
    encoding: tiktoken.Encoding,
    draws: list[float],
    ids: list[int],
    documents: list[int],
    index: list[int],
    values: list[float],
    forms: list[int],
) -> tuple[list[int], list[int], list[int]]:
    """Ids, document ids and number indices of one sequence after rewriting, of any length."""
    new_ids: list[int] = []
    new_documents: list[int] = []
    new_index: list[int] = []
    for number, group in itertools.groupby(range(len(ids)), key=index.__getitem__):
        places = list(group)
        start = places[0]
        end = places[-1] + 1
        others: list[list[int]] = []
        if number >= 0 and draws[number] < REWRITTEN and start > 0 and end < len(ids):
            form = FORMS[forms[start]]
            others = _other_forms(encoding, tuple(ids[start:end]), values[start], form)
        if others:
            # The draw that chose the number, below REWRITTEN, chooses the form too.
            chosen = int(draws[number] / REWRITTEN * len(others))
            piece = others[chosen]
            new_ids += piece
            new_documents += [documents[start]] * len(piece)
            new_index += [number] * len(piece)
        else:
            new_ids += ids[start:end]
            new_documents += documents[start:end]
            new_index += [-1] * (end - start)
    return new_ids, new_documents, new_index


@lru_cache(maxsize=1 << 16)
def _other_forms(
    encoding: tiktoken.Encoding, ids: tuple[int, ...], value: float, form: str
) -> list[list[int]]:
    """Ids of every other form of the number that these ids spell, the whitespace around it kept."""
    text = decode(encoding, ids)
    before = text[: len(text) - len(text.lstrip())]
    after = text[len(text.rstrip()) :]
    others = equivalent_forms(text.strip(), value, form)
    return [encode(encoding, before + other + after) for other in others]
