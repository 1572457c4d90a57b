"""Evaluation on one's own files: CoNLL columns, sets about numbers, STS pairs, texts.

Each file is asked through one of the four tasks of the downstream table. A file that cannot be used
becomes a row that says why, and the others are measured. Items that share a 13-gram of tokens with
training text are counted and left out, as everywhere.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssl_lib.config import EvaluationSettings, ExternalTask
from ssl_lib.errors import UserError
from ssl_lib.evaluation.base import EvaluationTask, ModelPair
from ssl_lib.evaluation.comparison import Details, TaskResult
from ssl_lib.evaluation.data import EvaluationData, evenly
from ssl_lib.evaluation.held_out_text import DOCUMENTS, AnyText, beginning
from ssl_lib.evaluation.items import clean_places, shared_with_training
from ssl_lib.evaluation.lines import EvaluationFileError, files_of
from ssl_lib.evaluation.number_sets import read_numeracy
from ssl_lib.evaluation.numerical_reasoning import (
    FourChoice,
    GeneratedChoice,
    Questions,
    estimate_of,
)
from ssl_lib.evaluation.readers import (
    Question,
    TaggedSentence,
    read_conll,
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


class External(NamedTuple):
    """One task's files, read.

    `texts` is what the contamination check reads, one an item; `of` counts the items of the files,
    `left_out` those that cannot be asked, by reason. Of CoNLL files, `learn` and `choose` are the
    sentences of a probe, and `repeated` counts those left out because the probe learns from the
    same sentence.
    """

    settings: ExternalTask
    items: list[Any]
    texts: list[str]
    of: int
    left_out: Mapping[str, int] = {}
    learn: Sequence[TaggedSentence] = ()
    choose: Sequence[TaggedSentence] = ()
    repeated: int = 0


class Unusable(NamedTuple):
    """Files that cannot be asked: the row of the results that says why."""

    settings: ExternalTask
    why: str

    def row(self) -> Details:
        """What the files of results say of it."""
        return {"task": self.settings.task, "path": self.settings.path, "error": self.why}


def read_external(settings: EvaluationSettings, root: Path, seed: int) -> list[External | Unusable]:
    """Everything that `evaluation.external` names, paths taken from `root`.

    What cannot be read is Unusable, and says why: the file, and where it can the line.
    """
    found: list[External | Unusable] = []
    for one in settings.external:
        try:
            found.append(_read(one, root, one.items or settings.items, seed))
        except EvaluationFileError as error:
            found.append(Unusable(one, str(error)))
    return found


def _read(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    """The files of one task. Raises EvaluationFileError."""
    if one.task == "token_classification":
        # three parts: to learn from, to choose by, to ask
        return _read_tagged(one, root, most, seed)
    # what the contamination check reads stands beside the items
    items: list[Any] = []
    left_out: Counter[str] = Counter()
    paths = files_of(root, one.path)
    if one.task == "numerical_reasoning":
        for path in paths:
            read = read_numeracy(path, seed)
            items += read.items
            left_out += read.left_out
        if len({type(item) for item in items}) > 1:
            message = "holds files with choices and files without; give each kind its own name"
            raise EvaluationFileError(f"{root / one.path}: {message}")
        asked = evenly(items, most)
        texts = [item[0] for item in asked]  # the question, or the prompt
    elif one.task == "semantic_similarity":
        # each pair remembers its file: correlations are taken file by file
        for path, gold in scored_files(root, one.path, one.gold):
            pairs = read_sts(path, gold, one.columns)
            items += pairs.items
            left_out += pairs.left_out
        asked = evenly(items, most)
        texts = [f"{pair.first} {pair.second}" for pair in asked]
    else:
        for path in paths:
            items += read_texts(path, one.field)
        most = one.items or min(most, DOCUMENTS)
        asked = texts = [beginning(text) for text in evenly(items, most)]
    return External(one, asked, texts, len(items), left_out)


def evaluate_external(
    pair: ModelPair, external: Sequence[External | Unusable], data: EvaluationData
) -> dict[str, TaskResult | Unusable]:
    """Results by name; `details["file"]` says what was asked of which file, and what was left out.

    Files that hold too little to ask anything are Unusable too.
    """
    texts = {one.settings.name: one.texts for one in external if isinstance(one, External)}
    found = shared_with_training(texts, data)
    results: dict[str, TaskResult | Unusable] = {}
    for one in external:
        settings = one.settings
        if isinstance(one, Unusable):
            results[settings.name] = one
            continue
        contamination = found[settings.name]
        kept = [one.items[place] for place in clean_places(contamination.flags)]
        try:
            task, items = _asked(one, kept)
            result = task.run(pair, data, items)
        except (ValueError, UserError) as error:
            told = f"{settings.path}: cannot be evaluated as {settings.task}: {error}"
            results[settings.name] = Unusable(settings, told)
            continue
        file: Details = {"task": settings.task, "path": settings.path, "of": one.of}
        file |= {"repeated": one.repeated, "asked": len(kept), "left_out": dict(one.left_out)}
        file["contamination"] = contamination.counts()
        result.details["file"] = file
        results[settings.name] = result
    return results


def external_metrics(result: TaskResult | Unusable) -> Details:
    """Summary of a file's task, with where it comes from and what belongs beside it."""
    if isinstance(result, Unusable):
        return result.row()
    details = result.details
    metrics = result.summary() | dict(details["file"])
    for name in ("exact_match", "four_choice"):
        if name in details:
            metrics[name] = estimate_of(details[name])
    # of texts: on all tokens, and on those inside numbers; of pairs: beside Spearman, and by file
    for name in ("accuracy", "pearson", "files"):
        if name in details:
            metrics[name] = details[name]
    return metrics


def scored_files(root: Path, pattern: str, gold: str) -> list[tuple[Path, Path | None]]:
    """Files of pairs, each with that of its scores, where these stand apart.

    Of several files those belong together whose names are alike but for what all names of each
    side have in common: STS.input.news.txt and STS.gs.news.txt. Raises EvaluationFileError for a
    file without the other.
    """
    paths = files_of(root, pattern)
    if not gold:
        return [(path, None) for path in paths]
    golds = files_of(root, gold)
    if len(paths) == len(golds) == 1:
        return [(paths[0], golds[0])]
    by_name = dict(zip(_own_parts(golds), golds, strict=True))
    pairs: list[tuple[Path, Path | None]] = []
    for name, path in zip(_own_parts(paths), paths, strict=True):
        if name not in by_name:
            message = f"has no file of scores in {gold}, where {', '.join(map(str, golds))} are"
            raise EvaluationFileError(f"{path}: {message}")
        pairs.append((path, by_name[name]))
    return pairs


def _own_parts(paths: Sequence[Path]) -> list[str]:
    """Of the names of files, what they do not all begin and end with."""
    # STS.gs.news.txt, STS.gs.forums.txt → new, forum
    names = [str(path) for path in paths]
    # read from behind, what they end with stands at the head
    start = _common_start(names)
    backwards = [name[start:][::-1] for name in names]
    end = _common_start(backwards)
    return [name[end:][::-1] for name in backwards]


def _common_start(names: Sequence[str]) -> int:
    # all others lie between the first and the last
    first, last = min(names), max(names)
    alike = (a == b for a, b in zip(first, last, strict=False))
    return sum(itertools.takewhile(bool, alike))


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
        return AnyText(any_text), items
    if isinstance(items[0], Question):
        return Questions(about, settings.cue), items
    if not all(item.generated for item in items):
        return FourChoice(about), items
    asked = [item._replace(prompt=item.prompt + settings.cue) for item in items]
    return GeneratedChoice(about), asked


def _read_tagged(one: ExternalTask, root: Path, most: int, seed: int) -> External:
    """A CoNLL file, and the sentences that a probe learns from and is chosen by."""

    def read(pattern: str) -> list[TaggedSentence]:
        found = []
        for path in files_of(root, pattern):
            found += read_conll(path, one.word_column, one.label_column)
        return found

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
