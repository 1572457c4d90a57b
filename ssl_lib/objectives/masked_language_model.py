"""Masked tokens: hide 15% of the positions and predict them from both sides (Devlin et al. 2019).

Shapes: B sequences, T positions, D width, V vocabulary, S target positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.corruption import masked_view
from ssl_lib.batches.views import MASKED, View, ViewMaker
from ssl_lib.config import MlmSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Head, Objective, Selection, states_at, vocabulary_loss


class MaskedLanguageModel(Objective):
    """Cross-entropy at the masked positions alone."""

    name = "mlm"
    owns = (MASKED,)

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: MlmSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or MlmSettings(batch_fraction=1.0)
        self.head = Head(self.trunk.width)

    def view_makers(self) -> dict[str, ViewMaker]:
        """The masked view."""
        vocabulary, settings = self.trunk.vocabulary, self.view_settings
        return {MASKED: lambda batch, *chance: masked_view(batch, vocabulary, settings, *chance)}

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """The masked positions and the tokens that stood there."""
        view = views[MASKED]
        tensors = {"positions": view.target_positions_S, "targets": view.targets_S}
        return {self.name: Selection(len(view.target_positions_S), tensors)}

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the masked tokens."""
        chosen = selected[self.name]
        states_SD = self.head(states_at(hidden[MASKED], chosen["positions"]))
        matrix_VD = self.trunk.vocabulary_matrix()
        return {self.name: vocabulary_loss(states_SD, matrix_VD, chosen["targets"])}

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of every position, from bidirectional attention."""
        states_BTD: Tensor = self.head(self.encode(token_ids_BT, causal=False))
        return states_BTD @ self.trunk.vocabulary_matrix().T
