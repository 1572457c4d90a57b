"""A source says how its numbers are written: the stages and the tasks find the same in its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_corpus import SPLITS, documents, essays, write

from ssl_lib.config import Settings, parse_settings
from ssl_lib.corpus import build_corpus
from ssl_lib.corpus.sample import sample_corpus
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.numbers import find_numbers
from ssl_lib.tokens.store import TokenStore, tokenize

# Nothing else in these texts tells their language.
WRITTEN = "Zone {0},5 V, 1.{0}00 kg. "


def settings_of(*sources: dict[str, Any], locale: str = "auto") -> Settings:
    shares = {"validation_share": 0.2, "test_share": 0.2}
    tokens = {"vocabulary_size": 1400, "locale": locale}
    return parse_settings({"corpus": {"sources": list(sources), **shares}, "tokens": tokens})


def values_of(text: str, locale: str) -> list[float]:
    return [number.value for number in find_numbers(text, locale)]


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Settings]:
    sources = []
    for seed, (name, locale) in enumerate(
        {"berichte": "de", "reports": "en", "open": None}.items()
    ):
        written = enumerate(essays(30, seed))
        texts = [WRITTEN.format(place % 9 + 1) + text for place, text in written]
        sources.append({"path": write(tmp_path, f"{name}.jsonl", texts), "locale": locale})
    settings = settings_of(*sources, locale="fr")
    build_corpus(settings, tmp_path)
    return tmp_path, settings


def test_all_that_read_a_corpus_find_the_numbers_of_its_locales(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    tokenize(settings, root)
    expected = {"berichte": "de", "reports": "en", "open": "fr"}
    seen: set[str] = set()
    for split in SPLITS:
        read = documents(root, split)
        store = TokenStore.open(root / "data" / "tokenized" / split)
        found = []
        for document in read:
            seen.add(document["domain"])
            found += values_of(document["text"], expected[document["domain"]])
        np.testing.assert_array_equal(store.numbers["value"], found)
    assert seen == set(expected)
    for row in sample_corpus(settings, root, 3).documents:
        shown = [number["value"] for number in row["numbers"]][:3]
        assert shown == values_of(row["text"], expected[row["domain"]])[:3]


def test_tasks_find_the_numbers_of_a_document_by_its_locale(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    tokenize(settings, root)
    store = TokenStore.open(root / "data" / "tokenized" / "train")
    data = EvaluationData.open(settings, root, store.encoding())
    known = {
        domain: {number.value for number in data.training_numbers if number.domain == domain}
        for domain in ("berichte", "reports", "open")
    }
    grouped = {1000.0 + 100.0 * digit for digit in range(1, 10)}
    assert known["berichte"] & grouped
    assert known["open"] & grouped
    assert not known["reports"] & grouped
    data.cleared["held_out_text"] = data.test_texts
    items = TASKS["next_number"].load().items(data)
    locales = {number.domain: number.locale for number in items.numbers}
    assert locales == {"berichte": "de", "reports": "en", "open": "fr"}
    for number in items.numbers:
        found = {
            one.start: one.value
            for one in find_numbers(number.before + number.text + number.after, number.locale)
        }
        assert found[len(number.before)] == number.value


@pytest.mark.parametrize(
    ("source", "tokens", "near"),
    [("de", "auto", 1), ("en", "auto", 0), ("en", "de", 0), (None, "de", 1), (None, "en", 0)],
)
def test_near_duplicates_have_the_same_numbers_in_the_locale_of_their_source(
    tmp_path: Path, source: str | None, tokens: str, near: int
) -> None:
    *others, text = essays(30, seed=5)
    # the same amount where points group thousands, another where they are decimal points
    pair = [f"1.500 kg, {text}", f"1500 kg, {text}"]
    path = write(tmp_path, "a.jsonl", [*others, *pair])
    build_corpus(settings_of({"path": path, "locale": source}, locale=tokens), tmp_path)
    kept = [row for split in SPLITS for row in documents(tmp_path, split)]
    assert len(kept) == len(others) + 2 - near
    # a document says only what its own source says
    assert {row.get("locale") for row in kept} == {source}
