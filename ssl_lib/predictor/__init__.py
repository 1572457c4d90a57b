"""A pretrained model in use; one file for each kind of answer.

base.py           how texts run through a model; growing.py: token by token
embedding.py      vectors of texts and of tokens
likelihood.py     how probable a text is
next.py           what comes next: words, numbers, tokens, continuations; pieces.py: a word's end
numbers.py        the next number as a distribution; remembered.py: what followed in training text
filling.py        what stands behind [MASK]
denoising.py      noisy text rebuilt
calibration.py    what validation documents decide about the last three
"""

from __future__ import annotations

from pathlib import Path

import tiktoken
import torch

from ssl_lib.config import Settings
from ssl_lib.numbers import Number, find_numbers
from ssl_lib.objectives.model_folder import ModelError, read_model, save_model
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.predictor.calibration import Calibration
from ssl_lib.predictor.denoising import Denoising
from ssl_lib.predictor.embedding import Embedding
from ssl_lib.predictor.filling import MASK, Filling
from ssl_lib.predictor.numbers import NextNumber
from ssl_lib.predictor.remembered import RememberedNumbers

__all__ = ["MASK", "ModelError", "Predictor", "load"]


class Predictor(Embedding, NextNumber, Filling, Denoising):
    """All answers of one model."""

    @classmethod
    def untrained(cls, settings: Settings, encoding: tiktoken.Encoding) -> Predictor:
        """The randomly initialized model of the same architecture, the `before` of all measures."""
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(settings, encoding, build_objectives(settings, encoding))

    def find_numbers(self, text: str) -> list[Number]:
        """The numbers written in a text."""
        return find_numbers(text)

    def save(self, folder: Path) -> None:
        """Write weights, config.json, encoding.json and calibration.json: all that `load` needs.

        What the model remembers of training text, if anything, stands beside them.
        """
        save_model(folder, self.settings, self.encoding, self.objectives)
        self.calibration.write(folder)
        if self.remembered is not None:
            self.remembered.write(folder)


def load(source: str | Path = "model") -> Predictor:
    """Load a model folder, or one that MLflow holds (`models:/name@alias`, `runs:/id/model`).

    Raises ModelError if it is no model, TrackingError if the store has none.
    """
    if str(source).startswith(("models:/", "runs:/")):
        from ssl_lib.tracking import download_model

        source = download_model(str(source))
    folder = Path(source)
    parts = read_model(folder)
    return Predictor(*parts, Calibration.read(folder), RememberedNumbers.read(folder))
