"""Noisy text rebuilt.

Shapes: R sequences that run together, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ssl_lib.batches.datasets import token_spans
from ssl_lib.objectives.denoising import DenoisingAutoencoder
from ssl_lib.predictions import Floats, Ints, cut_into_pieces
from ssl_lib.predictor.base import ModelInUse


class Change(NamedTuple):
    """The characters [start, end) of a text, what stands there now, and how sure the model is."""

    start: int
    end: int
    before: str
    after: str
    probability: float


class Denoised(NamedTuple):
    """A rebuilt text, and where it differs from the one that was given."""

    text: str
    changes: list[Change]


class Denoising(ModelInUse):
    """Other tokens where the decoder is sure of them."""

    def denoise(self, text: str, threshold: float | None = None) -> str:
        """The text, with other tokens where the decoder is sure of them.

        A token is replaced by one whose probability is `threshold` at least; by default that of the
        model, which leaves 99.5% of the tokens of clean validation text alone. Long texts are read
        in windows that overlap by half.
        """
        return self.denoise_texts([text], threshold)[0]

    def denoise_texts(self, texts: Sequence[str], threshold: float | None = None) -> list[str]:
        """`denoise` of many texts."""
        return [one.text for one in self.denoised(texts, threshold)]

    def denoised(self, texts: Sequence[str], threshold: float | None = None) -> list[Denoised]:
        """`denoise` of many texts, with what was changed; neighboring tokens are one change."""
        if threshold is None:
            threshold = self.calibration.denoising_threshold
        sequences = self._encode(texts)
        found = []
        rebuilt = self.rebuilt(sequences)
        for text, ids, (best_T, probability_T) in zip(texts, sequences, rebuilt, strict=True):
            own_T = np.array(ids, dtype=np.int64)
            replaced_T = (best_T != own_T) & (probability_T >= threshold)
            chosen_T = np.where(replaced_T, best_T, own_T)
            spans_T2 = token_spans(self.encoding, text, ids)
            changes = []
            place = 0
            while place < len(ids):
                end = place + 1
                if replaced_T[place]:
                    while end < len(ids) and replaced_T[end]:
                        end += 1
                    first, last = int(spans_T2[place, 0]), int(spans_T2[end - 1, 1])
                    after = self._decode(chosen_T[place:end].tolist())
                    sure = float(probability_T[place:end].prod())
                    changes.append(Change(first, last, text[first:last], after, sure))
                place = end
            whole = self._decode(chosen_T.tolist()) if changes else text
            found.append(Denoised(whole, changes))
        return found

    @torch.no_grad()
    def rebuilt(self, sequences: Sequence[Sequence[int]]) -> list[tuple[Ints, Floats]]:
        """The most probable clean token at each position, and its probability, [T] each.

        It is that of the geometric mean of the decoder, which sees the noisy token and both sides,
        and of the causal head, which sees what stands before.
        """
        denoising = self.objectives["denoising"]
        assert isinstance(denoising, DenoisingAutoencoder)
        best = [np.zeros(len(ids), dtype=np.int64) for ids in sequences]
        probability = [np.zeros(len(ids), dtype=np.float32) for ids in sequences]
        half = self.context_length // 2
        pieces = cut_into_pieces(sequences, self.context_length, overlap=half)
        texts = [piece.ids for piece in pieces]
        both = zip(self._run(texts, causal=False), self._run(texts, causal=True), strict=True)
        for ran, causal in both:
            rebuilt_RTD = denoising.rebuild_sequences(ran.hidden_RTD, ran.documents_RT)
            rows = zip(rebuilt_RTD, causal.hidden_RTD, ran.indices, strict=True)
            for rebuilt_TD, before_TD, index in rows:
                owner, start, ids = pieces[index]
                logits_TV = self._logits(rebuilt_TD[: len(ids)]).log_softmax(-1)
                # the state of a position predicts the token that follows it
                causal_TV = self._logits(before_TD[: len(ids) - 1]).log_softmax(-1)
                logits_TV[1:] = 0.5 * (logits_TV[1:] + causal_TV)
                logits_TV[:, self.special.end] = -torch.inf
                values_T, tokens_T = logits_TV.softmax(-1).max(-1)
                # a token counts in the window in whose middle half it lies, or at the text's ends
                first = start + half // 2 if start else 0
                end = start + len(ids)
                if end < len(sequences[owner]):
                    end = start + half + half // 2
                kept = slice(first, end)
                inside = slice(kept.start - start, kept.stop - start)
                best[owner][kept] = tokens_T[inside].cpu().numpy()
                probability[owner][kept] = values_T[inside].cpu().numpy()
        return list(zip(best, probability, strict=True))
