"""A momentum encoder, which follows the encoder slowly, and the queue of its keys (He et al. 2020).

Both are part of the state that resuming needs; neither learns by gradients nor is saved with the model. In a
distributed run, every process holds the same copy and the same queue.

Shapes: R rows, T positions, D width, N keys of this process, M of all processes, Q places of the queue, P key width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ssl_lib.batches.views import in_clean_order
from ssl_lib.config import ContrastiveSettings
from ssl_lib.objectives.base import Selection, rows_at
from ssl_lib.objectives.contrastive.gathering import gather
from ssl_lib.objectives.contrastive.losses import NO_LABEL, Keys
from ssl_lib.objectives.contrastive.sentence_encoder import unpacked
from ssl_lib.objectives.contrastive.spans import unit

PARTS = ("token", "document")


class Queue(nn.Module):
    """The last `size` keys of width P with their labels, oldest first to go; places without a key have NO_LABEL."""

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
        rows_NP, labels_N = keys.rows[-size:], keys.labels[-size:]
        places_N = (self.next_place + torch.arange(len(labels_N), device=labels_N.device)) % size
        self.keys_QP[places_N], self.labels_Q[places_N] = rows_NP, labels_N
        self.next_place.add_(len(labels_N)).remainder_(size)


class MomentumEncoder(nn.Module):
    """Copies of `trunk`, `sentences` and both projections, by their names in `online`; they follow them by a running
    mean."""

    def __init__(self, online: Mapping[str, nn.Module], settings: ContrastiveSettings) -> None:
        super().__init__()
        self.copies = nn.ModuleDict(
            {name: copy.deepcopy(module) for name, module in online.items()}
        )
        self.requires_grad_(False)
        self.momentum = settings.momentum
        self.queues = nn.ModuleDict(
            {part: Queue(settings.queue, settings.projection) for part in PARTS}
        )
        self.waiting: dict[int, tuple[Any, dict[str, Keys]]] = {}

    @torch.no_grad()
    def forward(self, selected: Mapping[str, Selection]) -> dict[str, tuple[Keys, int]]:
        """By part, the keys of all processes and where those of this one begin.

        They wait for the end of the step; the same selection seen again replaces its keys.
        """
        token, document = selected["token"], selected["document"]
        ids_RT = token["key_ids"]
        seen_both_ways_R = torch.zeros(len(ids_RT), dtype=torch.bool, device=ids_RT.device)
        hidden_RTD = self.copies["trunk"](ids_RT, token["key_documents"], seen_both_ways_R)
        hidden_RTD = in_clean_order(hidden_RTD, token.tensors.get("key_source"))
        token_NP = unit(self.copies["token_projection"](rows_at(hidden_RTD, token["positions"])))
        spans = (document["span"], len(document["first"]))
        sentences_ND = self.copies["sentences"](hidden_RTD, unpacked(document, 1), *spans)
        document_NP = unit(self.copies["document_projection"](sentences_ND))
        found = {}
        for part, rows_NP in zip(PARTS, (token_NP, document_NP), strict=True):
            all_MP, start = gather(rows_NP)
            found[part] = (Keys(all_MP, gather(selected[part]["labels"]).rows), start)
        self.waiting[id(selected)] = (selected, {part: keys for part, (keys, _) in found.items()})
        return found

    @torch.no_grad()
    def after_step(self, online: Mapping[str, nn.Module], updated: bool) -> None:
        """Move the copies towards `online` and put the step's keys in the queues, unless the step came to nothing."""
        if updated:
            for name, module in online.items():
                for slow, fast in zip(
                    self.copies[name].parameters(), module.parameters(), strict=True
                ):
                    slow.lerp_(fast, 1.0 - self.momentum)
            for _, keys in self.waiting.values():
                for part, queue in self.queues.items():
                    queue.push(keys[part])
        self.waiting.clear()
