"""The noised view: a mixture of kinds of noise (Vincent et al. 2010).

Shapes: B rows of the batch, T positions, N = B * T, S chosen positions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.choosing import Chance, choose, permutation, random_ids
from ssl_lib.batches.curriculum import Emphasis
from ssl_lib.batches.views import View, Vocabulary, candidates_N, padded_ids, row_count
from ssl_lib.config import DenoisingSettings


def noised_view(
    batch: Batch,
    vocabulary: Vocabulary,
    settings: DenoisingSettings,
    generator: Generator,
    emphasis: Emphasis | None = None,
) -> View:
    """Rows with a mixture of noise: the noise token, random tokens, neighbours swapped, digits changed. Scored is what
    was touched.
    """
    batch = batch.first_rows(row_count(batch, settings.rows))
    ids_N = padded_ids(batch, vocabulary).flatten()
    positions_C = candidates_N(batch, vocabulary).nonzero()[:, 0]
    wanted = round(settings.noise_rate * len(positions_C))
    chosen_S = choose(positions_C, wanted, batch, Chance(generator, emphasis))
    chosen_S = chosen_S[permutation(len(chosen_S), ids_N.device, generator)]
    noise_S, random_S, shuffle_S, digit_S = _split(chosen_S, _noise_shares(settings))
    view_N = ids_N.clone()
    first_S, second_S = _swappable(shuffle_S, torch.cat([noise_S, random_S, digit_S]), batch, vocabulary)
    view_N[first_S], view_N[second_S] = ids_N[second_S], ids_N[first_S]
    view_N[digit_S] = _changed_digits(ids_N[digit_S], vocabulary, generator)
    view_N[random_S] = random_ids(len(random_S), vocabulary, ids_N.device, generator)
    view_N[noise_S] = vocabulary.noise
    scored_S = torch.cat([noise_S, random_S, digit_S, first_S, second_S]).unique()
    return View(view_N.view_as(batch.token_ids_BT), batch.document_ids_BT, False, scored_S, ids_N[scored_S])


def _noise_shares(settings: DenoisingSettings) -> Tensor:
    shares = (settings.noise_token_share, settings.random_token_share, settings.shuffle_share, settings.digit_share)
    weights = torch.tensor(shares, dtype=torch.float64)
    return weights / weights.sum()


def _split(chosen_S: Tensor, shares: Tensor) -> list[Tensor]:
    borders = (shares.cumsum(0) * len(chosen_S)).round().long().tolist()
    return [chosen_S[start:end] for start, end in zip([0, *borders[:-1]], borders, strict=True)]


def _swappable(
    positions_S: Tensor, taken_S: Tensor, batch: Batch, vocabulary: Vocabulary
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


def _changed_digits(ids_S: Tensor, vocabulary: Vocabulary, generator: Generator) -> Tensor:
    """Another digit group of the same length where the token is one, a random token elsewhere."""
    changed_S = random_ids(len(ids_S), vocabulary, ids_S.device, generator)
    digits_S = vocabulary.digits_V[ids_S]
    for length in digits_S.unique().tolist():
        if length > 0:
            group_G = (vocabulary.digits_V[: vocabulary.ordinary] == length).nonzero()[:, 0]
            where_S = (digits_S == length).nonzero()[:, 0]
            draw = torch.randint(len(group_G), (len(where_S),), generator=generator).to(ids_S.device)
            changed_S[where_S] = group_G[draw]
    return changed_S
