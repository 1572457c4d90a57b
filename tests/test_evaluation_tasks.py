"""The tasks, asked of models whose answers are known: one is right, one lies, one knows nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
import tiktoken
from evaluating import evaluation_data, pair_of, run

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import ModelPair, inside
from ssl_lib.evaluation.comparison import TaskResult
from ssl_lib.evaluation.held_out_text import AnyText
from ssl_lib.evaluation.next_token_prediction import NextTokenPrediction
from ssl_lib.evaluation.numerical_reasoning import (
    FourChoice,
    GeneratedChoice,
    NumericalReasoning,
    Questions,
    bare,
    credits,
    spread_items,
)
from ssl_lib.evaluation.readers import Question, TaggedSentence
from ssl_lib.evaluation.semantic_similarity import SentencePairs, cosines, multiplied
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.evaluation.token_classification import (
    ProbeItems,
    SpanClassification,
    confusion,
    from_documents,
    from_sentences,
    macro_f1,
    run_probe,
    span_features,
)
from ssl_lib.numbers import amount_similarity
from ssl_lib.synthetic.items import (
    MULTIPLES,
    ChoiceItem,
    SimilarityPair,
    multiplied_sentences,
    next_token_documents,
    role_documents,
    similarity_pairs,
)
from ssl_lib.tokens.encodings import encode, train_encoding

REASONING = TASKS["numerical_reasoning"]
NEXT_TOKEN = NextTokenPrediction(TASKS["next_token_prediction"])
SIMILARITY = SentencePairs(TASKS["semantic_similarity"])
HELD_OUT = AnyText(TASKS["held_out_text"])


class Found(NamedTuple):
    """States or predictions of one text."""

    states: np.ndarray
    correct: np.ndarray
    nll: np.ndarray
    spans: np.ndarray


@dataclass
class KnownAnswers:
    """A model made of right answers; `truth` says how it uses them: 1 tells, -1 lies, 0 shrugs."""

    encoding: tiktoken.Encoding
    truth: int
    answers: dict[str, str] = field(default_factory=dict)
    labels: dict[tuple[str, int], int] = field(default_factory=dict)
    angles: dict[str, float] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        angles = np.array([self.truth * self.angles.get(text, 0.0) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> list[Found]:
        return [self._found(text) for text in texts]

    def next_token_ranks(self, texts: Sequence[str]) -> list[Found]:
        found = [self._found(text) for text in texts]
        return [Found(*(part[1:] for part in one)) for one in found]

    def log_likelihoods(self, prompts: Sequence[str], continuations: Sequence[str]) -> np.ndarray:
        pairs = zip(prompts, continuations, strict=True)
        return np.array([self.truth * float(self.answers.get(p) == c) for p, c in pairs])

    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        return [
            self.answers.get(prompt, "").removesuffix(".") if self.truth == 1 else " never"
            for prompt in prompts
        ]

    def _found(self, text: str) -> Found:
        ids = encode(self.encoding, text)
        ends = np.cumsum([len(self.encoding.decode([token])) for token in ids])
        spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
        labels = [self.labels.get((text, int(end)), 0) if self.truth == 1 else 0 for end in ends]
        states = np.eye(12, dtype=np.float32)[labels]
        right = np.full(len(ids), self.truth == 1)
        return Found(
            states, right, np.full(len(ids), 0.0 if self.truth == 1 else np.log(2.0)), spans
        )


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    return train_encoding([d.text for d in next_token_documents(60, 0, "train")], 1400, "right3")


def _pair(encoding: tiktoken.Encoding, before: int, after: int, **book: dict) -> ModelPair:
    models = (KnownAnswers(encoding, before, **book), KnownAnswers(encoding, after, **book))
    return pair_of(*models, samples=200)


def test_perfect_lying_and_ignorant_models_reason_at_one_zero_and_chance(
    encoding: tiktoken.Encoding,
) -> None:
    items = spread_items(90, 0)
    book = {item.prompt: item.choices[item.answer] for item in items}
    result = run(GeneratedChoice(REASONING), _pair(encoding, -1, 1, answers=book), items)
    assert (result.before, result.after, result.n) == (0.0, 1.0, 90)
    assert result.details["exact_match"]["after"] == 1.0
    assert result.details["exact_match"]["before"] == 0.0
    assert all(
        row["after"] == 1.0 and row["n"] == 10 for row in result.details["families"].values()
    )
    assert result.ci95[0] > result.before_ci95[1]
    ignorant = run(FourChoice(REASONING), _pair(encoding, 0, 0, answers=book), items)
    assert ignorant.after == pytest.approx(0.25)


def test_every_choice_is_scored_in_the_place_of_its_item(encoding: tiktoken.Encoding) -> None:
    items = [
        ChoiceItem("q" * length, (" 1.", " 2.", " 3.", " 4."), length % 4, "f")
        for length in (9, 2, 30, 7)
    ]
    book = {item.prompt: item.choices[item.answer] for item in items}
    result = run(FourChoice(REASONING), _pair(encoding, -1, 1, answers=book), items)
    assert result.after == 1.0
    assert all(row["chosen"] == row["answer"] for row in result.details["examples"])


def test_credit_of_ties_and_of_nan() -> None:
    item = ChoiceItem("q", (" 1.", " 2.", " 3.", " 4."), 1, "f")
    scores = [
        [0, 0, 0, 0],
        [0, 2, 2, 0],
        [0, 2, 1, 0],
        [3, 2, 1, 0],
        [0, np.nan, 0, 0],
        [np.nan, 1, 0, 0],
    ]
    assert credits([item] * 6, [np.array(row, float) for row in scores]).tolist() == [
        0.25,
        0.5,
        1.0,
        0.0,
        0.0,
        0.0,
    ]


def test_counts_of_ngrams_and_positions_are_beside_the_model(encoding: tiktoken.Encoding) -> None:
    items = spread_items(18, 0)
    told = [item.prompt + item.choices[item.answer] for item in items] * 3
    settings = EvaluationSettings(items=20, baselines="quick")
    data = evaluation_data(encoding, told, settings=settings)
    result = NumericalReasoning(REASONING).run(_pair(encoding, 0, 0), data, items)
    assert result.baselines["ngram_counts"] > 0.8
    others = [item.answer for item in spread_items(20, 0, "validation")]
    place = max(range(4), key=others.count)
    assert others.count(place) > 20 / 4
    assert result.baselines["majority_position"] == np.mean([i.answer == place for i in items])
    assert result.baselines["chance"] == 0.25
    assert set(result.details["extrapolation"]["baselines"]) == {"chance"}


def test_exact_match_of_questions_ignores_the_full_stop_and_separators(
    encoding: tiktoken.Encoding,
) -> None:
    pair = _pair(encoding, 0, 1, answers={"q It is": " 1,012."})
    result = run(Questions(REASONING, cue=" It is"), pair, [Question("q", "1012")])
    assert result.after == 1.0
    assert result.metric == "exact_match"
    assert result.details["answers"] == [
        {"question": "q It is", "answer": "1012", "said": " 1,012"}
    ]
    assert bare(" 3.5. ") == "3.5"


def test_questions_have_four_choices_and_copied_numbers_beside_them(
    encoding: tiktoken.Encoding,
) -> None:
    questions = [
        Question("Is it 7 of 30 or 12", "12"),
        Question("Is it 9 or 4", "9"),
        Question("Which", "none"),
    ]
    book = {question: f" {answer}." for question, answer in questions}
    task, pair = Questions(REASONING), _pair(encoding, 0, 1, answers=book)
    result = task.run(pair, evaluation_data(encoding), questions)
    assert (result.after, result.n) == (1.0, 3)
    assert result.baselines == {
        "last_number": pytest.approx(1 / 3),
        "largest_number": pytest.approx(1 / 3),
    }
    assert result.details["four_choice"]["after"] == 1.0
    assert result.details["four_choice"]["n"] == 2
    assert result.details["four_choice"]["metric"] == "accuracy"
    assert run(task, _pair(encoding, 0, 1), questions).baselines == {}


def test_similarity_of_a_model_whose_cosine_is_the_score(encoding: tiktoken.Encoding) -> None:
    pairs = [SimilarityPair(f"a{i}", f"b{i}", i / 50) for i in range(50)]
    angles = {one.second: 1.0 - one.score for one in pairs}
    pair = _pair(encoding, 0, 1, angles=angles)
    result = SIMILARITY.run(pair, evaluation_data(encoding), pairs)
    assert result.after == pytest.approx(1.0)
    assert result.before == 0.0
    assert set(result.baselines) == {"bag_of_tokens", "tfidf_words", "tfidf_characters"}


def test_the_pictured_pairs_are_of_every_kind(encoding: tiktoken.Encoding) -> None:
    pairs = similarity_pairs(1000, 0, "test")  # every third says the same in other words
    points = run(SIMILARITY, _pair(encoding, 0, 1), pairs).details["points"]
    assert len(points) == 400
    assert 0.2 < np.mean([score == 1.0 for score, _, _ in points]) < 0.45


def test_ten_times_an_amount_must_be_farther_than_a_little_more(
    encoding: tiktoken.Encoding,
) -> None:
    """Half the sentences turn with the amount's logarithm, and half with its decimals alone."""
    sentences = multiplied_sentences(40, 0, "test")
    angles = {}
    for index, versions in enumerate(sentences):
        for multiple, text in zip(MULTIPLES, versions, strict=True):
            turn = math.log10(multiple)
            angles[text] = turn / 2 if index % 2 else turn % 1.0
    found = multiplied(_pair(encoding, 0, 1, angles=angles), sentences)
    assert found["sentences"] == 40
    assert found["tenfold_farther"] == [0.0, 0.5]
    rows = {row["factor"]: row for row in found["rows"]}
    assert rows[1.0]["after"] == pytest.approx(1.0)
    assert all(row["before"] == 1.0 for row in rows.values())
    assert rows[10.0]["after"] == pytest.approx((1.0 + math.cos(0.5)) / 2)
    assert rows[10.0]["graded"] == pytest.approx(amount_similarity(7, 70))


def test_cosines_do_not_depend_on_the_order_of_the_pairs(encoding: tiktoken.Encoding) -> None:
    pairs = similarity_pairs(30, 0, "test")
    model = KnownAnswers(encoding, 1, angles={pair.first: i / 10 for i, pair in enumerate(pairs)})
    assert cosines(model, pairs[::-1]).tolist() == cosines(model, pairs)[::-1].tolist()


def test_next_token_of_a_perfect_and_an_ignorant_model(encoding: tiktoken.Encoding) -> None:
    documents = next_token_documents(20, 0, "test")
    result = run(NEXT_TOKEN, _pair(encoding, 0, 1), documents)
    assert (result.before, result.after) == (0.0, 1.0)
    assert result.n == result.details["positions"]["determined"] > 20
    assert result.details["positions"]["all"] > result.details["positions"]["numbers"] > 0
    assert result.details["bits_per_byte"]["after"] == 0.0
    assert 0.1 < result.details["bits_per_byte"]["before"] < 1.0
    assert (
        _any_text(encoding, [d.text for d in documents]).details["accuracy"]["all"]["after"] == 1.0
    )


def test_bits_per_byte_of_one_bit_a_token(encoding: tiktoken.Encoding) -> None:
    text = "The sum of 2 and 3 is 5."
    ids = encode(encoding, text)
    predicted = text.encode()[len(encoding.decode_single_token_bytes(ids[0])) :]
    result = _any_text(encoding, [text, text])
    assert result.before == pytest.approx((len(ids) - 1) / len(predicted))
    assert result.after == 0.0
    assert not result.higher_is_better


def test_counts_of_ngrams_give_the_bits_of_the_same_tokens(encoding: tiktoken.Encoding) -> None:
    texts = ["The sum of 2 and 3 is 5.", "It was 12% in 1999."]
    data = evaluation_data(encoding, [texts[0]] * 3)
    result = HELD_OUT.run(_pair(encoding, 0, 1), data, texts)
    counts = data.ngrams["ngram_counts"]
    encoded = [encode(encoding, text) for text in texts]
    nats = -sum(counts.log_probabilities(ids)[1:].sum() for ids in encoded)
    firsts = sum(len(encoding.decode_single_token_bytes(ids[0])) for ids in encoded)
    size = sum(map(len, texts)) - firsts
    assert result.baselines["ngram_counts"] == pytest.approx(nats / np.log(2) / size)
    assert result.over_baselines_ci95["ngram_counts"][1] < 0
    numbers = [
        sum(bool(set(range(*span)) & set(digits)) for span in spans)
        for spans, digits in _digits(encoding, texts)
    ]
    assert result.details["positions"]["numbers"] == sum(numbers)


def _digits(encoding: tiktoken.Encoding, texts: list[str]) -> list[tuple[list, list[int]]]:
    """Spans of the tokens of each text, and its characters that are digits or a sign of percent."""
    spans = [KnownAnswers(encoding, 1)._found(text).spans.tolist() for text in texts]
    return [
        (found, [i for i, c in enumerate(text) if c in "0123456789%"])
        for found, text in zip(spans, texts, strict=True)
    ]


def _any_text(encoding: tiktoken.Encoding, texts: list[str]) -> TaskResult:
    return run(HELD_OUT, _pair(encoding, 0, 1), texts)


def test_inside_ignores_the_space_before_a_token_and_nothing_else() -> None:
    text = "is 345. So"
    spans = np.array([[0, 2], [2, 6], [6, 7], [7, 10]])
    assert inside(spans, text, [(3, 6)]).tolist() == [False, True, False, False]
    assert inside(spans, text, [(3, 7)]).tolist() == [False, True, True, False]
    assert inside(spans, text, [(4, 6)]).tolist() == [False, False, False, False]
    assert inside(np.zeros((0, 2), int), text, [(4, 6)]).tolist() == []


def _role_book(documents: Sequence) -> dict[tuple[str, int], int]:
    roles = sorted({number.role for document in documents for number in document.numbers})
    return {(d.text, n.end): roles.index(n.role) + 1 for d in documents for n in d.numbers}


def test_probe_of_informative_states_is_right_and_of_constant_ones_at_majority(
    encoding: tiktoken.Encoding,
) -> None:
    parts = {
        split: role_documents(count, 0, split)
        for split, count in (("train", 60), ("validation", 20), ("test", 30))
    }
    book = _role_book([document for part in parts.values() for document in part])
    spans = {split: from_documents(documents) for split, documents in parts.items()}
    task = SpanClassification(TASKS["token_classification"])
    pair = _pair(encoding, 0, 1, labels=book)
    result = task.run(pair, evaluation_data(encoding), ProbeItems(**spans))
    assert result.after > 0.9
    assert result.before == result.baselines["majority"] < 0.4
    matrix = np.array(result.details["confusion"])
    assert matrix.sum() == result.n == len(spans["test"].labels)
    assert np.trace(matrix) / result.n == pytest.approx(result.after)


def test_constant_features_give_the_majority_and_one_class_is_refused() -> None:
    labels = np.array(["a"] * 6 + ["b"] * 4)
    features = {name: np.ones((10, 3), np.float32) for name in ("train", "validation", "test")}
    probe = run_probe(features, {"train": labels, "validation": labels})
    assert set(probe.predicted.tolist()) == {"a"}
    assert probe.validation_accuracy == 0.6
    with pytest.raises(ValueError, match="two classes"):
        run_probe(features, {"train": labels[:6].repeat(2)[:10], "validation": labels})


def test_span_feature_is_the_mean_of_its_own_tokens_alone(encoding: tiktoken.Encoding) -> None:
    (sentence,) = [TaggedSentence(("In", "2024", "ended"), ("O", "year", "O"))]
    data = from_sentences([sentence], outside="O")
    model = KnownAnswers(encoding, 1, labels={(sentence.text, 7): 5})
    features = span_features(model, data)
    assert data.labels.tolist() == ["year"]
    assert features.shape == (1, 12)
    assert features[0, 5] > 0
    assert features.sum() == pytest.approx(1.0)


def test_confusion_and_macro_f1_by_hand() -> None:
    true, predicted = np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "b"])
    assert confusion(true, predicted, ["a", "b", "c"]).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert macro_f1(true, predicted, ["a", "b", "c"]) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_the_headline_of_reasoning_is_asked_in_templates_that_training_has_not(
    encoding: tiktoken.Encoding,
) -> None:
    items = NumericalReasoning(REASONING).items(evaluation_data(encoding))
    held_out = spread_items(36, 0, held_out=True)
    assert [item.prompt for item in items] == [item.prompt for item in held_out]
    assert not {item.prompt for item in items} & {item.prompt for item in spread_items(36, 0)}
