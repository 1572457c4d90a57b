"""What stands where a text is masked.

Shapes: N texts, R sequences that run together, T positions, D width, S masked positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ssl_lib.batches.datasets import token_spans
from ssl_lib.objectives.masked_language_model import MaskedLanguageModel
from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import Flags
from ssl_lib.predictor.base import ModelInUse
from ssl_lib.tokens.encodings import encode

MASK = "[MASK]"


class Filling(ModelInUse):
    """Masked tokens restored."""

    def fill_mask(self, text: str, k: int = 1) -> list[tuple[str, float]]:
        """For each `[MASK]`, its k most probable tokens with their probabilities.

        Raises ModelError if there is none, or too much text.
        """
        (masks,) = self.fill_masks([text], k)
        return [candidate for candidates in masks for candidate in candidates]

    @torch.no_grad()
    def fill_masks(self, texts: Sequence[str], k: int = 1) -> list[list[list[tuple[str, float]]]]:
        """For each text, for each of its `[MASK]`s, the k most probable tokens."""
        mlm = self.objectives["mlm"]
        assert isinstance(mlm, MaskedLanguageModel)
        sequences = []
        for text in texts:
            first, *others = text.split(MASK)
            if not others:
                raise ModelError(f"the text holds no {MASK}; write {MASK} where a token is missing")
            ids = encode(self.encoding, first)
            for piece in others:
                ids += [self.special.mask, *encode(self.encoding, piece)]
            sequences.append(ids)
        found: dict[int, list[list[tuple[str, float]]]] = {}
        for ran in self._whole(sequences):
            # the masks of all sequences one after the other: S of them
            masked_RT = ran.ids_RT == self.special.mask
            states_RTD = mlm.read(ran.hidden_RTD, ran.documents_RT)
            candidates = self._most_probable(mlm.head(states_RTD[masked_RT]), k)
            end = 0
            for index, count in zip(ran.indices, masked_RT.sum(-1).tolist(), strict=True):
                found[index] = candidates[end : end + count]
                end += count
        return [found[index] for index in range(len(texts))]

    @torch.no_grad()
    def restores(self, texts: Sequence[str], places: Sequence[tuple[int, int]]) -> Flags:
        """Whether each text's characters [start, end) come back when all their tokens are masked.

        bool [N]: every token most probable in its place, so that how many there are is given away.
        A long text is cut around the place to fit the context.
        """
        mlm = self.objectives["mlm"]
        assert isinstance(mlm, MaskedLanguageModel)
        sequences = []
        hidden = []
        truth = []
        for text, (start, end), ids in zip(texts, places, self._encode(texts), strict=True):
            starts_T, ends_T = token_spans(self.encoding, text, ids).T
            inside = np.flatnonzero((starts_T < end) & (ends_T > start))
            # half of the context on either side, or more where the text begins or ends
            last = max(0, len(ids) - self.context_length)
            cut = min(max(0, int(inside.mean()) - self.context_length // 2), last)
            kept = ids[cut : cut + self.context_length]
            # of a number longer than the context, the tokens that are kept
            targets = [index - cut for index in inside.tolist() if 0 <= index - cut < len(kept)]
            truth.append([kept[target] for target in targets])
            for target in targets:
                kept[target] = self.special.mask
            hidden.append(targets)
            sequences.append(kept)
        right_N = np.zeros(len(texts), dtype=bool)
        for ran in self._run(sequences, causal=False):
            states_RTD = mlm.read(ran.hidden_RTD, ran.documents_RT)
            pairs = zip(states_RTD, ran.indices, strict=True)
            states_SD = torch.cat([hidden_TD[hidden[index]] for hidden_TD, index in pairs])
            best = iter(self._logits(mlm.head(states_SD)).argmax(-1).tolist())
            for index in ran.indices:
                right_N[index] = [next(best) for _ in truth[index]] == truth[index]
        return right_N
