"""Laws of evaluation items: one right choice, nothing to guess by, nothing that training saw."""

from __future__ import annotations

import re
from collections import Counter
from math import isclose

import pytest

from ssl_lib.numbers import find_numbers
from ssl_lib.numbers.similarity import amount_similarity
from ssl_lib.synthetic.document import ROLES
from ssl_lib.synthetic.entities import HELD_OUT_UNITS, UNITS
from ssl_lib.synthetic.generator import generate
from ssl_lib.synthetic.items import (
    CHOICE_FAMILIES,
    MULTIPLES,
    ChoiceItem,
    choice_items,
    multiplied_sentences,
    next_token_documents,
    role_documents,
    similarity_pairs,
)
from ssl_lib.synthetic.paraphrases import PROPOSITIONS
from ssl_lib.synthetic.quantities import operand_split

FACTORS = {
    ("kilometres", "metres"): 1000,
    ("kilograms", "grams"): 1000,
    ("litres", "millilitres"): 1000,
    ("tonnes", "kilograms"): 1000,
    ("metres", "centimetres"): 100,
    ("centimetres", "millimetres"): 10,
    ("hours", "minutes"): 60,
    ("minutes", "seconds"): 60,
    ("days", "hours"): 24,
    ("weeks", "days"): 7,
    ("feet", "inches"): 12,
    ("yards", "feet"): 3,
}
WORDS = re.findall(
    r"\w+",
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen""",
)
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled_value(text: str) -> int:
    """The value of the number words at the end of a text, read from the words alone."""
    total = group = 0
    for word in re.findall(r"[a-z]+", text.lower()):
        if word == "thousand":
            total, group = total + 1000 * group, 0
        elif word == "hundred":
            group *= 100
        elif word in WORDS or word in TENS:
            group += WORDS.index(word) if word in WORDS else 10 * TENS.index(word)
    return total + group


def solve(item: ChoiceItem) -> int:
    """The answer, worked out from the prompt."""
    prompt = item.prompt
    numbers = [int(number) for number in re.findall(r"\d+", prompt)]
    match item.family:
        case "addition":
            return numbers[0] + numbers[1]
        case "subtraction":
            return abs(numbers[0] - numbers[1])
        case "maximum":
            return max(numbers)
        case "minimum":
            return min(numbers)
        case "comparison":
            return max(numbers) if re.search("larger|greater|higher", prompt) else min(numbers)
        case "sequence":
            return 2 * numbers[-1] - numbers[-2]
        case "numeration":
            return spelled_value(prompt)
        case "percentage":
            rate = int(re.findall(r"(\d+)(?:%| percent)", prompt)[0])
            numbers.remove(rate)
            return rate * numbers[0] // 100
        case _:
            units = [
                unit
                for unit in re.findall(r"[a-z]+", prompt.lower())
                if any(unit in pair for pair in FACTORS)
            ]
            given = re.findall(rf"{numbers[0]} (\w+)", prompt)[0]
            wanted = next(unit for unit in units if unit != given)
            if (given, wanted) in FACTORS:
                return numbers[0] * FACTORS[given, wanted]
            return numbers[0] // FACTORS[wanted, given]


def value(choice: str) -> int:
    return int(choice.strip().removesuffix("."))


@pytest.mark.parametrize("family", CHOICE_FAMILIES)
@pytest.mark.parametrize(
    "options", [{}, {"extrapolate": True}, {"held_out": True}, {"split": "train"}], ids=str
)
def test_every_item_has_exactly_one_right_choice(family: str, options: dict[str, bool]) -> None:
    items = choice_items(family, 150, 3, **options)
    assert len({item.prompt for item in items}) == len(items) == 150
    for item in items:
        values = [value(choice) for choice in item.choices]
        assert len(set(values)) == 4
        assert min(values) > 0
        assert [place for place, each in enumerate(values) if each == solve(item)] == [
            item.answer
        ], item
        assert all(choice.endswith(".") for choice in item.choices)
        assert not item.prompt.endswith(" ")
        assert item.family == family


@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_position_tells_nothing(family: str) -> None:
    counts = Counter(item.answer for item in choice_items(family, 400, 5))
    assert max(counts.values()) / 400 < 0.25 + 4 * (0.25 * 0.75 / 400) ** 0.5


@pytest.mark.parametrize(
    "family", ["addition", "subtraction", "sequence", "percentage", "numeration", "conversion"]
)
def test_the_choices_alone_tell_nearly_nothing(family: str) -> None:
    """The right number is not the smallest, the largest, or the one in the midst of the others."""
    items = choice_items(family, 400, 6)
    guesses = {
        "smallest": lambda values: values.index(min(values)),
        "largest": lambda values: values.index(max(values)),
        "midst": lambda values: min(
            range(4), key=lambda place: sum(abs(values[place] - each) for each in values)
        ),
        "second": lambda values: values.index(sorted(values)[1]),
        "third": lambda values: values.index(sorted(values)[2]),
        "shortest": lambda values: min(range(4), key=lambda place: len(str(values[place]))),
    }
    for name, guess in guesses.items():
        right = sum(
            guess([value(choice) for choice in item.choices]) == item.answer for item in items
        )
        assert right / len(items) < 0.4, (family, name, right / len(items))


@pytest.mark.parametrize(
    "family", ["addition", "subtraction", "numeration", "sequence", "percentage"]
)
def test_distractors_stay_near(family: str) -> None:
    for item in choice_items(family, 200, 8):
        right = value(item.choices[item.answer])
        others = [
            value(choice) for place, choice in enumerate(item.choices) if place != item.answer
        ]
        near = [
            other
            for other in others
            if abs(other - right) <= 11 or abs(other - right) in (90, 99, 100, 101, 110)
        ]
        tenfold = [other for other in others if max(other, right) >= 5 * min(other, right)]
        assert len(near) + len(tenfold) >= 3
        assert near, item


def test_item_facts_belong_to_the_split_and_longer_ones_are_longer() -> None:
    for item in choice_items("addition", 200, 1):
        numbers = [int(number) for number in re.findall(r"\d+", item.prompt)]
        assert operand_split("addition", *numbers) == "test"
        assert max(numbers) <= 999
    for item in choice_items("percentage", 100, 1):
        rate, base = (
            (int(number) for number in re.findall(r"\d+", item.prompt))
            if "%" in item.prompt[:4]
            else (0, 0)
        )
        assert not rate or operand_split("percentage", rate, base) == "test"
    for item in choice_items("addition", 100, 1, extrapolate=True):
        assert min(int(number) for number in re.findall(r"\d+", item.prompt)) >= 1000
    for family in ("maximum", "minimum", "comparison"):
        for item in choice_items(family, 100, 1, extrapolate=True):
            assert min(int(number) for number in re.findall(r"\d+", item.prompt)) >= 10_000


def test_no_item_is_a_sentence_of_training() -> None:
    texts = [document.text for document in generate(0, 5000, "train")]
    training = {sentence for text in texts for sentence in re.findall(r"\S.*?[.?](?=\s|$)", text)}
    for family in CHOICE_FAMILIES:
        for item in choice_items(family, 100, 9):
            assert item.prompt + item.choices[item.answer] not in training


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_multiplied_sentence_differs_in_its_amount_alone(split: str) -> None:
    for versions in multiplied_sentences(100, 3, split):
        amounts = []
        for text in versions:
            (number,) = find_numbers(text)
            amounts.append(number.value)
            assert text[: number.start] == versions[0][: number.start]
        assert len(versions) == len(MULTIPLES)
        for multiple, amount in zip(MULTIPLES, amounts, strict=True):
            assert isclose(amount / amounts[0], multiple, rel_tol=0.006)
            assert (multiple not in (1.0, 10.0, 100.0, 1000.0)) or isclose(
                amount / amounts[0], multiple, rel_tol=1e-9
            )


def test_items_are_the_same_for_the_same_seed_only() -> None:
    assert choice_items("addition", 20, 4) == choice_items("addition", 20, 4)
    assert choice_items("addition", 20, 4) != choice_items("addition", 20, 5)
    assert choice_items("addition", 10, 4) == choice_items("addition", 20, 4)[:10]
    assert similarity_pairs(20, 4) == similarity_pairs(20, 4)
    assert multiplied_sentences(5, 4) == multiplied_sentences(9, 4)[:5]
    assert role_documents(5, 4) == role_documents(9, 4)[:5]
    assert next_token_documents(5, 4) == next_token_documents(9, 4)[:5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choice_items("division", 1, 0), "family must be one of addition"),
        (
            lambda: choice_items("addition", 1, 0, split="dev"),
            "split must be one of train, validation, test",
        ),
        (
            lambda: choice_items("percentage", 100_000, 0, held_out=True),
            "different items of family percentage exist in split test",
        ),
        (lambda: similarity_pairs(1, 0, "dev"), "split must be one of"),
        (lambda: multiplied_sentences(1, 0, "dev"), "split must be one of"),
        (lambda: role_documents(1, 0, "dev"), "split must be one of"),
        (lambda: next_token_documents(1, 0, "dev"), "split must be one of"),
    ],
)
def test_wrong_requests_are_value_errors(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_similarity_falls_with_the_log_ratio() -> None:
    assert amount_similarity(5, 5) == 1.0
    assert amount_similarity(5, 55) == pytest.approx(0.0, abs=1e-12)
    assert amount_similarity(2, 3) == amount_similarity(3, 2)
    changes = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0]
    scores = [amount_similarity(1.0, 1.0 + change) for change in changes]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(0.925, abs=0.001)


def _quantity(sentence: str) -> int:
    number, unit = re.search(
        r"([\d.,]*\d)( million| thousand| km| kilometres| kg| kilograms)?", sentence
    ).groups()
    scale = {" million": 1e6, None: 1.0}.get(unit, 1e3)
    return round(float(number.replace(",", "")) * scale)


def test_pairs_are_scored_by_the_quantities_that_they_say() -> None:
    pairs = similarity_pairs(600, 2)
    assert Counter(pair.score == 1.0 for pair in pairs)[True] == 200
    for pair in pairs:
        first, second = _quantity(pair.first), _quantity(pair.second)
        assert isclose(pair.score, amount_similarity(first, second), abs_tol=1e-9), pair
        assert pair.first != pair.second
        assert 0.0 <= pair.score <= 1.0


def test_pairs_of_test_use_held_out_templates_and_other_quantities() -> None:
    for proposition in PROPOSITIONS:
        assert not set(proposition.templates.common) & set(proposition.templates.held_out)
    tests = {re.sub(r"[\d.,]+", "N", pair.first) for pair in similarity_pairs(300, 2)}
    trains = {re.sub(r"[\d.,]+", "N", pair.first) for pair in similarity_pairs(300, 2, "train")}
    assert not tests & trains
    quantities = {_quantity(pair.first) for pair in similarity_pairs(300, 2)}
    assert not quantities & {_quantity(pair.first) for pair in similarity_pairs(3000, 2, "train")}


def test_role_documents_are_balanced_and_hold_out_templates_and_units() -> None:
    train, test = role_documents(900, 3, "train"), role_documents(900, 3, "test")
    for documents in (train, test):
        sentences = Counter()
        for document in documents:
            for role in {number.role for number in document.numbers}:
                sentences[role] += 1
            for number in document.numbers:
                assert document.text[number.start : number.end].strip()
        assert set(sentences) == set(ROLES)
        assert max(sentences.values()) < 1.25 * min(sentences.values())
    text = " ".join(document.text for document in train)
    other = " ".join(document.text for document in test)
    for kind, units in HELD_OUT_UNITS.items():
        assert not any(re.search(rf"\d {re.escape(unit)}\b", text) for unit in units)
        assert not any(re.search(rf"\d {re.escape(unit)}\b", other) for unit in UNITS[kind])


def test_no_role_is_told_by_the_number_alone() -> None:
    """The most frequent role of each exact numeral is right less than 60% of the time elsewhere."""
    by_text: dict[str, Counter[str]] = {}
    for document in role_documents(3000, 1, "train"):
        for number in document.numbers:
            by_text.setdefault(document.text[number.start : number.end], Counter())[
                number.role
            ] += 1
    right = total = 0
    for document in role_documents(1000, 1, "test"):
        for number in document.numbers:
            seen = by_text.get(document.text[number.start : number.end])
            right += bool(seen) and seen.most_common(1)[0][0] == number.role
            total += 1
    assert right / total < 0.6


def test_next_token_documents_have_deterministic_spans() -> None:
    documents = next_token_documents(200, 1)
    assert len(documents) == 200
    assert all(document.deterministic for document in documents)
    assert len({document.text for document in documents}) == 200
