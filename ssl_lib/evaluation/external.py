"""Evaluation on files of one's own: the four tasks, asked of CoNLL, T5Numeracy, question/answer, STS and text files.

Files are read before anything is measured, so that a mistake in one costs no time. Items that share a 13-gram of tokens
with training text are counted and left out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ssl_lib.config import EvaluationSettings, ExternalTask
from ssl_lib.evaluation.asked import HELD_OUT, Ground, beginning, clean
from ssl_lib.evaluation.baselines import NgramModel
from ssl_lib.evaluation.contamination import shared_ngrams
from ssl_lib.evaluation.next_token import evaluate_any_text
from ssl_lib.evaluation.numerical_reasoning import evaluate_choices, evaluate_questions
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.evaluation.readers import (
    EvaluationFileError,
    Question,
    TaggedSentence,
    read_conll,
    read_numeracy,
    read_sts,
    read_texts,
)
from ssl_lib.evaluation.semantic_similarity import evaluate_pairs
from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.evaluation.token_classification import evaluate_spans, from_sentences
from ssl_lib.tokens.encodings import encode, special_ids

LEARN_SHARE, CHOOSE_SHARE = (
    0.6,
    0.2,
)  # of the sentences of a CoNLL file that stands alone; the rest is asked
LEARNED_WORDS = 20_000  # of the sentences that a probe learns from, at most
Item = TypeVar("Item")


class External(NamedTuple):
    """One task's files, read.

    `texts` is what the contamination check reads, one an item; `learn` and `choose` are the sentences of a probe; `of`
    counts the items of the file, `repeated` those left out because the probe learns from the same sentence.
    """

    settings: ExternalTask
    items: list[Any]
    texts: list[str]
    of: int
    learn: Sequence[TaggedSentence] = ()
    choose: Sequence[TaggedSentence] = ()
    repeated: int = 0


def read_external(settings: EvaluationSettings, root: Path, seed: int) -> list[External]:
    """Everything that `evaluation.external` names, paths taken from `root`.

    Raises EvaluationFileError that names the file, and where it can the line.
    """
    return [
        _READ[one.task](one, root, one.items or settings.items, seed) for one in settings.external
    ]


def evaluate_external(
    contest: Contest,
    external: Sequence[External],
    ground: Ground,
    ngrams: Mapping[str, NgramModel],
    baselines: bool,
) -> dict[str, TaskResult]:
    """Results by name; `details["file"]` says what was asked of which file, and what was left out.

    Raises EvaluationFileError for a file that holds too little to ask anything.
    """
    encoding = contest.after.encoding
    ids = {one.settings.name: [encode(encoding, text) for text in one.texts] for one in external}
    found = shared_ngrams(ids, ground.training_tokens, special_ids(encoding).end)
    results = {}
    for one in external:
        name, task = one.settings.name, one.settings.task
        items = clean(one.items, found[name].flags, len(one.items))
        try:
            result = _EVALUATE[task](contest, one, items, ngrams, baselines)
        except ValueError as error:
            raise EvaluationFileError(
                f"{one.settings.path}: cannot be evaluated as {task}: {error}"
            ) from None
        counted = {key: value for key, value in found[name]._asdict().items() if key != "flags"}
        told = {
            "task": task,
            "path": one.settings.path,
            "of": one.of,
            "repeated": one.repeated,
            "asked": len(items),
        }
        result.details["file"] = told | {"contamination": counted}
        results[name] = result
    return results


def _read_tagged(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    def read(path: str) -> list[TaggedSentence]:
        return read_conll(root / path, one.word_column, one.label_column)

    test = read(one.path)
    if not one.train:
        learn, choose, test = _parted(test, (LEARN_SHARE, CHOOSE_SHARE), seed)
    elif one.validation:
        learn, choose = read(one.train), read(one.validation)
    else:
        learn, choose = _parted(read(one.train), (1 - CHOOSE_SHARE,), seed)
    told = {sentence.text for sentence in (*learn, *choose)}
    kept = [sentence for sentence in test if sentence.text not in told]
    if not (learn and choose and kept):
        raise EvaluationFileError(
            f"{root / one.path}: holds too few different sentences to learn from, to choose by and to ask"
        )
    words = sum(len(sentence.words) for sentence in learn)
    learn = evenly(learn, max(1, len(learn) * LEARNED_WORDS // max(words, LEARNED_WORDS)))
    items = evenly(kept, most)
    return External(
        one,
        items,
        [s.text for s in items],
        len(test),
        learn,
        evenly(choose, most),
        len(test) - len(kept),
    )


def _read_numeracy(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    found = read_numeracy(root / one.path)
    items = evenly(found, most)
    return External(one, items, [item[0] for item in items], len(found))


def _read_pairs(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    found = read_sts(root / one.path, root / one.gold if one.gold else None)
    items = evenly(found, most)
    return External(one, items, [f"{pair.first} {pair.second}" for pair in items], len(found))


def _read_texts(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    found = read_texts(root / one.path, one.field)
    items = [beginning(text) for text in evenly(found, one.items or min(most, HELD_OUT))]
    return External(one, items, items, len(found))


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` items, evenly from the first to the last."""
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _parted(
    sentences: Sequence[TaggedSentence], shares: Sequence[float], seed: int
) -> tuple[list[TaggedSentence], ...]:
    """Sentences dealt at random, but always the same way, in parts of the given shares and a rest."""
    order = np.random.default_rng(seed).permutation(len(sentences))
    borders = np.cumsum([int(share * len(sentences)) for share in shares])
    return tuple(
        [sentences[i] for i in np.sort(part).tolist()] for part in np.split(order, borders)
    )


def _tagged(
    contest: Contest,
    one: External,
    items: list[Any],
    ngrams: Mapping[str, NgramModel],
    baselines: bool,
) -> TaskResult:
    outside = one.settings.outside or None
    learn, choose, test = (from_sentences(part, outside) for part in (one.learn, one.choose, items))
    if not (len(learn.labels) and len(choose.labels) and len(test.labels)):
        raise ValueError("every part needs a word whose label is not the one outside")
    return evaluate_spans(contest, learn, choose, test, baselines)


def _reasoned(
    contest: Contest,
    one: External,
    items: list[Any],
    ngrams: Mapping[str, NgramModel],
    baselines: bool,
) -> TaskResult:
    if isinstance(items[0], Question):
        return evaluate_questions(contest, items, one.settings.cue, ngrams, baselines)
    asked = [item._replace(prompt=item.prompt + one.settings.cue) for item in items]
    return evaluate_choices(contest, asked, ngrams=ngrams)


def _compared(
    contest: Contest,
    one: External,
    items: list[Any],
    ngrams: Mapping[str, NgramModel],
    baselines: bool,
) -> TaskResult:
    return evaluate_pairs(contest, items, baselines)


def _continued(
    contest: Contest,
    one: External,
    items: list[Any],
    ngrams: Mapping[str, NgramModel],
    baselines: bool,
) -> TaskResult:
    return evaluate_any_text(contest, items, ngrams)


_READ: dict[str, Callable[[ExternalTask, Path, int, int], External]] = {
    "token_classification": _read_tagged,
    "numerical_reasoning": _read_numeracy,
    "semantic_similarity": _read_pairs,
    "next_token_prediction": _read_texts,
}
_EVALUATE: dict[
    str, Callable[[Contest, External, list[Any], Mapping[str, NgramModel], bool], TaskResult]
] = {
    "token_classification": _tagged,
    "numerical_reasoning": _reasoned,
    "semantic_similarity": _compared,
    "next_token_prediction": _continued,
}
