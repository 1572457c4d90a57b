"""Models saved before a weight was renamed are read with its name of today."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tiktoken
import torch
from safetensors.torch import load_file, save_file

from ssl_lib.config import Settings
from ssl_lib.model.renamed_weights import RENAMED, current_name
from ssl_lib.predictor import Predictor, load


def earlier_name(key: str) -> str:
    dotted = f".{key}."
    for old, new in RENAMED.items():
        dotted = dotted.replace(f".{new}.", f".{old}.")
    return dotted[1:-1]


def test_a_model_with_the_names_of_earlier_versions_is_read(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path: Path
) -> None:
    parts = {"model.mode_specific_layers": 1, "objectives.denoising.deletion_share": 0.2}
    model = Predictor.untrained(settings.replaced(parts), encoding)
    model.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    save_file({earlier_name(key): value for key, value in tensors.items()}, weights)
    assert all(f".{old}." not in f".{key}." for key in tensors for old in RENAMED)
    assert all(any(f".{new}." in f".{key}." for key in tensors) for new in RENAMED.values())
    again = load(tmp_path)
    for name, objective in model.objectives.items():
        state = again.objectives[name].state_dict()
        assert all(torch.equal(value, state[key]) for key, value in objective.state_dict().items())
    assert np.array_equal(again.embed(["It rose by 12%."]), model.embed(["It rose by 12%."]))


def test_a_model_from_before_shifted_targets_reads_each_state_in_its_place(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path: Path
) -> None:
    own = {"objectives.mlm.shifted": False, "objectives.denoising.shifted": False}
    model = Predictor.untrained(settings.replaced(own), encoding)
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("mlm", "denoising"):
        del config["objectives"][name]["shifted"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load(tmp_path)
    assert again.settings.objectives == model.settings.objectives
    text = "It rose by [MASK]%."
    assert again.fill_mask(text, 3) == model.fill_mask(text, 3)


def test_names_of_today_stay() -> None:
    assert current_name("mlm.head.inward.weight") == "mlm.head.fc1.weight"
    assert current_name("mlm.head.fc1.weight") == "mlm.head.fc1.weight"
    assert current_name("trunk.forehead.inward") == "trunk.forehead.inward"
