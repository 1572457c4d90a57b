"""Stage `evaluate`: the trained model against its random initialization, on the same items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.config import Settings
    from ssl_lib.predictor import Predictor


def evaluate(
    settings: Settings, root: Path, present: Callable[[Predictor, Predictor], None] | None = None
) -> dict[str, Any]:
    """Evaluate `model/`: `metrics/evaluation.json`, `plots/*.csv`, `report/`, and the MLflow run.

    `present` is called with the randomly initialized and the trained model once the files are
    written, before the tracker takes `report/`: `ssl_lib.report.evaluate` writes its page there.
    Returns what `metrics/evaluation.json` holds. Raises UserError where the model or the tokens
    cannot be read.
    """
    from ssl_lib.evaluation.stage import run

    return run(settings, root, present)
