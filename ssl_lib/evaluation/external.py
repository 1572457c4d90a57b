"""Evaluation on one's own files: CoNLL columns, T5Numeracy, question/answer, STS pairs, texts.

Each file is asked through one of the four tasks of the downstream table. Files are read before
anything is measured, so that a mistake in one costs no time. Items that share a 13-gram of tokens
with training text are counted and left out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ssl_lib.config import EvaluationSettings, ExternalTask
from ssl_lib.evaluation.base import EvaluationTask, ModelPair
from ssl_lib.evaluation.comparison import Details, TaskResult
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.held_out_text import DOCUMENTS, HeldOutText, beginning
from ssl_lib.evaluation.items import clean_places, shared_with_training
from ssl_lib.evaluation.numerical_reasoning import GeneratedChoice, Questions, estimate_of
from ssl_lib.evaluation.readers import (
    EvaluationFileError,
    Question,
    TaggedSentence,
    read_conll,
    read_numeracy,
    read_sts,
    read_texts,
)
from ssl_lib.evaluation.semantic_similarity import SentencePairs
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.evaluation.token_classification import (
    ProbeItems,
    SpanClassification,
    from_sentences,
)

# of the sentences of a CoNLL file that stands alone; the rest is asked
LEARN_SHARE, CHOOSE_SHARE = 0.6, 0.2
LEARNED_WORDS = 20_000  # of the sentences that a probe learns from, at most
Item = TypeVar("Item")


class External(NamedTuple):
    """One task's file, read.

    `texts` is what the contamination check reads, one an item; `of` counts the items of the file.
    Of CoNLL files, `learn` and `choose` are the sentences of a probe, and `repeated` counts those
    left out because the probe learns from the same sentence.
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
    found = []
    for one in settings.external:
        path = root / one.path
        most = one.items or settings.items
        if one.task == "token_classification":
            # three parts: to learn from, to choose by, to ask
            found.append(_read_tagged(one, root, most, seed))
            continue
        # what the contamination check reads stands beside the items
        items: Sequence[Any]
        if one.task == "numerical_reasoning":
            items = read_numeracy(path)
            asked: list[Any] = evenly(items, most)
            texts = [item[0] for item in asked]  # the question, or the prompt
        elif one.task == "semantic_similarity":
            gold = root / one.gold if one.gold else None
            items = read_sts(path, gold)
            asked = evenly(items, most)
            texts = [f"{pair.first} {pair.second}" for pair in asked]
        else:
            items = read_texts(path, one.field)
            most = one.items or min(most, DOCUMENTS)
            asked = texts = [beginning(text) for text in evenly(items, most)]
        found.append(External(one, asked, texts, len(items)))
    return found


def evaluate_external(
    pair: ModelPair, external: Sequence[External], data: EvaluationData
) -> dict[str, TaskResult]:
    """Results by name; `details["file"]` says what was asked of which file, and what was left out.

    Raises EvaluationFileError for a file that holds too little to ask anything.
    """
    texts = {one.settings.name: one.texts for one in external}
    found = shared_with_training(texts, data)
    results = {}
    for one in external:
        settings = one.settings
        contamination = found[settings.name]
        kept = [one.items[place] for place in clean_places(contamination.flags)]
        try:
            task, items = _asked(one, kept)
            result = task.run(pair, data, items)
        except ValueError as error:
            told = f"cannot be evaluated as {settings.task}: {error}"
            raise EvaluationFileError(f"{settings.path}: {told}") from None
        file: Details = {"task": settings.task, "path": settings.path, "of": one.of}
        file |= {"repeated": one.repeated, "asked": len(kept)}
        file["contamination"] = contamination.counts()
        result.details["file"] = file
        results[settings.name] = result
    return results


def external_metrics(result: TaskResult) -> Details:
    """Summary of a file's task, with where it comes from and what belongs beside it."""
    details = result.details
    metrics = result.summary() | dict(details["file"])
    for name in ("exact_match", "four_choice"):
        if name in details:
            metrics[name] = estimate_of(details[name])
    # of texts: on all tokens, and on those inside numbers
    if "accuracy" in details:
        metrics["accuracy"] = details["accuracy"]
    return metrics


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` items, evenly from the first to the last."""
    size = len(items)
    count = min(most, size)
    return [items[number * size // count] for number in range(count)]


def _asked(one: External, items: list[Any]) -> tuple[EvaluationTask[Any, Any], Any]:
    """The task of a file, and its items. Raises ValueError where there is nothing to learn."""
    settings = one.settings
    name = one.settings.task
    about = TASKS[name]
    if name == "token_classification":
        outside = settings.outside or None
        groups = (one.learn, one.choose, items)
        parts = [from_sentences(sentences, outside) for sentences in groups]
        if not all(len(part.labels) for part in parts):
            raise ValueError("every part needs a word whose label is not the one outside")
        return SpanClassification(about), ProbeItems(*parts)
    if name == "semantic_similarity":
        return SentencePairs(about), items
    if name == "next_token_prediction":
        any_text = TASKS["held_out_text"]
        return HeldOutText(any_text), items
    if isinstance(items[0], Question):
        return Questions(about, settings.cue), items
    asked = [item._replace(prompt=item.prompt + settings.cue) for item in items]
    return GeneratedChoice(about), asked


def _read_tagged(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    """A CoNLL file, and the sentences that a probe learns from and is chosen by."""

    def read(path: str) -> list[TaggedSentence]:
        return read_conll(root / path, one.word_column, one.label_column)

    test = read(one.path)
    if not one.train:
        learn, choose, test = _dealt(test, (LEARN_SHARE, CHOOSE_SHARE), seed)
    elif one.validation:
        learn = read(one.train)
        choose = read(one.validation)
    else:
        both = read(one.train)
        learn, choose = _dealt(both, (1 - CHOOSE_SHARE,), seed)
    # nothing is asked that the probe has been told, whatever its labels
    told = {sentence.text for sentence in (*learn, *choose)}
    kept = [sentence for sentence in test if sentence.text not in told]
    if not (learn and choose and kept):
        raise EvaluationFileError(
            f"{root / one.path}: holds too few different sentences "
            "to learn from, to choose by and to ask"
        )
    # as many sentences as hold LEARNED_WORDS words, if there are more
    words = sum(len(sentence.words) for sentence in learn)
    sentences = len(learn) * LEARNED_WORDS // max(words, LEARNED_WORDS)
    learn = evenly(learn, max(1, sentences))
    items = evenly(kept, most)
    return External(
        settings=one,
        items=items,
        texts=[sentence.text for sentence in items],
        of=len(test),
        learn=learn,
        choose=evenly(choose, most),
        repeated=len(test) - len(kept),
    )


def _dealt(
    sentences: Sequence[TaggedSentence], shares: Sequence[float], seed: int
) -> list[list[TaggedSentence]]:
    """Sentences dealt at random, but always the same way, in parts of given shares and a rest."""
    size = len(sentences)
    generator = np.random.default_rng(seed)
    order = generator.permutation(size)
    sizes = [int(share * size) for share in shares]
    borders = np.cumsum(sizes)
    parts = []
    for places in np.split(order, borders):
        # in the order of the file
        parts.append([sentences[place] for place in sorted(places.tolist())])
    return parts
