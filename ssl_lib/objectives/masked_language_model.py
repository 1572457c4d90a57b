"""Masked tokens: hide 15% of the positions and predict them from both sides (Devlin et al. 2019).

With `shifted` the state of the token before predicts each, as next-token prediction has it, so that
what either learns serves both (GPT-BERT, Charpentier and Samuel 2024).

Shapes: B sequences, T positions, D width, V vocabulary, S target positions.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.corruption import masked_view
from ssl_lib.batches.views import MASKED, ViewMaker
from ssl_lib.config import MlmSettings
from ssl_lib.objectives import base
from ssl_lib.objectives.base import Selection, Selections, States, Views


class MaskedLanguageModel(base.Objective):
    """Cross-entropy at the masked positions alone."""

    name = "mlm"
    owns = (MASKED,)
    default_settings = MlmSettings(batch_fraction=1.0)
    held_out: ClassVar = {"batch_fraction": 1.0, "mask_rate": 0.15}
    settings: MlmSettings

    def make_heads(self) -> None:
        """A layer before the vocabulary, as BERT has it, and what tells a first token."""
        width = self.trunk.width
        self.head = Head(width)
        self.first = nn.Parameter(torch.zeros(width)) if self.settings.shifted else None

    def view_makers(self) -> dict[str, ViewMaker]:
        """The masked view."""
        vocabulary = self.trunk.vocabulary
        settings = self.view_settings
        return {MASKED: lambda batch, *chance: masked_view(batch, vocabulary, settings, *chance)}

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """The masked positions and the tokens that stood there."""
        view = views[MASKED]
        return {self.name: Selection.of_targets(view, documents=view.document_ids_RT)}

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Cross-entropy of the masked tokens."""
        chosen = selected[self.name]
        states_RTD = self.read(hidden[MASKED], chosen["documents"])
        states_SD = base.states_at(states_RTD, chosen["positions"])
        targets_S = chosen["targets"]
        weights_S = self.number_weights(targets_S)
        loss = self.token_loss(self.head(states_SD), targets_S, gradient_weights_S=weights_S)
        return {self.name: loss}

    def read(self, hidden_RTD: Tensor, document_ids_RT: Tensor) -> Tensor:
        """The state [R, T, D] from which the head predicts the token at each position."""
        if self.first is None:
            return hidden_RTD
        return base.states_before(hidden_RTD, document_ids_RT, self.first)

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of every position, from bidirectional attention."""
        ids_BT = base.as_batch(token_ids_BT)
        hidden_BTD = self.encode(ids_BT, causal=False)
        states_BTD = self.read(hidden_BTD, self.one_document(ids_BT))
        return self.token_logits(self.head(states_BTD))


class Head(nn.Module):
    """A residual layer and a norm between a state and the vocabulary (BERT, Devlin et al. 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        inner = gelu(self.fc1(hidden))
        outer: Tensor = self.norm(hidden + self.fc2(inner))
        return outer
