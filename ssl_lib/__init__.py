"""Self-supervised pretraining for text full of numbers: five objectives, one shared encoder.

Names are imported when they are first used, so that `import ssl_lib` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; the table below is what Python does
    from ssl_lib.batches.datasets import SelfSupervisedTextDataset as SelfSupervisedTextDataset
    from ssl_lib.config import Settings as Settings
    from ssl_lib.config import load_settings as load_settings
    from ssl_lib.errors import UserError as UserError
    from ssl_lib.model.trunk import Trunk as Trunk
    from ssl_lib.numbers import Number as Number
    from ssl_lib.numbers import find_numbers as find_numbers
    from ssl_lib.objectives.contrastive.objective import (
        ContrastiveTokenEncoder as ContrastiveTokenEncoder,
    )
    from ssl_lib.objectives.denoising import DenoisingAutoencoder as DenoisingAutoencoder
    from ssl_lib.objectives.masked_language_model import MaskedLanguageModel as MaskedLanguageModel
    from ssl_lib.objectives.next_token import NextTokenPredictor as NextTokenPredictor
    from ssl_lib.objectives.numerical import NumericalPatternLearner as NumericalPatternLearner
    from ssl_lib.predictor import Predictor as Predictor
    from ssl_lib.predictor import load as load
    from ssl_lib.serving import answers as answers
    from ssl_lib.tokens.encodings import encoding as encoding
    from ssl_lib.training.trainer import SelfSupervisedTrainer as SelfSupervisedTrainer

__version__ = "0.2.0"

_HOMES = {
    "SelfSupervisedTextDataset": "ssl_lib.batches.datasets",
    "MaskedLanguageModel": "ssl_lib.objectives.masked_language_model",
    "NextTokenPredictor": "ssl_lib.objectives.next_token",
    "ContrastiveTokenEncoder": "ssl_lib.objectives.contrastive.objective",
    "DenoisingAutoencoder": "ssl_lib.objectives.denoising",
    "NumericalPatternLearner": "ssl_lib.objectives.numerical",
    "SelfSupervisedTrainer": "ssl_lib.training.trainer",
    "Trunk": "ssl_lib.model.trunk",
    "Predictor": "ssl_lib.predictor",
    "load": "ssl_lib.predictor",
    "answers": "ssl_lib.serving",
    "load_settings": "ssl_lib.config",
    "Settings": "ssl_lib.config",
    "UserError": "ssl_lib.errors",
    "encoding": "ssl_lib.tokens.encodings",
    "find_numbers": "ssl_lib.numbers",
    "Number": "ssl_lib.numbers",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # Called for a name that the module does not have yet: its first use (PEP 562).
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
