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
REGISTRY: dict[str, type[Objective]] = {}
for _name, _home in HOMES.items():
    _module, _, _class = _home.rpartition(".")
    REGISTRY[_name] = getattr(importlib.import_module(f"ssl_lib.objectives.{_module}"), _class)


def build_objectives(settings: Settings, encoding: tiktoken.Encoding) -> dict[str, Objective]:
    """All objectives on one new trunk, initialized from the global torch generator."""
    model = settings.model.model_dump(exclude={"context_length"})
    trunk = Trunk(TrunkShape(vocab_size=encoding.n_vocab, **model), encoding)
    objectives = {}
    for name, kind in REGISTRY.items():
        chosen = getattr(settings.objectives, name)
        objectives[name] = kind(settings=chosen, trunk=trunk, encoding=encoding)
    return objectives
