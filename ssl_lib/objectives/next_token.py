"""Next token: predict every token from the ones before it, inside its document (Radford et al. 2019).

Shapes: R rows, T positions, D width, V vocabulary, S scored positions.
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
from ssl_lib.objectives.base import Objective, Selection, rows_at
from ssl_lib.objectives.vocabulary_loss import vocabulary_loss


class NextTokenPredictor(Objective):
    """Cross-entropy on every position that another of its document follows."""

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
        return {
            CAUSAL: lambda batch, generator, emphasis: causal_view(batch, self.trunk.vocabulary)
        }

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """All positions with a successor."""
        view = views[CAUSAL]
        return {
            self.name: Selection(
                len(view.scored_S), {"positions": view.scored_S, "targets": view.targets_S}
            )
        }

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the tokens that follow; outside training without all that serves training alone."""
        chosen = selected[self.name]
        states_SD, targets_S = rows_at(hidden[CAUSAL], chosen["positions"]), chosen["targets"]
        extras = self._extras(targets_S) if self.training else {}
        return {
            self.name: vocabulary_loss(
                states_SD, self.trunk.vocabulary_matrix(), targets_S, **extras
            )
        }

    def _extras(self, targets_S: Tensor) -> dict[str, Any]:
        digits_S = self.trunk.columns.digits_V[targets_S] > 0
        return {
            "label_smoothing": self.settings.label_smoothing,
            "z_loss": self.settings.z_loss,
            "emphasis_S": torch.where(digits_S, self.settings.number_weight, 1.0),
        }

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the token after each position."""
        return self.encode(token_ids_BT, causal=True) @ self.trunk.vocabulary_matrix().T
