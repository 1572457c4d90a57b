"""Each objective trained alone, at the same steps and tokens as the joint model: what the others add, or cost.

This is `evaluation.baselines: full`: it trains one model for each objective, each as long as the joint one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.evaluation.asked import Asked
from ssl_lib.evaluation.downstream import four_tasks
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.predictor import Predictor


def objectives_alone(
    joint: Contest, asked: Asked, settings: Settings, root: Path
) -> Iterator[tuple[str, dict[str, TaskResult]]]:
    """Objective and its four results, `before` being the objective alone and `after` the joint model on the same items.

    `settings` are those that the joint model was trained with; objectives that had no part in it are left out.
    """
    judging = settings.evaluation.model_copy(update={"baselines": "none"})
    for name in settings.trained():
        contest = joint._replace(before=train_alone(name, settings, root, joint))
        yield name, dict(four_tasks(contest, asked, judging, {}))


def train_alone(name: str, settings: Settings, root: Path, joint: Contest) -> Predictor:
    """The same architecture, data, seed and number of steps, with every other weight at 0.

    An objective that shares each batch with others in the joint model has all of its rows here: as many tokens as the
    joint model has read.
    """
    from ssl_lib.batches.datasets import PackedRows
    from ssl_lib.tokens.store import TokenStore
    from ssl_lib.tracking import NullRun
    from ssl_lib.training.fit import Corpora, fit

    weights: dict[str, Any] = {f"objectives.{other}.weight": float(other == name) for other in OBJECTIVES}
    if "rows" in type(getattr(settings.objectives, name)).model_fields:
        weights[f"objectives.{name}.rows"] = 1.0
    single = settings.replaced(weights | {"training.weighting": "fixed"})
    train, validation = (TokenStore.open(root / "data" / "tokenized" / split) for split in ("train", "validation"))
    corpora = Corpora(
        PackedRows(train, single.model.context, single.seed),
        PackedRows(validation, single.model.context, single.seed, shuffle=False),
    )
    result = fit(single, joint.after.encoding, corpora, NullRun())
    return Predictor(single, joint.after.encoding, result.objectives)
