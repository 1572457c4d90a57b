"""Views: what the trunk sees of a batch. Pure functions of (batch, generator); nothing reads a global random state.

Candidates come first: padding and special tokens are never chosen. Shapes: B rows of the batch, R rows of the view
(its first ones),
T positions, S scored positions, U units (whole numbers or single tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.config import DenoisingSettings, MlmSettings

CAUSAL, MASKED, NOISED = "causal", "masked", "noised"


class Vocabulary(NamedTuple):
    """What views must know of an encoding: ordinary ids are [0, ordinary) without `end`.

    `digits_V` and `values_V` describe digit groups, `space_V` tells a leading space, `marks_V` the point and the
    comma, `closes_V`
    entries that may end a sentence; `groups_K` finds the id of a digit group (alterations.py).
    """

    ordinary: int
    mask: int
    noise: int
    padding: int
    end: int
    digits_V: Tensor
    values_V: Tensor
    space_V: Tensor
    marks_V: Tensor
    closes_V: Tensor
    groups_K: Tensor


@dataclass(frozen=True)
class View:
    """Ids [R, T] that the trunk sees, and the flat positions [S] of R * T at which `targets_S` must be recovered."""

    ids_RT: Tensor
    document_ids_RT: Tensor
    causal: bool
    scored_S: Tensor
    targets_S: Tensor


ViewMaker = Callable[[Batch, Generator], View]


def causal_view(batch: Batch, vocabulary: Vocabulary) -> View:
    """Clean rows, looking backwards only; scored is every position whose next position lies in the same document."""
    ids_BT, documents_BT = batch.token_ids_BT, batch.document_ids_BT
    followed_BT = torch.zeros_like(ids_BT, dtype=torch.bool)
    followed_BT[:, :-1] = (documents_BT[:, 1:] == documents_BT[:, :-1]) & batch.real_BT[:, 1:]
    scored_S = followed_BT.flatten().nonzero()[:, 0]
    return View(padded_ids(batch, vocabulary), documents_BT, True, scored_S, ids_BT.flatten()[scored_S + 1])


def masked_view(batch: Batch, vocabulary: Vocabulary, settings: MlmSettings, generator: Generator) -> View:
    """Rows with an exact share of positions hidden (Devlin et al. 2019): most by the mask token, some by a random one,
    some kept.
    """
    batch = batch.first_rows(row_count(batch, settings.rows))
    ids_T = padded_ids(batch, vocabulary).flatten()
    scored_S = _choose(batch, vocabulary, settings.mask_rate, settings.whole_numbers, generator)
    targets_S = ids_T[scored_S]
    masked = round(settings.mask_token_share * len(scored_S))
    replaced = masked + round(settings.random_token_share * len(scored_S))
    shuffled_S = scored_S[_permutation(len(scored_S), ids_T.device, generator)]
    view_T = ids_T.clone()
    view_T[shuffled_S[:masked]] = vocabulary.mask
    view_T[shuffled_S[masked:replaced]] = _random_ids(replaced - masked, vocabulary, ids_T.device, generator)
    return View(view_T.view_as(batch.token_ids_BT), batch.document_ids_BT, False, scored_S, targets_S)


def noised_view(batch: Batch, vocabulary: Vocabulary, settings: DenoisingSettings, generator: Generator) -> View:
    """Rows with a mixture of noise: the noise token, random tokens, neighbours swapped, digits changed. Scored is what
    was touched.
    """
    batch = batch.first_rows(row_count(batch, settings.rows))
    ids_N = padded_ids(batch, vocabulary).flatten()
    chosen_S = _choose(batch, vocabulary, settings.noise_rate, False, generator)
    chosen_S = chosen_S[_permutation(len(chosen_S), ids_N.device, generator)]
    noise_S, random_S, shuffle_S, digit_S = _split(chosen_S, _noise_shares(settings))
    view_N = ids_N.clone()
    first_S, second_S = _swappable(shuffle_S, batch, vocabulary)
    view_N[first_S], view_N[second_S] = ids_N[second_S], ids_N[first_S]
    view_N[digit_S] = _changed_digits(ids_N[digit_S], vocabulary, generator)
    view_N[random_S] = _random_ids(len(random_S), vocabulary, ids_N.device, generator)
    view_N[noise_S] = vocabulary.noise
    scored_S = torch.cat([noise_S, random_S, digit_S, first_S, second_S]).unique()
    return View(view_N.view_as(batch.token_ids_BT), batch.document_ids_BT, False, scored_S, ids_N[scored_S])


def sentence_ids_BT(batch: Batch, vocabulary: Vocabulary) -> Tensor:
    """Index of the sentence each position belongs to, counted over the whole batch; -1 on padding and end-of-document
    tokens.

    A sentence ends at a full stop, question or exclamation mark that no digit follows, and with its document and its
    row.
    """
    closes_BT = vocabulary.closes_V[batch.token_ids_BT]
    closes_BT[:, :-1] &= vocabulary.digits_V[batch.token_ids_BT[:, 1:]] == 0
    begins_BT = torch.ones_like(closes_BT)
    begins_BT[:, 1:] = closes_BT[:, :-1] | (batch.document_ids_BT[:, 1:] != batch.document_ids_BT[:, :-1])
    index_BT = (begins_BT.flatten().long().cumsum(0) - 1).view_as(batch.token_ids_BT)
    return torch.where(batch.real_BT & (batch.token_ids_BT != vocabulary.end), index_BT, -1)


def candidates_N(batch: Batch, vocabulary: Vocabulary) -> Tensor:
    """True, flat, where a position may be corrupted: inside a document and no special token."""
    return (
        batch.real_BT & (batch.token_ids_BT < vocabulary.ordinary) & (batch.token_ids_BT != vocabulary.end)
    ).flatten()


def row_count(batch: Batch, share: float) -> int:
    """How many rows a view of this share of the batch has: at least one."""
    return max(1, round(share * len(batch.token_ids_BT)))


def padded_ids(batch: Batch, vocabulary: Vocabulary) -> Tensor:
    """Ids [B, T] with the padding token on padding."""
    return torch.where(batch.real_BT, batch.token_ids_BT, vocabulary.padding)


def _choose(batch: Batch, vocabulary: Vocabulary, rate: float, whole_numbers: bool, generator: Generator) -> Tensor:
    """Exactly round(rate * candidates) flat positions; with `whole_numbers`, a number is chosen with all its tokens or
    not at all.
    """
    positions_C = candidates_N(batch, vocabulary).nonzero()[:, 0]
    wanted = round(rate * len(positions_C))
    if not whole_numbers:
        return positions_C[_permutation(len(positions_C), positions_C.device, generator)[:wanted]].sort().values
    unit_C = _units(batch, positions_C)
    sizes_U = torch.bincount(unit_C)
    order_U = _permutation(len(sizes_U), positions_C.device, generator)
    sizes_in_order_U = sizes_U[order_U]
    fits_U = sizes_in_order_U.cumsum(0) <= wanted
    missing = wanted - int(sizes_in_order_U[fits_U].sum())
    singles_U = (~fits_U & (sizes_in_order_U == 1)).nonzero()[:missing, 0]
    fits_U[singles_U] = True
    chosen_U = torch.zeros_like(sizes_U, dtype=torch.bool)
    chosen_U[order_U[fits_U]] = True
    return positions_C[chosen_U[unit_C]]


def _units(batch: Batch, positions_C: Tensor) -> Tensor:
    """Unit index of each candidate: tokens of one number in one row share theirs, every other token has its own."""
    rows_C = positions_C // batch.token_ids_BT.shape[1]
    number_C = batch.number_BT.flatten()[positions_C]
    starts_C = torch.ones_like(positions_C, dtype=torch.bool)
    together_C = (number_C[1:] == number_C[:-1]) & (number_C[1:] != NO_NUMBER) & (rows_C[1:] == rows_C[:-1])
    starts_C[1:] = ~together_C
    return starts_C.long().cumsum(0) - 1


def _noise_shares(settings: DenoisingSettings) -> Tensor:
    shares = (settings.noise_token_share, settings.random_token_share, settings.shuffle_share, settings.digit_share)
    weights = torch.tensor(shares, dtype=torch.float64)
    return weights / weights.sum()


def _split(chosen_S: Tensor, shares: Tensor) -> list[Tensor]:
    borders = (shares.cumsum(0) * len(chosen_S)).round().long().tolist()
    return [chosen_S[start:end] for start, end in zip([0, *borders[:-1]], borders, strict=True)]


def _swappable(positions_S: Tensor, batch: Batch, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """Disjoint pairs of neighbours to swap; both must be candidates of one document and hold different tokens."""
    allowed_N = candidates_N(batch, vocabulary)
    width = batch.token_ids_BT.shape[1]
    first_S = positions_S - (positions_S % width) % 2
    second_S = first_S + 1
    inside = second_S % width > 0
    first_S, second_S = first_S[inside].unique(), second_S[inside].unique()
    documents_N, ids_N = batch.document_ids_BT.flatten(), batch.token_ids_BT.flatten()
    pair = (
        allowed_N[first_S]
        & allowed_N[second_S]
        & (documents_N[first_S] == documents_N[second_S])
        & (ids_N[first_S] != ids_N[second_S])
    )
    return first_S[pair], second_S[pair]


def _changed_digits(ids_S: Tensor, vocabulary: Vocabulary, generator: Generator) -> Tensor:
    """Another digit group of the same length where the token is one, a random token elsewhere."""
    changed_S = _random_ids(len(ids_S), vocabulary, ids_S.device, generator)
    digits_S = vocabulary.digits_V[ids_S]
    for length in digits_S.unique().tolist():
        if length > 0:
            group_G = (vocabulary.digits_V[: vocabulary.ordinary] == length).nonzero()[:, 0]
            where_S = (digits_S == length).nonzero()[:, 0]
            draw = torch.randint(len(group_G), (len(where_S),), generator=generator).to(ids_S.device)
            changed_S[where_S] = group_G[draw]
    return changed_S


def _random_ids(count: int, vocabulary: Vocabulary, device: torch.device, generator: Generator) -> Tensor:
    return torch.randint(vocabulary.ordinary, (count,), generator=generator).to(device)


def _permutation(count: int, device: torch.device, generator: Generator) -> Tensor:
    return torch.randperm(count, generator=generator).to(device)
