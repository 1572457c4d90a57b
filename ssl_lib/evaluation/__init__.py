"""Stage `evaluate`: the trained model against its random initialization, on the same items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.config import Settings


def evaluate(settings: Settings, root: Path) -> dict[str, Any]:
    """Evaluate `model/`: `metrics/evaluation.json`, `plots/*.csv`, `report/`, and the MLflow run.

    Returns what `metrics/evaluation.json` holds. Raises UserError where the model or the tokens
    cannot be read.
    """
    from ssl_lib.evaluation.stage import run

    return run(settings, root)
