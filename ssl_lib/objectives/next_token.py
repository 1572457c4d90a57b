"""Next token: predict every token from those before it, inside its document (Radford et al. 2019).

Shapes: B sequences, T positions, D width, V vocabulary, S target positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.views import CAUSAL, View, ViewMaker, causal_view
from ssl_lib.config import NtpSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Objective, Selection, states_at, vocabulary_loss


class NextTokenPredictor(Objective):
    """Cross-entropy at every position that another of its document follows."""

    name = "ntp"
    owns = (CAUSAL,)

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: NtpSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or NtpSettings()

    def view_makers(self) -> dict[str, ViewMaker]:
        """The clean causal view."""
        vocabulary = self.trunk.vocabulary
        return {CAUSAL: lambda batch, *chance: causal_view(batch, vocabulary)}

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """All positions with a successor, and that successor."""
        view = views[CAUSAL]
        tensors = {"positions": view.target_positions_S, "targets": view.targets_S}
        return {self.name: Selection(len(view.target_positions_S), tensors)}

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the tokens that follow; outside training plain, without extras."""
        positions_S, targets_S = selected[self.name]["positions"], selected[self.name]["targets"]
        states_SD = states_at(hidden[CAUSAL], positions_S)
        matrix_VD = self.trunk.vocabulary_matrix()
        if not self.training:
            return {self.name: vocabulary_loss(states_SD, matrix_VD, targets_S)}
        # a token of digits counts number_weight times in the gradient, not in the loss
        digits_S = self.trunk.columns.digits_V[targets_S] > 0
        loss = vocabulary_loss(
            states_SD,
            matrix_VD,
            targets_S,
            label_smoothing=self.settings.label_smoothing,
            z_loss=self.settings.z_loss,
            gradient_weights_S=torch.where(digits_S, self.settings.number_weight, 1.0),
        )
        return {self.name: loss}

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the token after each position."""
        return self.encode(token_ids_BT, causal=True) @ self.trunk.vocabulary_matrix().T
