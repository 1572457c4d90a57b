"""Pairs of sentences, held to the similarity of what they say about amounts.

| term | selection: pairs of | loss: `chord_loss` to a cosine of |
|---|---|---|
| `hard_negative` | a sentence, and it with a number changed | the similarity of both values |
| `paraphrase` | consecutive sentences with the same amounts | 1 |
| `random_pair` | sentences of different documents | 0 |
| `magnitude` | the numbers by which two are paraphrases | none: their magnitudes must agree |

All are selected by `select` and scored by `losses`. Two sentences
paraphrase each other if they have half of their numbers or more in common, in another form or
unit of measure: the same significant digits, three or more.

Shapes: B sequences, T positions, D width, M numbers, N sentences, Q pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn.functional import smooth_l1_loss

from ssl_lib.batches.batch import Batch, number_index_BT, positions_of
from ssl_lib.batches.views import View, sentence_ids_BT
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers.scale import exponent_and_mantissa, orders_of_magnitude
from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import LossTerm, Selection, Selections
from ssl_lib.objectives.contrastive.sentence_encoder import (
    SentenceEncoder,
    WrittenNumbers,
    numbers_in_view,
)
from ssl_lib.tokens.running_values import VocabularyTensors

# of a batch that are compared with each other
MOST_NUMBERS = 1024
# keeps the gradient finite where two embeddings are the same
SMALLEST_CHORD = 0.01


class BatchNumbers(NamedTuple):
    """Numbers of a batch with a usable value, by sentence, document, value and place, each [M].

    The place is the last flat position with a digit.
    """

    sentence_M: Tensor
    document_M: Tensor
    value_M: Tensor
    last_M: Tensor


def select(
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
    hard_Q2 = _hard_negatives(numbers, index_N[negative.target_positions_S], shared_Q2)
    similarity_M = _similarities(anchor, negative, numbers, trunk.columns)
    random_Q2 = _random_pairs(sentence_BT, batch.document_ids_BT, generator)
    written = numbers_in_view(trunk, anchor)
    changed = numbers_in_view(trunk, negative)
    places_Q2 = numbers.last_M[shared_Q2]
    # words have no magnitude: their value is not read
    in_digits_Q = written.log10_RT.take(places_Q2).isfinite().all(1)
    places_Q2 = places_Q2[in_digits_Q]
    hard = _targets(numbers.sentence_M[hard_Q2], similarity_M[hard_Q2[:, 1]].float())
    hard |= {"span": sentence_BT, "count": torch.tensor(int(sentence_BT.max()) + 1)}
    hard |= written.named("anchor") | changed.named("negative")
    return {
        "hard_negative": Selection(len(hard_Q2), hard),
        "paraphrase": Selection(len(shared_Q2), _targets(numbers.sentence_M[shared_Q2], 1.0)),
        "random_pair": Selection(len(random_Q2), _targets(random_Q2, 0.0)),
        "magnitude": Selection(len(places_Q2), {"places": places_Q2}),
    }


def _targets(pairs_Q2: Tensor, targets: Tensor | float) -> dict[str, Tensor]:
    """Pairs of sentences, and the cosine that each is to have."""
    if isinstance(targets, float):
        targets = torch.full((len(pairs_Q2),), targets, device=pairs_Q2.device)
    return {"pairs": pairs_Q2, "targets": targets}


def numbers_of(
    batch: Batch, sentence_BT: Tensor, columns: VocabularyTensors
) -> tuple[BatchNumbers, Tensor]:
    """The numbers of a batch, at most MOST_NUMBERS, and their index at every flat position.

    The index is -1 where there is none.
    """
    index_N = number_index_BT(batch).flatten()
    inside_S = positions_of(index_N >= 0)
    count = int(index_N.max()) + 1 if len(inside_S) else 0
    # of "$3.4 million" the last digit is the 4; of "twelve", which has none, the last token counts
    has_digits_S = columns.digits_V[batch.token_ids_BT.take(inside_S)] > 0
    ranked_S = inside_S + len(index_N) * has_digits_S
    last_M = index_N.new_zeros(count)
    last_M = last_M.scatter_reduce(0, index_N[inside_S], ranked_S, "amax") % len(index_N)
    last_M = last_M[:MOST_NUMBERS]
    numbers = BatchNumbers(
        sentence_BT.take(last_M),
        batch.document_ids_BT.take(last_M),
        batch.values_BT.take(last_M),
        last_M,
    )
    return numbers, torch.where(index_N < MOST_NUMBERS, index_N, -1)


def paraphrased_numbers(numbers: BatchNumbers) -> Tensor:
    """Pairs of numbers [Q, 2] by which a sentence paraphrases the one before it in its document.

    They have the same significant digits, three or more, and half of the numbers of each
    sentence, or more, are in the other too. Digits that a sentence has twice (10% of 234 is 23.4)
    do not tell which of the two is meant.
    """
    sentence_M = numbers.sentence_M
    document_M = numbers.document_M
    mantissa_M = exponent_and_mantissa(numbers.value_M.abs().clamp_min(1e-30))[1]
    # 2.34 has three significant digits, 2.3 has not
    tenfold_M = mantissa_M * 10.0
    precise_M = (tenfold_M.round() - tenfold_M).abs() > 1e-6
    shared_MM = (mantissa_M[:, None] - mantissa_M).abs() < 1e-9
    shared_MM &= sentence_M == sentence_M[:, None] + 1
    shared_MM &= document_M == document_M[:, None]
    shared_MM &= (precise_M & (sentence_M >= 0))[:, None]
    own_MM = sentence_M == sentence_M[:, None]
    clear = []
    for along in (1, 0):
        partners_M = shared_MM.sum(along)
        shared_in_sentence_M = (own_MM & (partners_M > 0)).sum(1)
        in_half_M = 2 * shared_in_sentence_M >= own_MM.sum(1)
        clear.append((partners_M == 1) & in_half_M)
    left_M, right_M = clear
    return (shared_MM & left_M[:, None] & right_M).nonzero()


def _hard_negatives(numbers: BatchNumbers, changed_S: Tensor, shared_Q2: Tensor) -> Tensor:
    """Pairs of numbers [Q, 2]: a clean one, and a changed one.

    A changed sentence is paired with itself, and with the one that it paraphrased. `changed_S` are
    the indices of the changed numbers (-1: none).
    """
    changed_M = torch.zeros_like(numbers.last_M, dtype=torch.bool)
    changed_M[changed_S[changed_S >= 0]] = True
    itself_M1 = changed_M.nonzero()
    paraphrased_Q2 = shared_Q2[changed_M[shared_Q2[:, 1]]]
    return torch.cat([itself_M1.expand(-1, 2), paraphrased_Q2])


def _similarities(
    anchor: View, negative: View, numbers: BatchNumbers, columns: VocabularyTensors
) -> Tensor:
    """Similarity [M] of each number's values in the two views."""
    orders = []
    for view in (anchor, negative):
        running = view.running_numbers(columns)
        values_M = running.value.take(numbers.last_M)
        orders.append(orders_of_magnitude(values_M))
    before_M, after_M = orders
    return similarity_of_orders((after_M - before_M).abs())


def _random_pairs(sentence_BT: Tensor, document_ids_BT: Tensor, generator: Generator) -> Tensor:
    """Pairs [Q, 2] of sentences of different documents, about one for every sentence."""
    sentence_N = sentence_BT.flatten()
    document_N = document_ids_BT.flatten()
    inside_N = sentence_N >= 0
    owner = document_N.new_zeros(int(sentence_N.max()) + 1)
    owner[sentence_N[inside_N]] = document_N[inside_N]
    present = torch.unique(sentence_N[inside_N])
    # each sentence beside the one that a permutation puts there
    order = torch.randperm(len(present), generator=generator).to(present.device)
    other = present[order]
    different = owner[present] != owner[other]
    return torch.stack([present, other], dim=1)[different]


def losses(
    sentences: SentenceEncoder, anchor_RTD: Tensor, negative_RTD: Tensor, selected: Selections
) -> dict[str, Tensor]:
    """The sums of the four terms, from the hidden states of both views."""
    hard = selected["hard_negative"]
    span_RT = hard["span"]
    count = int(hard["count"])
    written = WrittenNumbers.under("anchor", hard.tensors)
    changed = WrittenNumbers.under("negative", hard.tensors)
    anchor_ND = sentences(anchor_RTD, written, span_RT, count)
    negative_ND = sentences(negative_RTD, changed, span_RT, count)
    # the anchor of each pair, and whose vector is the other one's
    others = {"hard_negative": negative_ND, "paraphrase": anchor_ND, "random_pair": anchor_ND}
    sums = {}
    for part, other_ND in others.items():
        left_Q, right_Q = selected[part]["pairs"].unbind(1)
        cosine_Q = (anchor_ND[left_Q] * other_ND[right_Q]).sum(-1)
        sums[part] = chord_loss(cosine_Q, selected[part]["targets"]).sum
    places_2Q = selected["magnitude"]["places"].unbind(1)
    left_Q, right_Q = (sentences.magnitudes(written, span_RT, at_Q) for at_Q in places_2Q)
    sums["magnitude"] = smooth_l1_loss(left_Q, right_Q, reduction="sum")
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
