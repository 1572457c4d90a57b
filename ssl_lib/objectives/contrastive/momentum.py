"""A momentum encoder and the queue of its keys (MoCo, He et al. 2020): only when asked for.

Its weights are an exponential moving average of the encoder's. Both are part of the state that
resuming needs; neither learns by gradients nor is saved with the model. In a distributed run,
every process holds the same copy and the same queue.

Shapes: R sequences, T positions, D width, N items of this process, M items of all processes,
Q places of the queue, K candidates, A augmented views, P width of an embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssl_lib.batches.views import in_clean_order
from ssl_lib.config import ContrastiveSettings
from ssl_lib.objectives.base import LossTerm, Selections, states_at, unit_length
from ssl_lib.objectives.contrastive.ntxent import (
    EXCLUDED,
    Temperature,
    all_gather,
    check_temperature,
)
from ssl_lib.objectives.contrastive.sentence_encoder import WrittenNumbers

PARTS = ("token", "document")
# of a place in the queue that holds no key yet; labels are not negative
NO_LABEL = -1


class Keys(NamedTuple):
    """Embeddings [K, P] to be picked from, and their labels [K].

    Keys of a query's own label are false negatives, and excluded.
    """

    vectors: Tensor
    labels: Tensor


def momentum_ntxent(
    queries_NP: Tensor, start: int, current: Keys, past: Keys, temperature: Temperature
) -> LossTerm:
    """InfoNCE: each query picks its own key from the current ones and the queue's (eq. 1).

    The key of query n is number start + n of the current ones. Excluded are keys with the query's
    label and empty places of the queue. The sum over N queries is in nats.
    """
    check_temperature(temperature)
    count = len(queries_NP)
    positive_N = start + torch.arange(count, device=queries_NP.device)
    labels_N = current.labels[positive_N]
    labels_K = torch.cat([current.labels, past.labels])
    excluded_NK = (labels_N[:, None] == labels_K) | (labels_K == NO_LABEL)
    excluded_NK.scatter_(1, positive_N[:, None], False)
    vectors_KP = torch.cat([current.vectors, past.vectors])
    logits_NK = queries_NP @ vectors_KP.T / temperature
    logits_NK = logits_NK.masked_fill(excluded_NK, EXCLUDED)
    loss = cross_entropy(logits_NK, positive_N, reduction="sum")
    return LossTerm(loss, count)


class Queue(nn.Module):
    """The last `size` keys of width P with their labels, oldest first to go.

    Places without a key have NO_LABEL.
    """

    keys_QP: Tensor
    labels_Q: Tensor
    next_place: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys_QP", torch.zeros(size, width))
        self.register_buffer("labels_Q", torch.full((size,), NO_LABEL))
        self.register_buffer("next_place", torch.zeros((), dtype=torch.int64))

    @property
    def content(self) -> Keys:
        """Keys and labels of all places."""
        return Keys(self.keys_QP, self.labels_Q)

    @torch.no_grad()
    def push(self, keys: Keys) -> None:
        """Put keys in the places of the oldest ones; of more keys than places, the last ones."""
        size = len(self.labels_Q)
        vectors_NP = keys.vectors[-size:]
        labels_N = keys.labels[-size:]
        count = len(labels_N)
        # a ring: of 4 places, 3 keys from place 2 on go to 2, 3, 0
        places_N = (self.next_place + torch.arange(count, device=labels_N.device)) % size
        self.keys_QP[places_N] = vectors_NP
        self.labels_Q[places_N] = labels_N
        self.next_place.add_(count).remainder_(size)


class MomentumEncoder(nn.Module):
    """EMA copies of `trunk`, `sentences` and both projections, by their names in `online`."""

    def __init__(self, online: Mapping[str, nn.Module], settings: ContrastiveSettings) -> None:
        super().__init__()
        copies = {name: copy.deepcopy(module) for name, module in online.items()}
        self.copies = nn.ModuleDict(copies)
        self.requires_grad_(False)
        self.momentum = settings.momentum
        self.queues = nn.ModuleDict(
            {part: Queue(settings.queue, settings.projection) for part in PARTS}
        )
        # keys of micro-batches whose step has not ended, by the identity of their selections
        self.waiting: dict[int, tuple[Selections, dict[str, Keys]]] = {}

    @torch.no_grad()
    def forward(self, selected: Selections) -> dict[str, tuple[Keys, int]]:
        """By part, the keys of all processes and where those of this one begin.

        They wait for the end of the step; the same selection seen again replaces its keys.
        """
        token = selected["token"]
        document = selected["document"]
        ids_RT = token["key_ids"]
        causal_R = torch.zeros(len(ids_RT), dtype=torch.bool, device=ids_RT.device)
        hidden_RTD = self.copies["trunk"](ids_RT, token["key_documents"], causal_R)
        hidden_RTD = in_clean_order(hidden_RTD, token.tensors.get("key_source"))
        token_ND = states_at(hidden_RTD, token["positions"])
        written = WrittenNumbers.under(1, document.tensors)
        sentence_ND = self.copies["sentences"](
            hidden_RTD, written, document["span"], len(document["first"])
        )
        found = {}
        for part, vectors_ND in (("token", token_ND), ("document", sentence_ND)):
            projection = self.copies[f"{part}_projection"]
            all_MP, start = all_gather(unit_length(projection(vectors_ND)))
            labels_M = all_gather(selected[part]["labels"]).items
            found[part] = (Keys(all_MP, labels_M), start)
        waiting = {part: keys for part, (keys, _) in found.items()}
        # the selection itself is kept, so that its identity stays its own
        self.waiting[id(selected)] = (selected, waiting)
        return found

    def loss_sums(
        self,
        queries: Mapping[str, Tensor],
        selected: Selections,
        temperature: Tensor,
    ) -> dict[str, Tensor]:
        """By part, all views but the second, of `queries` [A, N, P], against the second's keys.

        The loss is averaged over these views.
        """
        found = self(selected)
        sums = {}
        for part, views_ANP in queries.items():
            queue = self.queues[part]
            assert isinstance(queue, Queue)
            current, start = found[part]
            losses = [
                momentum_ntxent(view, start, current, queue.content, temperature).sum
                for index, view in enumerate(views_ANP)
                if index != 1
            ]
            scored = selected[part].count > 0
            sums[part] = torch.stack(losses).mean() if scored else views_ANP.sum() * 0.0
        return sums

    @torch.no_grad()
    def after_step(self, online: Mapping[str, nn.Module], updated: bool) -> None:
        """Move the averages and put the step's keys in the queues, unless it came to nothing."""
        if updated:
            for name, module in online.items():
                pairs = zip(self.copies[name].parameters(), module.parameters(), strict=True)
                for average, current in pairs:
                    average.lerp_(current, 1.0 - self.momentum)
            for _, keys in self.waiting.values():
                for part, queue in self.queues.items():
                    assert isinstance(queue, Queue)
                    queue.push(keys[part])
        self.waiting.clear()
