"""What tests of runs share: a run as training and evaluation leave it in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssl_lib.config import Settings
from ssl_lib.evaluation.comparison import Scores, save_scores
from ssl_lib.tracking import Run, start_run


def recorded_run(
    settings: Settings,
    root: Path,
    name: str,
    metrics: dict[str, Any],
    scores: Mapping[str, Scores] | None = None,
    model: Path | None = None,
) -> str:
    """The id of a run with these metrics and scores, and with the model in a folder."""
    with start_run(settings, root, "train", name) as run, TemporaryDirectory() as scratch:
        assert isinstance(run, Run)
        run.log_params(settings.model_dump(mode="json"))
        evaluation = Path(scratch) / "evaluation.json"
        evaluation.write_text(json.dumps(metrics), encoding="utf-8")
        run.log_artifact(evaluation, "evaluation")
        if scores:
            save_scores(scores, Path(scratch) / "scores.npz")
            run.log_artifact(Path(scratch) / "scores.npz", "report")
        if model:
            run.log_model(model)
    return run.run_id
