"""What comes next: tokens, and greedy continuations.

Shapes: N texts, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import cut_at
from ssl_lib.predictor.base import LOGITS_AT_ONCE, ModelInUse


class Next(ModelInUse):
    """The most probable continuations of a text."""

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations, up to and without `stop`, a document's end, `max_tokens` tokens.

        Raises ModelError for an empty prompt.
        """
        sequences = self._encode(prompts)
        if not all(sequences):
            raise ModelError("an empty prompt cannot be continued; give at least one word")
        # where the prompts end and the texts begin
        ends = [len(ids) for ids in sequences]
        texts = [""] * len(prompts)
        active = list(range(len(prompts)))
        for _ in range(max_tokens):
            if not active:
                break
            states_ND = self._last_states([sequences[index] for index in active])
            parts = torch.split(states_ND, LOGITS_AT_ONCE)
            tokens_N = torch.cat([self._logits(part).argmax(-1) for part in parts])
            unfinished = []
            for index, token in zip(active, tokens_N.tolist(), strict=True):
                # a document's end is no text
                if token == self.special.end:
                    continue
                ids = sequences[index]
                ids.append(token)
                text = self._decode(ids[ends[index] :])
                texts[index] = text
                # "3." may go on as "3.5": a stop at the very end is not known to be one
                if len(cut_at(text, stop)) + len(stop) >= len(text):
                    unfinished.append(index)
            active = unfinished
        return [cut_at(text, stop) for text in texts]

    def predict_next(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable next tokens with their probabilities.

        Raises ModelError for an empty text.
        """
        return self.predict_next_tokens([text], k)[0]

    @torch.no_grad()
    def predict_next_tokens(
        self, texts: Sequence[str], k: int = 5
    ) -> list[list[tuple[str, float]]]:
        """`predict_next` of many texts."""
        states_ND = self._last_states(self._encode(texts))
        return self._most_probable(states_ND, k)
