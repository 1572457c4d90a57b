"""Sequences that grow token by token, with what the model keeps of the positions before.

Shapes: B sequences, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_lib.batches.batch import PADDING_DOCUMENT
from ssl_lib.model.cache import Past
from ssl_lib.predictor.base import ModelInUse


class GrowingSequences:
    """Sequences of any length, padded on the left, so that all of them end together.

    Positions are relative and padding is a document of its own: no state depends on it.
    """

    def __init__(self, model: ModelInUse, sequences: Sequence[Sequence[int]]) -> None:
        self.model = model
        self.pasts = [Past() for _ in range(model.trunk.shape.layers)]
        longest = max(map(len, sequences))
        ids_BT = torch.full((len(sequences), longest), model.special.padding)
        documents_BT = torch.full_like(ids_BT, PADDING_DOCUMENT)
        for row, ids in enumerate(sequences):
            ids_BT[row, longest - len(ids) :] = torch.tensor(ids)
            documents_BT[row, longest - len(ids) :] = 0
        device = model.placement.device
        self.ids_BT, self.documents_BT = ids_BT.to(device), documents_BT.to(device)

    def last_states(self) -> Tensor:
        """Causal states [B, D], float32, of the last positions; earlier ones have run before."""
        with self.model.placement.precision():
            states_BSD = self.model.trunk.extend(self.ids_BT, self.documents_BT, self.pasts)
        return states_BSD[:, -1].float()

    def grow(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        """Go on with these sequences, each with one more token; a row may come several times."""
        device = self.ids_BT.device
        rows_B = torch.tensor(rows, device=device)
        new_B1 = torch.tensor(tokens, device=device)[:, None]
        ids_BT = self.ids_BT[rows_B]
        documents_BT = self.documents_BT[rows_B]
        self.ids_BT = torch.cat([ids_BT, new_B1], dim=1)
        self.documents_BT = torch.cat([documents_BT, torch.zeros_like(new_B1)], dim=1)
        for past in self.pasts:
            past.select(rows_B)
