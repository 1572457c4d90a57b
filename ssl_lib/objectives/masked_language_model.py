"""Masked tokens: hide 15% of the positions and predict them from both sides (Devlin et al. 2019).

Shapes: B sequences, T positions, D width, V vocabulary, S target positions.
"""

from __future__ import annotations

from torch import Generator, Tensor

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
    settings: MlmSettings

    def make_heads(self) -> None:
        """A layer before the vocabulary, as BERT has it."""
        self.head = base.Head(self.trunk.width)

    def view_makers(self) -> dict[str, ViewMaker]:
        """The masked view."""
        vocabulary = self.trunk.vocabulary
        settings = self.view_settings
        return {MASKED: lambda batch, *chance: masked_view(batch, vocabulary, settings, *chance)}

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """The masked positions and the tokens that stood there."""
        return {self.name: Selection.of_targets(views[MASKED])}

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Cross-entropy of the masked tokens."""
        chosen = selected[self.name]
        states_SD = base.states_at(hidden[MASKED], chosen["positions"])
        loss = self.token_loss(self.head(states_SD), chosen["targets"])
        return {self.name: loss}

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of every position, from bidirectional attention."""
        hidden_BTD = self.encode(token_ids_BT, causal=False)
        return self.token_logits(self.head(hidden_BTD))
