"""A model on disk: `model.safetensors`, `config.json`, `encoding.json`, beside them `run.json`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tiktoken
import torch
from torch import Tensor

from ssl_lib.config import ModelSettings, Settings, parse_settings, with_new_names
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
    """Write the objectives' states, by name, in one safetensors file.

    The trunk that they share is written once, what only training needs not at all.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, state in states.items():
        for key, value in state.items():
            # "trunk.embedding.weight" of every objective, "mlm.head.fc1.weight" of one
            whole_key = key if key.startswith("trunk.") else f"{name}.{key}"
            if not key.startswith(TRAINING_ONLY) and whole_key not in tensors:
                tensors[whole_key] = value.detach().cpu().contiguous()
    write_atomically(path, save(tensors))


def read_model(folder: Path) -> tuple[Settings, tiktoken.Encoding, dict[str, Objective]]:
    """What `save_model` wrote, today or before settings and weights had their present names.

    Raises ModelError if a file is missing or holds another model, SettingsError, EncodingError.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in FILES:
        if not (folder / name).exists():
            raise ModelError(
                f"{folder} holds no model ({name} is missing); "
                "run `ssl-lib train` or name another folder"
            )
    config = folder / "config.json"
    weights = folder / "model.safetensors"
    try:
        settings = _settings_of(json.loads(config.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(f"{config} is damaged ({error}); run `ssl-lib train` again") from None
    encoding = read_encoding(str(folder / "encoding.json"))
    without_ema = settings.replaced({"objectives.contrastive.momentum": 0.0})
    with torch.random.fork_rng():
        objectives = build_objectives(without_ema, encoding)
    try:
        _fill(objectives, load_file(weights))
    except (SafetensorError, RuntimeError, KeyError) as error:
        line = str(error).splitlines()[0]
        raise ModelError(f"{weights} does not hold this model ({line})") from None
    return settings, encoding, objectives


def _settings_of(config: Any) -> Settings:
    """Settings of a stored model, under their present names.

    What it was written without, it has not: a trunk's own default is to have no extras, that of the
    settings is what new models get.
    """
    if not isinstance(config, dict):
        raise ValueError("it holds no settings")
    tree = with_new_names(config)
    if isinstance(tree.get("model"), dict):
        for key, value in TrunkShape._field_defaults.items():
            if key in ModelSettings.model_fields:
                tree["model"].setdefault(key, value)
    for name in ("mlm", "denoising"):
        objective = tree.get("objectives", {}).get(name)
        if isinstance(objective, dict):
            objective.setdefault("shifted", False)
    return parse_settings(tree)


def _fill(objectives: Mapping[str, Objective], tensors: Mapping[str, Tensor]) -> None:
    """Load weights into objectives on one trunk. Raises RuntimeError, KeyError for others."""
    by_owner: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        # "mlm.head.inward.weight" → "mlm", "head.fc1.weight"
        owner, _, inner = current_name(key).partition(".")
        by_owner[owner][inner] = value
    next(iter(objectives.values())).trunk.load_state_dict(by_owner["trunk"])
    for name, objective in objectives.items():
        problems = objective.load_state_dict(by_owner[name], strict=False)
        missing = [key for key in problems.missing_keys if not key.startswith("trunk.")]
        for key in (*problems.unexpected_keys, *missing):
            raise KeyError(f"{name}: {key}")
