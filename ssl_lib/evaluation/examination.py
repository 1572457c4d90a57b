"""What every model of an ablation is asked: the same held-out rows and the same items, drawn once in a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ssl_lib.config import EvaluationSettings, Settings, parse_settings
from ssl_lib.evaluation.asked import Asked, cleared, draw
from ssl_lib.evaluation.downstream import four_tasks
from ssl_lib.evaluation.losses import ChosenRows
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.objectives.held_out import held_out_batches, held_out_losses
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.encodings import encoding
from ssl_lib.tokens.store import TokenStore

FEWEST_SAMPLES = 100  # of the bootstrap: an ablation gives its spread over seeds, not over items


class Examination:
    """Items and rows that share no 13-gram with training text, for models of one seed of items."""

    def __init__(
        self, asked: Asked, test: TokenStore, settings: EvaluationSettings, seed: int
    ) -> None:
        self.asked, self.test, self.seed = asked, test, seed
        self.settings = settings.model_copy(update={"baselines": "none"})

    def judge(self, model: Predictor, names: Sequence[str]) -> dict[str, Any]:
        """`losses` of these objectives in nats, their `parts`, and the four `downstream` results.

        All objectives make the views together, so that these are the same whatever the model was trained with.
        """
        rows = ChosenRows(
            self.test, model.context_length, np.array(self.asked.unseen, dtype=np.int64)
        )
        batches = held_out_batches(rows, self.settings.loss_sequences)
        found = held_out_losses(list(model.objectives.values()), batches, model.placement)
        once = AskedOnce(model)
        contest = Contest(once, once, self.seed, FEWEST_SAMPLES)
        return {
            "losses": {name: found[name]["loss"] for name in names},
            "parts": {
                name: {part: value for part, value in found[name].items() if part != "loss"}
                for name in names
            },
            "downstream": {
                name: task.after
                for name, task in four_tasks(contest, self.asked, self.settings, {})
            },
        }


class AskedOnce:
    """A model that gives the answer of the first time to a question it has heard: tasks ask a pair of models, and here
    both are the same one.
    """

    def __init__(self, model: Predictor) -> None:
        self.encoding = model.encoding
        self._model = model
        self._answers: dict[tuple[Any, ...], Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            question = (name, repr(arguments), repr(named))
            if question not in self._answers:
                self._answers[question] = getattr(self._model, name)(*arguments, **named)
            return self._answers[question]

        return answer


def examination(settings: Settings, root: Path) -> Examination:
    """The examination of a project, with the items of `settings.seed`; the last one made is kept."""
    return _examination(settings.model_dump_json(include={"seed", "evaluation", "model"}), root)


@lru_cache(maxsize=1)
def _examination(text: str, root: Path) -> Examination:
    import json

    from ssl_lib.evaluation.stage import ground_of

    settings = parse_settings(json.loads(text))
    ground = ground_of(root)
    drawn = draw(settings.evaluation, settings.seed, ground)
    chosen = encoding(root / "data" / "tokenized" / "encoding.json")
    asked, _ = cleared(drawn, settings.evaluation, chosen, ground)
    test = TokenStore.open(root / "data" / "tokenized" / "test")
    return Examination(asked, test, settings.evaluation, settings.seed)
