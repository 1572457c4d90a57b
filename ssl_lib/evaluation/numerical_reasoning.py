"""Numerical reasoning: four-choice by the likelihood of the whole continuation, without labels, and exact match by
generation.

A choice is scored by the log likelihood summed over all its tokens up to and including its closing full stop, so
that `51.` and `512.` compete as whole answers; nothing is normalised by length. Ties give the right choice its
share. Legend: N items, C choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.baselines import NgramModel
from ssl_lib.evaluation.protocol import Contest, Judged
from ssl_lib.evaluation.readers import Question, four_choices
from ssl_lib.evaluation.statistics import Paired, TaskResult, paired_means
from ssl_lib.numbers import find_numbers

EXAMPLES = 12
GENERATED_TOKENS = 10
EXACT_ITEMS = 250
Score = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]


class Choice(Protocol):
    """A prompt, ways to go on from its last character, the index of the right one, and the family of the item."""

    prompt: str
    choices: Sequence[str]
    answer: int
    family: str


def evaluate_choices(
    contest: Contest,
    items: Sequence[Choice],
    training_answers: Sequence[int] = (),
    ngrams: Mapping[str, NgramModel] | None = None,
    generate: bool = True,
) -> TaskResult:
    """Four-choice accuracy before and after, per family in the details, with examples and (`generate`) exact match.

    `training_answers` are positions of right answers in items of another split, for the majority baseline.
    """
    before_N = credits(items, choice_scores(contest.before.log_likelihoods, items))
    after_scores = choice_scores(contest.after.log_likelihoods, items)
    after_N = credits(items, after_scores)
    estimate = paired_means(before_N, after_N, contest.bootstrap_samples, contest.seed)
    details: dict[str, Any] = {
        "families": _by_family(contest, items, before_N, after_N),
        "examples": _examples(items, after_scores, after_N),
    }
    if generate:
        details["exact_match"] = exact_match(contest, items)
    baselines = _baselines(contest, items, training_answers, ngrams or {}, after_N)
    return estimate.result("accuracy", len(items), details, baselines)


def choice_scores(score: Score, items: Sequence[Choice]) -> list[NDArray[np.float64]]:
    """Score [C] of each choice of each item, shortest items first through the model, in the order of the items."""
    rows = [(item.prompt, choice) for item in items for choice in item.choices]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][0]) + len(rows[row][1]))
    scores = np.empty(len(rows), dtype=np.float64)
    scores[order] = score([rows[row][0] for row in order], [rows[row][1] for row in order])
    return np.split(scores, np.cumsum([len(item.choices) for item in items])[:-1])


def credits(items: Sequence[Choice], scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Credit [N]: 1 if the right choice alone scores highest, 1/k if k choices tie with it, else 0; nothing for nan."""
    credit = []
    for item, scores_C in zip(items, scores, strict=True):
        right = scores_C[item.answer]
        highest = not np.isnan(scores_C).any() and not (scores_C > right).any()
        credit.append(1.0 / int((scores_C == right).sum()) if highest else 0.0)
    return np.array(credit)


def exact_match(contest: Contest, items: Sequence[Choice]) -> dict[str, Any]:
    """Share of items whose greedy continuation is the right answer as `bare` reads it, before and after.

    Generation costs many passes, so every few items are asked, evenly over the families: about EXACT_ITEMS in all.
    """
    asked = items[:: max(1, len(items) // EXACT_ITEMS)]
    prompts, answers = (
        [item.prompt for item in asked],
        [item.choices[item.answer] for item in asked],
    )
    before_N, after_N = (
        _matches(model, prompts, answers) for model in (contest.before, contest.after)
    )
    estimate = paired_means(before_N, after_N, contest.bootstrap_samples, contest.seed)
    return estimate._asdict() | {
        "n": len(asked),
        "families": _by_family(contest, asked, before_N, after_N),
    }


def evaluate_questions(
    contest: Contest,
    questions: Sequence[Question],
    cue: str = "",
    ngrams: Mapping[str, NgramModel] | None = None,
    baselines: bool = True,
) -> TaskResult:
    """Exact match on question/answer pairs; `cue` is put after each question, say " It is".

    Beside it, in `details["four_choice"]`, the questions with whole numbers for answers as four-choice items with near
    distractors. The baselines answer with the last and with the largest number of the question.
    """
    asked = [question._replace(question=question.question + cue) for question in questions]
    prompts, answers = [one.question for one in asked], [one.answer for one in asked]
    said = [generate_all(model, prompts) for model in (contest.before, contest.after)]
    before_N, after_N = (_equal(texts, answers) for texts in said)
    samples, seed = contest.bootstrap_samples, contest.seed
    others = {
        name: paired_means(
            _equal([pick(one.question) for one in questions], answers), after_N, samples, seed
        )
        for name, pick in (COPIES.items() if baselines else ())
    }
    details: dict[str, Any] = {"answers": _answers(asked, said[1], after_N)}
    if items := four_choices(list(asked), "questions", seed):
        choices = evaluate_choices(contest, items, ngrams=ngrams, generate=False)
        details["four_choice"] = choices.summary() | choices.details
    return paired_means(before_N, after_N, samples, seed).result(
        "exact_match", len(asked), details, others
    )


def generate_all(model: Judged, prompts: Sequence[str]) -> list[str]:
    """Greedy continuations of prompts, through the model by length, in the order given."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    generated = model.generate(
        [prompts[row] for row in order], max_tokens=GENERATED_TOKENS, stop="."
    )
    back = dict(zip(order, generated, strict=True))
    return [back[row] for row in range(len(prompts))]


def bare(text: str) -> str:
    """A text without surrounding space, closing full stop and thousands separators, in lower case."""
    return text.strip().removesuffix(".").strip().replace(",", "").lower()


def _matches(model: Judged, prompts: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    return _equal(generate_all(model, prompts), answers)


def _equal(texts: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    return np.array(
        [bare(text) == bare(answer) for text, answer in zip(texts, answers, strict=True)]
    )


def _last_number(text: str) -> str:
    numbers = find_numbers(text)
    return numbers[-1].text if numbers else ""


def _largest_number(text: str) -> str:
    numbers = [number for number in find_numbers(text) if not np.isnan(number.value)]
    return max(numbers, key=lambda number: number.value).text if numbers else ""


COPIES: dict[str, Callable[[str], str]] = {
    "last_number": _last_number,
    "largest_number": _largest_number,
}


def _answers(
    asked: Sequence[Question], said: Sequence[str], after_N: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Questions with what the trained model wrote: wrong ones first, then right ones."""
    order = [
        i
        for right in (False, True)
        for i in np.flatnonzero(after_N == right).tolist()[: EXAMPLES // 2]
    ]
    return [
        {"question": asked[i].question, "answer": asked[i].answer, "said": said[i]} for i in order
    ]


def _by_family(
    contest: Contest,
    items: Sequence[Choice],
    before_N: NDArray[np.float64],
    after_N: NDArray[np.float64],
) -> dict[str, dict[str, Any]]:
    names = np.array([item.family for item in items])
    rows = {}
    for name in sorted(set(names.tolist())):
        here = names == name
        estimate = paired_means(
            before_N[here], after_N[here], contest.bootstrap_samples, contest.seed
        )
        rows[name] = estimate._asdict() | {"n": int(here.sum())}
    return rows


def _baselines(
    contest: Contest,
    items: Sequence[Choice],
    training_answers: Sequence[int],
    ngrams: Mapping[str, NgramModel],
    after_N: NDArray[np.float64],
) -> dict[str, Paired | float]:
    """Chance, and other methods paired with the trained model's credits on the same items."""
    scores: dict[str, NDArray[np.float64]] = {}
    if len(training_answers):
        position = int(np.bincount(np.asarray(training_answers)).argmax())
        scores["majority_position"] = np.array([float(item.answer == position) for item in items])
    for name, counts in ngrams.items():
        scores[name] = credits(items, choice_scores(_likelihoods(counts, contest.after), items))
    return {"chance": float(np.mean([1 / len(item.choices) for item in items]))} | {
        name: paired_means(scores_N, after_N, contest.bootstrap_samples, contest.seed)
        for name, scores_N in scores.items()
    }


def _likelihoods(counts: NgramModel, model: Judged) -> Score:
    def score(prompts: Sequence[str], continuations: Sequence[str]) -> NDArray[np.float64]:
        pairs = zip(prompts, continuations, strict=True)
        return np.array(
            [counts.log_likelihood(model.encoding, prompt, text) for prompt, text in pairs]
        )

    return score


def _examples(
    items: Sequence[Choice], scores: Sequence[NDArray[np.float64]], credit_N: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Wrong items first, then right ones, from as many families as possible."""
    chosen: list[dict[str, Any]] = []
    for wanted in (False, True):
        turns: dict[str, int] = {}
        ranked = []
        for i in np.flatnonzero((credit_N == 1.0) == wanted).tolist():
            turns[items[i].family] = turns.get(items[i].family, 0) + 1
            ranked.append((turns[items[i].family], i))
        chosen += [_example(items[i], scores[i]) for _, i in sorted(ranked)[: EXAMPLES // 2]]
    return chosen


def _example(item: Choice, scores_C: NDArray[np.float64]) -> dict[str, Any]:
    shown = {"prompt": item.prompt, "choices": list(item.choices), "family": item.family}
    return shown | {"answer": int(item.answer), "chosen": int(np.argmax(scores_C))}
