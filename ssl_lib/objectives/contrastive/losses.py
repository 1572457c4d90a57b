"""The losses of the contrastive objective as functions of unit-length embeddings.

NT-Xent picks the partner of an item among all others; its supervised form draws together all items of one label; the
graded loss makes similarities follow a distance between values. With `everywhere`, the others of an item are those of
all processes; the sum is over the items of this one.

Shapes: N items or pairs of this process, M of all processes, K candidates, Q keys of the queue, P width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import LossTerm
from ssl_lib.objectives.contrastive.gathering import gather

GRADE_TEMPERATURE = 0.1
SMALLEST_CHORD = 0.01  # keeps the gradient finite where two embeddings are the same
NO_LABEL = -1  # of a place in the queue that holds no key yet; labels are not negative


class Keys(NamedTuple):
    """Embeddings [K, P] to be picked from, and their labels [K]: equal labels are no negatives of each other."""

    rows: Tensor
    labels: Tensor


def ntxent(
    first_NP: Tensor,
    second_NP: Tensor,
    temperature: Tensor | float,
    labels_N: Tensor | None = None,
    everywhere: bool = False,
) -> LossTerm:
    """Normalised temperature-scaled cross-entropy of N positive pairs (Chen et al. 2020, eq. 1).

    Both inputs are [N, P] of unit length; rows with the same index are the two views of one item, all other rows are
    negatives, except those with the same label, if labels are given. Returns the sum over the 2N anchors in nats, and
    the count 2N. Raises ValueError if N < 2 (without the pairs of other processes) or the temperature is not positive.
    """
    logits_2NK, positive_2N = _pair_logits(first_NP, second_NP, temperature, labels_N, everywhere)
    return LossTerm(
        functional.cross_entropy(logits_2NK, positive_2N, reduction="sum"), len(positive_2N)
    )


def ntxent_of_equivalents(
    first_NP: Tensor,
    second_NP: Tensor,
    changed_NP: Tensor,
    is_changed_N: Tensor,
    temperature: Tensor | float,
    values_N: Tensor,
    everywhere: bool = False,
) -> LossTerm:
    """NT-Xent of N numbers in two written forms; equal values are no negatives of each other.

    Each number where `is_changed_N` has one more negative: itself in its own context with another value, `changed_NP`.
    Without it the context alone would tell which two forms belong together. Raises ValueError as `ntxent` does.
    """
    logits_2NK, positive_2N = _pair_logits(first_NP, second_NP, temperature, values_N, everywhere)
    near_2N = (torch.cat([first_NP, second_NP]) * changed_NP.repeat(2, 1)).sum(-1) / temperature
    near_2N = near_2N.masked_fill(~is_changed_N.repeat(2), -math.inf)
    logits_2NK = torch.cat([logits_2NK, near_2N[:, None]], dim=1)
    return LossTerm(
        functional.cross_entropy(logits_2NK, positive_2N, reduction="sum"), len(positive_2N)
    )


def supervised(
    items_NP: Tensor, labels_N: Tensor, temperature: Tensor | float, everywhere: bool = False
) -> LossTerm:
    """Supervised contrastive loss (Khosla et al. 2020, eq. 2, L_out) over N items; the sum is in nats, the count is N.

    An item's positives are all others with its label; an item that has none adds nothing. With k positives, an item's
    loss is ln k at least, so the loss of a few large classes stays far from zero.
    """
    _check_temperature(temperature)
    (all_MP, start), (labels_M, _) = gather(items_NP, everywhere), gather(labels_N, everywhere)
    if len(all_MP) < 2:
        return LossTerm(all_MP.sum() * 0.0, len(items_NP))
    itself_NM = _itself(len(items_NP), start, all_MP)
    log_share_NM = (
        (items_NP @ all_MP.T / temperature).masked_fill(itself_NM, -math.inf).log_softmax(-1)
    )
    positive_NM = (labels_N[:, None] == labels_M[None, :]) & ~itself_NM
    total_N = torch.where(positive_NM, log_share_NM, 0.0).sum(-1)
    return LossTerm(-(total_N / positive_NM.sum(-1).clamp_min(1)).sum(), len(items_NP))


def momentum_ntxent(
    queries_NP: Tensor, start: int, current: Keys, past: Keys, temperature: Tensor | float
) -> LossTerm:
    """Cross-entropy of picking each query's own key among the current keys and those of the queue (He et al. 2020, eq.
    1); the sum over N queries is in nats.

    The key of query n is number start + n of the current ones. Keys with the query's label are no negatives, nor are
    empty places of the queue.
    """
    _check_temperature(temperature)
    positive_N = start + torch.arange(len(queries_NP), device=queries_NP.device)
    labels_N = current.labels[positive_N]
    labels_K = torch.cat([current.labels, past.labels])
    excluded_NK = (labels_N[:, None] == labels_K[None, :]) | (labels_K == NO_LABEL)
    excluded_NK.scatter_(1, positive_N[:, None], False)
    logits_NK = queries_NP @ torch.cat([current.rows, past.rows]).T / temperature
    logits_NK = logits_NK.masked_fill(excluded_NK, -math.inf)
    return LossTerm(
        functional.cross_entropy(logits_NK, positive_N, reduction="sum"), len(queries_NP)
    )


def graded_loss(
    numbers_NP: Tensor, scaled_N: Tensor, temperature: Tensor | float, everywhere: bool = False
) -> LossTerm:
    """Divergence (nats) of the similarities of N numbers from the grades of their values; equal values are the
    strongest positives.

    `numbers_NP` have unit length, `scaled_N` are values on the signed logarithmic scale. For every anchor the target
    distribution over the other numbers is softmax(grade / 0.1), the model's is softmax(similarity / temperature). Never
    negative.
    """
    (all_MP, start), (scaled_M, _) = gather(numbers_NP, everywhere), gather(scaled_N, everywhere)
    if len(all_MP) < 2:
        return LossTerm(all_MP.sum() * 0.0, len(scaled_N))
    itself_NM = _itself(len(scaled_N), start, all_MP)
    grades_NM = (
        similarity_of_orders((scaled_N[:, None] - scaled_M[None, :]).abs()) / GRADE_TEMPERATURE
    )
    target = grades_NM.masked_fill(itself_NM, -math.inf).softmax(-1)
    similarity = (
        (numbers_NP @ all_MP.T / temperature).masked_fill(itself_NM, -math.inf).log_softmax(-1)
    )
    divergence = torch.where(target > 0, target * (target.clamp_min(1e-30).log() - similarity), 0.0)
    return LossTerm(divergence.sum(), len(scaled_N))


def graded_distance_loss(cosine_Q: Tensor, grades_Q: Tensor) -> LossTerm:
    """Squared error of the distance on the unit sphere from the one that the grade, a cosine, asks for, over Q pairs.

    The distance, sqrt(2 - 2 cosine), tells near pairs apart: a cosine of 0.94 in place of 1 is off by 0.35 of it.
    """
    error_Q = _chord(cosine_Q) - _chord(grades_Q)
    return LossTerm(error_Q.square().sum(), len(error_Q))


def _chord(cosine_Q: Tensor) -> Tensor:
    return (2.0 - 2.0 * cosine_Q).clamp_min(0.0).add(SMALLEST_CHORD**2).sqrt()


def _pair_logits(
    first_NP: Tensor,
    second_NP: Tensor,
    temperature: Tensor | float,
    labels_N: Tensor | None,
    everywhere: bool,
) -> tuple[Tensor, Tensor]:
    """Logits [2N, 2M] of both views against both views of all pairs, and where the partners of the 2N anchors stand."""
    _check_temperature(temperature)
    count, device = len(first_NP), first_NP.device
    pairs_MP, start = gather(torch.cat([first_NP, second_NP], dim=1), everywhere)
    total = len(pairs_MP)
    if total < 2 and not everywhere:
        raise ValueError(f"NT-Xent needs at least 2 pairs, got {total}")
    both_2NP, both_2MP = torch.cat([first_NP, second_NP]), torch.cat(pairs_MP.chunk(2, dim=1))
    own_N = start + torch.arange(count, device=device)
    own_2N = torch.cat([own_N, total + own_N])
    positive_2N = (own_2N + total) % (2 * total)
    if labels_N is None:
        excluded = own_2N[:, None] == torch.arange(2 * total, device=device)
    else:
        excluded = (
            labels_N.repeat(2)[:, None] == gather(labels_N, everywhere).rows.repeat(2)[None, :]
        )
        excluded.scatter_(1, positive_2N[:, None], False)
    return (both_2NP @ both_2MP.T / temperature).masked_fill(excluded, -math.inf), positive_2N


def _itself(count: int, start: int, all_MP: Tensor) -> Tensor:
    """[N, M], True where a candidate is the anchor itself: the anchors are candidates `start` to `start + count`."""
    own_N = start + torch.arange(count, device=all_MP.device)
    return own_N[:, None] == torch.arange(len(all_MP), device=all_MP.device)


def _check_temperature(temperature: Tensor | float) -> None:
    value = float(temperature.detach()) if isinstance(temperature, Tensor) else temperature
    if value <= 0:
        raise ValueError(f"temperature must be positive, got {value}")
