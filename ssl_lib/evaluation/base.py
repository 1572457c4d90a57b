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
from ssl_lib.evaluation.baselines import CountedPredictions
from ssl_lib.evaluation.comparison import Details, Resampling, Scores, TaskResult, compare
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.statistics import Bools, Floats, Integers
from ssl_lib.evaluation.tasks import Task
from ssl_lib.objectives.numerical import NumberPrediction
from ssl_lib.predictions import TokenPredictions, TokenStates

Texts = Sequence[str]
Span = tuple[int, int]
Spans = Sequence[Span]  # first character, and the one after the last
Predictions = Sequence[TokenPredictions | CountedPredictions]  # one a text
Items = TypeVar("Items")
Answers = TypeVar("Answers")
Baselines = Mapping[str, Answers | float]


class EvaluatedModel(Protocol):
    """The methods of a predictor that the tasks use."""

    encoding: tiktoken.Encoding
    context_length: int

    def embed(self, texts: Texts) -> NDArray[np.float32]:
        """Unit vectors [N, D]."""

    def token_states(self, texts: Texts, every_layer: bool = False) -> Sequence[TokenStates]:
        """Bidirectional states [T, D], of the last layer, or of all layers side by side."""

    def next_token_ranks(self, texts: Texts) -> Predictions:
        """Each token but the first predicted from those before it."""

    def log_likelihoods(self, prompts: Texts, continuations: Texts) -> Floats:
        """Log likelihood of each continuation after its prompt, in nats, [N]."""

    def generate(self, prompts: Texts, max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations."""

    def restores(self, texts: Texts, places: Spans) -> Bools:
        """Whether the characters of each span come back when its tokens are masked, [N]."""

    def predict_numbers(
        self, texts: Texts, intervals: Sequence[float] = (0.5, 0.9)
    ) -> Sequence[NumberPrediction]:
        """The number that follows each text, with central intervals."""


class ModelPair(NamedTuple):
    """The randomly initialized model, the trained one, and how both are resampled."""

    before: EvaluatedModel
    after: EvaluatedModel
    resampling: Resampling


class Answered(NamedTuple, Generic[Items, Answers]):
    """A task that has been asked: `answers` has `before`, `after` and the names of baselines."""

    pair: ModelPair
    data: EvaluationData
    items: Items
    answers: Mapping[str, Answers]


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

    def baselines(self, data: EvaluationData, items: Items) -> Baselines[Answers]:
        """What other methods answer, by name, or what such a method is known to reach."""
        return {}

    def helped(
        self, twin: EvaluatedModel, data: EvaluationData, items: Items
    ) -> Mapping[str, Answers]:
        """What the randomly initialized model answers with a rule's help, by name."""
        return {}

    def details(self, asked: Answered[Items, Answers]) -> Details:
        """What the page shows beside the result."""
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
        answers = {"before": self.answer(pair.before, items)}
        answers["after"] = self.answer(pair.after, items)
        # baselines first, in their order: so they stand on the page
        scores: dict[str, Scores | float] = {}
        others = {**self.baselines(data, items), **self.helped(pair.before, data, items)}
        for name, baseline in others.items():
            if isinstance(baseline, float):
                scores[name] = baseline
            else:
                answers[name] = baseline
                scores[name] = self.score(items, baseline)
        # the same rule for all: a baseline gives answers as a model does
        for name in ("before", "after"):
            scores[name] = self.score(items, answers[name])
        asked = Answered(pair, data, items, answers)
        details = self.details(asked)
        return compare(self.task, scores, pair.resampling, details)

    def results(self, pair: ModelPair, data: EvaluationData, items: Items) -> dict[str, TaskResult]:
        """One result under the name of the task; a task with several parts names each."""
        result = self.run(pair, data, items)
        return {self.task.name: result}

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """What stands in `metrics/evaluation.json` beside the table of downstream tasks, by key."""
        if self.task.section == "downstream":
            return {}
        name = self.task.name
        return {name: results[name].summary()}


def inside(token_spans: Integers, text: str, spans: Spans) -> Bools:
    """Which tokens [T] lie inside one of the character spans.

    White space at the head of a token does not count: in "is 345." the token " 345" lies in (3, 6).
    """
    # an empty text has spans [0, 2] too
    token_spans = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2)
    starts_T = token_spans[:, 0].copy()
    ends_T = token_spans[:, 1]
    for place, (start, end) in enumerate(token_spans):
        piece = text[start:end]
        starts_T[place] += len(piece) - len(piece.lstrip())
    mask_T = np.zeros(len(starts_T), dtype=bool)
    for start, end in spans:
        # a token of white space alone starts where it ends, and lies in nothing
        within_T = (starts_T >= start) & (ends_T <= end)
        mask_T |= within_T & (starts_T < ends_T)
    return mask_T


def overlapping(token_spans: Integers, start: int, end: int) -> Bools:
    """Which tokens [T] share a character with [start, end)."""
    starts_T, ends_T = np.asarray(token_spans).reshape(-1, 2).T
    return (starts_T < end) & (ends_T > start)


def shortest_first(texts: Texts) -> list[int]:
    """Places of the texts by length: those of one length go through a model together."""
    return sorted(range(len(texts)), key=lambda place: len(texts[place]))
