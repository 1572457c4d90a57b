"""The noised view: a mixture of kinds of noise (Vincent et al. 2010; Lewis et al. 2020).

Shapes: B rows of the batch, T positions, N = B * T, C candidates, S chosen positions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.choosing import (
    Chance,
    choose,
    choose_units,
    permutation,
    random_ids,
    spans,
    units,
)
from ssl_lib.batches.curriculum import Emphasis
from ssl_lib.batches.gaps import close_gaps, lay_gaps
from ssl_lib.batches.views import View, candidates_N, padded_ids, row_count
from ssl_lib.config import DenoisingSettings
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import VocabularyTable

_SINGLE = (
    "noise_token_share",
    "random_token_share",
    "shuffle_share",
    "digit_share",
    "deletion_share",
)


def noised_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    settings: DenoisingSettings,
    generator: Generator,
    emphasis: Emphasis | None = None,
) -> View:
    """Rows with a mixture of noise on round(noise_rate * candidates) positions: runs infilled by one noise token,
    single noise tokens, random tokens, neighbours swapped, digits changed, tokens deleted. Scored is what was touched.

    A swap touches its second token too, and does not happen where another kind of noise or equal tokens forbid it.
    """
    batch = batch.first_rows(row_count(batch, settings.batch_fraction))
    ids_N = padded_ids(batch, vocabulary).flatten()
    infill_S, *others = _kinds(batch, vocabulary, settings, Chance(generator, emphasis))
    noise_S, random_S, shuffle_S, digit_S, delete_S = others
    alone = (infill_S, noise_S, random_S, digit_S, delete_S)
    view_N = ids_N.clone()
    first_S, second_S = _swappable(shuffle_S, torch.cat(alone), batch, vocabulary)
    view_N[first_S], view_N[second_S] = ids_N[second_S], ids_N[first_S]
    scored_S = torch.cat([*alone, first_S, second_S]).unique()
    other_S = random_ids(len(digit_S), ids_N, scored_S, vocabulary, generator)
    view_N[digit_S] = _changed_digits(ids_N[digit_S], other_S, vocabulary, generator)
    view_N[random_S] = random_ids(len(random_S), ids_N, scored_S, vocabulary, generator)
    view_N[noise_S] = vocabulary.special.noise
    gaps = (
        lay_gaps(batch, _mask(delete_S, ids_N), _mask(infill_S, ids_N))
        if settings.leaves_gaps
        else None
    )
    if gaps is not None:
        view_N[gaps.noise_N] = vocabulary.special.noise
    view = View(
        view_N.view_as(batch.token_ids_BT), batch.document_ids_BT, False, scored_S, ids_N[scored_S]
    )
    return view if gaps is None else close_gaps(view, gaps, vocabulary.special.padding)


def _kinds(
    batch: Batch, vocabulary: VocabularyTable, settings: DenoisingSettings, chance: Chance
) -> list[Tensor]:
    """Flat positions of each kind of noise, no position in two of them: infilled ones in runs of whole words, the
    others one by one, in the order of `_SINGLE`.
    """
    positions_C = candidates_N(batch, vocabulary).nonzero()[:, 0]
    wanted = round(settings.noise_rate * len(positions_C))
    shares = torch.tensor([getattr(settings, name) for name in _SINGLE], dtype=torch.float64)
    infilled = round(wanted * settings.infill_share / (settings.infill_share + float(shares.sum())))
    infill_S = positions_C[:0]
    if infilled:
        unit_C = units(positions_C, batch, vocabulary, whole_numbers=True, words=True)
        unit_C = spans(positions_C, unit_C, batch, settings.infill_words, chance.generator)
        infill_S = choose_units(positions_C, unit_C, infilled, batch, chance)
        positions_C = positions_C[~torch.isin(positions_C, infill_S)]
    chosen_S = choose(positions_C, wanted - infilled, batch, chance)
    chosen_S = chosen_S[permutation(len(chosen_S), chosen_S.device, chance.generator)]
    borders = (
        (shares.cumsum(0) / shares.sum().clamp_min(1e-12) * len(chosen_S)).round().long().tolist()
    )
    return [
        infill_S,
        *(chosen_S[start:end] for start, end in zip([0, *borders], borders, strict=False)),
    ]


def _mask(positions_S: Tensor, like_N: Tensor) -> Tensor:
    mask_N = torch.zeros_like(like_N, dtype=torch.bool)
    mask_N[positions_S] = True
    return mask_N


def _swappable(
    positions_S: Tensor, taken_S: Tensor, batch: Batch, vocabulary: VocabularyTable
) -> tuple[Tensor, Tensor]:
    """Disjoint pairs of neighbours to swap; both must be candidates of one document and hold different tokens, and
    neither may be taken by another kind of noise: swapping would show beside it the token that it hides.
    """
    allowed_N = candidates_N(batch, vocabulary)
    allowed_N[taken_S] = False
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


def _changed_digits(
    ids_S: Tensor, other_S: Tensor, vocabulary: VocabularyTable, generator: Generator
) -> Tensor:
    """Another digit group of the same length where the token is one, the token of `other_S` elsewhere."""
    changed_S = other_S.clone()
    digits_V = vocabulary_tensors(vocabulary, ids_S.device).digits_V
    digits_S = digits_V[ids_S]
    for length in digits_S.unique().tolist():
        if length > 0:
            group_G = (digits_V[: vocabulary.ordinary] == length).nonzero()[:, 0]
            where_S = (digits_S == length).nonzero()[:, 0]
            draw = torch.randint(len(group_G), (len(where_S),), generator=generator).to(
                ids_S.device
            )
            changed_S[where_S] = group_G[draw]
    return changed_S
