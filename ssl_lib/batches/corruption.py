"""Corruption: which positions of a view are masked, replaced, swapped or deleted.

Start at `masked_view` (Devlin et al. 2019) and `corrupted_view`, a mixture of kinds of noise
(Vincent et al. 2010; Lewis et al. 2020). Both draw an exact number of target positions, alone or in
groups that belong together (words, numbers, spans), from the generator that they are given.

Shapes: B sequences of the batch, T positions, N = B * T flat positions, C candidates, G groups of
them, S chosen positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import (
    NO_NUMBER,
    PADDING_DOCUMENT,
    Batch,
    changes,
    count_up,
    positions_of,
)
from ssl_lib.batches.curriculum import SamplingWeights
from ssl_lib.batches.views import View, candidates_N, padded_ids, sequence_count
from ssl_lib.config import DenoisingSettings, MlmSettings
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import VocabularyTable

LONGEST_SPAN = 10  # words, as in SpanBERT (Joshi et al. 2020)
LONGEST_DELETION = 8  # tokens missing in a row


def masked_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    settings: MlmSettings,
    generator: Generator,
    sampling: SamplingWeights | None = None,
) -> View:
    """Sequences with exactly round(mask_rate * candidates) positions masked.

    Most get the mask token, some a random one, some keep their own. `settings.granularity` masks
    them alone, by whole words or by spans; `sampling` is what the curriculum prefers.
    """
    sequences = sequence_count(batch, settings.batch_fraction)
    batch = batch.first(sequences)
    clean_BT = padded_ids(batch, vocabulary)
    ids_N = clean_BT.flatten()
    # Candidates first: 15% of them, not of all positions.
    positions_C = positions_of(candidates_N(batch, vocabulary))
    count = round(settings.mask_rate * len(positions_C))
    log_weights_N = sampling.log_weights_N(batch) if sampling else None
    words = settings.granularity != "token"
    if words or settings.whole_numbers:
        group_C = token_groups(positions_C, batch, vocabulary, settings.whole_numbers, words)
        if settings.granularity == "span":
            group_C = span_groups(positions_C, group_C, batch, settings.span_words, generator)
        chosen_S = choose_groups(positions_C, group_C, count, batch, generator, log_weights_N)
    else:
        chosen_S = choose(positions_C, count, generator, log_weights_N)

    # As a rule 80% become the mask token, 10% a random one, 10% stay what they are.
    chosen = len(chosen_S)
    masked = round(settings.mask_token_share * chosen)
    replaced = round(settings.random_token_share * chosen)
    shuffled_S = _shuffled(chosen_S, generator)
    masked_S = shuffled_S[:masked]
    random_S = shuffled_S[masked : masked + replaced]
    drawn_S = random_ids(len(random_S), ids_N, chosen_S, vocabulary, generator)
    view_N = ids_N.clone()
    view_N[masked_S] = vocabulary.special.mask
    view_N[random_S] = drawn_S
    ids_BT = view_N.view_as(batch.token_ids_BT)
    return View(ids_BT, batch.document_ids_BT, False, chosen_S, ids_N[chosen_S])


def deletes_tokens(settings: DenoisingSettings) -> bool:
    """Whether tokens are missing from the corrupted view, and the others have moved."""
    return settings.deletion_share > 0 or settings.infill_share > 0


def corrupted_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    settings: DenoisingSettings,
    generator: Generator,
    sampling: SamplingWeights | None = None,
) -> View:
    """Sequences with a mixture of noise on round(noise_rate * candidates) positions.

    Spans infilled by one noise token, single noise tokens, random tokens, neighbors swapped, digits
    changed, tokens deleted; targets are all that was touched. A swap touches its second token too,
    and does not happen where another kind of noise or equal tokens forbid it.
    """
    sequences = sequence_count(batch, settings.batch_fraction)
    batch = batch.first(sequences)
    clean_BT = padded_ids(batch, vocabulary)
    ids_N = clean_BT.flatten()
    log_weights_N = sampling.log_weights_N(batch) if sampling else None
    kinds = _noise_positions(batch, vocabulary, settings, generator, log_weights_N)
    infill_S, noise_S, random_S, swap_S, digit_S, delete_S = kinds
    alone_S = torch.cat([infill_S, noise_S, random_S, digit_S, delete_S])
    first_S, second_S = _swapped_pairs(swap_S, alone_S, batch, vocabulary)
    touched_S = torch.cat([alone_S, first_S, second_S])
    touched_S = torch.unique(touched_S)

    view_N = ids_N.clone()
    view_N[first_S] = ids_N[second_S]
    view_N[second_S] = ids_N[first_S]
    # Other tokens come from positions that nothing has touched: no view shows what it hides.
    other_S = random_ids(len(digit_S), ids_N, touched_S, vocabulary, generator)
    view_N[digit_S] = _changed_digits(ids_N[digit_S], other_S, vocabulary, generator)
    view_N[random_S] = random_ids(len(random_S), ids_N, touched_S, vocabulary, generator)
    special = vocabulary.special
    view_N[noise_S] = special.noise
    deletions = None
    if deletes_tokens(settings):
        deletions = plan_deletions(batch, delete_S, infill_S)
        view_N[deletions.noise_N] = special.noise
    ids_BT = view_N.view_as(batch.token_ids_BT)
    view = View(ids_BT, batch.document_ids_BT, False, touched_S, ids_N[touched_S])
    if deletions:
        return remove_deleted(view, deletions, special.padding)
    return view


def _noise_positions(
    batch: Batch,
    vocabulary: VocabularyTable,
    settings: DenoisingSettings,
    generator: Generator,
    log_weights_N: Tensor | None,
) -> tuple[Tensor, ...]:
    """Flat positions [S] of each kind of noise, no position in two of them.

    Infilled ones in spans of whole words; one by one those of the noise token, of random tokens, of
    swaps, of changed digits and of deletions.
    """
    positions_C = positions_of(candidates_N(batch, vocabulary))
    count = round(settings.noise_rate * len(positions_C))
    shares = (
        settings.noise_token_share,
        settings.random_token_share,
        settings.shuffle_share,
        settings.digit_share,
        settings.deletion_share,
    )
    share_K = torch.tensor(shares, dtype=torch.float64)
    total = float(share_K.sum())
    infill_share = settings.infill_share
    infilled = round(count * infill_share / (infill_share + total))
    infilled_S = positions_C[:0]
    if infilled:
        group_C = token_groups(positions_C, batch, vocabulary, whole_numbers=True, words=True)
        group_C = span_groups(positions_C, group_C, batch, settings.infill_words, generator)
        infilled_S = choose_groups(positions_C, group_C, infilled, batch, generator, log_weights_N)
        positions_C = positions_C[~torch.isin(positions_C, infilled_S)]
    chosen_S = choose(positions_C, count - infilled, generator, log_weights_N)
    chosen_S = _shuffled(chosen_S, generator)
    # 10 positions and shares 0.4, 0.2, 0.2, 0.2, 0.0 → borders after 4, 6, 8, 10, 10 of them
    part_K = share_K.cumsum(0) / share_K.sum().clamp_min(1e-12)
    place_K = part_K * len(chosen_S)
    # the last border is the end itself, and cuts nothing off
    border_K = place_K.round().long()
    return infilled_S, *chosen_S.tensor_split(border_K[:-1])


def _swapped_pairs(
    positions_S: Tensor, taken_S: Tensor, batch: Batch, vocabulary: VocabularyTable
) -> tuple[Tensor, Tensor]:
    """Disjoint pairs of neighbors to swap: candidates of one document with different tokens.

    Neither may be taken by another kind of noise: the swap would show the token that it hides.
    """
    allowed_N = candidates_N(batch, vocabulary)
    allowed_N[taken_S] = False
    width = batch.token_ids_BT.shape[1]
    # Pairs begin at even places: 6 and 7 both give (6, 7), and no token is in two pairs.
    column_S = positions_S % width
    first_S = positions_S - column_S % 2
    inside_S = (first_S + 1) % width > 0
    first_S = first_S[inside_S]
    first_S = torch.unique(first_S)
    second_S = first_S + 1
    documents_N = batch.document_ids_BT.flatten()
    ids_N = batch.token_ids_BT.flatten()
    # both may be touched, stand in one document, and differ
    pair_S = allowed_N[first_S]
    pair_S &= allowed_N[second_S]
    pair_S &= documents_N[first_S] == documents_N[second_S]
    pair_S &= ids_N[first_S] != ids_N[second_S]
    return first_S[pair_S], second_S[pair_S]


def _changed_digits(
    ids_S: Tensor, other_S: Tensor, vocabulary: VocabularyTable, generator: Generator
) -> Tensor:
    """Another digit group of the same length where the token is one, else that of `other_S`."""
    changed_S = other_S.clone()
    columns = vocabulary_tensors(vocabulary, ids_S.device)
    digits_V = columns.digits_V
    # special tokens stand behind the ordinary ones, and are no digits
    ordinary_V = digits_V[: vocabulary.ordinary]
    digits_S = digits_V[ids_S]
    for length in torch.unique(digits_S).tolist():
        if length > 0:
            groups_M = positions_of(ordinary_V == length)
            same_S = digits_S == length
            count = int(same_S.sum())
            changed_S[same_S] = _drawn(groups_M, count, generator)
    return changed_S


def random_ids(
    count: int, ids_N: Tensor, hidden_S: Tensor, vocabulary: VocabularyTable, generator: Generator
) -> Tensor:
    """Ordinary token ids [count], as often as they stand in `ids_N` outside positions `hidden_S`.

    Nothing in the view may tell the tokens at these. Drawn from the whole vocabulary, most would be
    rare ones, and a rare token in clean text would look like noise; only where everything is hidden
    are they drawn from it all the same.
    """
    open_N = ids_N < vocabulary.ordinary
    open_N[hidden_S] = False
    pool_M = ids_N[open_N]
    if not len(pool_M):
        pool_M = torch.arange(vocabulary.ordinary, device=ids_N.device)
    return _drawn(pool_M, count, generator)


def _drawn(pool_M: Tensor, count: int, generator: Generator) -> Tensor:
    """`count` values of the pool, drawn with replacement."""
    index = torch.randint(len(pool_M), (count,), generator=generator)
    index = index.to(pool_M.device)
    return pool_M[index]


class Deletions(NamedTuple):
    """Flat masks of clean positions: `deleted_N` go, `noise_N` become the noise token.

    `offset_N` counts how far a deleted position lies behind the one that stands for it, else 0.
    """

    deleted_N: Tensor
    noise_N: Tensor
    offset_N: Tensor


def plan_deletions(batch: Batch, delete_S: Tensor, infill_S: Tensor) -> Deletions:
    """What goes when these flat positions are deleted and infilled (Lewis et al. 2020, BART).

    A deleted token leaves no trace; an infilled span leaves one noise token, which stands for its
    first token. A run of missing tokens has something before it in its sequence and document, and
    at most LONGEST_DELETION tokens: where it would not, the noise token stands in place of one of
    them.
    """
    begins_N = changes(batch.document_ids_BT).flatten()
    infilled_N = torch.zeros_like(begins_N)
    infilled_N[infill_S] = True
    # The first token of every infilled span becomes the noise token.
    starts_N = begins_N | changes(infilled_N)
    opens_N = infilled_N & starts_N
    missing_N = infilled_N & ~opens_N
    missing_N[delete_S] = True
    # a b c d e with c, d, e missing: the last position that stands is b, the offsets are 1, 2, 3
    index_N = torch.arange(len(begins_N), device=begins_N.device)
    stands_N = torch.where(~missing_N | begins_N, index_N, 0)
    last_N = stands_N.cummax(0).values
    offset_N = index_N - last_N
    offset_N = torch.where(missing_N, offset_N % (LONGEST_DELETION + 1), 0)
    # Without a token before it, or too far behind it, a missing one stays as the noise token.
    stays_N = missing_N & (offset_N == 0)
    return Deletions(missing_N & ~stays_N, opens_N | stays_N, offset_N)


def remove_deleted(view: View, deletions: Deletions, padding: int) -> View:
    """The view without deleted tokens: the rest of each sequence moves up, padding follows.

    The position before deleted tokens rebuilds them: position q the clean tokens at q + 1, q + 2,
    ...
    """
    deleted_BT = deletions.deleted_N.view_as(view.ids_RT)
    # a b c d with b deleted: order 0, 2, 3, 1, of which the last is gone; places 0, -, 1, 2
    order_BT = deleted_BT.int().argsort(dim=1, stable=True)
    gone_BT = deleted_BT.gather(1, order_BT)
    ids_BT = view.ids_RT.gather(1, order_BT)
    documents_BT = view.document_ids_RT.gather(1, order_BT)
    sequences, width = deleted_BT.shape
    start_B = torch.arange(sequences, device=gone_BT.device) * width
    kept_BT = ~deleted_BT
    place_BT = kept_BT.cumsum(1) - 1
    source_BT = torch.where(deleted_BT, -1, place_BT + start_B[:, None])
    offsets_S = deletions.offset_N[view.target_positions_S]
    return View(
        ids_BT.masked_fill(gone_BT, padding),
        documents_BT.masked_fill(gone_BT, PADDING_DOCUMENT),
        view.causal,
        view.target_positions_S - offsets_S,
        view.targets_S,
        source_N=source_BT.flatten(),
        offsets_S=offsets_S,
    )


def choose(
    positions_C: Tensor, count: int, generator: Generator, log_weights_N: Tensor | None = None
) -> Tensor:
    """`count` of the candidates, in their order; what weighs more is drawn more readily."""
    if log_weights_N is None:
        order_C = _shuffled(positions_C, generator)
    else:
        log_weights_C = log_weights_N[positions_C]
        order = _weighted_order(log_weights_C, generator)
        order_C = positions_C[order]
    chosen_C = order_C[:count]
    return chosen_C.sort().values


def choose_groups(
    positions_C: Tensor,
    group_C: Tensor,
    count: int,
    batch: Batch,
    generator: Generator,
    log_weights_N: Tensor | None = None,
) -> Tensor:
    """`count` of the candidates, in their order, group by group; `group_C` counts groups up from 0.

    Groups are taken whole as long as they fit, then single tokens make up the number. Where none
    are left, one group is cut, a number only if there is nothing else. A group weighs as much as
    the mean of its tokens.
    """
    sizes_G = torch.bincount(group_C)
    if log_weights_N is None:
        groups_G = torch.arange(len(sizes_G), device=sizes_G.device)
        order_G = _shuffled(groups_G, generator)
    else:
        log_weights_C = log_weights_N[positions_C]
        sum_G = torch.bincount(group_C, log_weights_C)
        mean_G = sum_G / sizes_G
        order_G = _weighted_order(mean_G, generator)
    # Sizes 2, 3, 1 in this order and a count of 4: the first fits, the second does not, the third
    # is a single token, and the fourth token is cut off the second group.
    ordered_G = sizes_G[order_G]
    fits_G = ordered_G.cumsum(0) <= count
    missing = count - int(ordered_G[fits_G].sum())
    singles_G = positions_of(~fits_G & (ordered_G == 1))
    singles_G = singles_G[:missing]
    fits_G[singles_G] = True
    missing -= len(singles_G)
    chosen_G = torch.zeros_like(sizes_G, dtype=torch.bool)
    chosen_G[order_G[fits_G]] = True
    chosen_C = chosen_G[group_C]
    if missing:
        number_N = batch.number_BT.flatten()
        numeric_C = number_N[positions_C] != NO_NUMBER
        numeric_G = torch.bincount(group_C, numeric_C.double()) > 0
        # Of the groups that are left and long enough, the first without numbers.
        left_G = order_G[~fits_G]
        long_G = left_G[sizes_G[left_G] >= missing]
        order_G = numeric_G[long_G].int().argsort(stable=True)
        cut = long_G[order_G[0]]
        inside = positions_of(group_C == cut)
        chosen_C[inside[:missing]] = True
    return positions_C[chosen_C]


def token_groups(
    positions_C: Tensor, batch: Batch, vocabulary: VocabularyTable, whole_numbers: bool, words: bool
) -> Tensor:
    """Group index [C] of each candidate: tokens of one number share theirs, those of one word too.

    Each of the two if asked for; every other token has its own. A group ends with its document and
    its sequence at the latest. "the", " thermo", "dynamic", " 1", ",", "234" → 0, 1, 1, 2, 2, 2
    """
    together_C = torch.zeros_like(positions_C, dtype=torch.bool)
    if whole_numbers:
        number_N = batch.number_BT.flatten()
        number_C = number_N[positions_C]
        together_C |= ~changes(number_C) & (number_C != NO_NUMBER)
    if words:
        ids_N = batch.token_ids_BT.flatten()
        ids_C = ids_N[positions_C]
        columns = vocabulary_tensors(vocabulary, ids_C.device)
        starts_C = columns.word_start_V[ids_C]
        ends_C = columns.word_end_V[ids_C]
        together_C[1:] |= starts_C[1:] & ends_C[:-1]
    together_C &= _adjacent(positions_C, batch)
    return count_up(~together_C)


def span_groups(
    positions_C: Tensor, word_C: Tensor, batch: Batch, span_words: float, generator: Generator
) -> Tensor:
    """Group index [C] of each candidate, the groups being spans of words (Joshi et al. 2020).

    Their length is geometric with mean `span_words`, cut after LONGEST_SPAN words and at the end of
    a document or sequence.
    """
    starts_C = changes(word_C)
    uniform_C = torch.rand(len(positions_C), generator=generator)
    drawn_C = uniform_C < 1.0 / span_words
    begins_C = starts_C & drawn_C.to(starts_C.device)
    begins_C |= ~_adjacent(positions_C, batch)
    # Words of the span so far; a span of 23 words is cut into 10, 10 and 3.
    first_word_C = torch.where(begins_C, word_C, 0).cummax(0).values
    words_C = word_C - first_word_C
    begins_C |= starts_C & (words_C % LONGEST_SPAN == 0)
    return count_up(begins_C)


def _adjacent(positions_C: Tensor, batch: Batch) -> Tensor:
    """True where the candidate before stands right before it in the same sequence and document."""
    sequence_C = positions_C // batch.token_ids_BT.shape[1]
    document_N = batch.document_ids_BT.flatten()
    document_C = document_N[positions_C]
    step_C = positions_C.diff(prepend=positions_C[:1])
    # the last position of a sequence and the first of the next are neighbors as flat positions
    same_sequence_C = ~changes(sequence_C)
    adjacent_C = (step_C == 1) & same_sequence_C
    return adjacent_C & ~changes(document_C)


def _weighted_order(log_weights: Tensor, generator: Generator) -> Tensor:
    """A random order of indices in which what weighs more stands earlier.

    This is drawing without replacement (Efraimidis and Spirakis 2006), by Gumbel noise.
    """
    uniform = torch.rand(len(log_weights), generator=generator, dtype=torch.float64)
    exponential = -torch.log1p(-uniform)
    gumbel = -exponential.clamp_min(1e-300).log()
    gumbel = gumbel.to(log_weights.device)
    keys = log_weights + gumbel
    return keys.argsort(descending=True, stable=True)


def _shuffled(values: Tensor, generator: Generator) -> Tensor:
    """The values in random order."""
    order = torch.randperm(len(values), generator=generator)
    order = order.to(values.device)
    return values[order]
