"""Numerical reasoning: four choices by the likelihood of the whole continuation, without labels.

A choice is scored by the log likelihood summed over all its tokens up to and including its closing
full stop, so that `51.` and `512.` compete as whole answers; nothing is normalized by length. Ties
give the right choice its share. Beside it stands exact match by generation.

Legend: N items, C choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import (
    ContinuationScorer,
    EvaluatedModel,
    EvaluationTask,
    ModelPair,
)
from ssl_lib.evaluation.comparison import Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.readers import Question, four_choices
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.evaluation.tasks import Task
from ssl_lib.numbers import find_numbers
from ssl_lib.synthetic.items import CHOICE_FAMILIES, ChoiceItem, choice_items

EXAMPLES = 12
GENERATED_TOKENS = 10
EXACT_ITEMS = 250
APART = 4  # items with longer numbers, and in held-out templates: a quarter of the others each
ESTIMATE = ("before", "after", "before_ci95", "ci95", "difference_ci95", "n")


class Choice(Protocol):
    """A prompt, ways to go on from its last character, and the index of the right one."""

    @property
    def prompt(self) -> str:
        """The text so far."""

    @property
    def choices(self) -> Sequence[str]:
        """Continuations, such as " 443."."""

    @property
    def answer(self) -> int:
        """The place of the right one."""

    @property
    def family(self) -> str:
        """The kind of item."""


class FourChoice(EvaluationTask[Sequence[Choice], list[Floats]]):
    """Accuracy on items with choices; the details have it by family."""

    also_as_sentences = True

    def items(self, data: EvaluationData) -> Sequence[Choice]:
        """`evaluation.items` on unseen operands, spread over the families."""
        return spread_items(data.settings.items, data.seed)

    def texts(self, items: Sequence[Choice]) -> list[str]:
        """The true statements."""
        return [item.prompt + item.choices[item.answer] for item in items]

    def answer(self, model: EvaluatedModel, items: Sequence[Choice]) -> list[Floats]:
        """Log likelihood [C] of each choice."""
        return choice_scores(model, items)

    def score(self, items: Sequence[Choice], answers: list[Floats]) -> Scores:
        """Credit for the right choice."""
        return Scores(credits(items, answers))

    def baselines(
        self, data: EvaluationData, items: Sequence[Choice]
    ) -> Mapping[str, list[Floats] | float]:
        """Chance, and what counts of training tokens find most probable."""
        chance = float(np.mean([1 / len(item.choices) for item in items]))
        counted = {name: choice_scores(counts, items) for name, counts in data.ngrams.items()}
        return {"chance": chance, **counted}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[Choice],
        answers: Mapping[str, list[Floats]],
    ) -> dict[str, Any]:
        """Accuracy by family, and examples."""
        before_N, after_N = (credits(items, answers[name]) for name in ("before", "after"))
        return {
            "families": by_family(pair, items, before_N, after_N),
            "examples": _examples(items, answers["after"], after_N),
        }


class GeneratedChoice(FourChoice):
    """Four choices, and exact match by generation beside them."""

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[Choice],
        answers: Mapping[str, list[Floats]],
    ) -> dict[str, Any]:
        """Beside the families and examples, `exact_match`."""
        found = super().details(pair, data, items, answers)
        return found | {"exact_match": exact_match(pair, items)}


class NumericalReasoning(GeneratedChoice):
    """Items on unseen operands; those with longer numbers and in held-out templates stand apart."""

    def baselines(
        self, data: EvaluationData, items: Sequence[Choice]
    ) -> Mapping[str, list[Floats] | float]:
        """Beside the others, the place where right answers of another split stand most often."""
        others = [
            item.answer for item in spread_items(data.settings.items, data.seed, "validation")
        ]
        most_frequent = int(np.bincount(others).argmax())
        choices = [np.arange(len(item.choices)) for item in items]
        places = [(places_C == most_frequent).astype(np.float64) for places_C in choices]
        return {"majority_position": places, **super().baselines(data, items)}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[Choice],
        answers: Mapping[str, list[Floats]],
    ) -> dict[str, Any]:
        """Beside the others, `extrapolation` and `reserved_wordings`."""
        found = super().details(pair, data, items, answers)
        few = max(len(CHOICE_FAMILIES), data.settings.items // APART)
        apart = {
            "extrapolation": spread_items(few, data.seed, extrapolate=True),
            "reserved_wordings": spread_items(few, data.seed, held_out=True),
        }
        for name, chosen in apart.items():
            result = FourChoice(self.task).run(pair, data.without_baselines(), chosen)
            found[name] = result.summary() | result.details
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> dict[str, Any]:
        """The two sets apart, and exact match."""
        result = results[self.task.name]
        names = ("extrapolation", "reserved_wordings", "exact_match")
        return {name: estimate_of(result.details[name]) for name in names}


class Questions(EvaluationTask[Sequence[Question], list[str]]):
    """Exact match on questions with one right answer; `cue` is put after each, say " It is"."""

    def __init__(self, task: Task, cue: str = "") -> None:
        super().__init__(task._replace(metric="exact_match"))
        self.cue = cue

    def items(self, data: EvaluationData) -> Sequence[Question]:
        """None: questions come from files."""
        return []

    def answer(self, model: EvaluatedModel, items: Sequence[Question]) -> list[str]:
        """Greedy continuations."""
        return generate_all(model, [item.question + self.cue for item in items])

    def score(self, items: Sequence[Question], answers: list[str]) -> Scores:
        """Whether the continuation is the answer, as `bare` reads both."""
        return Scores(_equal(answers, [item.answer for item in items]))

    def baselines(
        self, data: EvaluationData, items: Sequence[Question]
    ) -> Mapping[str, list[str] | float]:
        """Two answers that need no model: the last and the largest number of the question."""
        if not data.with_baselines:
            return {}
        picks = {"last_number": _last_number, "largest_number": _largest_number}
        return {name: [pick(item.question) for item in items] for name, pick in picks.items()}

    def details(
        self,
        pair: ModelPair,
        data: EvaluationData,
        items: Sequence[Question],
        answers: Mapping[str, list[str]],
    ) -> dict[str, Any]:
        """What was written, and the questions with whole numbers for answers as four choices."""
        asked = [item._replace(question=item.question + self.cue) for item in items]
        right_N = self.score(items, answers["after"]).values
        wrong, right = np.flatnonzero(~right_N).tolist(), np.flatnonzero(right_N).tolist()
        shown = [*wrong[: EXAMPLES // 2], *right[: EXAMPLES // 2]]
        said = answers["after"]
        found: dict[str, Any] = {
            "answers": [asked[place]._asdict() | {"said": said[place]} for place in shown]
        }
        if choices := four_choices(asked, "questions", data.seed):
            task = FourChoice(self.task._replace(metric="accuracy"))
            result = task.run(pair, data, choices)
            found["four_choice"] = result.summary() | result.details
        return found


def choice_scores(model: ContinuationScorer, items: Sequence[Choice]) -> list[Floats]:
    """Score [C] of each choice of each item, shortest items first through the model."""
    rows = [(item.prompt, choice) for item in items for choice in item.choices]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][0]) + len(rows[row][1]))
    prompts, continuations = zip(*(rows[row] for row in order), strict=True)
    scores = np.empty(len(rows), dtype=np.float64)
    scores[order] = model.log_likelihoods(prompts, continuations)
    ends = np.cumsum([len(item.choices) for item in items])
    return np.split(scores, ends[:-1])


def credits(items: Sequence[Choice], scores: Sequence[Floats]) -> Floats:
    """Credit [N]: 1 if the right choice alone scores highest, 1/k if k tie, else 0.

    An item with a score that is not a number has no credit.
    """
    credit_N = np.zeros(len(items))
    for place, (item, scores_C) in enumerate(zip(items, scores, strict=True)):
        right = scores_C[item.answer]
        if not np.isnan(scores_C).any() and not (scores_C > right).any():
            credit_N[place] = 1.0 / int((scores_C == right).sum())
    return credit_N


def exact_match(pair: ModelPair, items: Sequence[Choice]) -> dict[str, Any]:
    """Share of items whose greedy continuation is the right answer as `bare` reads it.

    Generation costs many passes, so every few items are asked, evenly over the families: about
    EXACT_ITEMS in all.
    """
    asked = items[:: max(1, len(items) // EXACT_ITEMS)]
    prompts = [item.prompt for item in asked]
    answers = [item.choices[item.answer] for item in asked]
    before_N = _equal(generate_all(pair.before, prompts), answers)
    after_N = _equal(generate_all(pair.after, prompts), answers)
    found = pair.resampling.paired(Scores(before_N), Scores(after_N))
    families = by_family(pair, asked, before_N, after_N)
    return found._asdict() | {"n": len(asked), "families": families}


def by_family(
    pair: ModelPair, items: Sequence[Choice], before_N: NDArray[Any], after_N: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Estimates of each family of items."""
    names = np.array([item.family for item in items])
    rows = {}
    for name in sorted(set(names.tolist())):
        here = names == name
        found = pair.resampling.paired(Scores(before_N[here]), Scores(after_N[here]))
        rows[name] = found._asdict() | {"n": int(here.sum())}
    return rows


def estimate_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row of details, the values before and after with their intervals."""
    return {name: row[name] for name in ESTIMATE}


def spread_items(
    count: int, seed: int, split: str = "test", extrapolate: bool = False, held_out: bool = False
) -> list[ChoiceItem]:
    """`count` four-choice items, as evenly over the families as that goes."""
    share, rest = divmod(count, len(CHOICE_FAMILIES))
    found: list[ChoiceItem] = []
    for number, family in enumerate(CHOICE_FAMILIES):
        size = share + (number < rest)
        found += choice_items(family, size, seed, split, extrapolate, held_out)
    return found


def generate_all(model: EvaluatedModel, prompts: Sequence[str]) -> list[str]:
    """Greedy continuations of prompts, through the model by length, in the order given."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    ordered = [prompts[place] for place in order]
    generated = model.generate(ordered, max_tokens=GENERATED_TOKENS, stop=".")
    back = dict(zip(order, generated, strict=True))
    return [back[place] for place in range(len(prompts))]


def bare(text: str) -> str:
    """A text without surrounding space, closing full stop and thousands separators, lower case."""
    return text.strip().removesuffix(".").strip().replace(",", "").lower()


def _equal(texts: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    pairs = zip(texts, answers, strict=True)
    return np.array([bare(text) == bare(answer) for text, answer in pairs])


def _last_number(text: str) -> str:
    numbers = find_numbers(text)
    return numbers[-1].text if numbers else ""


def _largest_number(text: str) -> str:
    numbers = [number for number in find_numbers(text) if not np.isnan(number.value)]
    return max(numbers, key=lambda number: number.value).text if numbers else ""


def _examples(
    items: Sequence[Choice], scores: Sequence[Floats], credit_N: Floats
) -> list[dict[str, Any]]:
    """Wrong items first, then right ones, from as many families as possible."""
    chosen: list[dict[str, Any]] = []
    for wanted in (False, True):
        turns: dict[str, int] = {}
        ranked = []
        for place in np.flatnonzero((credit_N == 1.0) == wanted).tolist():
            family = items[place].family
            turns[family] = turns.get(family, 0) + 1
            ranked.append((turns[family], place))
        # the first item of every family, then the second of each
        for _, place in sorted(ranked)[: EXAMPLES // 2]:
            item = items[place]
            row = {"prompt": item.prompt, "choices": list(item.choices), "family": item.family}
            best = int(np.argmax(scores[place]))
            chosen.append(row | {"answer": int(item.answer), "chosen": best})
    return chosen
