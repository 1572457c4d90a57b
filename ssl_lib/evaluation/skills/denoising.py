"""Denoising: corrupted text comes back as it was, and clean text is left alone.

A row is a few held-out sentences with one kind of noise, or with none. What a method changes is
compared with what had to be changed, word by word: F1 of the edits, the share of rows that are
exactly the clean text, and the share of clean words left alone. Where a corpus tells which numbers
its text determines, digits are changed and transposed in those alone: others cannot be known.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import NamedTuple, Protocol, cast

import numpy as np

from ssl_lib.evaluation.base import EvaluatedModel, ModelPair
from ssl_lib.evaluation.data import EvaluationData, thinned
from ssl_lib.evaluation.own_text import held_out_documents
from ssl_lib.evaluation.sentences import sentences_of
from ssl_lib.evaluation.skills.base import WHOLE, Part, Scored, SkillMeasure
from ssl_lib.evaluation.skills.noise import (
    KINDS,
    SpellingCorrector,
    corrupted,
    edits_between,
    units,
)
from ssl_lib.tokens.encodings import encode

SHARE = 0.15  # of the words or numbers that a kind of noise can change
CLEAN = "clean"  # the kind of rows without noise
LOOKALIKE = "digit_look_alike"  # noise in numbers that shows what they were
MOST_DOCUMENTS = 10_000  # of training text that the spelling corrector reads
ROOM = 0.5  # of a context that a clean row may take: noise makes more tokens of it


class Row(NamedTuple):
    """Clean and corrupted text, the kind of noise, and the document that it stands in."""

    clean: str
    noisy: str
    kind: str
    owner: int


class Denoises(Protocol):
    """A model that gives texts back without their noise."""

    def denoise_texts(self, texts: list[str]) -> list[str]:
        """Each text, corrected."""


class Corrections(SkillMeasure[list[Row], list[str]]):
    """F1 of the edits of corrupted rows."""

    def items(self, data: EvaluationData, context_length: int) -> list[Row]:
        """As many rows of each kind of noise, and without, spread over the held-out documents."""
        passages = list(short_passages(data, ROOM * context_length))
        random = Random(data.seed)
        most = max(4, data.settings.items // 10)
        rows = []
        for kind, noise in KINDS.items():
            random.shuffle(passages)
            found = 0
            for text, owner, spans in passages:
                known = noise.in_numbers and kind != LOOKALIKE and data.determined
                noisy = corrupted(text, noise, random, spans if known else None, SHARE)
                if noisy is not None and found < most:
                    rows.append(Row(text, noisy, kind, owner))
                    found += 1
        random.shuffle(passages)
        rows += [Row(text, text, CLEAN, owner) for text, owner, _ in passages[:most]]
        return rows

    def answer(self, model: EvaluatedModel, items: list[Row]) -> list[str]:
        """What the model makes of the corrupted texts."""
        return cast(Denoises, model).denoise_texts([row.noisy for row in items])

    def score(self, items: list[Row], answers: list[str]) -> dict[str, Part]:
        """F1 of all kinds, of each, and of those in letters and in digits; what was left alone."""
        kinds_N = np.array([row.kind for row in items])
        owners_N = np.array([row.owner for row in items], dtype=np.int64)
        exact_N = np.array([row.clean == said for row, said in zip(items, answers, strict=True)])
        # twice the right edits, edits said and wanted, clean units left alone, clean units
        sums_N4 = np.array([_compared(row, said) for row, said in zip(items, answers, strict=True)])
        sums_N4 = sums_N4.reshape(len(items), 4).astype(np.float64)
        noisy_N = kinds_N != CLEAN
        digits_N = np.isin(kinds_N, [kind for kind, noise in KINDS.items() if noise.in_numbers])
        kept = {WHOLE: noisy_N, "letters": noisy_N & ~digits_N, "digits": digits_N}
        kept |= {kind: kinds_N == kind for kind in KINDS}
        found = {}
        for name, kept_N in kept.items():
            columns = (sums_N4[kept_N, 0], sums_N4[kept_N, 1], owners_N[kept_N])
            found[name] = Part("f1_of_edits", *columns)
        found["exact_rows"] = Part.mean("exact_rows", exact_N, owners_N, noisy_N)
        found["clean_rows"] = Part.mean("exact_rows", exact_N, owners_N, ~noisy_N)
        found["left_alone"] = Part("left_alone", sums_N4[:, 2], sums_N4[:, 3], owners_N)
        return found

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: list[Row]
    ) -> Mapping[str, Scored]:
        """The text as it is, and a spelling corrector that has counted training words and pairs."""
        noisy = [row.noisy for row in items]
        found: dict[str, Scored] = {"as_it_is": self.score(items, noisy)}
        if data.with_baselines:
            corrector = SpellingCorrector(thinned(data.training_texts, MOST_DOCUMENTS))
            found["spelling"] = self.score(items, [corrector.correct(text) for text in noisy])
        return found


def short_passages(
    data: EvaluationData, longest: float
) -> Iterator[tuple[str, int, list[tuple[int, int]]]]:
    """Sentences of held-out documents of so many tokens at most: text, document, determined spans.

    Sentences that follow each other are put together as far as they fit, as a number may follow
    from the sentence before.
    """
    for owner, document in enumerate(held_out_documents(data)):
        text = document.text
        spans = data.determined.get(text, ())
        start = end = 0
        borders: list[tuple[int, int]] = []
        for sentence in sentences_of(text):
            at = text.index(sentence, end)
            if borders and len(encode(data.encoding, text[start : at + len(sentence)])) <= longest:
                borders[-1] = (start, at + len(sentence))
            elif len(encode(data.encoding, sentence)) <= longest:
                start = at
                borders.append((start, at + len(sentence)))
            end = at + len(sentence)
        for first, last in borders:
            inside = [(a - first, b - first) for a, b in spans if first <= a and b <= last]
            yield text[first:last], owner, inside


def _compared(row: Row, said: str) -> tuple[int, int, int, int]:
    """Twice the right edits, edits said and wanted, clean units that no edit touches, clean units.

    An insertion touches the unit that it stands before.
    """
    noisy = units(row.noisy)
    wanted = edits_between(noisy, units(row.clean))
    given = edits_between(noisy, units(said))
    wrong = {at for start, end, _ in wanted for at in range(start, max(end, start + 1))}
    touched = {at for start, end, _ in given for at in range(start, max(end, start + 1))}
    clean = set(range(len(noisy))) - wrong
    return 2 * len(wanted & given), len(wanted) + len(given), len(clean - touched), len(clean)
