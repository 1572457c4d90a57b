"""The number that comes next, as a distribution over values.

Shapes: N texts, D width, Q points of the number scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ssl_lib.objectives.numerical import (
    NumberPrediction,
    NumericalPatternLearner,
    number_prediction,
    scale_points,
)
from ssl_lib.predictor.base import ModelInUse
from ssl_lib.tokens.encodings import encode

NUMBERS_AT_ONCE = 256  # texts whose distributions of numbers are tabulated together


class NextNumber(ModelInUse):
    """Median, intervals and orders of magnitude of the next number."""

    def predict_number(self, text: str) -> NumberPrediction:
        """The value of the number that comes next: median, 90% interval, orders of magnitude."""
        return self.predict_numbers([text])[0]

    @torch.no_grad()
    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[NumberPrediction]:
        """`predict_number` of many texts, with the central intervals of the given probabilities."""
        numerical = self.objectives["numerical"]
        assert isinstance(numerical, NumericalPatternLearner)
        scale_Q = scale_points(self.placement.device)
        found = []
        for start in range(0, len(texts), NUMBERS_AT_ONCE):
            sequences = []
            for text in texts[start : start + NUMBERS_AT_ONCE]:
                # up to where the first digit would stand: with the space before it, where the
                # encoding writes that as a token of its own
                if text and not text.endswith((" ", "$", "(")):
                    text += " "
                ids = encode(self.encoding, text + "1")
                sequences.append(ids[:-1])
            states_ND = self._last_states(sequences)
            cumulative_NQ = numerical.value_head.cumulative(states_ND, scale_Q).double()
            for cumulative_Q in cumulative_NQ:
                found.append(number_prediction(cumulative_Q, scale_Q, intervals))
        return found
