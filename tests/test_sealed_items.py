"""Laws of the sealed world: right, nothing to guess by, and nothing of the built-in world in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from math import isclose
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from corpus_reader import WORDS
from import_graph import imports_of, modules, reached_from
from test_generator import words_apart
from test_items import solve, value

from ssl_lib.numbers import find_numbers
from ssl_lib.numbers.similarity import amount_similarity
from ssl_lib.sealed import documents as sealed_documents
from ssl_lib.sealed import items as sealed_items
from ssl_lib.sealed import templates as sealed_templates
from ssl_lib.sealed import words
from ssl_lib.sealed.documents import DOMAINS, RESTATED
from ssl_lib.sealed.items import (
    choice_items,
    next_token_documents,
    role_documents,
    similarity_pairs,
    spread_items,
)
from ssl_lib.sealed.reasoning import FACTS
from ssl_lib.sealed.templates import FAMILY_TEMPLATES, ROLE_TEMPLATES
from ssl_lib.synthetic import entities, facts, paraphrases, templates
from ssl_lib.synthetic.compositional_templates import compose
from ssl_lib.synthetic.document import ROLES, LabeledDocument, Template, TemplateSet, split_lines
from ssl_lib.synthetic.items import CHOICE_FAMILIES, ChoiceItem
from ssl_lib.synthetic.items import role_documents as built_in_role_documents
from ssl_lib.synthetic.paraphrases import Kind, Proposition
from ssl_lib.synthetic.quantities import Draw, operand_split
from ssl_lib.synthetic.reasoning import UNIT_PAIRS

ROOT = Path(__file__).parents[1]
LARGER = "taller|heavier|on top|dearer|hungry"
SMALLER = "shorter|lighter|at the bottom|cheaper|weary"


def sealed_answer(item: ChoiceItem) -> int:
    """The answer, worked out from the prompt."""
    numbers = [int(number) for number in re.findall(r"\d+", item.prompt)]
    if item.family == "comparison":
        larger, smaller = (re.search(cue, item.prompt) for cue in (LARGER, SMALLER))
        assert bool(larger) != bool(smaller)
        return max(numbers) if larger else min(numbers)
    if item.family == "conversion" and len(numbers) == 2:  # the prompt says the factor
        factor, amount = numbers
        return amount // factor if "numbering" in item.prompt else amount * factor
    return solve(item)


@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_every_item_has_exactly_one_right_choice(family: str) -> None:
    items = choice_items(family, 200, 3)
    assert len({item.prompt for item in items}) == len(items) == 200
    for item in items:
        values = [value(choice) for choice in item.choices]
        assert len(set(values)) == 4
        assert min(values) > 0
        right = [place for place, each in enumerate(values) if each == sealed_answer(item)]
        assert right == [item.answer], item
        assert all(re.fullmatch(r" \d+\.", choice) for choice in item.choices)
        assert not item.prompt.endswith(" ")
        assert item.family == family


@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_every_template_of_questions_is_asked(family: str) -> None:
    asked = {re.sub(r"\d+", "N", item.prompt) for item in choice_items(family, 300, 3)}
    assert len(asked) >= 6


@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_neither_position_nor_choices_tell_the_answer(family: str) -> None:
    items = choice_items(family, 400, 6)
    counts = Counter(item.answer for item in items)
    assert max(counts.values()) / 400 < 0.25 + 4 * (0.25 * 0.75 / 400) ** 0.5
    if family in ("comparison", "maximum", "minimum"):
        return  # who knows the family knows which end to take
    guesses = {
        "smallest": lambda values: values.index(min(values)),
        "largest": lambda values: values.index(max(values)),
        "second": lambda values: values.index(sorted(values)[1]),
        "third": lambda values: values.index(sorted(values)[2]),
        "shortest": lambda values: min(range(4), key=lambda place: len(str(values[place]))),
    }
    for name, guess in guesses.items():
        right = sum(
            guess([value(choice) for choice in each.choices]) == each.answer for each in items
        )
        assert right / len(items) < 0.4, (family, name, right / len(items))


def test_no_fact_that_is_asked_was_stated_in_training() -> None:
    for family in ("addition", "subtraction"):
        for item in choice_items(family, 200, 1):
            numbers = sorted((int(each) for each in re.findall(r"\d+", item.prompt)), reverse=True)
            assert operand_split(family, *numbers) == "test"
            assert max(numbers) <= 999
    for family in ("comparison", "maximum", "minimum"):
        for item in choice_items(family, 200, 1):
            numbers = [int(each) for each in re.findall(r"\d+", item.prompt)]
            assert operand_split(family, *numbers) == "test"
            assert max(numbers) <= 9999
    for item in choice_items("sequence", 200, 1):
        *_, third, last = (int(each) for each in re.findall(r"\d+", item.prompt))
        assert operand_split("sequence", last, last - third) == "test"
    for item in choice_items("percentage", 200, 1):
        rate = int(re.findall(r"(\d+)(?:%| percent)", item.prompt)[0])
        numbers = [int(each) for each in re.findall(r"\d+", item.prompt)]
        numbers.remove(rate)
        assert operand_split("percentage", rate, *numbers) == "test"


def _quantity(sentence: str) -> int:
    """The amount of a sentence in baht, pascals, kilowatt-hours or single things."""
    thousands = r" million| thousand| kPa| kilopascals| MWh| megawatt-hours"
    number, unit = re.search(rf"([\d.,]*\d)({thousands})?", sentence).groups()
    scale = {" million": 1e6, None: 1.0}.get(unit, 1e3)
    return round(float(number.replace(",", "")) * scale)


def test_pairs_are_scored_by_the_quantities_that_they_say() -> None:
    pairs = similarity_pairs(600, 2)
    assert sum(pair.score == 1.0 for pair in pairs) == 200
    for pair in pairs:
        first, second = _quantity(pair.first), _quantity(pair.second)
        assert isclose(pair.score, amount_similarity(first, second), abs_tol=1e-9), pair
        assert pair.first != pair.second
        assert operand_split("quantity", first) == "test"
        for sentence in (pair.first, pair.second):
            assert len(find_numbers(sentence)) == 1


def _check_labels(document: LabeledDocument) -> None:
    """Spans are numerals that cover every digit; deterministic ones are ordered and inside."""
    numeral = re.compile(rf"\d[\d,]*(?:\.\d+)?(?:e\d+)?|{WORDS}|[a-z]+th")
    covered: set[int] = set()
    last = 0
    for number in document.numbers:
        text = document.text[number.start : number.end]
        assert numeral.fullmatch(text.replace("hundred and ", "hundred ")), text
        assert number.role in ROLES
        assert number.start >= last
        last = number.end
        covered |= set(range(number.start, number.end))
    digits = {place for place, character in enumerate(document.text) if character.isdigit()}
    assert digits <= covered, document.text
    last = 0
    for start, end in document.deterministic:
        assert last <= start < end <= len(document.text)
        assert document.text[start:end].strip()
        last = end


def test_labels_cover_exactly_the_numbers() -> None:
    for document in (*next_token_documents(1500, 4), *role_documents(500, 4)):
        _check_labels(document)


def test_documents_are_different_and_of_all_domains_and_have_deterministic_spans() -> None:
    found = next_token_documents(1500, 1)
    assert all(document.deterministic for document in found)
    assert len({document.text for document in found}) == len(found)
    assert {document.domain for document in found} == set(DOMAINS)
    assert sum(percent for percent, _ in DOMAINS.values()) == 100
    assert 150 < sum(len(document.text) for document in found) / len(found) < 450
    kinds = {kind for _, listed in DOMAINS.values() for kind in listed.split(",")}
    assert kinds >= FACTS.keys() | RESTATED.keys()


def _sentences(domain: str) -> Iterator[tuple[str, list[float]]]:
    """Sentences of a domain with the values of their numbers."""
    for document in next_token_documents(3000, 5):
        if document.domain == domain:
            for sentence in re.findall(r"\S.*?\.(?=\s[A-Z\d]|$)", document.text):
                plain = re.findall(r"\d+(?:\.\d+)?", sentence.replace(",", ""))
                yield sentence, [float(each) for each in plain]


def test_what_a_document_states_is_true() -> None:
    for sentence, numbers in _sentences("ledgers"):
        low, middle, high = sorted(numbers)
        assert low + middle == high, sentence
    for sentence, numbers in _sentences("fixtures"):
        if len(numbers) == 3 and re.search("cushion|missing|overall|cheered", sentence):
            low, middle, high = sorted(numbers)
            assert low + middle == high, sentence
    for sentence, numbers in _sentences("tolls"):
        if len(numbers) == 3:
            (rate,) = (float(each) for each in re.findall(r"(\d+)(?:%| percent)", sentence))
            numbers.remove(rate)
            assert rate * max(numbers) == 100 * min(numbers), sentence
    factors = {"metres": 1000, " g ": 1000, " ml": 1000, " cm": 100}
    for sentence, numbers in _sentences("workshops"):
        if found := [factor for unit, factor in factors.items() if unit in sentence]:
            assert isclose(min(numbers) * found[0], max(numbers)), sentence
    seen = 0
    for sentence, numbers in _sentences("contests"):
        if len(numbers) > 3:
            assert numbers[-1] in (min(numbers[:-1]), max(numbers[:-1])), sentence
            seen += 1
    assert seen > 100


def test_a_manifest_is_asked_rightly() -> None:
    asked = 0
    for document in next_token_documents(3000, 8):
        table: dict[str, str] = {}
        for sentence in re.findall(r"\S.*?\.(?=\s[A-Z\d]|$)", document.text):
            if sentence.startswith("Dockers"):
                table = {year: n for n, year in re.findall(r"(\d+)(?: \w+)? in (\d{4})", sentence)}
                assert len(table) == 3
            elif found := re.search(r"season, (\d+), brought ashore (\d+)", sentence):
                assert table[found[1]] == found[2] == max(table.values(), key=int)
                asked += 1
            elif found := re.search(r"Looking up (\d+) in that manifest yields (\d+)", sentence):
                assert table[found[1]] == found[2]
                asked += 1
            elif found := re.search(r"recalls (\d+) \w+ must mean (\d+)", sentence):
                assert table[found[2]] == found[1]
                asked += 1
    assert asked > 50


def test_role_documents_are_balanced_and_no_numeral_tells_its_role() -> None:
    found = role_documents(900, 3)
    sentences = Counter(
        role for document in found for role in {number.role for number in document.numbers}
    )
    assert set(sentences) == set(ROLES)
    assert max(sentences.values()) < 1.25 * min(sentences.values())
    by_text: dict[str, Counter[str]] = {}
    for document in built_in_role_documents(3000, 1, "train"):
        for number in document.numbers:
            text = document.text[number.start : number.end]
            by_text.setdefault(text, Counter())[number.role] += 1
    right = total = 0
    for document in found:
        for number in document.numbers:
            seen = by_text.get(document.text[number.start : number.end])
            right += bool(seen) and seen.most_common(1)[0][0] == number.role
            total += 1
    assert right / total < 0.6


def test_every_family_and_role_has_several_templates() -> None:
    assert set(FAMILY_TEMPLATES) == set(FACTS) >= set(CHOICE_FAMILIES)
    assert all(len(set(FAMILY_TEMPLATES[family])) >= 8 for family in CHOICE_FAMILIES)
    assert set(ROLE_TEMPLATES) == set(ROLES)
    assert all(len(set(each)) >= 9 for each in ROLE_TEMPLATES.values())


# --- nothing of the built-in world is in the sealed one ---
# Function words, and words without which a number's role or another form of it cannot be said.
FUNCTION_WORDS = set(
    """about above after again all along among and any are around as at back before behind below
    beneath beside between beyond both by come comes did during each every for from had has have
    hence her here him his how in inside into is it its itself like many most must near needs no
    not nothing of off on onto or other our out over per since so some still than that the their
    them then there therefore these they this those through throughout to towards under until up
    upon was were what whatever when where whereas which while who whoever whose will with
    within without you your""".split()
)
UNAVOIDABLE_WORDS = {"percent", "points", "million", "thousand", "comma", "radius"}


def _templates(found: Any) -> Iterator[Template]:
    """All templates inside an object, a container or a module."""
    match found:
        case Template():
            yield found
        case TemplateSet():
            yield from found.common + found.held_out
        case Proposition():
            yield from _templates(found.templates)
        case ModuleType():
            yield from _templates(list(vars(found).values()))
        case dict():
            yield from _templates(list(found.values()))
        case list() | tuple():
            for each in found:
                yield from _templates(each)


def _sources(*places: Any) -> set[str]:
    return {template.source for place in places for template in _templates(place)}


def _shape(source: str) -> list[str]:
    """Words and signs of a template, in which all slots are alike."""
    return re.findall(r"\{|\w+|[^\w\s]", re.sub(r"\{\w+(?::\w+)?!?\}", "{", source))


def _built_in() -> set[str]:
    tables = {line for table in facts.TABLES.values() for line in split_lines(table.templates)}
    return _sources(templates, paraphrases) | tables | set(split_lines(facts._CONSTANTS))


def _sealed() -> set[str]:
    return _sources(sealed_templates, sealed_documents, sealed_items)


def test_no_template_comes_within_three_words_of_a_built_in_one() -> None:
    composed = {compose(Draw(1, "train", n), family).source for family in FACTS for n in range(150)}
    known = {tuple(_shape(source)) for source in _built_in() | composed}
    assert len(known) > 1000
    for source in _sealed():
        shape = _shape(source)
        for other in known:
            if abs(len(shape) - len(other)) < 3:
                assert words_apart(shape, list(other)) >= 3, (source, other)


def test_sentences_that_state_no_relation_share_no_content_word() -> None:
    """Roles, propositions and restatements: a relation has its words, these need none."""

    def content(sources: set[str]) -> set[str]:
        plain = (re.sub(r"\{[^}]*\}", " ", source).lower() for source in sources)
        return {word for text in plain for word in re.findall(r"[a-z]{3,}", text)}

    known = content(_built_in() - _sources(templates.FAMILY_TEMPLATES))
    new = content(_sealed() - _sources(FAMILY_TEMPLATES))
    units = {word.lower() for pair in UNIT_PAIRS for word in pair if isinstance(word, str)}
    assert known & new <= FUNCTION_WORDS | UNAVOIDABLE_WORDS | units


def _entries(*lists: Any) -> set[str]:
    """Words and signs inside nested lists, tables and kinds, in lower case; no scale words."""
    found: set[str] = set()
    for each in lists:
        match each:
            case str():
                found |= {word for word in each.lower().split() if not word.isdigit()}
            case Kind():
                found |= _entries([(form.before, form.after) for form in each.forms])
            case dict():
                found |= _entries(*each.values())
            case list() | tuple():
                found |= _entries(*each)
    return found - {"million", "thousand"}


def test_no_name_thing_unit_or_currency_stands_in_both_worlds() -> None:
    calendar = _entries(entities.MONTHS, entities.WEEKDAYS)
    public = {name: each for name, each in vars(entities).items() if name.isupper()}
    known = _entries(public, paraphrases.KINDS, paraphrases.COUNTED) - calendar
    known |= _entries([pair[:4] for pair in UNIT_PAIRS])
    new = _entries({name: each for name, each in vars(words).items() if name.isupper()})
    new |= _entries(sealed_items.KINDS)
    assert len(known) > 150
    assert len(new) > 120
    assert known & new == set()


def test_built_in_units_are_asked_in_conversions_and_restated_measurements_alone() -> None:
    unit = r"\d (?:km|kg|g|m|cm|mm|l|ml|t|metres|grams|litres|kilometres|kilograms|tonnes)\b"
    for item in spread_items(900, 2):
        assert item.family == "conversion" or not re.search(unit, item.prompt)
    for document in (*role_documents(400, 2), *next_token_documents(800, 2)):
        if document.domain not in ("capacities", "workshops", "skies"):
            assert not re.search(unit, document.text), document.text
    for pair in similarity_pairs(300, 2):
        assert not re.search(unit, pair.first + pair.second)


# --- the same for ever, and read by one command ---


def test_items_are_the_same_for_the_same_seed_only() -> None:
    assert choice_items("addition", 20, 4) != choice_items("addition", 20, 5)
    assert choice_items("addition", 10, 4) == choice_items("addition", 20, 4)[:10]
    assert similarity_pairs(9, 4) == similarity_pairs(20, 4)[:9]
    assert similarity_pairs(9, 4) != similarity_pairs(9, 5)
    assert role_documents(5, 4) == role_documents(9, 4)[:5]
    assert next_token_documents(5, 4) == next_token_documents(9, 4)[:5]
    assert [len(spread_items(100, 1)), len(spread_items(36, 1))] == [100, 36]


def test_too_many_items_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="sealed items of family sequence, 100000 wanted"):
        choice_items("sequence", 100_000, 0)


DIGEST = """
import hashlib
from ssl_lib.sealed import items
drawn = [items.spread_items(90, 7), items.similarity_pairs(60, 7)]
drawn += [items.role_documents(60, 7), items.next_token_documents(120, 7)]
print(hashlib.sha256(repr(drawn).encode()).hexdigest())
"""
# A change of it is another sealed world, whose figures stand beside no earlier ones.
ITEMS_SHA256 = "1f0bf246130d0ada85ca60b42117a0de51eeffb0adbb147d8810aecb34eb4a20"


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_items_stay_the_same_to_the_letter_in_every_process(hash_seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", DIGEST]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ITEMS_SHA256


def test_nothing_but_the_command_imports_the_sealed_world() -> None:
    sealed = {name for name in modules() if name.startswith("ssl_lib.sealed")}
    assert len(sealed) > 5
    knowing = {name for name in modules() if imports_of(name) & sealed} - sealed
    assert knowing == {"ssl_lib.commands"}
    from ssl_lib.cli import STAGES

    for command in STAGES.values():
        reached = reached_from(command.stage.partition(":")[0])
        assert not sealed & reached.keys(), command.stage
