"""Noisy text rebuilt.

Shapes: R sequences that run together, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ssl_lib.objectives.denoising import DenoisingAutoencoder
from ssl_lib.predictor.base import ModelInUse


class Denoising(ModelInUse):
    """Other tokens where the decoder is sure of them."""

    def denoise(self, text: str, threshold: float = 0.5) -> str:
        """The text, with other tokens where the decoder is sure of them.

        A token is replaced by one whose probability is `threshold` at least. Raises ModelError for
        too much text.
        """
        return self.denoise_texts([text], threshold)[0]

    @torch.no_grad()
    def denoise_texts(self, texts: Sequence[str], threshold: float = 0.5) -> list[str]:
        """`denoise` of many texts."""
        denoising = self.objectives["denoising"]
        assert isinstance(denoising, DenoisingAutoencoder)
        sequences = self._encode(texts)
        found = [""] * len(texts)
        for ran in self._whole(sequences):
            rebuilt_RTD = denoising.rebuild_sequences(ran.hidden_RTD, ran.documents_RT)
            for rebuilt_TD, index in zip(rebuilt_RTD, ran.indices, strict=True):
                # without padding, as which an empty text ran
                own = sequences[index]
                logits_TV = self._logits(rebuilt_TD[: len(own)])
                logits_TV[:, self.special.end] = -torch.inf
                probabilities_TV = logits_TV.softmax(-1)
                probability_T, best_T = probabilities_TV.max(-1)
                own_T = torch.tensor(own, dtype=best_T.dtype, device=best_T.device)
                chosen_T = torch.where(probability_T < threshold, own_T, best_T)
                found[index] = self._decode(chosen_T.tolist())
        return found
