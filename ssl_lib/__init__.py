"""Self-supervised pretraining for text that is full of numbers: five objectives, one trunk, honest figures.

Names are imported when they are first used, so that `import ssl_lib` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

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
    "load_settings": "ssl_lib.config",
    "Settings": "ssl_lib.config",
    "UserError": "ssl_lib.errors",
    "encoding": "ssl_lib.tokens.encodings",
    "find_numbers": "ssl_lib.numbers",
    "Number": "ssl_lib.numbers",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
