"""Skills, asked of models whose answers are known, and of one that has learned nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiktoken
from evaluating import evaluation_data, pair_of

from ssl_lib.config import EvaluationSettings, Settings
from ssl_lib.corpus.build import build_corpus
from ssl_lib.evaluation.comparison import Resampling, estimate
from ssl_lib.evaluation.data import Document, EvaluationData, determined_spans
from ssl_lib.evaluation.guide_examples import EXAMPLES, guide_examples
from ssl_lib.evaluation.number_prediction import LEVELS, Forecasts
from ssl_lib.evaluation.skills import SKILLS
from ssl_lib.evaluation.skills.base import WHOLE, Part, compared
from ssl_lib.evaluation.skills.contrastive import Scenes
from ssl_lib.evaluation.skills.noise import (
    KINDS,
    SpellingCorrector,
    corrupted,
    edits_between,
    units,
)
from ssl_lib.evaluation.skills.numerical import Questions, Said, types_between
from ssl_lib.evaluation.skills.pieces import held_out_pieces
from ssl_lib.predictor import Predictor
from ssl_lib.synthetic.generator import generate
from ssl_lib.synthetic.items import RESTATED, restated_sentences
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.store import tokenize

TRAINING = [document.text for document in generate(0, 150)]
LABELED = list(generate(0, 40, "test"))
HELD_OUT = [document.text for document in LABELED]
CONTEXT = 128
SETTINGS = EvaluationSettings(items=60, baselines="quick")
SMALL = {
    "model.layers": 1, "model.width": 32, "model.heads": 2, "training.device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(encoding: tiktoken.Encoding) -> EvaluationData:
    """Built-in documents, those held out with what their text determines."""
    found = evaluation_data(encoding, TRAINING, HELD_OUT, SETTINGS)
    determined = {one.text: list(one.deterministic) for one in LABELED}
    return replace(found, determined=determined, cleared={"held_out_text": HELD_OUT})


@pytest.fixture(scope="module")
def untrained(encoding: tiktoken.Encoding) -> Predictor:
    return Predictor.untrained(Settings().replaced(SMALL), encoding)


class Oracle:
    """A model that has read the held-out documents; what is asked of it comes out right."""

    context_length = CONTEXT

    def __init__(self, encoding: tiktoken.Encoding, meant: Mapping[str, str]) -> None:
        self.encoding = encoding
        self.meant = meant  # what a restatement or a noisy text stands for

    def restores(self, texts: Sequence[str], places: Sequence[tuple[int, int]]) -> np.ndarray:
        return np.ones(len(texts), dtype=bool)

    def next_token_ranks(self, texts: Sequence[str]) -> list[Any]:
        found = []
        for text in texts:
            ids = encode(self.encoding, text)
            ends = np.cumsum([len(self.encoding.decode_single_token_bytes(one)) for one in ids])
            spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)[1:]
            right = np.ones(len(spans), dtype=bool)
            found.append(SimpleNamespace(correct=right, nll=np.zeros(len(spans)), spans=spans))
        return found

    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        wholes = (next(text for text in HELD_OUT if text.startswith(one)) for one in prompts)
        return [whole[len(one) :][:3] for whole, one in zip(wholes, prompts, strict=True)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [self.meant.get(text, text) for text in texts]
        vectors = [np.random.default_rng(abs(hash(seed)) % 2**32).normal(size=32) for seed in seeds]
        return np.array([one / np.linalg.norm(one) for one in vectors], dtype=np.float32)

    def denoise_texts(self, texts: Sequence[str]) -> list[str]:
        return [self.meant[text] for text in texts]


def meant_by(items: Any) -> dict[str, str]:
    """What each text that is asked stands for."""
    if isinstance(items, Scenes):
        pairs = zip(items.restatements, items.candidates[:, 0], strict=True)
        return {text: items.sentences[place] for text, place in pairs}
    if isinstance(items, list):
        return {row.noisy: row.clean for row in items}
    return {}


def said_by_oracle(items: Questions) -> Said:
    """The true types and values."""
    values = items.numbers.values
    return Said(items.types, Forecasts(values, np.repeat(values[:, None], len(LEVELS), axis=1)))


@pytest.mark.parametrize("name", SKILLS)
def test_who_knows_every_answer_has_the_whole_skill_and_every_part(
    name: str, data: EvaluationData
) -> None:
    skill = SKILLS[name].load()
    items = skill.items(data, CONTEXT)
    oracle: Any = Oracle(data.encoding, meant_by(items))
    said = said_by_oracle(items) if isinstance(items, Questions) else skill.answer(oracle, items)
    scored = skill.score(items, said)
    assert set(scored) > {WHOLE}
    for part, found in scored.items():
        if found.sizes.sum():
            best = 1.0 if found.higher_is_better else 0.0
            assert found.values.sum() / found.sizes.sum() == pytest.approx(best), part
    # an objective's own parts are asked, not left empty
    assert sum(part.sizes.sum() > 0 for part in scored.values()) >= 4


@pytest.mark.parametrize("name", SKILLS)
def test_a_model_that_has_learned_nothing_is_near_chance(
    name: str, data: EvaluationData, untrained: Predictor
) -> None:
    row, whole = SKILLS[name].load().run(pair_of(untrained, untrained), data)
    assert whole is not None
    assert estimate(whole) == pytest.approx(row["after"])
    assert row["before"] == row["after"]
    chance = {"mlm": 0.0, "ntp": 0.0, "denoising": 0.0, "numerical": 0.35, "contrastive": 0.5}
    assert row["after"] <= chance[name] + 0.05
    for part in [row, *row["parts"].values()]:
        assert {"metric", "before", "after", "ci95", "n", "baselines"} <= set(part)
        assert part["ci95"][0] <= part["after"] <= part["ci95"][1]
        assert part["n"] > 0
    assert len(row["baselines"]) >= 2


def test_the_counts_of_the_parts_add_up(data: EvaluationData) -> None:
    counts = {}
    for name in SKILLS:
        skill = SKILLS[name].load()
        items = skill.items(data, CONTEXT)
        said = (
            said_by_oracle(items)
            if isinstance(items, Questions)
            else skill.answer(Oracle(data.encoding, meant_by(items)), items)  # type: ignore[arg-type]
        )
        counts[name] = {part: len(one.values) for part, one in skill.score(items, said).items()}
    for name in ("mlm", "ntp"):
        own = counts[name]
        assert own[WHOLE] == own["words"] + own["numbers_determined"]
        assert 0 < own["numbers_determined"] < own["numbers"] <= data.settings.items
    own = counts["contrastive"]
    assert own[WHOLE] == sum(own[way] for way in (*RESTATED, "own_sentences"))
    own = counts["denoising"]
    assert own[WHOLE] == own["letters"] + own["digits"] == sum(own[kind] for kind in KINDS)
    assert own["left_alone"] == own[WHOLE] + own["clean_rows"]
    own = counts["numerical"]
    types = ("type_text", "type_number", "type_operator", "type_punctuation")
    assert own["types"] == sum(own[one] for one in types)
    assert own[WHOLE] == own["types"] + own["next_number_determined"]
    assert own["next_number"] == own["next_number_determined"] + own["log10_error"]


def test_items_are_of_held_out_documents_alone_and_the_same_each_time(
    data: EvaluationData,
) -> None:
    pieces = held_out_pieces(data)
    for one in pieces.pieces:
        assert one.before + one.text + one.after == HELD_OUT[one.owner]
    for row in SKILLS["denoising"].load().items(data, CONTEXT):
        assert row.clean in HELD_OUT[row.owner]
        assert (row.noisy == row.clean) == (row.kind == "clean")
    asked = SKILLS["numerical"].load().items(data, CONTEXT)
    assert [one.before + one.text + one.after for one in asked.numbers.numbers] == [
        HELD_OUT[owner] for owner in asked.numbers.owner
    ]
    for name in SKILLS:
        first, again = (SKILLS[name].load().items(data, CONTEXT) for _ in range(2))
        assert repr(first) == repr(again)
    scenes = SKILLS["contrastive"].load().items(replace(data, determined={}), CONTEXT)
    assert set(scenes.ways) == {"own_sentences"}
    known = {value for candidates in scenes.candidates for value in candidates}
    assert any(scenes.sentences[place] in text for text in HELD_OUT for place in known)


def test_what_is_determined_is_read_of_held_out_documents_and_reaches_no_training(
    tmp_path: Path,
) -> None:
    settings = Settings().replaced(
        {"corpus.sources": [{"path": "built-in", "documents": 300}], "tokens.vocabulary_size": 1400}
    )
    build_corpus(settings, tmp_path)
    metas = tokenize(settings, tmp_path)
    raw = tmp_path / "data" / "raw"
    rows = [json.loads(line) for line in (raw / "test.jsonl").open(encoding="utf-8")]
    documents = [Document(row["text"], row["domain"]) for row in rows]
    found = determined_spans(raw / "labels" / "test.jsonl", documents)
    made = {one.text: list(one.deterministic) for one in generate(0, 400, "test")}
    assert found == {text: made[text] for text in found}
    assert len(found) > len(documents) // 2
    # what training reads is the same without any label
    for path in (raw / "labels").iterdir():
        path.unlink()
    assert tokenize(settings, tmp_path) == metas
    for split in ("train", "validation"):
        keys = {key for line in (raw / f"{split}.jsonl").open() for key in json.loads(line)}
        assert not keys & {"determined", "numbers", "deterministic"}


def test_a_corpus_that_tells_nothing_determined_counts_all_numbers(data: EvaluationData) -> None:
    pieces = held_out_pieces(replace(data, determined={}))
    right = pieces.right(~pieces.words)
    assert len(right[WHOLE].values) == len(pieces.pieces)
    assert right[WHOLE].values.mean() == pytest.approx(1.0 - pieces.words.mean())


def test_a_sentence_is_said_with_many_amounts_and_some_again() -> None:
    for scene in restated_sentences(20, seed=1):
        assert len(set(scene.sentences)) == len(scene.sentences) == 101
        assert {"other_wording", "other_form", "same_unit"} <= set(scene.restatements)
        for told in scene.restatements.values():
            assert len(told) == 5
            # not the sentence itself
            assert all(text != scene.sentences[place] for place, text in told)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_changes_what_it_may_change(kind: str) -> None:
    text = "The bridge of Ashford cost 1058 dollars and 215 workers built it."
    changed = 0
    for seed in range(30):
        noisy = corrupted(text, KINDS[kind], Random(seed), None, 0.15)
        assert noisy is not None
        assert noisy != text
        in_letters = "".join(c for c in noisy if not c.isdigit())
        if KINDS[kind].in_numbers and kind != "digit_look_alike":
            assert in_letters == "".join(c for c in text if not c.isdigit())
        changed += len(edits_between(units(text), units(noisy)))
    assert changed >= 30
    inside = [(0, len(text))]
    assert corrupted(text, KINDS["digit_changed"], Random(0), inside, 0.15) is not None
    assert corrupted(text, KINDS["digit_changed"], Random(0), [(0, 3)], 0.15) is None


def test_edits_make_one_text_of_the_other() -> None:
    random = Random(0)
    for _ in range(200):
        old, new = ([random.choice("abcd") for _ in range(random.randrange(8))] for _ in range(2))
        made = list(old)
        for start, end, put in sorted(edits_between(old, new), reverse=True):
            made[start:end] = put
        assert made == new
    assert edits_between(old, old) == set()


def test_the_spelling_corrector_knows_words_and_their_neighbours() -> None:
    corrector = SpellingCorrector(["the sun rose", "the sum of two", "the sum of ten", "a sub"])
    assert corrector.correct("teh sum off two.") == "the sum of two."
    assert corrector.correct("the suq of ten") == "the sum of ten"
    assert corrector.correct("the suq rose") == "the sun rose"
    assert corrector.correct("the sum of two") == "the sum of two"


def test_types_between_are_those_of_the_same_neighbours(data: EvaluationData) -> None:
    asked = SKILLS["numerical"].load().items(data, CONTEXT)
    tables = types_between(data, asked)
    most_frequent = np.bincount(asked.types).max() / len(asked.types)
    assert (tables == asked.types).mean() > most_frequent


def test_a_ratio_has_the_denominators_of_its_own_method() -> None:
    owners = np.array([0, 0, 1, 2])
    after = Part("f1_of_edits", np.array([2.0, 2, 0, 2]), np.array([2.0, 2, 2, 2]), owners)
    before = Part("f1_of_edits", np.array([2.0, 0, 0, 0]), np.array([2.0, 1, 3, 2]), owners)
    row = compared({"before": before, "after": after, "none": 0.0}, Resampling(200, 0))
    assert (row["before"], row["after"]) == (2 / 8, 6 / 8)
    assert row["baselines"] == {"none": 0.0}
    assert row["n"] == 4


def test_the_guides_examples_come_out_right_or_wrong(untrained: Predictor) -> None:
    rows = guide_examples(untrained)
    assert len(rows) == len(EXAMPLES) == 13
    assert all(row["right"] == (row["answered"] == row["expected"]) for row in rows)
    assert sum(row["right"] for row in rows) <= 3
    assert {row["concept"] for row in rows if row["concept"]} == {
        "masked language modeling", "next token prediction", "contrastive learning", "denoising",
        "numerical patterns: classes", "numerical patterns: next number",
    }  # fmt: skip
