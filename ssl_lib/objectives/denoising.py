"""Denoising: rebuild the clean tokens of a corrupted view through a bottleneck.

Token by token (Vincent et al. 2010), or the whole document from one vector (TSDAE, Wang et al.
2021).

Shapes: B sequences of a batch, R sequences of the view, T positions, D width, V vocabulary,
S target positions, Z bottleneck, K documents. A document that goes on in another sequence is two.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import embedding, pad

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, changes, count_up, positions_of
from ssl_lib.batches.corruption import LONGEST_DELETION, corrupted_view, deletes_tokens
from ssl_lib.batches.views import CORRUPTED, View, ViewMaker
from ssl_lib.config import DenoisingSettings
from ssl_lib.model.layers import normalize, rotary_table
from ssl_lib.objectives import base
from ssl_lib.objectives.base import Selection, Selections, States, Views

# cosines and sines of a token's place in its document
PLACE_FEATURES = 64


class DenoisingAutoencoder(base.Objective):
    """Encoder (the trunk), latent of `bottleneck` channels, decoder.

    With `mode: token` the latent of each corrupted position rebuilds what stood there; where
    tokens are missing, the position before them rebuilds each of them, told how far it lies
    behind. With `mode: document` the states of a document's positions are averaged, and that one
    latent, with a place, rebuilds the token at every place.
    """

    name = "denoising"
    owns = (CORRUPTED,)
    default_settings = DenoisingSettings(batch_fraction=1.0)
    held_out: ClassVar = {"batch_fraction": 1.0, "noise_rate": 0.15}
    settings: DenoisingSettings

    def make_heads(self) -> None:
        """The bottleneck, the decoder, and what tells the latter of missing tokens."""
        width = self.trunk.width
        latent = self.settings.bottleneck
        self.by_document = self.settings.mode == "document"
        self.to_latent = nn.Linear(width, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent + PLACE_FEATURES * self.by_document, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
        )
        missing = deletes_tokens(self.settings) and not self.by_document
        # a missing token is rebuilt by the one before it in any case
        shifted = self.settings.shifted and not missing and not self.by_document
        self.first = nn.Parameter(torch.zeros(width)) if shifted else None
        self.offset_embedding = nn.Embedding(LONGEST_DELETION + 1, latent) if missing else None

    def view_makers(self) -> dict[str, ViewMaker]:
        """The corrupted view."""
        vocabulary = self.trunk.vocabulary
        settings = self.view_settings
        return {
            CORRUPTED: lambda batch, *chance: corrupted_view(batch, vocabulary, settings, *chance)
        }

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """The corrupted positions; with `mode: document`, all positions of all documents."""
        view = views[CORRUPTED]
        if self.by_document:
            clean = batch.first(len(view.ids_RT))
            return {self.name: _all_places(clean, view)}
        more = {"documents": view.document_ids_RT}
        if view.offsets_S is not None:
            more["offsets"] = view.offsets_S
        return {self.name: Selection.of_targets(view, **more)}

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Cross-entropy of the clean tokens, or with `loss: mse` a squared distance.

        The distance is that of the decoded state from the token's normalized embedding, as a
        mean over D.
        """
        chosen = selected[self.name]
        hidden_RTD = hidden[CORRUPTED]
        if self.by_document:
            latent_KZ = self._latent_of_documents(hidden_RTD, chosen["span"])
            rebuilt_SD = self._at_places(latent_KZ[chosen["documents"]], chosen["places"])
        else:
            states_RTD = self.read(hidden_RTD, chosen["documents"])
            states_SD = base.states_at(states_RTD, chosen["positions"])
            rebuilt_SD = self.rebuild(states_SD, chosen.tensors.get("offsets"))
        targets_S = chosen["targets"]
        if self.settings.loss == "ce":
            weights_S = self.number_weights(targets_S)
            loss = self.token_loss(rebuilt_SD, targets_S, gradient_weights_S=weights_S)
            return {self.name: loss}
        matrix_VD = self.trunk.vocabulary_matrix().detach()
        # the embedding is no target that may move: without its gradient, all could become one
        clean_SD = normalize(embedding(targets_S, matrix_VD))
        error_S = (rebuilt_SD - clean_SD).square().mean(-1)
        return {self.name: error_S.sum()}

    def read(self, hidden_RTD: Tensor, document_ids_RT: Tensor) -> Tensor:
        """The state [R, T, D] from which the token at each position is rebuilt."""
        if self.first is None:
            return hidden_RTD
        return base.states_before(hidden_RTD, document_ids_RT, self.first)

    def rebuild(self, hidden: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Hidden states [..., D] through the latent to decoded states [..., D].

        They are of the tokens `offsets` [...] places behind the position; None: of the position.
        """
        latent = self.to_latent(hidden)
        if self.offset_embedding is not None:
            here = self.offset_embedding.weight[0]
            latent = latent + (here if offsets is None else self.offset_embedding(offsets))
        decoded: Tensor = self.decoder(latent)
        return decoded

    def rebuild_sequences(self, hidden_RTD: Tensor, document_ids_RT: Tensor) -> Tensor:
        """Decoded states [R, T, D] of the clean tokens of sequences in which nothing is missing."""
        if not self.by_document:
            return self.rebuild(self.read(hidden_RTD, document_ids_RT))
        span_RT, place_RT = document_spans(document_ids_RT)
        latent_KZ = self._latent_of_documents(hidden_RTD, span_RT)
        # one more latent, for the padding: its index is -1
        latent_RTZ = pad(latent_KZ, (0, 0, 0, 1))[span_RT]
        return self._at_places(latent_RTZ, place_RT)

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of the clean token at each position."""
        ids_BT = base.as_batch(token_ids_BT)
        hidden_BTD = self.encode(ids_BT, causal=False)
        rebuilt_BTD = self.rebuild_sequences(hidden_BTD, self.one_document(ids_BT))
        return self.token_logits(rebuilt_BTD)

    def _latent_of_documents(self, hidden_RTD: Tensor, span_RT: Tensor) -> Tensor:
        """Latent [K, Z] of the mean state of each document."""
        documents = int(span_RT.max()) + 1
        latent_KZ: Tensor = self.to_latent(base.mean_of_spans(hidden_RTD, span_RT, documents))
        return latent_KZ

    def _at_places(self, latent: Tensor, place: Tensor) -> Tensor:
        """Decoded states [..., D] of latents [..., Z] at places [...] of their documents."""
        places = int(place.max()) + 1 if place.numel() else 1
        table = torch.cat(rotary_table(places, PLACE_FEATURES, latent.device), dim=-1)
        features = table[place].to(latent.dtype)
        decoded: Tensor = self.decoder(torch.cat([latent, features], dim=-1))
        return decoded


def document_spans(document_ids_RT: Tensor) -> tuple[Tensor, Tensor]:
    """The document of each position, counted over all sequences, and the place in it, each [R, T].

    Both begin with 0; on padding the document is -1.
    """
    # [7, 7, 9, 9, 9, -1] → documents [0, 0, 1, 1, 1, -1], places [0, 1, 0, 1, 2, 0]
    begins_RT = changes(document_ids_RT)
    real_RT = document_ids_RT != PADDING_DOCUMENT
    index_N = torch.arange(begins_RT.numel(), device=begins_RT.device)
    first_N = torch.where(begins_RT.flatten(), index_N, 0).cummax(0).values
    span_RT = torch.where(real_RT, count_up(begins_RT & real_RT), -1)
    return span_RT, (index_N - first_N).view_as(real_RT)


def _all_places(batch: Batch, view: View) -> Selection:
    """All clean tokens of a batch, each with its document and its place.

    `span` is the document of every position that stands in the view; no document is missing from
    it as a whole.
    """
    span_BT, place_BT = document_spans(batch.document_ids_BT)
    inside_S = positions_of(batch.real_BT)
    tensors = {
        "span": torch.where(view.present_RT(), span_BT, -1),
        "documents": span_BT.take(inside_S),
        "places": place_BT.take(inside_S),
        "targets": batch.token_ids_BT.take(inside_S),
    }
    return Selection(len(inside_S), tensors)
