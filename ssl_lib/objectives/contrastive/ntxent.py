"""NT-Xent between augmented views: the terms `token`, `document` and `type`.

| term | selection | loss |
|---|---|---|
| `token` | `select_tokens` | `multi_view_ntxent`: a position finds itself in another view |
| `document` | `select_sentences` | `multi_view_ntxent`: a sentence finds itself in another view |
| `type` | the positions of `token` | `supervised_contrastive`: equal token types, pulled together |

Negatives come from the micro-batch, in a distributed run from those of all processes. At most
`limit` items of a kind take part; they are drawn without replacement and stand in the order of
the batch.

Shapes: B sequences, T positions, A views, N items of this process (one embedding in each view),
M items of all processes, W processes, L items of the process that has most, P width of an
embedding.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, pad

from ssl_lib.batches.batch import Batch, changes, positions_of
from ssl_lib.batches.views import candidates_N, sentence_ids_BT
from ssl_lib.objectives.base import LossTerm
from ssl_lib.tokens.vocabulary import VocabularyTable

Tensors = dict[str, Tensor]
Temperature = Tensor | float

# the logit of a candidate that may not be picked
EXCLUDED = -math.inf
# multipliers of SplitMix64, made to fit int64
_MIXERS = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB)


def select_tokens(
    batch: Batch, present_BT: Tensor, vocabulary: VocabularyTable, limit: int, generator: Generator
) -> Tensors:
    """Positions of ordinary tokens that stand in every augmented view.

    Flat `positions` [N], with their ids as `labels` and their token `types`.
    """
    shared_N = candidates_N(batch, vocabulary) & present_BT.flatten()
    positions_N = draw(positions_of(shared_N), limit, generator)
    labels_N = batch.token_ids_BT.take(positions_N)
    types_N = batch.types_BT.take(positions_N)
    return {"positions": positions_N, "labels": labels_N, "types": types_N}


def select_sentences(
    batch: Batch, present_BT: Tensor, vocabulary: VocabularyTable, limit: int, generator: Generator
) -> Tensors:
    """Sentences of which something stands in every augmented view.

    `span` and `first` as of `select_spans`, `span` without the positions that are missing in a
    view; `labels` [N] tell equal sentences, `owners` [N] are their documents.
    """
    sentence_BT = sentence_ids_BT(batch, vocabulary)
    is_sentence_BT = sentence_BT >= 0
    seen = sentence_BT[present_BT & is_sentence_BT]
    is_seen = torch.bincount(seen, minlength=int(sentence_BT.max()) + 1) > 0
    # one more, for positions outside sentences: their index is -1
    is_seen_BT = is_sentence_BT & pad(is_seen, (0, 1))[sentence_BT]
    chosen = select_spans(torch.where(is_seen_BT, sentence_BT, -1), limit, generator)
    span_BT = chosen["span"]
    first_N = chosen["first"]
    labels_N = content_labels(batch.token_ids_BT, span_BT, len(first_N))
    owners_N = batch.document_ids_BT.take(first_N)
    shown_BT = torch.where(present_BT, span_BT, -1)
    return {"span": shown_BT, "first": first_N, "labels": labels_N, "owners": owners_N}


def select_spans(span_BT: Tensor, limit: int, generator: Generator) -> Tensors:
    """Some of the spans in `span_BT` (-1: none), numbered anew.

    `span` [B, T], and the `first` flat position [N] of each.
    """
    flat_N = span_BT.flatten()
    # one flat row: [-1, 4, 4, 5, -1, 6] → begins at 1, 3 and 5
    begins_N = changes(flat_N) & (flat_N >= 0)
    first_N = draw(positions_of(begins_N), limit, generator)
    return {"span": renumbered(span_BT, flat_N[first_N]), "first": first_N}


def renumbered(span_BT: Tensor, kept_N: Tensor) -> Tensor:
    """The spans with the indices `kept_N` alone, numbered from 0 in that order."""
    # spans [0, 0, 1, 2, -1], kept [2, 0] → [1, 1, -1, 0, -1]
    size = int(span_BT.max()) + 2 if span_BT.numel() else 1
    numbers = torch.full((size,), -1, device=span_BT.device)
    numbers[kept_N] = torch.arange(len(kept_N), device=span_BT.device)
    return torch.where(span_BT >= 0, numbers[span_BT], -1)


def draw(items: Tensor, limit: int, generator: Generator) -> Tensor:
    """At most `limit` of the items, in ascending order."""
    order = torch.randperm(len(items), generator=generator)
    kept = order[:limit].to(items.device)
    return items[kept].sort().values


def content_labels(ids_BT: Tensor, span_BT: Tensor, count: int) -> Tensor:
    """A label [N] from 0 to 2^63 - 1 for each span: equal exactly for equal ids in equal order.

    Two different spans share one with a chance of 2^-63.
    """
    span_T = span_BT.flatten()
    inside_S = positions_of(span_T >= 0)
    span_S = span_T[inside_S]
    first_N = span_T.new_full((count,), span_T.numel())
    first_N = first_N.scatter_reduce(0, span_S, inside_S, "amin")
    place_S = inside_S - first_N[span_S]
    # SplitMix64's finalizer over (id, place); a span's label is the sum over its tokens
    mixed_S = (ids_BT.take(inside_S) + 1) * _MIXERS[0] + place_S * _MIXERS[1]
    mixed_S = (mixed_S ^ (mixed_S >> 31)) * _MIXERS[2]
    mixed_S = mixed_S ^ (mixed_S >> 29)
    sums_N = span_T.new_zeros(count).index_add(0, span_S, mixed_S)
    return sums_N & (2**63 - 1)


def ntxent(
    first_NP: Tensor,
    second_NP: Tensor,
    temperature: Temperature,
    labels_N: Tensor | None = None,
    across_processes: bool = False,
) -> LossTerm:
    """Normalized temperature-scaled cross-entropy of N positive pairs (Chen et al. 2020, eq. 1).

    Both inputs are [N, P] of unit length; items with the same index are the two views of one
    item, all others are negatives, except those with the same label, if labels are given.
    Returns the sum over the 2N anchors in nats, and the count 2N. Raises ValueError if N < 2
    (without the pairs of other processes) or the temperature is not positive.
    """
    logits_2NK, positive_2N = pair_logits(
        first_NP, second_NP, temperature, labels_N, across_processes
    )
    loss = cross_entropy(logits_2NK, positive_2N, reduction="sum")
    return LossTerm(loss, len(positive_2N))


def multi_view_ntxent(
    views_ANP: Tensor, labels_N: Tensor, temperature: Temperature, across_processes: bool = False
) -> LossTerm:
    """NT-Xent of two or more views of N items, averaged over all pairs of views."""
    losses = []
    for first_NP, second_NP in combinations(views_ANP, 2):
        loss = ntxent(first_NP, second_NP, temperature, labels_N, across_processes)
        losses.append(loss.sum)
    mean = torch.stack(losses).mean()
    return LossTerm(mean, 2 * views_ANP.shape[1])


def supervised_contrastive(
    items_NP: Tensor, labels_N: Tensor, temperature: Temperature, across_processes: bool = False
) -> LossTerm:
    """Supervised contrastive loss of N items (Khosla et al. 2020, eq. 2, L_out), in nats.

    An item's positives are all others with its label; an item that has none adds nothing. With k
    positives, an item's loss is ln k at least, so the loss of a few large classes stays far from
    zero. The count is N.
    """
    check_temperature(temperature)
    count = len(items_NP)
    all_MP, start = all_gather(items_NP, across_processes)
    labels_M = all_gather(labels_N, across_processes).items
    if len(all_MP) < 2:
        return LossTerm(all_MP.sum() * 0.0, count)
    self_NM = self_mask(count, start, all_MP)
    logits_NM = items_NP @ all_MP.T / temperature
    log_share_NM = logits_NM.masked_fill(self_NM, EXCLUDED).log_softmax(-1)
    positive_NM = (labels_N[:, None] == labels_M) & ~self_NM
    total_N = torch.where(positive_NM, log_share_NM, 0.0).sum(-1)
    mean_N = total_N / positive_NM.sum(-1).clamp_min(1)
    return LossTerm(-mean_N.sum(), count)


def pair_logits(
    first_NP: Tensor,
    second_NP: Tensor,
    temperature: Temperature,
    labels_N: Tensor | None,
    across_processes: bool,
) -> tuple[Tensor, Tensor]:
    """Logits [2N, 2M] of both views against both views of all pairs, and the positives [2N].

    Excluded is the anchor itself; with labels also every other item of its label: a false
    negative.
    """
    check_temperature(temperature)
    # both views in one exchange: [N, 2P] → [M, 2P]
    pairs_NP = torch.cat([first_NP, second_NP], dim=1)
    pairs_MP, start = all_gather(pairs_NP, across_processes)
    total = len(pairs_MP)
    if total < 2 and not across_processes:
        raise ValueError(f"NT-Xent needs at least 2 pairs, got {total}")
    both_2NP = torch.cat([first_NP, second_NP])
    both_2MP = torch.cat(pairs_MP.chunk(2, dim=1))
    logits_2NK = both_2NP @ both_2MP.T / temperature
    # anchor n of the first view is candidate n, its positive candidate M + n, and the reverse
    candidates_2M = torch.arange(2 * total, device=first_NP.device)
    own_N = candidates_2M[start : start + len(first_NP)]
    own_2N = torch.cat([own_N, total + own_N])
    positive_2N = (own_2N + total) % (2 * total)
    if labels_N is None:
        excluded = own_2N[:, None] == candidates_2M
    else:
        labels_M = all_gather(labels_N, across_processes).items
        excluded = labels_N.repeat(2)[:, None] == labels_M.repeat(2)
        excluded.scatter_(1, positive_2N[:, None], False)
    return logits_2NK.masked_fill(excluded, EXCLUDED), positive_2N


def self_mask(count: int, start: int, all_MP: Tensor) -> Tensor:
    """[N, M], True where a candidate is the anchor itself: anchors are candidates from `start`."""
    candidates_M = torch.arange(len(all_MP), device=all_MP.device)
    return candidates_M[start : start + count, None] == candidates_M


def check_temperature(temperature: Temperature) -> None:
    """Raise ValueError if a temperature is not positive."""
    value = float(torch.as_tensor(temperature).detach())
    if value <= 0:
        raise ValueError(f"temperature must be positive, got {value}")


class Gathered(NamedTuple):
    """Items [M, ...] of all processes by rank; those of this process begin at `start`."""

    items: Tensor
    start: int


def process_count() -> int:
    """Processes that train together; 1 outside a distributed run."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def all_gather(items: Tensor, across_processes: bool = True) -> Gathered:
    """The items [N, ...] of all processes, whose numbers may differ; gradients flow back.

    Every process must call it equally often. With one process, or not `across_processes`, the
    items are given back.
    """
    if not across_processes or process_count() == 1:
        return Gathered(items, 0)
    own = torch.tensor([len(items)], device=items.device)
    found = [torch.empty_like(own) for _ in range(process_count())]
    dist.all_gather(found, own)
    sizes = [int(size) for size in torch.cat(found).tolist()]
    # all to the length of the longest, and cut again afterwards
    padding = (0, 0) * (items.ndim - 1) + (0, max(sizes) - len(items))
    padded = pad(items, padding)
    # torch leaves `apply` without types
    stacked: Tensor = _AllGather.apply(padded)  # type: ignore[no-untyped-call]
    parts = [part[:size] for part, size in zip(stacked, sizes, strict=True)]
    start = sum(sizes[: dist.get_rank()])
    return Gathered(torch.cat(parts), start)


class _AllGather(torch.autograd.Function):
    """Equal shapes [L, ...] of all processes as [W, L, ...].

    An item's gradient is the sum of all processes' gradients.
    """

    @staticmethod
    def forward(ctx: Any, items: Tensor) -> Tensor:
        """All processes' items, by rank."""
        items = items.contiguous()
        gathered = [torch.empty_like(items) for _ in range(process_count())]
        dist.all_gather(gathered, items)
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """This process's share of the sum of all gradients."""
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[dist.get_rank()]
