"""Denoising: rebuild the clean tokens of a corrupted view through a bottleneck.

Token by token (Vincent et al. 2010), or the whole document from one vector (TSDAE, Wang et al.
2021).

Shapes: B sequences of a batch, R sequences of the view, T positions, D width, V vocabulary,
S target positions, Z bottleneck, K documents. A document that goes on in another sequence is two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, document_begins
from ssl_lib.batches.corruption import LONGEST_DELETION, corrupted_view
from ssl_lib.batches.views import CORRUPTED, View, ViewMaker
from ssl_lib.config import DenoisingSettings
from ssl_lib.model.layers import normalize, rotary_table
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import (
    Objective,
    Selection,
    as_batch,
    mean_of_spans,
    states_at,
    vocabulary_loss,
)

PLACE_FEATURES = 64  # cosines and sines of a token's place in its document


class DenoisingAutoencoder(Objective):
    """Encoder (the trunk), latent of `bottleneck` channels, decoder.

    With `mode: token` the latent of each corrupted position rebuilds what stood there; where
    tokens are missing, the position before them rebuilds each of them, told how far it lies
    behind. With `mode: document` the states of a document's positions are averaged, and that one
    latent, with a place, rebuilds the token at every place.
    """

    name = "denoising"
    owns = (CORRUPTED,)

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: DenoisingSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or DenoisingSettings(batch_fraction=1.0)
        width, latent = self.trunk.width, self.settings.bottleneck
        self.by_document = self.settings.mode == "document"
        self.to_latent = nn.Linear(width, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent + PLACE_FEATURES * self.by_document, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
        )
        deletes = self.settings.deletes_tokens and not self.by_document
        self.after = nn.Embedding(LONGEST_DELETION + 1, latent) if deletes else None

    def view_makers(self) -> dict[str, ViewMaker]:
        """The corrupted view."""
        vocabulary, settings = self.trunk.vocabulary, self.view_settings
        return {
            CORRUPTED: lambda batch, *chance: corrupted_view(batch, vocabulary, settings, *chance)
        }

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """The corrupted positions; with `mode: document`, all positions of all documents."""
        view = views[CORRUPTED]
        if self.by_document:
            return {self.name: _all_places(batch.first(len(view.ids_RT)), view)}
        tensors = {"positions": view.target_positions_S, "targets": view.targets_S}
        if view.offsets_S is not None:
            tensors["after"] = view.offsets_S
        return {self.name: Selection(len(view.target_positions_S), tensors)}

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the clean tokens, or with `loss: mse` a squared distance.

        The distance is that of the decoded state from the token's normalized embedding, as a
        mean over D.
        """
        chosen = selected[self.name]
        if self.by_document:
            latent_KZ = self._latent_of_documents(hidden[CORRUPTED], chosen["span"])
            rebuilt_SD = self._at_places(latent_KZ[chosen["documents"]], chosen["places"])
        else:
            states_SD = states_at(hidden[CORRUPTED], chosen["positions"])
            rebuilt_SD = self.rebuild(states_SD, chosen.tensors.get("after"))
        matrix_VD = self.trunk.vocabulary_matrix()
        if self.settings.loss == "ce":
            return {self.name: vocabulary_loss(rebuilt_SD, matrix_VD, chosen["targets"])}
        clean_SD = normalize(functional.embedding(chosen["targets"], matrix_VD.detach()))
        return {self.name: (rebuilt_SD - clean_SD).square().mean(-1).sum()}

    def rebuild(self, hidden: Tensor, after: Tensor | None = None) -> Tensor:
        """Hidden states [..., D] through the latent to decoded states [..., D].

        They are of the tokens `after` [...] places behind the position; None: of the position.
        """
        latent = self.to_latent(hidden)
        if self.after is not None:
            latent = latent + (self.after.weight[0] if after is None else self.after(after))
        decoded: Tensor = self.decoder(latent)
        return decoded

    def rebuild_sequences(self, hidden_RTD: Tensor, document_ids_RT: Tensor) -> Tensor:
        """Decoded states [R, T, D] of the clean tokens of sequences in which nothing is missing."""
        if not self.by_document:
            return self.rebuild(hidden_RTD)
        span_RT, place_RT = document_spans(document_ids_RT)
        latent_KZ = self._latent_of_documents(hidden_RTD, span_RT)
        # one more latent, for the padding: its index is -1
        return self._at_places(functional.pad(latent_KZ, (0, 0, 0, 1))[span_RT], place_RT)

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the clean token at each position."""
        ids_BT = as_batch(token_ids_BT)
        hidden_BTD = self.encode(ids_BT, causal=False)
        rebuilt_BTD = self.rebuild_sequences(hidden_BTD, self.one_document(ids_BT))
        return rebuilt_BTD @ self.trunk.vocabulary_matrix().T

    def _latent_of_documents(self, hidden_RTD: Tensor, span_RT: Tensor) -> Tensor:
        """Latent [K, Z] of the mean state of each document."""
        mean_KD = mean_of_spans(hidden_RTD, span_RT, int(span_RT.max()) + 1)
        latent_KZ: Tensor = self.to_latent(mean_KD)
        return latent_KZ

    def _at_places(self, latent: Tensor, place: Tensor) -> Tensor:
        """Decoded states [..., D] of latents [..., Z] at places [...] of their documents."""
        places = int(place.max()) + 1 if place.numel() else 1
        table = torch.cat(rotary_table(places, PLACE_FEATURES, latent.device), dim=-1)
        decoded: Tensor = self.decoder(torch.cat([latent, table[place].to(latent.dtype)], dim=-1))
        return decoded


def document_spans(document_ids_RT: Tensor) -> tuple[Tensor, Tensor]:
    """The document of each position, counted over all sequences, and the place in it, each [R, T].

    Documents are numbered from 0, padding is -1; places are counted from 0.
    """
    # one sequence [7, 7, 9, 9, 9, -1] → documents [0, 0, 1, 1, 1, -1], places [0, 1, 0, 1, 2, 0]
    begins_RT = document_begins(document_ids_RT)
    real_RT = document_ids_RT != PADDING_DOCUMENT
    index_N = torch.arange(begins_RT.numel(), device=begins_RT.device)
    first_N = torch.where(begins_RT.flatten(), index_N, 0).cummax(0).values
    span_N = (begins_RT & real_RT).flatten().long().cumsum(0) - 1
    span_RT = torch.where(real_RT, span_N.view_as(real_RT), -1)
    return span_RT, (index_N - first_N).view_as(real_RT)


def _all_places(batch: Batch, view: View) -> Selection:
    """All clean tokens of a batch, each with its document and its place.

    `span` is the document of every position that stands in the view; no document is missing from
    it as a whole.
    """
    span_BT, place_BT = document_spans(batch.document_ids_BT)
    inside_S = batch.real_BT.flatten().nonzero()[:, 0]
    tensors = {
        "span": torch.where(view.present_RT(), span_BT, -1),
        "documents": span_BT.flatten()[inside_S],
        "places": place_BT.flatten()[inside_S],
        "targets": batch.token_ids_BT.flatten()[inside_S],
    }
    return Selection(len(inside_S), tensors)
