"""What validation documents decide: the weights of exact numbers, how sure a decoder must be.

Shapes: N numbers, T tokens.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ssl_lib.errors import UserError
from ssl_lib.files import write_atomically
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.tokens.encodings import decode
from ssl_lib.tokens.store import TokenStore

if TYPE_CHECKING:
    from ssl_lib.predictor import Predictor

Floats64 = npt.NDArray[np.float64]
FILE = "calibration.json"
NUMBERS = 200  # of the validation documents, evenly
TOKENS = 10_000
CLEAN_KEPT = 0.995  # of the tokens of clean text that denoising leaves as they are
WEIGHTS = np.linspace(0.0, 0.99, 100)
_DIGITS = re.compile(r"\d[\d,]*(?:\.(\d+))?")


class Calibration(NamedTuple):
    """What a model's folder says in calibration.json; the defaults are for a folder without it."""

    number_weight: float = 0.9
    remembered_weight: float = 0.0
    denoising_threshold: float = 0.9

    def write(self, folder: Path) -> None:
        """Put it beside the weights."""
        write_atomically(folder / FILE, json.dumps(self._asdict(), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """What the folder says. Raises UserError if its file holds anything else."""
        path = folder / FILE
        if not path.exists():
            return cls()
        try:
            return cls(**{key: float(value) for key, value in json.loads(path.read_text()).items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}); run `ssl-lib train` again") from None


def calibrate(model: Predictor, store: Tokenized | TokenStore) -> Calibration:
    """All of it for a model, by documents that it was not trained on."""
    return Calibration(*number_weights(model, store), denoising_threshold(model, store))


def number_weights(model: Predictor, store: Tokenized | TokenStore) -> tuple[float, float]:
    """The weights of exact and of remembered numbers with the best mean log score.

    They are the defaults where there are no numbers. What is scored is the probability of all
    values that would be written like the true one.
    """
    prompts, values, widths = _numbers_of(model, store)
    if not prompts:
        default = Calibration()
        return default.number_weight, default.remembered_weight
    words = model.next_words([prompt.rstrip(" ") for prompt in prompts])
    lows, highs = np.array(values) - widths, np.array(values) + widths
    states_ND = model.states_before_numbers(prompts)
    density_N = model.density_between(states_ND, lows, highs)
    exact = [model.exact_numbers(*pair) for pair in zip(prompts, words, strict=True)]
    # of N numbers: the probability of all that the source knows, and of what is right
    known_N, right_N = _right(exact, lows, highs)
    remembered_N, followed_N = _right(model.remembered_numbers(states_ND), lows, highs)
    best = (-math.inf, 0.0, 0.0)
    for weight, other in itertools.product(WEIGHTS, WEIGHTS if remembered_N.any() else (0.0,)):
        # the density keeps a hundredth at least
        if weight + other > 0.991:
            continue
        rest_N = 1.0 - weight * known_N - other * remembered_N
        mixed_N = weight * right_N + other * followed_N + rest_N * density_N
        score = float(np.log(mixed_N.clip(1e-12)).mean())
        best = max(best, (score, float(weight), float(other)))
    return round(best[1], 2), round(best[2], 2)


def _right(
    found: Sequence[Mapping[float, float]], lows_N: Floats64, highs_N: Floats64
) -> tuple[Floats64, Floats64]:
    """The sum [N] of all probabilities, and of those of values between two bounds."""
    known = [sum(shares.values()) for shares in found]
    right = [
        sum(share for value, share in shares.items() if low <= value <= high)
        for shares, low, high in zip(found, lows_N, highs_N, strict=True)
    ]
    return np.array(known), np.array(right)


def _numbers_of(
    model: Predictor, store: Tokenized | TokenStore
) -> tuple[list[str], list[float], list[float]]:
    """What stands before some numbers, their values, and half the step of their last digit."""
    usable = np.flatnonzero(np.isfinite(store.numbers["value"]))
    chosen = usable[np.linspace(0, len(usable) - 1, min(NUMBERS, len(usable))).astype(np.int64)]
    prompts, values, widths = [], [], []
    for number in store.numbers[chosen]:
        start, end, value = int(number["start"]), int(number["end"]), float(number["value"])
        document = int(np.searchsorted(store.documents, start, side="right")) - 1
        first = max(int(store.documents[document]), start - model.context_length)
        if not start > first:
            continue
        written = decode(model.encoding, store.tokens[start:end].tolist())
        digits = _DIGITS.search(written)
        # "$3.4 million" is written in steps of 0.1 million
        step = 1.0
        if digits:
            literal = float(digits[0].replace(",", "").rstrip("."))
            scale = abs(value) / literal if literal else 1.0
            step = scale * 10.0 ** -len(digits[1] or "")
        prompts.append(decode(model.encoding, store.tokens[first:start].tolist()))
        values.append(value)
        widths.append(0.5 * step)
    return prompts, values, widths


def denoising_threshold(model: Predictor, store: Tokenized | TokenStore) -> float:
    """The least threshold, from 0.5 up, that leaves CLEAN_KEPT of clean tokens as they are."""
    last = int(np.searchsorted(store.documents, TOKENS)) + 1
    sequences = []
    for start, end in itertools.pairwise(store.documents[:last].tolist()):
        # without the document's end
        sequences.append(store.tokens[start : end - 1].tolist())
    wrong = []
    total = 0
    for ids, (best_T, probability_T) in zip(sequences, model.rebuilt(sequences), strict=True):
        wrong.append(probability_T[best_T != np.array(ids, dtype=np.int64)])
        total += len(ids)
    sure = np.sort(np.concatenate([*wrong, np.zeros(1)]))[::-1]
    allowed = int((1.0 - CLEAN_KEPT) * total)
    # of 3 allowed, the fourth most sure error must stay below the threshold
    place = min(allowed, len(sure) - 1)
    return round(min(1.0, max(0.5, float(sure[place]) + 1e-4)), 4)
