"""Numbers as near as their values, and next to their other written forms.

| term | selection | loss |
|---|---|---|
| `number` | `select_numbers` | `number_similarity_loss`: target similarities from the values |
| `equivalent` | `select_equivalents` | `ntxent_with_hard_negatives`: "1,500" finds "1.5 thousand" |

Shapes: B sequences, T positions, N numbers of this process, M numbers of all processes, P width
of an embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.rewriting import EquivalentFormView
from ssl_lib.batches.views import View
from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import LossTerm
from ssl_lib.objectives.contrastive.ntxent import (
    Tensors,
    all_gather,
    draw,
    pair_logits,
    renumbered,
    select_spans,
    self_mask,
)
from ssl_lib.objectives.numerical import scaled

TARGET_TEMPERATURE = 0.1  # of the softmax that makes target similarities a distribution


def select_numbers(batch: Batch, limit: int, generator: Generator) -> Tensors:
    """Numbers with a usable value: `span` and `first` as of `select_spans`, and `scaled` [N].

    `scaled` are their values on the number scale.
    """
    chosen = select_spans(number_index_BT(batch), limit, generator)
    return {**chosen, "scaled": scaled(batch.values_BT.flatten()[chosen["first"]])}


def number_similarity_loss(
    numbers_NP: Tensor,
    scaled_N: Tensor,
    temperature: Tensor | float,
    across_processes: bool = False,
) -> LossTerm:
    """Soft-label contrastive loss of N numbers: similarities follow those of the values.

    `numbers_NP` have unit length, `scaled_N` are values on the number scale. For every anchor the
    target distribution over the other numbers is softmax(target similarity / 0.1), the model's is
    softmax(cosine / temperature); the loss is the Kullback-Leibler divergence in nats, never
    negative. Equal values are the strongest positives.
    """
    all_MP, start = all_gather(numbers_NP, across_processes)
    scaled_M = all_gather(scaled_N, across_processes).items
    if len(all_MP) < 2:
        return LossTerm(all_MP.sum() * 0.0, len(scaled_N))
    self_NM = self_mask(len(scaled_N), start, all_MP)
    orders_NM = (scaled_N[:, None] - scaled_M[None, :]).abs()
    wanted_NM = similarity_of_orders(orders_NM) / TARGET_TEMPERATURE
    target_NM = wanted_NM.masked_fill(self_NM, -math.inf).softmax(-1)
    logits_NM = (numbers_NP @ all_MP.T / temperature).masked_fill(self_NM, -math.inf)
    log_ratio_NM = target_NM.clamp_min(1e-30).log() - logits_NM.log_softmax(-1)
    divergence_NM = torch.where(target_NM > 0, target_NM * log_ratio_NM, 0.0)
    return LossTerm(divergence_NM.sum(), len(scaled_N))


def select_equivalents(
    batch: Batch, negative: View, positive: EquivalentFormView, limit: int, generator: Generator
) -> Tensors:
    """Numbers that the view of equivalent forms shows in another form.

    `span` and `other_span` [B, T] mark them in the anchors and in that view, `values` [N] tell
    equal ones, `changed` [N] those that have another value in the view of hard negatives.
    """
    rewritten_N = positive.number_RT[positive.number_RT >= 0].unique()
    kept_N = draw(rewritten_N, limit, generator)
    span_BT = renumbered(number_index_BT(batch), kept_N)
    span_T, inside_T = span_BT.flatten(), (span_BT >= 0).flatten()
    values_N = batch.values_BT.new_zeros(len(kept_N))
    values_N[span_T[inside_T]] = batch.values_BT.flatten()[inside_T]
    changed_N = torch.zeros(len(kept_N), dtype=torch.bool, device=span_T.device)
    differs_T = (negative.ids_RT != batch.token_ids_BT).flatten() & inside_T
    changed_N[span_T[differs_T]] = True
    other_BT = renumbered(positive.number_RT, kept_N)
    return {"span": span_BT, "other_span": other_BT, "values": values_N, "changed": changed_N}


def ntxent_with_hard_negatives(
    first_NP: Tensor,
    second_NP: Tensor,
    changed_NP: Tensor,
    is_changed_N: Tensor,
    temperature: Tensor | float,
    values_N: Tensor,
    across_processes: bool = False,
) -> LossTerm:
    """NT-Xent of N numbers in two written forms; equal values are excluded as false negatives.

    Each number where `is_changed_N` has one more negative: itself in its own context with another
    value, `changed_NP`. Without it the context alone would tell which two forms belong together.
    Raises ValueError as `ntxent` does.
    """
    logits_2NK, positive_2N = pair_logits(
        first_NP, second_NP, temperature, values_N, across_processes
    )
    both_2NP, changed_2NP = torch.cat([first_NP, second_NP]), changed_NP.repeat(2, 1)
    hard_2N = (both_2NP * changed_2NP).sum(-1) / temperature
    hard_2N = hard_2N.masked_fill(~is_changed_N.repeat(2), -math.inf)
    logits_2NK = torch.cat([logits_2NK, hard_2N[:, None]], dim=1)
    loss = functional.cross_entropy(logits_2NK, positive_2N, reduction="sum")
    return LossTerm(loss, len(positive_2N))
