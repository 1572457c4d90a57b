"""What the tasks ask: spread over families, repeatable, and nothing of it shares a 13-gram with training text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tiktoken

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.asked import Asked, Ground, beginning, cleared, draw, labelled, spread_items
from ssl_lib.evaluation.contamination import shared_ngrams
from ssl_lib.synthetic.generator import generate
from ssl_lib.synthetic.items import CHOICE_FAMILIES
from ssl_lib.tokens.encodings import encode, special_ids, train_encoding

SETTINGS = EvaluationSettings(items=90, probe_items=40)


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    return train_encoding([d.text for d in generate(0, 200)], 1400, "right3")


def _ground(encoding: tiktoken.Encoding, texts: list[str]) -> Ground:
    end = special_ids(encoding).end
    tokens = np.array(
        [token for text in texts for token in [*encode(encoding, text), end]], dtype=np.uint32
    )
    return Ground(tokens, np.ones(1), texts, [d.text for d in generate(9, 40, "test")])


def _texts(asked: Asked) -> list[str]:
    documents = [d.text for d in (*asked.roles, *asked.documents)]
    pairs = [f"{pair.first} {pair.second}" for pair in asked.pairs]
    return [
        *documents,
        *pairs,
        *asked.held_out,
        *(i.prompt + i.choices[i.answer] for i in asked.choices),
    ]


def test_what_is_planted_in_training_is_not_asked(encoding: tiktoken.Encoding) -> None:
    ground = _ground(encoding, [d.text for d in generate(0, 200)])
    drawn = draw(SETTINGS, 0, ground)
    planted = [drawn.roles[0].text, drawn.documents[1].text, drawn.held_out[2]]
    assert drawn.unseen == list(range(40))
    said = f"So. {drawn.choices[3].prompt}{drawn.choices[3].choices[drawn.choices[3].answer]} Yes."
    ground = _ground(encoding, [*ground.training_texts, *planted, said])
    asked, rows = cleared(drawn, SETTINGS, encoding, ground)
    assert not set(planted) & set(_texts(asked))
    assert drawn.choices[3] not in asked.choices
    assert 2 not in asked.unseen
    assert {drawn.held_out[i] for i in asked.unseen} == set(asked.held_out)
    assert rows["numerical_reasoning"]["stated_in_training"] == 1
    assert rows["token_classification"]["contaminated"] >= 1
    ids = [encode(encoding, text) for text in _texts(asked)]
    found = shared_ngrams({"asked": ids}, ground.training_tokens, special_ids(encoding).end)[
        "asked"
    ]
    assert found.contaminated == 0


def test_counts_of_what_is_asked(encoding: tiktoken.Encoding) -> None:
    ground = _ground(encoding, ["Nothing of the kind."])
    asked, rows = cleared(draw(SETTINGS, 0, ground), SETTINGS, encoding, ground)
    assert [len(part) for part in asked] == [18, 90, 22, 22, 90, 22, 45, 40, 40]
    assert all(row["contaminated"] == 0 for row in rows.values())
    assert rows["next_token_prediction"]["asked"] == 45
    assert draw(SETTINGS, 0, ground) == draw(SETTINGS, 0, ground)


def test_when_nothing_is_clean_all_is_asked_and_counted(encoding: tiktoken.Encoding) -> None:
    ground = _ground(encoding, ["Nothing of the kind."])
    drawn = draw(SETTINGS, 0, ground)
    ground = _ground(encoding, [d.text for d in drawn.documents])
    asked, rows = cleared(drawn, SETTINGS, encoding, ground)
    assert asked.documents == drawn.documents[:45]
    assert (
        rows["next_token_prediction"]["contaminated"]
        == rows["next_token_prediction"]["texts"]
        == 67
    )


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


def test_labelled_documents_are_of_their_split_and_never_the_test_ones() -> None:
    learned = labelled(SETTINGS, 0)
    asked = {d.text for d in draw(SETTINGS, 0, Ground(np.zeros(0), np.zeros(0), [], [])).roles}
    assert {split: len(documents) for split, documents in learned.items()} == {
        "train": 8,
        "validation": 4,
    }
    assert not asked & {d.text for documents in learned.values() for d in documents}
