"""What the tasks may use beside the two models: settings, training text, held-out text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings, Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.baselines import NgramModel, count_ngrams
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.numbers import find_numbers
from ssl_lib.tokens.store import TokenStore

if TYPE_CHECKING:
    from ssl_lib.evaluation.compressors import TrainingBytes
    from ssl_lib.evaluation.context_baselines import ContextTables

# of the corpus, so that memory does not grow with it
MOST_VALUES, MOST_TEXTS, MOST_NUMBERS = 1_000_000, 20_000, 300_000
REACH = 160  # characters on either side of a training number: sixteen words, mostly

Thing = TypeVar("Thing")


class Document(NamedTuple):
    """A text, the domain that it comes from, and the locale of its source, "" without one."""

    text: str
    domain: str
    locale: str = ""


class NumberInText(NamedTuple):
    """A number with a value, the text before and behind it, and the number of its document."""

    before: str
    text: str
    after: str
    value: float
    form: str
    domain: str
    owner: int
    locale: str = "auto"  # by which it was found


class EvaluationError(UserError):
    """What `evaluate` needs is missing or unreadable."""


class RawDocuments:
    """The documents of one `data/raw/*.jsonl`, read anew at each pass, as a corpus may be large."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Document]:
        try:
            # one line at a time: the file may be larger than memory
            with self.path.open(encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield Document(row["text"], row["domain"], row.get("locale", ""))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{self.path}: cannot be read ({error}); run `ssl-lib corpus` again"
            ) from None


@dataclass(frozen=True)
class EvaluationData:
    """The training split's tokens, numbers and texts, the held-out texts, and the settings.

    `training_tokens` is the flat array of all tokens, in which a special token ends each document;
    `training_documents` can be run through more than once. `cleared` are the items of the tasks
    that have been checked against training text, by name. `locale` is that of `tokens.locale`, by
    which the numbers of the corpus's own texts are read where their source has none. `determined`
    has the characters of held-out documents that the text before them determines, by text: known of
    built-in documents alone, and of none that a model is trained on.
    """

    settings: EvaluationSettings
    seed: int
    encoding: tiktoken.Encoding
    training_tokens: NDArray[np.integer[Any]]
    training_values: Floats
    training_documents: Iterable[Document]
    test_documents: Sequence[Document]
    cleared: dict[str, Any] = field(default_factory=dict)
    locale: str = "auto"
    determined: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, root: Path, encoding: tiktoken.Encoding) -> EvaluationData:
        """Those of a project. Raises UserError if `corpus` or `tokenize` has not run."""
        folder = root / "data"
        train = TokenStore.open(folder / "tokenized" / "train")
        # every so many numbers of the whole split
        step = 1 + len(train.numbers) // MOST_VALUES
        values = np.array(train.numbers[::step]["value"], dtype=np.float64)
        raw = folder / "raw"
        every_document = RawDocuments(raw / "test.jsonl")
        test_documents = list(islice(every_document, MOST_TEXTS))
        return cls(
            settings=settings.evaluation,
            seed=settings.seed,
            encoding=encoding,
            training_tokens=train.tokens,
            training_values=values,
            training_documents=RawDocuments(raw / "train.jsonl"),
            test_documents=test_documents,
            locale=settings.tokens.locale,
            determined=determined_spans(raw / "labels" / "test.jsonl", test_documents),
        )

    @property
    def with_baselines(self) -> bool:
        """Whether baselines that must be fitted or counted are wanted."""
        return self.settings.baselines != "none"

    def without_baselines(self) -> EvaluationData:
        """The same, and no baselines that must be fitted or counted."""
        without = self.settings.model_copy(update={"baselines": "none"})
        return replace(self, settings=without)

    @property
    def training_texts(self) -> Iterator[str]:
        """The texts of the training split, one after the other."""
        return (document.text for document in self.training_documents)

    @property
    def test_texts(self) -> list[str]:
        """The held-out texts."""
        return [document.text for document in self.test_documents]

    @cached_property
    def training_numbers(self) -> list[NumberInText]:
        """Numbers of the training split with some text on both sides, evenly from all of it."""
        # finding numbers takes longer than reading: not in documents that would be thinned out
        documents = thinned(self.training_documents, MOST_TEXTS)
        numbers = numbers_in(documents, REACH, self.locale)
        return thinned(numbers, MOST_NUMBERS)

    @cached_property
    def training_words(self) -> list[NumberInText]:
        """Words of the training split with some text on both sides, evenly from all of it."""
        from ssl_lib.evaluation.masked_text import MOST_DOCUMENTS, MOST_WORDS, words_in

        documents = thinned(self.training_documents, MOST_DOCUMENTS)
        return thinned(words_in(documents, REACH), MOST_WORDS)

    @cached_property
    def context_tables(self) -> ContextTables:
        """What training numbers stand where: baselines of the tasks about the next number."""
        from ssl_lib.evaluation.context_baselines import ContextTables

        return ContextTables(self.training_numbers)

    @cached_property
    def training_bytes(self) -> TrainingBytes:
        """What compressors read of the training split, once for all texts that are asked."""
        from ssl_lib.evaluation.compressors import TrainingBytes

        return TrainingBytes(self.training_texts)

    @cached_property
    def ngrams(self) -> dict[str, NgramModel]:
        """Counts of training tokens, where wanted: baselines of whatever a likelihood decides."""
        if not self.with_baselines:
            return {}
        unigrams = count_ngrams(self.training_tokens, self.encoding, order=1)
        ngrams = count_ngrams(self.training_tokens, self.encoding)
        return {"unigram_counts": unigrams, "ngram_counts": ngrams}


def determined_spans(path: Path, documents: Sequence[Document]) -> dict[str, list[tuple[int, int]]]:
    """The spans that the labels of these documents call determined, by text; empty without labels.

    The file has a line for each document, `{}` for one that is not built in.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    if not path.exists():
        return found
    with path.open(encoding="utf-8") as lines:
        for document, line in zip(documents, lines, strict=False):
            spans = json.loads(line).get("determined") or ()
            if spans:
                found[document.text] = [(start, end) for start, end in spans]
    return found


def numbers_in(
    documents: Iterable[Document], reach: int | None = None, locale: str = "auto"
) -> Iterator[NumberInText]:
    """The numbers with a value that begin with a digit right behind a space, in their order.

    So it is plain what stands before them, and that a number comes: not "$5", not "(5". At most
    `reach` characters are kept on either side. `locale` is for documents without one of their own.
    """
    for owner, (text, domain, own) in enumerate(documents):
        for number in find_numbers(text, own or locale):
            before, after = around(text, number.start, number.end, reach)
            plain = number.text[:1].isdigit() and np.isfinite(number.value)
            if plain and before.strip() and before.endswith(" "):
                about = (number.value, number.form, domain, owner, own or locale)
                yield NumberInText(before, number.text, after, *about)


def around(text: str, start: int, end: int, reach: int | None) -> tuple[str, str]:
    """What stands before and behind [start, end), at most `reach` characters each."""
    if reach is None:
        return text[:start], text[end:]
    return text[max(0, start - reach) : start], text[end : end + reach]


def thinned(things: Iterable[Thing], most: int) -> list[Thing]:
    """At most `most` of them, evenly from first to last: every one, every second, every fourth."""
    kept: list[Thing] = []
    step = 1
    for place, thing in enumerate(things):
        if place % step == 0:
            kept.append(thing)
        # too many: every second one stays, and half as many come after them
        if len(kept) > most:
            kept = kept[::2]
            step *= 2
    return kept


def evenly(items: Sequence[Thing], most: int) -> list[Thing]:
    """At most `most` items, evenly from the first to the last."""
    size = len(items)
    count = min(most, size)
    return [items[number * size // count] for number in range(count)]
