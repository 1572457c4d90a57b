"""Numerical reasoning: four choices by the likelihood of the whole continuation, without labels.

A choice is scored by the log likelihood summed over all its tokens up to and including its closing
full stop, so that `51.` and `512.` compete as whole answers; nothing is normalized by length. Ties
give the right choice its share. Beside it stands exact match by generation.

Legend: N items, C choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import (
    Answered,
    Baselines,
    EvaluatedModel,
    EvaluationTask,
    ModelPair,
    Texts,
    shortest_first,
)
from ssl_lib.evaluation.baselines import NgramModel
from ssl_lib.evaluation.comparison import Details, Scores, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.readers import ListQuestion, Question, four_choices
from ssl_lib.evaluation.statistics import Bools, Floats
from ssl_lib.evaluation.tasks import Task
from ssl_lib.numbers import find_numbers
from ssl_lib.synthetic.items import CHOICE_FAMILIES, ChoiceItem, choice_items, over_families

Choices = Sequence[ChoiceItem | ListQuestion]
Likelihoods = list[Floats]  # of the choices [C], one array an item

EXAMPLES = 12
GENERATED_TOKENS = 10
EXACT_ITEMS = 250
APART = 4  # items with longer numbers, and in training templates: a quarter of the others each
ESTIMATE = ("before", "after", "before_ci95", "ci95", "difference_ci95", "n")


class FourChoice(EvaluationTask[Choices, Likelihoods]):
    """Accuracy on items with choices; the details have it by family."""

    also_as_sentences = True

    def items(self, data: EvaluationData) -> Choices:
        """`evaluation.items` on unseen operands, spread over the families."""
        return spread_items(data.settings.items, data.seed)

    def texts(self, items: Choices) -> list[str]:
        """The true statements."""
        return [item.prompt + item.choices[item.answer] for item in items]

    def answer(self, model: EvaluatedModel, items: Choices) -> Likelihoods:
        """Log likelihood of each choice."""
        return choice_scores(model, items)

    def score(self, items: Choices, answers: Likelihoods) -> Scores:
        """Credit for the right choice."""
        return Scores(credits(items, answers))

    def baselines(self, data: EvaluationData, items: Choices) -> Baselines[Likelihoods]:
        """Chance, and what counts of training tokens find most probable."""
        # a file may have items of three or five choices
        shares = [1 / len(item.choices) for item in items]
        counted = {name: choice_scores(counts, items) for name, counts in data.ngrams.items()}
        return {"chance": float(np.mean(shares)), **counted}

    def details(self, asked: Answered[Choices, Likelihoods]) -> Details:
        """Accuracy by family, and examples."""
        before_answers = asked.answers["before"]
        after_answers = asked.answers["after"]
        before = self.score(asked.items, before_answers)
        after = self.score(asked.items, after_answers)
        values = before.values, after.values
        families = by_family(asked.pair, asked.items, *values)
        examples = _examples(asked.items, after_answers, after.values)
        return {"families": families, "examples": examples}


class GeneratedChoice(FourChoice):
    """Four choices, and exact match by generation beside them."""

    def details(self, asked: Answered[Choices, Likelihoods]) -> Details:
        """Beside the families and examples, `exact_match`."""
        exact = exact_match(asked.pair, asked.items)
        found = super().details(asked)
        return found | {"exact_match": exact}


class NumericalReasoning(GeneratedChoice):
    """Items in held-out templates, on unseen operands.

    Those in training's own templates, which training documents state word for word but for the
    digits, and those with longer numbers stand apart.
    """

    def items(self, data: EvaluationData) -> Choices:
        """`evaluation.items` on unseen operands in held-out templates, spread over the families."""
        return spread_items(data.settings.items, data.seed, held_out=True)

    def baselines(self, data: EvaluationData, items: Choices) -> Baselines[Likelihoods]:
        """Beside the others, the place where right answers of another split stand most often."""
        others = spread_items(data.settings.items, data.seed, "validation")
        answers = [item.answer for item in others]
        counts = np.bincount(answers)
        most_frequent = int(counts.argmax())
        places = []
        for item in items:
            # as if the model found this place the most probable
            chosen_C = np.zeros(len(item.choices))
            chosen_C[most_frequent] = 1.0
            places.append(chosen_C)
        return {"majority_position": places, **super().baselines(data, items)}

    def details(self, asked: Answered[Choices, Likelihoods]) -> Details:
        """Beside the others, `extrapolation` and `training_templates`."""
        found = super().details(asked)
        data = asked.data
        seed = asked.data.seed
        few = max(len(CHOICE_FAMILIES), data.settings.items // APART)
        longer = spread_items(few, seed, extrapolate=True)
        seen = spread_items(few, seed)
        plain = FourChoice(self.task)
        for name, items in (("training_templates", seen), ("extrapolation", longer)):
            result = plain.run(asked.pair, data.without_baselines(), items)
            row = result.summary()
            found[name] = row | result.details
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """The two sets apart, and exact match."""
        details = results[self.task.name].details
        names = ("training_templates", "extrapolation", "exact_match")
        return {name: estimate_of(details[name]) for name in names}


class Questions(EvaluationTask[Sequence[Question], list[str]]):
    """Exact match on questions of a file; `cue` is put after each, say " It is"."""

    def __init__(self, task: Task, cue: str = "") -> None:
        super().__init__(task._replace(metric="exact_match"))
        self.cue = cue

    def answer(self, model: EvaluatedModel, items: Sequence[Question]) -> list[str]:
        """Greedy continuations."""
        prompts = [item.question + self.cue for item in items]
        return generate_all(model, prompts)

    def score(self, items: Sequence[Question], answers: list[str]) -> Scores:
        """Whether the continuation is the answer, as `bare` reads both."""
        right = [item.answer for item in items]
        return Scores(_equal(answers, right))

    def baselines(self, data: EvaluationData, items: Sequence[Question]) -> Baselines[list[str]]:
        """Two answers that need no model: the last and the largest number of the question."""
        if not data.with_baselines:
            return {}
        last = []
        largest = []
        for item in items:
            numbers = find_numbers(item.question)
            known = [number for number in numbers if not np.isnan(number.value)]
            known.sort(key=lambda number: number.value)
            last.append(numbers[-1].text if numbers else "")
            largest.append(known[-1].text if known else "")
        return {"last_number": last, "largest_number": largest}

    def details(self, asked: Answered[Sequence[Question], list[str]]) -> Details:
        """What was written, and the questions with whole numbers for answers as four choices."""
        said = asked.answers["after"]
        questions = [item._replace(question=item.question + self.cue) for item in asked.items]
        right_N = self.score(asked.items, said).values
        found: Details = {"answers": []}
        # the page shows what was asked, with the cue
        for place in wrong_then_right(right_N):
            row = questions[place]._asdict() | {"said": said[place]}
            found["answers"].append(row)
        if choices := four_choices(questions, "questions", asked.data.seed):
            task = FourChoice(self.task._replace(metric="accuracy"))
            result = task.run(asked.pair, asked.data, choices)
            summary = result.summary()
            found["four_choice"] = summary | result.details
        return found


def choice_scores(model: EvaluatedModel | NgramModel, items: Choices) -> Likelihoods:
    """Score [C] of each choice of each item, shortest items first through the model."""
    prompts = [item.prompt for item in items for _ in item.choices]
    choices = [choice for item in items for choice in item.choices]
    joined = map(str.__add__, prompts, choices)
    order = shortest_first(list(joined))
    ordered_prompts = [prompts[place] for place in order]
    ordered_choices = [choices[place] for place in order]
    scores = np.empty(len(order))
    scores[order] = model.log_likelihoods(ordered_prompts, ordered_choices)
    # one flat list of all choices → one array an item
    sizes = [len(item.choices) for item in items]
    ends = np.cumsum(sizes)
    return np.split(scores, ends[:-1])


def credits(items: Choices, scores: Likelihoods) -> Floats:
    """Credit [N]: 1 if the right choice alone scores highest, 1/k if k tie, else 0.

    An item with a score that is not a number has no credit.
    """
    credit_N = np.zeros(len(items))
    for place, (item, scores_C) in enumerate(zip(items, scores, strict=True)):
        right = scores_C[item.answer]
        if not np.isnan(scores_C).any() and not (scores_C > right).any():
            # two of four equally probable: half right
            is_highest_C = scores_C == right
            ties = int(is_highest_C.sum())
            credit_N[place] = 1.0 / ties
    return credit_N


def exact_match(pair: ModelPair, items: Choices) -> Details:
    """Share of items whose greedy continuation is the right answer as `bare` reads it.

    Generation costs many passes, so every few items are asked, evenly over the families: about
    EXACT_ITEMS in all.
    """
    # items of one family stand together: every so many gives each family its share
    asked = items[:: max(1, len(items) // EXACT_ITEMS)]
    prompts = [item.prompt for item in asked]
    answers = [item.choices[item.answer] for item in asked]
    before = generate_all(pair.before, prompts)
    after = generate_all(pair.after, prompts)
    before_N = _equal(before, answers)
    after_N = _equal(after, answers)
    found = pair.resampling.paired(Scores(before_N), Scores(after_N))
    families = by_family(pair, asked, before_N, after_N)
    return found._asdict() | {"n": len(asked), "families": families}


def by_family(
    pair: ModelPair, items: Choices, before_N: NDArray[Any], after_N: NDArray[Any]
) -> dict[str, Details]:
    """Estimates of each family of items."""
    names = np.array([item.family for item in items])
    rows = {}
    for name in sorted(set(names.tolist())):
        here = names == name
        before = Scores(before_N[here])
        after = Scores(after_N[here])
        found = pair.resampling.paired(before, after)
        rows[name] = found._asdict() | {"n": int(here.sum())}
    return rows


def estimate_of(row: Mapping[str, Any]) -> Details:
    """Of a row of details, the values before and after with their intervals."""
    return {name: row[name] for name in ESTIMATE}


def wrong_then_right(right_N: NDArray[Any]) -> list[int]:
    """Places of a few items for the page."""
    few = EXAMPLES // 2
    wrong = np.flatnonzero(~right_N).tolist()
    right = np.flatnonzero(right_N).tolist()
    return [*wrong[:few], *right[:few]]


def spread_items(
    count: int, seed: int, split: str = "test", extrapolate: bool = False, held_out: bool = False
) -> list[ChoiceItem]:
    """`count` four-choice items, as evenly over the families as that goes."""

    def items_of(family: str, size: int) -> list[ChoiceItem]:
        return choice_items(family, size, seed, split, extrapolate, held_out)

    return over_families(count, items_of)


def generate_all(model: EvaluatedModel, prompts: Texts) -> list[str]:
    """Greedy continuations of prompts, through the model by length, in the order given."""
    order = shortest_first(prompts)
    ordered = [prompts[place] for place in order]
    generated = model.generate(ordered, max_tokens=GENERATED_TOKENS, stop=".")
    found = [""] * len(prompts)
    for place, text in zip(order, generated, strict=True):
        found[place] = text
    return found


def bare(text: str) -> str:
    """A text without surrounding space, closing full stop and thousands separators, lower case."""
    return text.strip().removesuffix(".").strip().replace(",", "").lower()


def _equal(texts: Texts, answers: Texts) -> Bools:
    pairs = zip(texts, answers, strict=True)
    return np.array([bare(text) == bare(answer) for text, answer in pairs])


def _examples(items: Choices, scores: Likelihoods, credit_N: Floats) -> list[Details]:
    """Wrong items first, then right ones, from as many families as possible."""
    chosen: list[Details] = []
    for wanted in (False, True):
        turns: dict[str, int] = {}
        ranked = []
        for place in np.flatnonzero((credit_N == 1.0) == wanted).tolist():
            family = items[place].family
            turn = turns.get(family, 0) + 1
            turns[family] = turn
            ranked.append((turn, place))
        # the first item of every family, then the second of each
        for _, place in sorted(ranked)[: EXAMPLES // 2]:
            item = items[place]
            row: Details = {"prompt": item.prompt, "family": item.family}
            row["choices"] = list(item.choices)
            row["answer"] = int(item.answer)
            scores_C = scores[place]
            row["chosen"] = int(np.argmax(scores_C))
            chosen.append(row)
    return chosen
