"""Loss curves of 100 steps, as they were written down: a refactoring must reproduce them.

The bounds: disturbing all first weights by 1e-5, a hundred times float32's rounding, moved no loss
by more than 5e-5 of itself in any of the 100 steps, and by more than 1e-5 in the first ten. Another
processor may round differently in every step, so 10 times as much is allowed early and 40 times as
much later. One percent more learning rate is seen.
"""

from __future__ import annotations

import pytest
import torch
from golden import OBJECTIVES, RUNS, STEPS, curve, read, texts

from ssl_lib.tokens.encodings import train_encoding

EARLY_STEPS, EARLY, LATE = 10, 1e-4, 2e-3


def differences(found: list[float], golden: list[float]) -> list[tuple[int, float]]:
    """Steps at which a curve leaves its bounds, with the relative differences."""
    shares = [abs(loss / expected - 1.0) for loss, expected in zip(found, golden, strict=True)]
    return [
        (step, share)
        for step, share in enumerate(shares)
        if share > (EARLY if step < EARLY_STEPS else LATE)
    ]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("run", RUNS)
def test_a_curve_is_the_one_that_was_written_down(run: str) -> None:
    settings, golden = read()
    found = curve(RUNS[run], settings, train_encoding(texts(), 1400, "right3"))
    assert len(found) == STEPS
    assert differences(found, golden[run]) == [], "if this was meant: python tests/golden.py"


def test_one_percent_more_learning_rate_is_seen() -> None:
    settings, golden = read()
    more = {"training.learning_rate": 0.0202, "training.adamw_learning_rate": 0.00303}
    found = curve(RUNS["ntp"], settings.replaced(more), train_encoding(texts(), 1400, "right3"))
    assert differences(found, golden["ntp"])


def test_the_file_holds_every_run_and_every_one_learns() -> None:
    settings, golden = read()
    assert set(golden) == set(RUNS) == {*OBJECTIVES, "all"}
    assert settings.model.width == 32
    for losses in golden.values():
        assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
