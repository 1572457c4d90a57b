"""What the tasks ask, drawn once, and cleared of whatever shares a 13-gram of tokens with training text.

Every item is of split `test`: operands, and where the task says so wordings and units, that no training document holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tiktoken
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.contamination import shared_ngrams, stated
from ssl_lib.synthetic.document import LabeledDocument
from ssl_lib.synthetic.items import (
    CHOICE_FAMILIES,
    ChoiceItem,
    SimilarityPair,
    choice_items,
    multiplied_sentences,
    next_token_documents,
    role_documents,
    similarity_pairs,
)
from ssl_lib.tokens.encodings import encode, special_ids

NUMBERS_PER_DOCUMENT = 5  # of the role documents, on average
APART = 4  # items with longer numbers, in reserved wordings, and with amounts multiplied: a quarter of the others each
SPARE = 1.5  # documents drawn for each that is asked, so that contaminated ones can be left out
HELD_OUT = 200  # held-out documents of the corpus on which bits per byte is measured, each from its beginning
HELD_OUT_CHARACTERS = 2_000  # of each of them at most, so that books cost no more than letters

Item = TypeVar("Item")


class Ground(NamedTuple):
    """What the tasks may use beside the two models: the training split's tokens and numbers, and held-out texts."""

    training_tokens: NDArray[np.integer]
    training_values: NDArray[np.float64]
    training_texts: Iterable[str]  # can be run through more than once
    test_texts: Sequence[str]


class Asked(NamedTuple):
    """The test items of all tasks; `unseen` are the places of the held-out documents that losses are taken on."""

    roles: list[LabeledDocument]
    choices: list[ChoiceItem]
    longer: list[ChoiceItem]
    reserved: list[ChoiceItem]
    pairs: list[SimilarityPair]
    multiplied: list[tuple[str, ...]]
    documents: list[LabeledDocument]
    held_out: list[str]
    unseen: list[int]


def draw(settings: EvaluationSettings, seed: int, ground: Ground) -> Asked:
    """All test items, with documents to spare."""
    items, few = settings.items, max(len(CHOICE_FAMILIES), settings.items // APART)
    return Asked(
        roles=role_documents(int(SPARE * _documents_of(items)), seed, "test"),
        choices=spread_items(items, seed),
        longer=spread_items(few, seed, extrapolate=True),
        reserved=spread_items(few, seed, held_out=True),
        pairs=similarity_pairs(items, seed, "test"),
        multiplied=multiplied_sentences(few, seed, "test"),
        documents=next_token_documents(int(SPARE * max(10, items // 2)), seed, "test"),
        held_out=list(ground.test_texts),
        unseen=list(range(len(ground.test_texts))),
    )


def labelled(settings: EvaluationSettings, seed: int) -> dict[str, list[LabeledDocument]]:
    """Documents with labelled numbers for the probe to learn from and to choose by, in training wordings."""
    sizes = {"train": settings.probe_items, "validation": settings.probe_items // 4}
    return {
        split: role_documents(_documents_of(count), seed, split) for split, count in sizes.items()
    }


def spread_items(count: int, seed: int, split: str = "test", **kind: bool) -> list[ChoiceItem]:
    """`count` four-choice items, as evenly over the families as that goes."""
    share, rest = divmod(count, len(CHOICE_FAMILIES))
    sizes = [share + (number < rest) for number in range(len(CHOICE_FAMILIES))]
    return [
        item
        for family, size in zip(CHOICE_FAMILIES, sizes, strict=True)
        for item in choice_items(family, size, seed, split, **kind)
    ]


def cleared(
    asked: Asked, settings: EvaluationSettings, encoding: tiktoken.Encoding, ground: Ground
) -> tuple[Asked, dict[str, Any]]:
    """The items without those that share a 13-gram with training, and what was found, by task.

    Each row counts the texts drawn, those contaminated, and the `asked` ones that are left. Where nothing is left (a
    corpus made of the very same documents) all are asked, and the row says so by `asked` being `texts`.
    """
    statements = [item.prompt + item.choices[item.answer] for item in asked.choices]
    texts = {
        "token_classification": [document.text for document in asked.roles],
        "numerical_reasoning": statements,
        "semantic_similarity": [f"{pair.first} {pair.second}" for pair in asked.pairs],
        "next_token_prediction": [document.text for document in asked.documents],
        "held_out_documents": asked.held_out,
    }
    ids = {name: [encode(encoding, text) for text in group] for name, group in texts.items()}
    found = shared_ngrams(ids, ground.training_tokens, special_ids(encoding).end)
    told = stated(statements, ground.training_texts)
    flags = {name: row.flags for name, row in found.items()} | {
        "numerical_reasoning": found["numerical_reasoning"].flags | told
    }
    kept = asked._replace(
        roles=clean(asked.roles, flags["token_classification"], _documents_of(settings.items)),
        choices=clean(asked.choices, flags["numerical_reasoning"], settings.items),
        pairs=clean(asked.pairs, flags["semantic_similarity"], settings.items),
        documents=clean(
            asked.documents, flags["next_token_prediction"], max(10, settings.items // 2)
        ),
        held_out=[
            beginning(text) for text in clean(asked.held_out, flags["held_out_documents"], HELD_OUT)
        ],
        unseen=clean(asked.unseen, flags["held_out_documents"], len(asked.unseen)),
    )
    left = (kept.roles, kept.choices, kept.pairs, kept.documents, kept.held_out)
    rows: dict[str, Any] = {
        name: _row(found[name]._asdict(), group) for name, group in zip(texts, left, strict=True)
    }
    rows["numerical_reasoning"]["stated_in_training"] = int(told.sum())
    rows["held_out_documents"]["for_losses"] = len(kept.unseen)
    return kept, rows


def clean(items: list[Item], flags: NDArray[np.bool_], wanted: int) -> list[Item]:
    """The first `wanted` items without a flag; of all items where every one has a flag."""
    unseen = [item for item, flag in zip(items, flags, strict=True) if not flag]
    return (unseen or items)[:wanted]


def beginning(text: str, characters: int = HELD_OUT_CHARACTERS) -> str:
    """At most so many characters of a text, to the end of a word if there is one."""
    return text if len(text) <= characters else text[:characters].rsplit(maxsplit=1)[0]


def _row(found: dict[str, Any], group: list[Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "flags"} | {"asked": len(group)}


def _documents_of(numbers: int) -> int:
    return max(4, numbers // NUMBERS_PER_DOCUMENT)
