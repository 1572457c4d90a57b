"""What the tasks ask: spread over families, repeatable, and no 13-gram of it stands in training."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import tiktoken
from evaluating import evaluation_data

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.contamination import shared_ngrams
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.held_out_text import beginning
from ssl_lib.evaluation.items import draw_items
from ssl_lib.evaluation.numerical_reasoning import spread_items
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.synthetic.generator import generate
from ssl_lib.synthetic.items import CHOICE_FAMILIES
from ssl_lib.tokens.encodings import encode, train_encoding
from ssl_lib.tokens.vocabulary import special_ids

SETTINGS = EvaluationSettings(items=90, probe_items=40)
LOADED = {name: task.load() for name, task in TASKS.items()}
CHECKED = {name: task for name, task in LOADED.items() if task.checked}


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    return train_encoding([d.text for d in generate(0, 200)], 1400, "right3")


def _data(encoding: tiktoken.Encoding, training: list[str]) -> EvaluationData:
    held_out = [d.text for d in generate(9, 40, "test")]
    return evaluation_data(encoding, training, held_out, SETTINGS)


def _texts(items: Any) -> dict[str, list[str]]:
    return {name: task.texts(items.by_task[name]) for name, task in CHECKED.items()}


def test_what_is_planted_in_training_is_not_asked(encoding: tiktoken.Encoding) -> None:
    training = [d.text for d in generate(0, 200)]
    data = _data(encoding, training)
    drawn = {name: task.texts(task.items(data)) for name, task in CHECKED.items()}
    said = drawn["numerical_reasoning"][3]
    planted = [
        drawn["token_classification"][0],
        drawn["next_token_prediction"][1],
        drawn["held_out_text"][2],
    ]
    data = _data(encoding, [*training, *planted, f"So. {said} Yes."])
    items = draw_items(LOADED, data)
    asked = _texts(items)
    every = {text for texts in asked.values() for text in texts}
    assert not {*planted, said} & every
    assert 2 not in items.unseen
    assert {drawn["held_out_text"][i] for i in items.unseen} == set(asked["held_out_text"])
    assert items.contamination["numerical_reasoning"]["stated_in_training"] == 1
    assert items.contamination["token_classification"]["contaminated"] >= 1
    ids = [encode(encoding, text) for text in every]
    found = shared_ngrams({"asked": ids}, data.training_tokens, special_ids(encoding).end)
    assert found["asked"].contaminated == 0


def test_counts_of_what_is_asked(encoding: tiktoken.Encoding) -> None:
    data = _data(encoding, ["Nothing of the kind."])
    items = draw_items(LOADED, data)
    assert {name: len(texts) for name, texts in _texts(items).items()} == {
        "token_classification": 18,
        "numerical_reasoning": 90,
        "semantic_similarity": 90,
        "next_token_prediction": 45,
        "held_out_text": 40,
    }
    assert items.unseen == list(range(40))
    assert all(row["contaminated"] == 0 for row in items.contamination.values())
    assert items.contamination["next_token_prediction"]["asked"] == 45
    assert items.contamination["held_out_documents"]["for_losses"] == 40
    assert len(items.by_task["number_prediction"].values) == 90
    again = draw_items(LOADED, data)
    assert _texts(again) == _texts(items)
    assert again.contamination == items.contamination


def test_when_nothing_is_clean_all_is_asked_and_counted(encoding: tiktoken.Encoding) -> None:
    task = LOADED["next_token_prediction"]
    drawn: Any = task.items(_data(encoding, ["Nothing of the kind."]))
    items = draw_items(LOADED, _data(encoding, [document.text for document in drawn]))
    assert items.by_task["next_token_prediction"] == drawn[:45]
    row = items.contamination["next_token_prediction"]
    assert row["contaminated"] == row["texts"] == 67


def test_long_texts_are_asked_from_their_beginning_to_the_end_of_a_word() -> None:
    text = "one two three " * 400
    assert text.startswith(beginning(text))
    assert 1_990 < len(beginning(text)) <= 2_000
    assert text[len(beginning(text))] == " "
    assert beginning("x" * 3_000) == "x" * 2_000
    assert beginning("short one ") == "short one "


def test_items_are_spread_evenly_over_the_families() -> None:
    counts = Counter(item.family for item in spread_items(100, 0))
    assert set(counts) == set(CHOICE_FAMILIES)
    assert sorted(counts.values()) == [11] * 8 + [12]


def test_labeled_documents_are_of_their_split_and_never_the_test_ones(
    encoding: tiktoken.Encoding,
) -> None:
    items: Any = LOADED["token_classification"].items(_data(encoding, ["Nothing of the kind."]))
    assert [len(part.texts) for part in items] == [8, 4, 27]
    assert not set(items.test.texts) & {*items.train.texts, *items.validation.texts}


def test_texts_that_are_left_out_take_their_spans_with_them(encoding: tiktoken.Encoding) -> None:
    task = LOADED["token_classification"]
    items: Any = task.items(_data(encoding, ["Nothing of the kind."]))
    kept: Any = task.selected(items, [5, 2])
    assert kept.test.texts == [items.test.texts[5], items.test.texts[2]]
    spans = list(zip(items.test.owner, items.test.spans, items.test.labels, strict=True))
    expected = [
        (new, span, label) for new, old in ((1, 2), (0, 5)) for owner, span, label in spans
        if owner == old
    ]  # fmt: skip
    assert list(zip(kept.test.owner, kept.test.spans, kept.test.labels, strict=True)) == expected
    assert kept.train is items.train
