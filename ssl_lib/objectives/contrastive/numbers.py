"""Numbers as near as their values, and next to their other written forms.

| term | selection | loss |
|---|---|---|
| `number` | `select_numbers` | `number_similarity_loss`: target similarities from the values |
| `equivalent` | `select_equivalents` | `ntxent_with_hard_negatives`: "1,500" finds "1.5 thousand" |

Shapes: B sequences, T positions, N numbers of this process, M numbers of all processes, P width
of an embedding.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from ssl_lib.batches.batch import Batch, number_index_BT, positions_of
from ssl_lib.batches.rewriting import EquivalentFormView
from ssl_lib.batches.views import View
from ssl_lib.numbers.scale import LARGEST, to_scale
from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import LossTerm
from ssl_lib.objectives.contrastive import ntxent
from ssl_lib.objectives.contrastive.ntxent import EXCLUDED, Temperature, Tensors

# of the softmax that makes target similarities a distribution
TARGET_TEMPERATURE = 0.1


def select_numbers(batch: Batch, limit: int, generator: Generator) -> Tensors:
    """Numbers with a usable value: `span` and `first` as of `select_spans`, and `scaled` [N].

    `scaled` are their values on the number scale.
    """
    chosen = ntxent.select_spans(number_index_BT(batch), limit, generator)
    values_N = batch.values_BT.take(chosen["first"])
    scaled_N = to_scale(values_N.clamp(-LARGEST, LARGEST))
    return chosen | {"scaled": scaled_N.float()}


def number_similarity_loss(
    numbers_NP: Tensor, scaled_N: Tensor, temperature: Temperature, across_processes: bool = False
) -> LossTerm:
    """Soft-label contrastive loss of N numbers: similarities follow those of the values.

    `numbers_NP` have unit length, `scaled_N` are values on the number scale. For every anchor the
    target distribution over the other numbers is softmax(target similarity / 0.1), the model's is
    softmax(cosine / temperature); the loss is the Kullback-Leibler divergence in nats, never
    negative. Equal values are the strongest positives.
    """
    count = len(scaled_N)
    all_MP, start = ntxent.all_gather(numbers_NP, across_processes)
    scaled_M = ntxent.all_gather(scaled_N, across_processes).items
    if len(all_MP) < 2:
        return LossTerm(all_MP.sum() * 0.0, count)
    self_NM = ntxent.self_mask(count, start, all_MP)
    # 12 and 12.5 lie 0.018 orders of magnitude apart
    orders_NM = (scaled_N[:, None] - scaled_M).abs()
    wanted_NM = similarity_of_orders(orders_NM) / TARGET_TEMPERATURE
    target_NM = wanted_NM.masked_fill(self_NM, EXCLUDED).softmax(-1)
    logits_NM = numbers_NP @ all_MP.T / temperature
    log_share_NM = logits_NM.masked_fill(self_NM, EXCLUDED).log_softmax(-1)
    log_ratio_NM = target_NM.clamp_min(1e-30).log() - log_share_NM
    divergence_NM = torch.where(target_NM > 0, target_NM * log_ratio_NM, 0.0)
    return LossTerm(divergence_NM.sum(), count)


def select_equivalents(
    batch: Batch, negative: View, positive: EquivalentFormView, limit: int, generator: Generator
) -> Tensors:
    """Numbers that the view of equivalent forms shows in another form.

    `span` and `other_span` [B, T] mark them in the anchors and in that view, `values` [N] tell
    equal ones, `changed` [N] those that have another value in the view of hard negatives.
    """
    rewritten_N = torch.unique(positive.number_RT[positive.number_RT >= 0])
    kept_N = ntxent.draw(rewritten_N, limit, generator)
    span_BT = ntxent.renumbered(number_index_BT(batch), kept_N)
    inside_BT = span_BT >= 0
    inside_S = positions_of(inside_BT)
    values_N = batch.values_BT.new_zeros(len(kept_N))
    values_N[span_BT.take(inside_S)] = batch.values_BT.take(inside_S)
    differs_BT = (negative.ids_RT != batch.token_ids_BT) & inside_BT
    changed_N = torch.zeros_like(kept_N, dtype=torch.bool)
    changed_N[span_BT[differs_BT]] = True
    other_BT = ntxent.renumbered(positive.number_RT, kept_N)
    return {"span": span_BT, "other_span": other_BT, "values": values_N, "changed": changed_N}


def ntxent_with_hard_negatives(
    forms_3NP: Tensor,
    is_changed_N: Tensor,
    values_N: Tensor,
    temperature: Temperature,
    across_processes: bool = False,
) -> LossTerm:
    """NT-Xent of N numbers in two written forms; equal values are excluded as false negatives.

    `forms_3NP` are the numbers as written, in another form, and with another value in the same
    context: where `is_changed_N`, that is one more negative. Without it the context alone would
    tell which two forms belong together. Raises ValueError as `ntxent` does.
    """
    first_NP, second_NP, changed_NP = forms_3NP
    logits_2NK, positive_2N = ntxent.pair_logits(
        first_NP, second_NP, temperature, values_N, across_processes
    )
    both_2NP = torch.cat([first_NP, second_NP])
    changed_2NP = changed_NP.repeat(2, 1)
    hard_2N = (both_2NP * changed_2NP).sum(-1) / temperature
    hard_2N = hard_2N.masked_fill(~is_changed_N.repeat(2), EXCLUDED)
    # one more candidate for each anchor: [2N, 2M] → [2N, 2M + 1]
    logits_2NK = torch.cat([logits_2NK, hard_2N[:, None]], dim=1)
    loss = cross_entropy(logits_2NK, positive_2N, reduction="sum")
    return LossTerm(loss, len(positive_2N))
