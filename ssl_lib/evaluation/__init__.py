"""Stage `evaluate`: the trained model against its untrained twin, on held-out losses and downstream tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_lib.config import Settings


def evaluate(settings: Settings, root: Path) -> dict[str, Any]:
    """Judge `model/`, write `metrics/evaluation.json`, `plots/*.csv` and `report/`, and record all in MLflow.

    Returns what `metrics/evaluation.json` holds. Raises UserError where the model or the tokens cannot be read.
    """
    from ssl_lib.evaluation.stage import run

    return run(settings, root)
