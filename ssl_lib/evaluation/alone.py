"""Some of the objectives trained without the others, at the same steps and tokens: what the others add, or cost.

`evaluation.baselines: full` trains each objective alone, as long as the joint model; `ssl-lib ablate` trains any
subsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiktoken

from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.evaluation.asked import Asked
from ssl_lib.evaluation.downstream import four_tasks
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.predictor import Predictor

if TYPE_CHECKING:
    from ssl_lib.training.fit import Tracker


def objectives_alone(
    joint: Contest, asked: Asked, settings: Settings, root: Path
) -> Iterator[tuple[str, dict[str, TaskResult]]]:
    """Objective and its four results, `before` being the objective alone and `after` the joint model on the same items.

    `settings` are those that the joint model was trained with; objectives that had no part in it are left out.
    """
    from ssl_lib.tracking import NullRun

    judging = settings.evaluation.model_copy(update={"baselines": "none"})
    for name in settings.trained():
        alone = train_subset([name], settings, root, joint.after.encoding, NullRun())
        yield name, dict(four_tasks(joint._replace(before=alone), asked, judging, {}))


def train_subset(
    names: Sequence[str],
    settings: Settings,
    root: Path,
    encoding: tiktoken.Encoding,
    tracker: Tracker,
) -> Predictor:
    """The same architecture, data, seed and number of steps, with only these objectives trained."""
    from ssl_lib.batches.datasets import PackedRows
    from ssl_lib.tokens.store import TokenStore
    from ssl_lib.training.fit import Corpora, fit

    chosen = subset_settings(names, settings)
    train, validation = (
        TokenStore.open(root / "data" / "tokenized" / split) for split in ("train", "validation")
    )
    corpora = Corpora(
        PackedRows(train, chosen.model.context_length, chosen.seed),
        PackedRows(validation, chosen.model.context_length, chosen.seed, shuffle=False),
    )
    return Predictor(chosen, encoding, fit(chosen, encoding, corpora, tracker).objectives)


def subset_settings(names: Sequence[str], settings: Settings) -> Settings:
    """Settings in which only these objectives are trained, with the weights they have.

    One that is left alone weighs 1 and has all rows of each batch, also where it shares them with others in the joint
    model: it reads as many tokens as the joint model does.
    """
    values: dict[str, Any] = {}
    for other in set(OBJECTIVES) - set(names):
        values |= {f"objectives.{other}.weight": 0.0, f"objectives.{other}.weight_end": None}
    if len(names) == 1:
        (name,) = names
        values |= {f"objectives.{name}.weight": 1.0, "training.weighting": "fixed"}
        if "batch_fraction" in type(getattr(settings.objectives, name)).model_fields:
            values[f"objectives.{name}.batch_fraction"] = 1.0
    return settings.replaced(values)
