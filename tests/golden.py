"""Golden loss curves: 100 steps of each objective alone and of all together, on this file's text.

A refactoring must reproduce them. Where a change is meant to change them, write them anew and say
why in the commit:

    python tests/golden.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiktoken
import torch

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings, parse_settings
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import train_encoding
from ssl_lib.training.trainer import SelfSupervisedTrainer

FILE = Path(__file__).with_name("golden_losses.json")
STEPS = 100
CONTEXT = 32
RUNS = {name: (name,) for name in OBJECTIVES} | {"all": OBJECTIVES}
TINY = {
    "model.layers": 1, "model.width": 32, "model.heads": 2, "model.context_length": CONTEXT,
    "objectives.contrastive.effective_batch": 48, "objectives.contrastive.projection": 16,
    "objectives.denoising.bottleneck": 16, "objectives.numerical.components": 4,
    "training.steps": STEPS, "training.sequences": 8, "training.warmup_steps": 5,
    "training.learning_rate": 0.02, "training.adamw_learning_rate": 0.003,
    "training.device": "cpu", "training.precision": "float32", "training.threads": 1,
}  # fmt: skip


def texts() -> list[str]:
    """Sixty short texts full of numbers, of which nothing else decides."""
    things = (
        "price of copper",
        "output of the mill",
        "length of the pier",
        "rain in May",
        "number of guests",
    )
    return [
        f"In {1950 + 7 * i % 70} the {things[i % 5]} rose by {i % 13 + 1}% to {137 * i % 9973:,}. "
        f"A year later it was {137 * i % 9973 + 12} again. "
        f"The sum of {i} and {i % 11} is {i + i % 11}."
        for i in range(60)
    ]


def tiny_settings() -> Settings:
    """Every setting of the runs; the file keeps them, so that later defaults change nothing."""
    whole = {
        f"objectives.{name}.batch_fraction": 1.0 for name in ("mlm", "contrastive", "denoising")
    }
    return Settings().replaced(
        {f"objectives.{name}.weight": 1.0 for name in OBJECTIVES} | whole | TINY
    )


def curve(
    names: tuple[str, ...], settings: Settings, encoding: tiktoken.Encoding, jitter: float = 0.0
) -> list[float]:
    """The sum of the losses in nats at each step.

    `jitter` disturbs the first weights by that share, as a measure of what another machine's
    rounding may do.
    """
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    trainer = SelfSupervisedTrainer(
        *(objectives[name] for name in names), settings=settings.training, seed=1
    )
    with torch.no_grad():
        for parameter in trainer.groups[0].parameters():
            parameter.mul_(1.0 + jitter * torch.randn(parameter.shape))
    sequences = PackedSequences(tokenize_texts(encoding, texts()), CONTEXT, seed=2)
    steps = (
        trainer.train_step(sequences.batch(step, settings.training.sequences))
        for step in range(STEPS)
    )
    return [sum(losses[name] for name in names) for losses in steps]


def curves(settings: Settings, jitter: float = 0.0) -> dict[str, list[float]]:
    """The curve of each run."""
    encoding = train_encoding(texts(), 1400, "right3")
    return {run: curve(names, settings, encoding, jitter) for run, names in RUNS.items()}


def write() -> None:
    """Write the file anew."""
    settings = tiny_settings()
    losses = {
        run: [float(f"{loss:.6g}") for loss in values] for run, values in curves(settings).items()
    }
    content: dict[str, Any] = {
        "settings": settings.model_dump(include={"model", "objectives", "training"}),
        "losses": losses,
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read() -> tuple[Settings, dict[str, list[float]]]:
    """Settings and curves of the file."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return parse_settings(content["settings"]), content["losses"]


if __name__ == "__main__":
    write()
