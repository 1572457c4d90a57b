"""A model on disk: `model.safetensors`, `config.json`, `encoding.json`, and `run.json` beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tiktoken
import torch
from torch import Tensor

from ssl_lib.config import ModelSettings, Settings, parse_settings
from ssl_lib.errors import UserError
from ssl_lib.files import write_atomically
from ssl_lib.model.renamed_weights import current_name
from ssl_lib.model.trunk import TrunkShape
from ssl_lib.objectives.base import TRAINING_ONLY, Objective
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.tokens.encodings import save_encoding

FILES = ("model.safetensors", "config.json", "encoding.json")


class ModelError(UserError):
    """A model that cannot be loaded or a text that it cannot take."""


def save_model(
    folder: Path,
    settings: Settings,
    encoding: tiktoken.Encoding,
    objectives: Mapping[str, Objective],
) -> None:
    """Write the weights, the settings that shape the model, and the encoding."""
    folder.mkdir(parents=True, exist_ok=True)
    states = {name: objective.state_dict() for name, objective in objectives.items()}
    save_weights(folder / "model.safetensors", states)
    save_encoding(encoding, folder / "encoding.json")
    config = settings.model_dump(include={"seed", "model", "objectives", "training"})
    write_atomically(folder / "config.json", json.dumps(config, indent=2) + "\n")


def save_weights(path: Path, states: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write the objectives' states, by name, in one safetensors file; the trunk that they share is written once, what
    only training needs not at all.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, state in states.items():
        for key, value in state.items():
            if key.startswith(TRAINING_ONLY):
                continue
            tensors.setdefault(key if key.startswith("trunk.") else f"{name}.{key}", value)
    write_atomically(
        path, save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    )


def read_model(folder: Path) -> tuple[Settings, tiktoken.Encoding, dict[str, Objective]]:
    """What `save_model` wrote. Raises ModelError if a file is missing or holds another model."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    missing = [name for name in FILES if not (folder / name).exists()]
    if missing:
        raise ModelError(
            f"{folder} holds no model ({missing[0]} is missing); run `ssl-lib train` or name another folder"
        )
    try:
        settings = _settings(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(
            f"{folder / 'config.json'} is damaged ({error}); run `ssl-lib train` again"
        ) from None
    encoding = read_encoding(str(folder / "encoding.json"))
    with torch.random.fork_rng():
        objectives = build_objectives(
            settings.replaced({"objectives.contrastive.momentum": 0.0}), encoding
        )
    try:
        _load(objectives, load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError, KeyError) as error:
        line = str(error).splitlines()[0]
        raise ModelError(
            f"{folder / 'model.safetensors'} does not hold this model ({line})"
        ) from None
    return settings, encoding, objectives


def _settings(config: Any) -> Settings:
    """Settings of a stored model. What it was written without, it has not: a trunk's own default is to have no extras,
    that of the settings is what new models get.
    """
    plain = {
        key: value
        for key, value in TrunkShape._field_defaults.items()
        if key in ModelSettings.model_fields
    }
    if isinstance(config, dict) and isinstance(config.get("model"), dict):
        config = config | {"model": plain | config["model"]}
    return parse_settings(config)


def _load(objectives: Mapping[str, Objective], tensors: dict[str, Tensor]) -> None:
    tensors = {current_name(key): value for key, value in tensors.items()}
    trunk = next(iter(objectives.values())).trunk
    trunk.load_state_dict(_under("trunk.", tensors))
    for name, objective in objectives.items():
        problems = objective.load_state_dict(_under(f"{name}.", tensors), strict=False)
        wrong = problems.unexpected_keys + [
            key for key in problems.missing_keys if not key.startswith("trunk.")
        ]
        if wrong:
            raise KeyError(f"{name}: {wrong[0]}")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
