"""Evaluation items from the built-in world: four-choice questions, sentence pairs, documents.

All are deterministic by seed. The facts of split `test` are never stated in training or validation
documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice

from ssl_lib.numbers.similarity import amount_similarity
from ssl_lib.synthetic.document import ROLES, DocumentBuilder, LabeledDocument, Template, Values
from ssl_lib.synthetic.entities import Entities
from ssl_lib.synthetic.generator import document, role_sentence
from ssl_lib.synthetic.paraphrases import (
    COUNTED,
    PROPOSITIONS,
    Proposition,
    draw_quantity,
    written,
)
from ssl_lib.synthetic.quantities import SPLITS, Draw
from ssl_lib.synthetic.reasoning import FAMILIES

CHOICE_FAMILIES = (
    *("addition", "subtraction", "comparison", "maximum", "minimum"),
    *("sequence", "conversion", "percentage", "numeration"),
)
MULTIPLES = (1.0, 1.03, 1.3, 3.0, 10.0, 100.0, 1000.0)  # small changes, and powers of ten
_TRIES = 2000  # draws in a row without a new prompt, after which there are no more


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """A sentence and four ways to end it, each with a full stop.

    `prompt + choices[answer]` is true; the other choices make it false.
    """

    prompt: str
    choices: tuple[str, str, str, str]
    answer: int
    family: str


@dataclass(frozen=True, slots=True)
class SimilarityPair:
    """Two sentences about one quantity each; `score` is their `amount_similarity`."""

    first: str
    second: str
    score: float


def choice_items(
    family: str,
    count: int,
    seed: int,
    split: str = "test",
    extrapolate: bool = False,
    held_out: bool = False,
) -> list[ChoiceItem]:
    """`count` different four-choice items of one of CHOICE_FAMILIES, in templates of the documents.

    With `extrapolate` the operands are longer than any in the documents; with `held_out` the
    templates are those that only test documents use. Raises ValueError for an unknown family or
    split, or if so many items do not exist.
    """
    _check_split(split)
    if family not in CHOICE_FAMILIES:
        raise ValueError(f"family must be one of {', '.join(CHOICE_FAMILIES)}, got {family!r}")
    templates = FAMILIES[family].questions(held_out)
    # one draw for all items: ten of them are the first ten of twenty
    draw = Draw(f"items/{family}/{seed}/{extrapolate}/{held_out}", split)

    def drawn() -> ChoiceItem:
        template = draw.pick(templates)
        values = FAMILIES[family].draw(draw, template, "longer" if extrapolate else "asked")
        return choice_item(draw, family, template, values)

    items = different_items(count, drawn)
    if len(items) < count:
        raise ValueError(
            f"only {len(items)} different items of family {family} exist in split {split}, "
            f"{count} wanted"
        )
    return items


def different_items(count: int, drawn: Callable[[], ChoiceItem]) -> list[ChoiceItem]:
    """`count` items of different prompts; fewer where _TRIES draws in a row bring no other."""
    items: dict[str, ChoiceItem] = {}
    tries = 0
    while len(items) < count and tries < _TRIES:
        item = drawn()
        tries = tries + 1 if item.prompt in items else 0
        items.setdefault(item.prompt, item)
    return list(items.values())


def over_families(count: int, items_of: Callable[[str, int], list[ChoiceItem]]) -> list[ChoiceItem]:
    """`count` items, as evenly over CHOICE_FAMILIES as that goes: `items_of` a family so many."""
    # 100 over nine families: the first has 12 items, the others 11
    share, rest = divmod(count, len(CHOICE_FAMILIES))
    found: list[ChoiceItem] = []
    for number, family in enumerate(CHOICE_FAMILIES):
        found += items_of(family, share + (number < rest))
    return found


def choice_item(draw: Draw, family: str, template: Template, values: Values) -> ChoiceItem:
    """The template up to its answer, and the answer among three distractors, each " 12."."""
    # the answer is the last slot: see Template.answer_slot
    *given, asked = template.slots
    before = [f"{slot.before}{values[slot.name]}" for slot in given]
    prompt = "".join(before) + asked.before
    right = _integer(values[asked.name])
    numbers = draw.shuffled(_DISTRACTORS[family](draw, right, template, values))
    # "The sum of 2 and 3 is " → a prompt without the last space, and choices " 5.", " 6." …
    space = " " if prompt.endswith(" ") else ""
    first, second, third, fourth = (f"{space}{number}." for number in numbers)
    choices = (first, second, third, fourth)
    return ChoiceItem(prompt.removesuffix(" "), choices, numbers.index(right), family)


def _integer(value: object) -> int:
    assert isinstance(value, int), "numbers of choice items are whole"
    return value


def _near(draw: Draw, right: int, template: Template, values: Values) -> list[int]:
    """Four numbers close to the right one, or two pairs ten times apart."""
    # One number in ten, or five, ends in 0: with these shares the right number is about as often
    # one of the large ones as one of the small ones.
    down = right % 10 == 0
    if draw.random() < (0.6 if down else 0.1):
        step = 10 if down else 1
        side = draw.pick((-1, 1)) if right > step else 1
        numbers = _magnitudes(right, right + side * step, 10, down)
        if len(set(numbers)) == 4:
            return numbers
    return _corners(draw, right, (1, 10), (1, 10), (1, 100), (10, 100))


def _near_conversion(draw: Draw, right: int, template: Template, values: Values) -> list[int]:
    """The same for amounts: in the smaller unit of measure all are multiples of the factor."""
    factor = 1 if template.answer_slot == "a" else _integer(values["f"])
    amount = right // factor
    if draw.random() < 0.5:
        side = draw.pick((-1, 1)) if amount > 1 else 1
        neighbor = right + side * factor
        scale = draw.pick((10, 10, 100))
        divisible = right % scale == neighbor % scale == 0
        down = divisible and draw.random() < 0.6
        numbers = _magnitudes(right, neighbor, scale, down)
        if len(set(numbers)) == 4:
            return numbers
    return [corner * factor for corner in _corners(draw, amount, (1, 10))]


def _near_compared(draw: Draw, right: int, template: Template, values: Values) -> list[int]:
    """Both numbers of a comparison, and both with the same step added."""
    first = _integer(values["a"])
    second = _integer(values["b"])
    while True:
        step = draw.pick((1, 2, 3, 10, 20, 100)) * draw.pick((-1, 1))
        numbers = [first, second, first + step, second + step]
        if len(set(numbers)) == 4 and min(numbers) > 0:
            return numbers


def _near_listed(draw: Draw, right: int, template: Template, values: Values) -> list[int]:
    """Two other elements of the list, and a number that is close to the right one and not in it."""
    listed = [_integer(values[slot]) for slot in "xyzvw" if slot in values]
    others = draw.shuffled([number for number in listed if number != right])[:2]
    while True:
        miss = right + draw.pick((1, 2, 10, 100)) * draw.pick((-1, 1))
        if miss > 0 and miss not in listed:
            return [right, *others, miss]


_DISTRACTORS: dict[str, Callable[[Draw, int, Template, Values], list[int]]] = {
    **dict.fromkeys(CHOICE_FAMILIES, _near),
    "conversion": _near_conversion,
    "comparison": _near_compared,
    "maximum": _near_listed,
    "minimum": _near_listed,
}


def _corners(draw: Draw, right: int, *steps: tuple[int, int]) -> list[int]:
    """The right number with none, either and both of two steps added.

    The four are corners of a rectangle: none looks unlike the others.
    """
    first, second = draw.pick(steps)
    if right <= second + 1:
        first = 1
        second = 10 if right > 11 else max(2, right // 2)
    if right > first and draw.random() >= 0.5:
        first = -first
    if right + min(first, 0) > second and draw.random() >= 0.5:
        second = -second
    return [right, right + first, right + second, right + first + second]


def _magnitudes(right: int, neighbor: int, scale: int, down: bool) -> list[int]:
    """The right number and a neighbor, and both `scale` times as large, or as small."""
    if down:
        return [right, neighbor, right // scale, neighbor // scale]
    return [right, neighbor, right * scale, neighbor * scale]


def similarity_pairs(count: int, seed: int, split: str = "test") -> list[SimilarityPair]:
    """`count` pairs of three kinds in turn; in split `test` the templates are held-out ones.

    The same quantity in other words and another form or unit of measure; the same sentence with the
    quantity changed by 0.1% to 1000%; both at once. Raises ValueError for an unknown split.
    """
    _check_split(split)
    draw = Draw(f"similarity/{seed}", split)
    return [similarity_pair(draw, number, PROPOSITIONS, _names) for number in range(count)]


def similarity_pair(
    draw: Draw,
    number: int,
    propositions: Sequence[Proposition],
    named: Callable[[Draw], Values],
) -> SimilarityPair:
    """Pair `number` of its kind, the kinds of pairs taking turns; `named` draws the names of it."""
    proposition = draw.pick(propositions)
    kind = proposition.kind
    templates = draw.shuffled(proposition.templates.chosen(draw.split == "test"))
    forms = draw.shuffled(range(len(kind.forms)))
    value = draw_quantity(draw, kind)
    other = value
    while number % 3 != 0 and other == value:
        # larger or smaller by 0.1% to 1000%, log-uniform
        ratio = 1.0 + 0.001 * 10_000.0 ** draw.random()
        other = round(value * ratio if draw.random() < 0.5 else value / ratio)
    again = 0 if number % 3 == 1 else 1  # whether the second sentence has the words of the first
    names = named(draw)
    first = _sentence(templates[0], names | written(kind, value, forms[0]))
    second = _sentence(templates[again], names | written(kind, other, forms[again]))
    return SimilarityPair(first, second, amount_similarity(value, other))


def multiplied_sentences(count: int, seed: int, split: str = "test") -> list[tuple[str, ...]]:
    """`count` sentences about one quantity, each with the quantity times every one of MULTIPLES.

    In split `test` the templates are held-out ones. Raises ValueError for an unknown split.
    """
    _check_split(split)
    draw = Draw(f"multiplied/{seed}", split)
    sentences = []
    for _ in range(count):
        proposition = draw.pick(PROPOSITIONS)
        kind = proposition.kind
        template = draw.pick(proposition.templates.chosen(split == "test"))
        form = draw.below(len(kind.forms))
        value = draw_quantity(draw, kind)
        names = _names(draw)
        amounts = (written(kind, round(value * multiple), form) for multiple in MULTIPLES)
        sentences.append(tuple(_sentence(template, names | amount) for amount in amounts))
    return sentences


def _names(draw: Draw) -> Values:
    entities = Entities(draw)
    # a name that is said once has no deterministic part
    names: Values = {kind: "".join(entities.name(kind)) for kind in ("firm", "city", "person")}
    return names | {"things": draw.pick(COUNTED)}


def _sentence(template: Template, values: Values) -> str:
    builder = DocumentBuilder()
    builder.add(template, values)
    return builder.finish("").text


def role_documents(count: int, seed: int, split: str = "test") -> list[LabeledDocument]:
    """`count` documents of four to six sentences whose numbers play balanced roles, one a sentence.

    Split `test` has only held-out templates, units of measure, currencies and things; the other
    splits have none of them. Raises ValueError for an unknown split.
    """
    _check_split(split)
    documents = []
    for index in range(count):
        draw = Draw(f"roles/{seed}", split, index)
        builder = DocumentBuilder()
        entities = Entities(draw, held_out=split == "test")
        roles = draw.shuffled(ROLES)
        for role in roles[: draw.between(4, 6)]:
            role_sentence(role)(entities, builder)
        documents.append(builder.finish("roles"))
    return documents


def next_token_documents(count: int, seed: int, split: str = "test") -> list[LabeledDocument]:
    """`count` documents as in the corpus, with at least one deterministic span each.

    Raises ValueError for an unknown split.
    """
    _check_split(split)
    documents = (document(f"next/{seed}", index, split) for index in counting())
    return list(islice((each for each in documents if each.deterministic), count))


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")


@dataclass(frozen=True, slots=True)
class Restated:
    """One sentence with many amounts, and some of its amounts said again in other ways.

    `sentences` differ in their number alone, no two alike; `restatements` has by the way of saying
    it again the place of each sentence meant, and the restatement.
    """

    sentences: tuple[str, ...]
    restatements: dict[str, tuple[tuple[int, str], ...]]


RESTATED = ("other_wording", "other_form", "other_unit", "same_unit")


def restated_sentences(
    count: int, seed: int, split: str = "test", amounts: int = 101, asked: int = 5
) -> list[Restated]:
    """`count` sentences, each with `amounts` different amounts, of which `asked` are said again.

    In another wording; in another written form of the same unit; in another unit of measure, where
    the kind of quantity has one; in another wording and form of the same unit. Half of the amounts
    lie next to those asked. In split `test` the templates are held-out ones. Raises ValueError for
    an unknown split.
    """
    _check_split(split)
    draw = Draw(f"restated/{seed}", split)
    return [_restated(draw, amounts, asked) for _ in range(count)]


def _restated(draw: Draw, amounts: int, asked: int) -> Restated:
    proposition = draw.pick(PROPOSITIONS)
    kind = proposition.kind
    said, again, *_ = draw.shuffled(proposition.templates.chosen(draw.split == "test"))
    names = _names(draw)
    values = {draw_quantity(draw, kind): None for _ in range(asked)}
    meant = list(values)
    # the grain in which quantities of the kind are drawn, as thousands of dollars
    grain = kind.high // 90_000
    near = (amounts - asked) // (4 * asked)
    for value in meant:
        for step in range(1, near + 1):
            values |= dict.fromkeys((value + step * grain, max(grain, value - step * grain)))
    while len(values) < amounts:
        values[draw_quantity(draw, kind)] = None
    form = draw.below(len(kind.forms))
    worth = kind.forms[form].worth
    # money and counts have one unit whatever they are worth: a million dollars are dollars
    measured = kind.role == "measurement"
    others = [place for place in draw.shuffled(range(len(kind.forms))) if place != form]
    alike = [one for one in others if not measured or kind.forms[one].worth == worth]
    unlike = [one for one in others if one not in alike]
    ways = {"other_wording": (again, form), "other_form": (said, alike[0])}
    ways |= {"other_unit": (said, unlike[0])} if unlike else {}
    ways["same_unit"] = (again, alike[0])
    restatements = {}
    for way, (template, its_form) in ways.items():
        told = [_sentence(template, names | written(kind, value, its_form)) for value in meant]
        restatements[way] = tuple(enumerate(told))
    sentences = [_sentence(said, names | written(kind, value, form)) for value in values]
    return Restated(tuple(sentences[:amounts]), restatements)
