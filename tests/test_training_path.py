"""Whoever wants to read a training step opens few files.

Counted are the files of ssl_lib that functions run in during one `train_step`, which takes a batch
and updates the weights. Not counted are ssl_lib/numbers and ssl_lib/tokens, of which a step uses
finished things (the scale, the vocabulary's columns, written forms): docs/numbers.md tells them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import tiktoken

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.training.trainer import SelfSupervisedTrainer

PACKAGE = Path(__file__).parents[1] / "ssl_lib"


def files_of(call: Callable[[], object]) -> set[str]:
    """Files that functions run in while `call` does, such as `training/trainer.py`."""
    found = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    inside = [Path(name) for name in found if Path(name).is_relative_to(PACKAGE)]
    return {path.relative_to(PACKAGE).as_posix() for path in inside}


def files_of_step(encoding: tiktoken.Encoding, tokenized: Tokenized, *names: str) -> list[str]:
    """Those of the second step with default settings on some objectives, sorted."""
    settings = Settings().replaced({"training.device": "cpu", "model.context_length": 64})
    built = build_objectives(settings, encoding)
    chosen = [built[name] for name in names]
    weights = {name: settings.objectives.weights()[name] for name in names}
    trainer = SelfSupervisedTrainer(*chosen, weights=weights, settings=settings.training)
    sequences = PackedSequences(tokenized, settings.model.context_length, seed=0)
    first, second = (sequences.batch(step, settings.training.sequences) for step in range(2))
    trainer.train_step(first)
    files = files_of(lambda: trainer.train_step(second))
    return sorted(name for name in files if not name.startswith(("numbers/", "tokens/")))


def test_a_default_step_runs_through_twenty_files_at_most(
    encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    files = files_of_step(encoding, tokenized, *OBJECTIVES)
    assert "training/trainer.py" in files
    assert len(files) <= 20, "\n".join(files)


def test_the_contrastive_objective_runs_through_six_files_at_most(
    encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    files = files_of_step(encoding, tokenized, "contrastive")
    own = [name for name in files if name.startswith("objectives/")]
    assert "objectives/contrastive/objective.py" in own
    assert len(own) <= 6, "\n".join(own)
