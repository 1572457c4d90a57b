"""Pairs of sentences, held to the similarity of what they say about amounts.

| term | selection: pairs of | loss: `chord_loss` to a cosine of |
|---|---|---|
| `hard_negative` | a sentence, and it with a number changed | the similarity of both values |
| `paraphrase` | consecutive sentences with the same amounts | 1 |
| `random_pair` | sentences of different documents | 0 |
| `magnitude` | the numbers by which two are paraphrases | none: their magnitudes must agree |

All are selected by `select_sentence_pairs` and scored by `sentence_pair_losses`. Two sentences
paraphrase each other if they have half of their numbers or more in common, in another form or
unit of measure: the same significant digits, three or more.

Shapes: B sequences, T positions, D width, M numbers, N sentences, Q pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.views import View, sentence_ids_BT
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude
from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import LossTerm, Selection
from ssl_lib.objectives.contrastive.sentence_encoder import (
    SentenceEncoder,
    WrittenNumbers,
    numbers_in_view,
)
from ssl_lib.tokens.running_values import VocabularyTensors, running_numbers

MOST_NUMBERS = 1024  # of a batch that are compared with each other
SMALLEST_CHORD = 0.01  # keeps the gradient finite where two embeddings are the same


class BatchNumbers(NamedTuple):
    """Numbers of a batch with a usable value, by sentence, document, value and place, each [M].

    The place is the last flat position with a digit.
    """

    sentence_M: Tensor
    document_M: Tensor
    value_M: Tensor
    last_M: Tensor


def select_sentence_pairs(
    batch: Batch, anchor: View, negative: View, trunk: Trunk, generator: Generator
) -> dict[str, Selection]:
    """The selections of the four terms, from the clean view and the one with numbers changed.

    Each has `pairs` [Q, 2] of sentences and their `targets` [Q]; `magnitude` has `places` [Q, 2]
    of paraphrased numbers in digits. `hard_negative` has what the vectors need besides: `span`,
    its `count`, and the written numbers of both views, named "anchor" and "negative".
    """
    sentence_BT = sentence_ids_BT(batch, trunk.vocabulary)
    numbers, index_N = numbers_of(batch, sentence_BT, trunk.columns)
    shared_Q2 = paraphrased_numbers(numbers)
    hard_Q2, targets_Q = _hard_negatives(
        batch, negative, numbers, index_N, shared_Q2, trunk.columns
    )
    random_Q2 = _random_pairs(sentence_BT, batch.document_ids_BT, generator)
    written = numbers_in_view(trunk, anchor)
    places_Q2 = numbers.last_M[shared_Q2]
    in_digits_Q = written.log10_RT.flatten()[places_Q2].isfinite().all(1)
    hard = {
        "pairs": numbers.sentence_M[hard_Q2],
        "targets": targets_Q,
        "span": sentence_BT,
        "count": torch.tensor(int(sentence_BT.max()) + 1),
        **written.named("anchor"),
        **numbers_in_view(trunk, negative).named("negative"),
    }
    ones, zeros = (torch.ones, torch.zeros)
    device = sentence_BT.device
    same = {
        "pairs": numbers.sentence_M[shared_Q2],
        "targets": ones(len(shared_Q2), device=device),
    }
    different = {"pairs": random_Q2, "targets": zeros(len(random_Q2), device=device)}
    return {
        "hard_negative": Selection(len(hard_Q2), hard),
        "paraphrase": Selection(len(shared_Q2), same),
        "magnitude": Selection(int(in_digits_Q.sum()), {"places": places_Q2[in_digits_Q]}),
        "random_pair": Selection(len(random_Q2), different),
    }


def numbers_of(
    batch: Batch, sentence_BT: Tensor, columns: VocabularyTensors
) -> tuple[BatchNumbers, Tensor]:
    """The numbers of a batch, at most MOST_NUMBERS, and their index at every flat position.

    The index is -1 where there is none.
    """
    index_N = number_index_BT(batch).flatten()
    positions = len(index_N)
    inside_S = (index_N >= 0).nonzero()[:, 0]
    count = int(index_N.max()) + 1 if len(inside_S) else 0
    # a position with digits counts more than any without: "12%" ends at "12", "twelve" at itself
    has_digits_S = columns.digits_V[batch.token_ids_BT.flatten()[inside_S]] > 0
    ranked_S = inside_S + positions * has_digits_S
    last_M = torch.zeros(count, dtype=torch.int64, device=index_N.device)
    last_M = last_M.scatter_reduce(0, index_N[inside_S], ranked_S, "amax") % positions
    last_M = last_M[:MOST_NUMBERS]
    numbers = BatchNumbers(
        sentence_BT.flatten()[last_M],
        batch.document_ids_BT.flatten()[last_M],
        batch.values_BT.flatten()[last_M],
        last_M,
    )
    return numbers, torch.where(index_N < MOST_NUMBERS, index_N, -1)


def paraphrased_numbers(numbers: BatchNumbers) -> Tensor:
    """Pairs of numbers [Q, 2] by which a sentence paraphrases the one before it in its document.

    They have the same significant digits, three or more, and half of the numbers of each
    sentence, or more, are in the other too. Digits that a sentence has twice (10% of 234 is 23.4)
    do not tell which of the two is meant.
    """
    sentence_M, document_M = numbers.sentence_M, numbers.document_M
    mantissa_M = exponent_and_mantissa(numbers.value_M.abs().clamp_min(1e-30))[1]
    # 2.34 has three significant digits, 2.3 has not
    precise_M = ((mantissa_M * 10.0).round() - mantissa_M * 10.0).abs() > 1e-6
    equal_MM = (mantissa_M[:, None] - mantissa_M[None, :]).abs() < 1e-9
    next_MM = sentence_M[None, :] == sentence_M[:, None] + 1
    next_MM &= (sentence_M >= 0)[:, None]
    same_MM = document_M[:, None] == document_M[None, :]
    shared_MM = equal_MM & next_MM & same_MM & precise_M[:, None]
    own_MM = sentence_M[:, None] == sentence_M[None, :]
    clear = []
    for along in (1, 0):
        partners_M = shared_MM.sum(along)
        in_half_M = 2 * (own_MM & (partners_M > 0)).sum(1) >= own_MM.sum(1)
        clear.append((partners_M == 1) & in_half_M)
    return (shared_MM & clear[0][:, None] & clear[1][None, :]).nonzero()


def _hard_negatives(
    batch: Batch,
    negative: View,
    numbers: BatchNumbers,
    index_N: Tensor,
    shared_Q2: Tensor,
    columns: VocabularyTensors,
) -> tuple[Tensor, Tensor]:
    """Pairs of numbers [Q, 2], clean and changed, and the target similarities [Q] of sentences.

    A changed sentence is paired with itself, and with the one that it paraphrased.
    """
    changed_M = torch.zeros(len(numbers.last_M), dtype=torch.bool, device=index_N.device)
    at_S = index_N[negative.target_positions_S]
    changed_M[at_S[at_S >= 0]] = True
    orders = []
    for ids_BT in (batch.token_ids_BT, negative.ids_RT):
        running = running_numbers(ids_BT, batch.document_ids_BT, columns)
        orders.append(orders_of_magnitude(running.value.flatten()[numbers.last_M]))
    before_M, after_M = orders
    similarity_M = similarity_of_orders((after_M - before_M).abs())
    itself_M = changed_M.nonzero()[:, 0]
    paraphrased_Q2 = shared_Q2[changed_M[shared_Q2[:, 1]]]
    pairs_Q2 = torch.cat([itself_M[:, None].expand(-1, 2), paraphrased_Q2])
    return pairs_Q2, similarity_M[pairs_Q2[:, 1]].float()


def _random_pairs(sentence_BT: Tensor, document_ids_BT: Tensor, generator: Generator) -> Tensor:
    """Pairs [Q, 2] of sentences of different documents, about one for every sentence."""
    sentence_N, document_N = sentence_BT.flatten(), document_ids_BT.flatten()
    inside_N = sentence_N >= 0
    owner = torch.zeros(int(sentence_N.max()) + 1, dtype=torch.int64, device=sentence_N.device)
    owner[sentence_N[inside_N]] = document_N[inside_N]
    present = sentence_N[inside_N].unique()
    order = torch.randperm(len(present), generator=generator).to(present.device)
    other = present[order]
    different = owner[present] != owner[other]
    return torch.stack([present[different], other[different]], dim=1)


def sentence_pair_losses(
    sentences: SentenceEncoder,
    anchor_RTD: Tensor,
    negative_RTD: Tensor,
    selected: Mapping[str, Selection],
) -> dict[str, Tensor]:
    """The sums of the four terms, from the hidden states of both views."""
    hard = selected["hard_negative"]
    span_RT, count = hard["span"], int(hard["count"])
    written = WrittenNumbers.under("anchor", hard.tensors)
    changed = WrittenNumbers.under("negative", hard.tensors)
    anchor_ND = sentences(anchor_RTD, written, span_RT, count)
    negative_ND = sentences(negative_RTD, changed, span_RT, count)
    others = {"hard_negative": negative_ND, "paraphrase": anchor_ND, "random_pair": anchor_ND}
    sums = {}
    for part, other_ND in others.items():
        left_Q, right_Q = selected[part]["pairs"].unbind(1)
        cosine_Q = (anchor_ND[left_Q] * other_ND[right_Q]).sum(-1)
        sums[part] = chord_loss(cosine_Q, selected[part]["targets"]).sum
    left_Q, right_Q = (
        sentences.magnitudes(written, span_RT, at_Q)
        for at_Q in selected["magnitude"]["places"].unbind(1)
    )
    sums["magnitude"] = functional.smooth_l1_loss(left_Q, right_Q, reduction="sum")
    return sums


def chord_loss(cosine_Q: Tensor, targets_Q: Tensor) -> LossTerm:
    """Squared error of the distance on the unit sphere from that of the target similarity.

    The distance, a chord sqrt(2 - 2 cosine), tells near pairs apart: a cosine of 0.94 in place of
    1 is off by 0.35 of it. The sum is over Q pairs.
    """
    error_Q = _chord(cosine_Q) - _chord(targets_Q)
    return LossTerm(error_Q.square().sum(), len(error_Q))


def _chord(cosine_Q: Tensor) -> Tensor:
    return (2.0 - 2.0 * cosine_Q).clamp_min(0.0).add(SMALLEST_CHORD**2).sqrt()
