"""Laws of the hand-labelled files: each label is a piece of its text, worth a number or nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
FILES = ("numerals_truth.jsonl", "numerals_truth_wild.jsonl")
DOMAINS = {"filings", "clinical", "specs", "papers", "recipes", "logs"}


def read_sentences(name: str) -> list[dict[str, Any]]:
    lines = (TESTS / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", FILES)
def test_labels_are_pieces_of_their_text(name: str) -> None:
    for sentence in read_sentences(name):
        text, numbers = sentence["text"], sentence["numbers"]
        for start, end, value in numbers:
            label = text[start:end]
            assert 0 <= start < end <= len(text), text
            assert label.strip() == label, text
            assert value is None or math.isfinite(value), text
        assert all(before[1] <= after[0] for before, after in pairwise(numbers)), text


def test_no_sentence_is_labelled_twice() -> None:
    texts = Counter(sentence["text"] for name in FILES for sentence in read_sentences(name))
    assert not [text for text, count in texts.items() if count > 1]


def test_wild_sentences_come_from_six_domains() -> None:
    sentences = read_sentences("numerals_truth_wild.jsonl")
    domains = Counter(sentence["domain"] for sentence in sentences)
    assert set(domains) == DOMAINS
    assert min(domains.values()) >= 60
    assert len(sentences) >= 380
    assert sum(len(sentence["numbers"]) for sentence in sentences) >= 1000
