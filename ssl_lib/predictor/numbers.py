"""The number that comes next: one distribution from three sources.

The token distribution knows exact numbers (`next_words`), training text has those that followed in
like contexts (`remembered`), the value head knows a density. The exact ones have their
probabilities, given that a number comes, times the model's `number_weight`, the remembered ones
`remembered_weight`; the density has the rest.

Shapes: N texts, D width, Q points of the number scale.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_lib.numbers import find_numbers
from ssl_lib.numbers.scale import to_scale
from ssl_lib.objectives.numerical import (
    NumberPrediction,
    NumericalPatternLearner,
    number_prediction,
    scale_points,
)
from ssl_lib.predictor.next import Next
from ssl_lib.tokens.encodings import encode

NUMBERS_AT_ONCE = 256  # texts whose distributions of numbers are tabulated together
READ_BEFORE = 40  # characters of the text that tell what a number behind them is
_OPEN = ("$", "€", "£", "¥", "(", "-", "+")


class NextNumber(Next):
    """Exact numbers, intervals and orders of magnitude of the next number."""

    def predict_number(self, text: str) -> NumberPrediction:
        """The number that comes next, given that one comes; `predict_next` has the same numbers."""
        return self.predict_numbers([text])[0]

    @torch.no_grad()
    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[NumberPrediction]:
        """`predict_number` of many texts, with the central intervals of the given probabilities."""
        scale_Q = scale_points(self.placement.device)
        found = []
        for start in range(0, len(texts), NUMBERS_AT_ONCE):
            part = texts[start : start + NUMBERS_AT_ONCE]
            words = self.next_words([text.rstrip(" ") for text in part])
            states_ND = self.states_before_numbers(part)
            cumulative_NQ = self._densities(states_ND, scale_Q)
            remembered = self.remembered_numbers(states_ND)
            rows = zip(part, words, remembered, cumulative_NQ, strict=True)
            for text, ends, followed, cumulative_Q in rows:
                exact: dict[float, float] = defaultdict(float)
                for value, share in self.exact_numbers(text, ends).items():
                    exact[value] += self.calibration.number_weight * share
                for value, share in followed.items():
                    exact[value] += self.calibration.remembered_weight * share
                found.append(number_prediction(cumulative_Q, scale_Q, intervals, exact))
        return found

    def exact_numbers(self, text: str, words: Mapping[str, float]) -> dict[float, float]:
        """Values of the numbers among the words that may come next, with their probabilities.

        These are given that a number comes; what no word has counts as numbers that are unknown.
        """
        before = text.rstrip(" ")[-READ_BEFORE:]
        if not before.endswith(_OPEN):
            before += " "
        exact: dict[float, float] = defaultdict(float)
        others = 0.0
        for word, share in words.items():
            read = find_numbers(before + word) if word.strip() else []
            # "7" behind "$" is "$7", which begins before it; "A4" has no value
            ends = read and read[-1].end == len(before) + len(word)
            if ends and math.isfinite(read[-1].value):
                exact[read[-1].value] += share
            else:
                others += share
        numbers = max(1.0 - others, sum(exact.values()))
        return {value: share / numbers for value, share in exact.items()}

    def remembered_numbers(self, states_ND: Tensor) -> list[dict[float, float]]:
        """Numbers that followed like states in training text, each with its share; none: nothing.

        They are looked for where texts end in front of a number (`states_before_numbers`).
        """
        if self.remembered is None:
            return [{} for _ in states_ND]
        return self.remembered.nearest(states_ND)

    @torch.no_grad()
    def density_between(
        self,
        states_ND: Tensor,
        lows_N: npt.NDArray[np.float64],
        highs_N: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Probability of the value head alone that the next number lies between two values, [N]."""
        scale_Q = scale_points(self.placement.device)
        cumulative_NQ = self._densities(states_ND, scale_Q).cpu().numpy()
        points_Q = scale_Q.cpu().numpy()
        between = []
        for cumulative_Q, *ends in zip(cumulative_NQ, lows_N, highs_N, strict=True):
            low, high = np.interp(to_scale(np.array(ends)), points_Q, cumulative_Q)
            between.append(high - low)
        return np.array(between)

    @torch.no_grad()
    def states_before_numbers(self, texts: Sequence[str]) -> Tensor:
        """Causal states [N, D] in front of the number that comes next."""
        sequences = []
        for text in texts:
            # up to where the first digit would stand: with the space before it, where the
            # encoding writes that as a token of its own
            if text and not text.endswith((" ", "$", "(")):
                text += " "
            ids = encode(self.encoding, text + "1")
            sequences.append(ids[:-1])
        return self._last_states(sequences)

    def _densities(self, states_ND: Tensor, scale_Q: Tensor) -> Tensor:
        """P(next number <= point) of the value head, float64 [N, Q]."""
        numerical = self.objectives["numerical"]
        assert isinstance(numerical, NumericalPatternLearner)
        return numerical.value_head.cumulative(states_ND, scale_Q).double()
