"""The objectives by name, one line each; docs/objectives.md adds a sixth."""

from __future__ import annotations

import importlib

import tiktoken

from ssl_lib.config import Settings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.base import Objective

HOMES = {
    "mlm": "masked_language_model.MaskedLanguageModel",
    "ntp": "next_token.NextTokenPredictor",
    "contrastive": "contrastive.objective.ContrastiveTokenEncoder",
    "denoising": "denoising.DenoisingAutoencoder",
    "numerical": "numerical.NumericalPatternLearner",
}


def _kind(home: str) -> type[Objective]:
    module, _, name = home.rpartition(".")
    return getattr(importlib.import_module(f"ssl_lib.objectives.{module}"), name)


REGISTRY: dict[str, type[Objective]] = {name: _kind(home) for name, home in HOMES.items()}


def build_objectives(settings: Settings, encoding: tiktoken.Encoding) -> dict[str, Objective]:
    """All objectives on one new trunk, initialised from the global torch generator."""
    shape = TrunkShape(
        vocab_size=encoding.n_vocab, **settings.model.model_dump(exclude={"context_length"})
    )
    trunk = Trunk(shape, encoding)
    objectives = {}
    for name, kind in REGISTRY.items():
        own = {"encoding": encoding} if kind.writes_text else {}
        chosen = getattr(settings.objectives, name)
        objectives[name] = kind(settings=chosen, trunk=trunk, **own)
    return objectives
