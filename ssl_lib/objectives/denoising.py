"""Denoising: rebuild the clean tokens of a noised row through a bottleneck (Vincent et al. 2010).

Shapes: R rows, T positions, D width, V vocabulary, S scored positions, Z bottleneck.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.noising import noised_view
from ssl_lib.batches.views import NOISED, View, ViewMaker
from ssl_lib.config import DenoisingSettings
from ssl_lib.model.layers import normalise
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Objective, Selection, rows_at, vocabulary_loss, whole


class DenoisingAutoencoder(Objective):
    """Encoder (the trunk), latent of `bottleneck` channels, decoder; cross-entropy or squared error at the touched
    positions.
    """

    name = "denoising"
    owns = (NOISED,)

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: DenoisingSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or DenoisingSettings(rows=1.0)
        width = self.trunk.width
        self.to_latent = nn.Linear(width, self.settings.bottleneck)
        self.decoder = nn.Sequential(
            nn.Linear(self.settings.bottleneck, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.LayerNorm(width)
        )

    def view_makers(self) -> dict[str, ViewMaker]:
        """The noised view."""
        return {NOISED: lambda batch, *chance: noised_view(batch, self.trunk.vocabulary, whole(self), *chance)}

    def select(self, batch: Batch, views: Mapping[str, View], generator: Generator) -> dict[str, Selection]:
        """The positions that noise has touched."""
        view = views[NOISED]
        return {self.name: Selection(len(view.scored_S), {"positions": view.scored_S, "targets": view.targets_S})}

    def loss_sums(self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]) -> dict[str, Tensor]:
        """Cross-entropy of the clean tokens; with `loss: mse`, the squared distance to their normalised embeddings, D
        times its mean.
        """
        chosen = selected[self.name]
        rebuilt_SD = self.rebuild(rows_at(hidden[NOISED], chosen["positions"]))
        matrix_VD = self.trunk.vocabulary_matrix()
        if self.settings.loss == "ce":
            return {self.name: vocabulary_loss(rebuilt_SD, matrix_VD, chosen["targets"])}
        clean_SD = normalise(functional.embedding(chosen["targets"], matrix_VD.detach()))
        return {self.name: (rebuilt_SD - clean_SD).square().mean(-1).sum()}

    def rebuild(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] through the latent to decoded states [..., D]."""
        return self.decoder(self.to_latent(hidden))

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the clean token at each position."""
        return self.rebuild(self.encode(token_ids_BT, causal=False)) @ self.trunk.vocabulary_matrix().T
