"""Vectors: unit-length embeddings of texts, hidden states of their tokens.

Shapes: N texts, P pieces, R sequences that run together, T positions, D width, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ssl_lib.batches.datasets import token_spans
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import Floats, TokenStates, cut_into_pieces
from ssl_lib.predictor.base import ModelInUse


class Embedding(ModelInUse):
    """Texts and tokens as vectors."""

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit-length embeddings, float32 [N, D]; a long text's is the mean of its pieces'.

        Raises ModelError for an empty text.
        """
        contrastive = self.objectives["contrastive"]
        assert isinstance(contrastive, ContrastiveTokenEncoder)
        encoded = self._encode(texts)
        if not all(encoded):
            raise ModelError("an empty text has no embedding; leave it out")
        pieces = cut_into_pieces(encoded, self.context_length)
        # P pieces of N texts: a text's vectors are added up
        vectors_PD = np.zeros((len(pieces), self.width), dtype=np.float32)
        for ran in self._run([piece.ids for piece in pieces], causal=False):
            found_RD = contrastive.embed(ran.hidden_RTD, ran.ids_RT, ran.documents_RT)
            found_RD = found_RD.float().cpu()
            vectors_PD[ran.indices] = found_RD.numpy()
        sums_ND = np.zeros((len(texts), self.width), dtype=np.float32)
        np.add.at(sums_ND, [piece.owner for piece in pieces], vectors_PD)
        lengths_N1 = np.linalg.norm(sums_ND, axis=1, keepdims=True)
        lengths_N1 = lengths_N1.clip(1e-12)
        unit_ND: Floats = sums_ND / lengths_N1
        return unit_ND

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> list[TokenStates]:
        """Hidden states [T, D] of every text's tokens, with bidirectional attention.

        A token sees its piece of at most `model.context_length` tokens. With `every_layer` the
        states in front of the first of the L layers and behind each stand side by side,
        [T, (L + 1) * D].
        """
        return self._states(texts, causal=False, every_layer=every_layer)

    def causal_states(self, texts: Sequence[str]) -> list[TokenStates]:
        """Hidden states [T, D] of every text's tokens, each seeing only what stands before it."""
        return self._states(texts, causal=True)

    @torch.no_grad()
    def _states(
        self, texts: Sequence[str], causal: bool, every_layer: bool = False
    ) -> list[TokenStates]:
        width = self.width
        if every_layer:
            width *= self.trunk.shape.layers + 1
        encoded = self._encode(texts)
        found = []
        for text, ids in zip(texts, encoded, strict=True):
            states_TD = np.zeros((len(ids), width), dtype=np.float32)
            found.append(TokenStates(states_TD, token_spans(self.encoding, text, ids)))
        pieces = cut_into_pieces(encoded, self.context_length)
        for ran in self._run([piece.ids for piece in pieces], causal, every_layer):
            hidden_RTD = ran.hidden_RTD.cpu().numpy()
            for hidden_TD, index in zip(hidden_RTD, ran.indices, strict=True):
                owner, start, piece = pieces[index]
                end = start + len(piece)
                found[owner].states[start:end] = hidden_TD[: len(piece)]
        return found
