"""What a task is made of: the models that it asks, its items, the answers and what each is worth.

Every model of a comparison goes through the same functions with the same arguments. Legend: N texts
or items, T tokens of a text, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.comparison import Resampling, Scores, TaskResult, compare
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.evaluation.tasks import Task

Spans = Sequence[tuple[int, int]]
Items = TypeVar("Items")
Answers = TypeVar("Answers")


class States(Protocol):
    """Hidden states of one text."""

    @property
    def states(self) -> NDArray[np.float32]:
        """[T, D]."""

    @property
    def spans(self) -> NDArray[np.int64]:
        """First and last character (exclusive) of each token, [T, 2]."""


class Predictions(Protocol):
    """Teacher-forced predictions of one text."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable token was the right one, [T]."""

    @property
    def nll(self) -> NDArray[np.floating[Any]]:
        """Negative log likelihood in nats, [T]."""

    @property
    def spans(self) -> NDArray[np.int64]:
        """First and last character (exclusive) of each token, [T, 2]."""


class Forecast(Protocol):
    """The number that comes next."""

    @property
    def value(self) -> float:
        """The median."""

    @property
    def intervals(self) -> Mapping[float, tuple[float, float]]:
        """Central intervals by their probability."""


class ContinuationScorer(Protocol):
    """Anything that finds one continuation of a text more probable than another."""

    def log_likelihoods(self, prompts: Sequence[str], continuations: Sequence[str]) -> Floats:
        """Log likelihood of each continuation after its prompt, in nats, [N]."""


class TokenPredictor(Protocol):
    """Anything that predicts the tokens of a text."""

    def next_token_ranks(self, texts: Sequence[str]) -> Sequence[Predictions]:
        """Each token but the first predicted from those before it."""


class EvaluatedModel(ContinuationScorer, TokenPredictor, Protocol):
    """The methods of a predictor that the tasks use."""

    encoding: tiktoken.Encoding

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]."""

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> Sequence[States]:
        """Bidirectional states, of the last layer, or of all layers side by side."""

    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations."""

    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> Sequence[Forecast]:
        """The number that follows each text, with central intervals."""


class ModelPair(NamedTuple):
    """The randomly initialized model, the trained one, and how both are resampled."""

    before: EvaluatedModel
    after: EvaluatedModel
    resampling: Resampling


class EvaluationTask(Generic[Items, Answers]):
    """One task: what is asked, what a model answers, and what each answer is worth.

    A task in the section `downstream` draws items of split `test`, some to spare; those that share
    a 13-gram of tokens with training text are left out before anything is asked. `items` is a list
    unless the task overrides `texts` and `selected` too.
    """

    checked: ClassVar[bool] = True  # against training text; else the items come from checked ones
    also_as_sentences: ClassVar[bool] = False  # short texts have no 13-gram: search them whole too

    def __init__(self, task: Task) -> None:
        self.task = task

    def items(self, data: EvaluationData) -> Items:
        """What may be asked, always the same for the same settings and seed."""
        raise AssertionError(f"{type(self).__name__} must say what it asks")

    def answer(self, model: EvaluatedModel, items: Items) -> Answers:
        """What a model says to all of the items."""
        raise AssertionError(f"{type(self).__name__} must ask a model")

    def score(self, items: Items, answers: Answers) -> Scores:
        """One value for each item: how right the answer is."""
        raise AssertionError(f"{type(self).__name__} must score its answers")

    def baselines(self, data: EvaluationData, items: Items) -> Mapping[str, Answers | float]:
        """What other methods answer, by name, or what such a method is known to reach."""
        return {}

    def details(
        self, pair: ModelPair, data: EvaluationData, items: Items, answers: Mapping[str, Answers]
    ) -> dict[str, Any]:
        """What the page shows beside the result; `answers` are `before`, `after` and baselines."""
        return {}

    def texts(self, items: Items) -> list[str]:
        """The text of each item that must not stand in training."""
        return [item.text for item in cast(Sequence[Any], items)]

    def selected(self, items: Items, places: Sequence[int]) -> Items:
        """The items at these places alone."""
        chosen = [cast(Sequence[Any], items)[place] for place in places]
        return cast(Items, chosen)  # a task whose items are not a list overrides this

    def wanted(self, settings: EvaluationSettings) -> int:
        """How many items are asked at most."""
        return settings.items

    def run(self, pair: ModelPair, data: EvaluationData, items: Items) -> TaskResult:
        """Ask both models, score them and the baselines, and compare."""
        answers = {
            "before": self.answer(pair.before, items),
            "after": self.answer(pair.after, items),
        }
        scores: dict[str, Scores | float] = {
            name: self.score(items, given) for name, given in answers.items()
        }
        for name, baseline in self.baselines(data, items).items():
            if isinstance(baseline, float):
                scores[name] = baseline
                continue
            answers[name] = baseline
            scores[name] = self.score(items, baseline)
        details = self.details(pair, data, items, answers)
        return compare(self.task, scores, pair.resampling, details)

    def results(self, pair: ModelPair, data: EvaluationData, items: Items) -> dict[str, TaskResult]:
        """One result under the name of the task; a task with several parts names each."""
        return {self.task.name: self.run(pair, data, items)}

    def metrics(self, results: Mapping[str, TaskResult]) -> dict[str, Any]:
        """What stands in `metrics/evaluation.json` beside the table of downstream tasks, by key."""
        if self.task.section == "downstream":
            return {}
        return {self.task.name: results[self.task.name].summary()}


def inside(token_spans: NDArray[np.int64], text: str, spans: Spans) -> NDArray[np.bool_]:
    """Which tokens [T] lie inside one of the character spans.

    White space at the head of a token does not count: in "is 345." the token " 345" lies in (3, 6).
    """
    token_spans = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2)
    starts_T, ends_T = token_spans[:, 0].copy(), token_spans[:, 1]
    for place, (start, end) in enumerate(token_spans):
        piece = text[start:end]
        starts_T[place] += len(piece) - len(piece.lstrip())
    mask_T = np.zeros(len(starts_T), dtype=bool)
    for start, end in spans:
        mask_T |= (starts_T >= start) & (ends_T <= end) & (starts_T < ends_T)
    return mask_T


def overlapping(token_spans: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    """Which tokens [T] share a character with [start, end)."""
    token_spans = np.asarray(token_spans).reshape(-1, 2)
    return (token_spans[:, 0] < end) & (token_spans[:, 1] > start)
