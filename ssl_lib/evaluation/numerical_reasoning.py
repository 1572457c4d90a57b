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
from ssl_lib.evaluation.readers import Question
from ssl_lib.evaluation.statistics import TaskResult, paired_means

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
    baselines = _baselines(contest.after, items, training_answers, ngrams or {})
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
    prompts, answers = [item.prompt for item in asked], [item.choices[item.answer] for item in asked]
    before_N, after_N = (_matches(model, prompts, answers) for model in (contest.before, contest.after))
    estimate = paired_means(before_N, after_N, contest.bootstrap_samples, contest.seed)
    names = np.array([item.family for item in asked])
    by_family = {name: float(after_N[names == name].mean()) for name in sorted(set(names.tolist()))}
    return estimate._asdict() | {"n": len(asked), "families": by_family}


def evaluate_questions(contest: Contest, questions: Sequence[Question], cue: str = "") -> TaskResult:
    """Exact match on question/answer pairs; `cue` is put after each question, say " It is"."""
    prompts, answers = [question.question + cue for question in questions], [question.answer for question in questions]
    before_N, after_N = (_matches(model, prompts, answers) for model in (contest.before, contest.after))
    estimate = paired_means(before_N, after_N, contest.bootstrap_samples, contest.seed)
    return estimate.result("exact_match", len(questions), {}, {})


def generate_all(model: Judged, prompts: Sequence[str]) -> list[str]:
    """Greedy continuations of prompts, through the model by length, in the order given."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    generated = model.generate([prompts[row] for row in order], max_tokens=GENERATED_TOKENS, stop=".")
    back = dict(zip(order, generated, strict=True))
    return [back[row] for row in range(len(prompts))]


def bare(text: str) -> str:
    """A text without surrounding space, closing full stop and thousands separators, in lower case."""
    return text.strip().removesuffix(".").strip().replace(",", "").lower()


def _matches(model: Judged, prompts: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    pairs = zip(generate_all(model, prompts), answers, strict=True)
    return np.array([bare(text) == bare(answer) for text, answer in pairs])


def _by_family(
    contest: Contest, items: Sequence[Choice], before_N: NDArray[np.float64], after_N: NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    names = np.array([item.family for item in items])
    rows = {}
    for name in sorted(set(names.tolist())):
        here = names == name
        estimate = paired_means(before_N[here], after_N[here], contest.bootstrap_samples, contest.seed)
        rows[name] = estimate._asdict() | {"n": int(here.sum())}
    return rows


def _baselines(
    model: Judged, items: Sequence[Choice], training_answers: Sequence[int], ngrams: Mapping[str, NgramModel]
) -> dict[str, float]:
    rows = {"chance": float(np.mean([1 / len(item.choices) for item in items]))}
    if len(training_answers):
        position = int(np.bincount(np.asarray(training_answers)).argmax())
        rows["majority_position"] = float(np.mean([item.answer == position for item in items]))
    for name, counts in ngrams.items():
        likelihoods = _likelihoods(counts, model)
        rows[name] = float(credits(items, choice_scores(likelihoods, items)).mean())
    return rows


def _likelihoods(counts: NgramModel, model: Judged) -> Score:
    def score(prompts: Sequence[str], continuations: Sequence[str]) -> NDArray[np.float64]:
        pairs = zip(prompts, continuations, strict=True)
        return np.array([counts.log_likelihood(model.encoding, prompt, text) for prompt, text in pairs])

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
