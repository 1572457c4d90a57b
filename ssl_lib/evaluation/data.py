"""What the tasks may use beside the two models: settings, training text, held-out text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings, Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.baselines import NgramModel, count_ngrams
from ssl_lib.evaluation.statistics import Floats
from ssl_lib.tokens.store import TokenStore

MOST_VALUES, MOST_TEXTS = 1_000_000, 20_000  # of the corpus, so that memory does not grow with it


class EvaluationError(UserError):
    """What `evaluate` needs is missing or unreadable."""


class RawTexts:
    """The texts of one `data/raw/*.jsonl`, read anew at each pass, as a corpus may be large."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        try:
            # one line at a time: the file may be larger than memory
            with self.path.open(encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)["text"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{self.path}: cannot be read ({error}); run `ssl-lib corpus` again"
            ) from None


@dataclass(frozen=True)
class EvaluationData:
    """The training split's tokens, numbers and texts, the held-out texts, and the settings.

    `training_tokens` is the flat array of all tokens, in which a special token ends each document;
    `training_texts` can be run through more than once. `cleared` are the items of the tasks that
    have been checked against training text, by name.
    """

    settings: EvaluationSettings
    seed: int
    encoding: tiktoken.Encoding
    training_tokens: NDArray[np.integer[Any]]
    training_values: Floats
    training_texts: Iterable[str]
    test_texts: Sequence[str]
    cleared: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, root: Path, encoding: tiktoken.Encoding) -> EvaluationData:
        """Those of a project. Raises UserError if `corpus` or `tokenize` has not run."""
        folder = root / "data"
        train = TokenStore.open(folder / "tokenized" / "train")
        # every so many numbers of the whole split
        step = 1 + len(train.numbers) // MOST_VALUES
        values = np.array(train.numbers[::step]["value"], dtype=np.float64)
        raw = folder / "raw"
        every_text = RawTexts(raw / "test.jsonl")
        test_texts = islice(every_text, MOST_TEXTS)
        return cls(
            settings=settings.evaluation,
            seed=settings.seed,
            encoding=encoding,
            training_tokens=train.tokens,
            training_values=values,
            training_texts=RawTexts(raw / "train.jsonl"),
            test_texts=list(test_texts),
        )

    @property
    def with_baselines(self) -> bool:
        """Whether baselines that must be fitted or counted are wanted."""
        return self.settings.baselines != "none"

    def without_baselines(self) -> EvaluationData:
        """The same, and no baselines that must be fitted or counted."""
        without = self.settings.model_copy(update={"baselines": "none"})
        return replace(self, settings=without)

    @cached_property
    def ngrams(self) -> dict[str, NgramModel]:
        """Counts of training tokens, where wanted: baselines of whatever a likelihood decides."""
        if not self.with_baselines:
            return {}
        unigrams = count_ngrams(self.training_tokens, self.encoding, order=1)
        ngrams = count_ngrams(self.training_tokens, self.encoding)
        return {"unigram_counts": unigrams, "ngram_counts": ngrams}
