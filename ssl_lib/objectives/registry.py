"""The objectives by name."""

from __future__ import annotations

import tiktoken

from ssl_lib.config import Settings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.contrastive import ContrastiveTokenEncoder
from ssl_lib.objectives.denoising import DenoisingAutoencoder
from ssl_lib.objectives.masked_language_model import MaskedLanguageModel
from ssl_lib.objectives.next_token import NextTokenPredictor
from ssl_lib.objectives.numerical import NumericalPatternLearner

REGISTRY: dict[str, type[Objective]] = {
    "mlm": MaskedLanguageModel,
    "ntp": NextTokenPredictor,
    "contrastive": ContrastiveTokenEncoder,
    "denoising": DenoisingAutoencoder,
    "numerical": NumericalPatternLearner,
}


def build_objectives(settings: Settings, encoding: tiktoken.Encoding) -> dict[str, Objective]:
    """All five objectives on one new trunk, initialised from the global torch generator."""
    shape = TrunkShape(vocab_size=encoding.n_vocab, **settings.model.model_dump(exclude={"context"}))
    trunk = Trunk(shape, encoding)
    return {name: kind(settings=getattr(settings.objectives, name), trunk=trunk) for name, kind in REGISTRY.items()}
