"""Next token: predict every token from those before it, inside its document (Radford et al. 2019).

Shapes: B sequences, T positions, D width, V vocabulary, S target positions.
"""

from __future__ import annotations

from typing import Any

from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.views import CAUSAL, ViewMaker, causal_view
from ssl_lib.config import NtpSettings
from ssl_lib.objectives.base import Objective, Selection, Selections, States, Views, states_at


class NextTokenPredictor(Objective):
    """Cross-entropy at every position that another of its document follows."""

    name = "ntp"
    owns = (CAUSAL,)
    default_settings = NtpSettings()
    settings: NtpSettings

    def view_makers(self) -> dict[str, ViewMaker]:
        """The clean causal view."""
        vocabulary = self.trunk.vocabulary
        return {CAUSAL: lambda batch, *chance: causal_view(batch, vocabulary)}

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """All positions with a successor, and that successor."""
        return {self.name: Selection.of_targets(views[CAUSAL])}

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Cross-entropy of the tokens that follow; outside training plain, without extras."""
        chosen = selected[self.name]
        targets_S = chosen["targets"]
        states_SD = states_at(hidden[CAUSAL], chosen["positions"])
        extras: dict[str, Any] = {"gradient_weights_S": self.number_weights(targets_S)}
        if self.training:
            extras["label_smoothing"] = self.settings.label_smoothing
            extras["z_loss"] = self.settings.z_loss
        return {self.name: self.token_loss(states_SD, targets_S, **extras)}

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the token after each position."""
        return self.token_logits(self.encode(token_ids_BT, causal=True))
