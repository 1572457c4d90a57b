"""Evaluation items from the world of the built-in corpus: four-choice questions, sentence pairs, labelled documents.

All are deterministic by seed. The facts of split `test` are never stated in training or validation documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice

from ssl_lib.numbers.similarity import amount_similarity
from ssl_lib.synthetic.extrapolation import LONGER
from ssl_lib.synthetic.generator import ROLES, document, role_sentence
from ssl_lib.synthetic.operands import SPLITS, Draw
from ssl_lib.synthetic.page import LabeledDocument, Page, Template
from ssl_lib.synthetic.quantities import FRAMES, draw_quantity, form_count, written
from ssl_lib.synthetic.reasoning import FAMILIES, Values
from ssl_lib.synthetic.scene import Scene

CHOICE_FAMILIES = (
    "addition",
    "subtraction",
    "comparison",
    "maximum",
    "minimum",
    "sequence",
    "conversion",
    "percentage",
    "numeration",
)
MULTIPLES = (
    1.0,
    1.03,
    1.3,
    3.0,
    10.0,
    100.0,
    1000.0,
)  # of amounts: small changes, and powers of ten
_TRIES = 2000  # draws in a row without a new prompt, after which there are no more


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """`prompt + choices[answer]` is a true sentence; the other choices make it false. Each ends with a full stop."""

    prompt: str
    choices: tuple[str, str, str, str]
    answer: int
    family: str


@dataclass(frozen=True, slots=True)
class SimilarityPair:
    """Two sentences about one quantity each; `score` is 1.0 when they say the same: `amount_similarity`."""

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
    """`count` different four-choice items of one of CHOICE_FAMILIES, in the wordings of the documents.

    With `extrapolate` the operands are longer than any in the documents; with `held_out` the wordings are those that
    only test documents use. Raises ValueError for an unknown family or split, or if so many items do not exist.
    """
    _check_split(split)
    if family not in CHOICE_FAMILIES:
        raise ValueError(f"family must be one of {', '.join(CHOICE_FAMILIES)}, got {family!r}")
    kind = FAMILIES[family]
    wordings = kind.questions(held_out)
    make = LONGER[family] if extrapolate else kind.draw
    items: dict[str, ChoiceItem] = {}
    draw = Draw(f"items/{family}/{seed}/{extrapolate}/{held_out}", split)
    tries = 0
    while len(items) < count and tries < _TRIES:
        wording = draw.pick(wordings)
        item = _choice_item(draw, family, wording, make(draw, wording))
        tries = tries + 1 if item.prompt in items else 0
        items.setdefault(item.prompt, item)
    if len(items) < count:
        raise ValueError(
            f"only {len(items)} different items of family {family} exist in split {split}, {count} wanted"
        )
    return list(items.values())


def _choice_item(draw: Draw, family: str, wording: Template, values: Values) -> ChoiceItem:
    given = "".join(f"{before}{values[slot]}" for before, slot, _, _ in wording.slots[:-1])
    prompt = given + wording.slots[-1][0]
    right = values[wording.asked]
    assert isinstance(right, int)
    numbers = draw.shuffled(_DISTRACTORS[family](draw, right, wording, values))
    space = " " if prompt.endswith(" ") else ""
    first, second, third, fourth = (f"{space}{number}." for number in numbers)
    return ChoiceItem(
        prompt.removesuffix(" "), (first, second, third, fourth), numbers.index(right), family
    )


def _corners(draw: Draw, right: int, *steps: tuple[int, int]) -> list[int]:
    """Four numbers: the right one with none, either and both of two steps added; no corner looks unlike the others."""
    first, second = draw.pick(steps)
    if right <= second + 1:
        first, second = 1, 10 if right > 11 else max(2, right // 2)
    first = first if right <= first or draw.random() < 0.5 else -first
    second = second if right + min(first, 0) <= second or draw.random() < 0.5 else -second
    return [right, right + first, right + second, right + first + second]


def _magnitudes(right: int, neighbour: int, scale: int, down: bool) -> list[int]:
    """The right number and a neighbour, and both ten or a hundred times as large or as small."""
    if down:
        return [right, neighbour, right // scale, neighbour // scale]
    return [right, neighbour, right * scale, neighbour * scale]


def _near(draw: Draw, right: int, wording: Template, values: Values) -> list[int]:
    down = (
        right % 10 == 0
    )  # one in ten or five, so that the right number is as often among the large ones
    if draw.random() < (0.6 if down else 0.1):
        step = 10 if down else 1
        neighbour = right + step * draw.pick((-1, 1)) if right > step else right + step
        numbers = _magnitudes(right, neighbour, 10, down)
        if len(set(numbers)) == 4:
            return numbers
    return _corners(draw, right, (1, 10), (1, 10), (1, 100), (10, 100))


def _near_conversion(draw: Draw, right: int, wording: Template, values: Values) -> list[int]:
    factor = 1 if wording.asked == "a" else int(str(values["f"]))
    amount = right // factor
    if draw.random() < 0.5:
        neighbour = amount + draw.pick((-1, 1)) if amount > 1 else amount + 1
        scale = draw.pick((10, 10, 100))
        down = right % scale == neighbour * factor % scale == 0 and draw.random() < 0.6
        numbers = _magnitudes(right, neighbour * factor, scale, down)
        if len(set(numbers)) == 4:
            return numbers
    return [corner * factor for corner in _corners(draw, amount, (1, 10))]


def _near_pair(draw: Draw, right: int, wording: Template, values: Values) -> list[int]:
    first, second = int(str(values["a"])), int(str(values["b"]))
    while True:
        step = draw.pick((1, 2, 3, 10, 20, 100)) * draw.pick((-1, 1))
        numbers = [first, second, first + step, second + step]
        if len(set(numbers)) == 4 and min(numbers) > 0:
            return numbers


def _near_listed(draw: Draw, right: int, wording: Template, values: Values) -> list[int]:
    listed = [int(str(values[slot])) for slot in "xyzvw" if slot in values]
    others = draw.shuffled([number for number in listed if number != right])[:2]
    while True:
        miss = right + draw.pick((1, 2, 10, 100)) * draw.pick((-1, 1))
        if miss > 0 and miss not in listed:
            return [right, *others, miss]


_DISTRACTORS: dict[str, Callable[[Draw, int, Template, Values], list[int]]] = {
    **dict.fromkeys(CHOICE_FAMILIES, _near),
    "conversion": _near_conversion,
    "comparison": _near_pair,
    "maximum": _near_listed,
    "minimum": _near_listed,
}


def similarity_pairs(count: int, seed: int, split: str = "test") -> list[SimilarityPair]:
    """`count` pairs: in turn the same quantity in other words and another form or unit, the same sentence with the
    quantity changed by 0.1% to 1000%, and both at once. In split `test` the wordings are reserved ones.

    Raises ValueError for an unknown split.
    """
    _check_split(split)
    draw = Draw(f"similarity/{seed}", split)
    return [_similarity_pair(draw, number % 3) for number in range(count)]


def _similarity_pair(draw: Draw, kind: int) -> SimilarityPair:
    scene = Scene(draw)
    frame = draw.pick(FRAMES)
    wordings = draw.shuffled(frame.reserved if draw.split == "test" else frame.wordings)
    forms = draw.shuffled(range(form_count(frame.kind)))
    value = draw_quantity(draw, frame.kind)
    other = value if kind == 0 else _changed(draw, value)
    again = 0 if kind == 1 else 1
    names = _names(draw, scene)
    first = _sentence(wordings[0], names | written(frame.kind, value, forms[0]))
    second = _sentence(wordings[again], names | written(frame.kind, other, forms[again]))
    return SimilarityPair(first, second, amount_similarity(value, other))


def multiplied_sentences(count: int, seed: int, split: str = "test") -> list[tuple[str, ...]]:
    """`count` sentences about one quantity, each with the quantity times every one of MULTIPLES, and else the same. In
    split `test` the wordings are reserved ones.

    Raises ValueError for an unknown split.
    """
    _check_split(split)
    draw = Draw(f"multiplied/{seed}", split)
    return [_multiplied(draw) for _ in range(count)]


def _multiplied(draw: Draw) -> tuple[str, ...]:
    scene, frame = Scene(draw), draw.pick(FRAMES)
    wording = draw.pick(frame.reserved if draw.split == "test" else frame.wordings)
    form, value, names = (
        draw.below(form_count(frame.kind)),
        draw_quantity(draw, frame.kind),
        _names(draw, scene),
    )
    values = (names | written(frame.kind, round(value * factor), form) for factor in MULTIPLES)
    return tuple(_sentence(wording, each) for each in values)


def _names(draw: Draw, scene: Scene) -> Values:
    names: Values = {name: "".join(scene.name(name)) for name in ("firm", "city", "person")}
    return names | {"things": draw.pick(("books", "chairs", "bricks", "pens"))}


def _changed(draw: Draw, value: int) -> int:
    while True:
        ratio = 1.0 + 0.001 * 10_000.0 ** draw.random()
        other = round(value * ratio if draw.random() < 0.5 else value / ratio)
        if other != value and other > 0:
            return other


def _sentence(wording: Template, values: Values) -> str:
    page = Page()
    page.add(wording, values)
    return page.finish("").text


def role_documents(count: int, seed: int, split: str = "test") -> list[LabeledDocument]:
    """`count` documents of four to six sentences whose numbers play balanced roles; every sentence holds one role.

    Split `test` has only reserved wordings, units, currencies and things; the other splits have none of them.
    """
    _check_split(split)
    return [_role_document(Draw(f"roles/{seed}", split, index)) for index in range(count)]


def _role_document(draw: Draw) -> LabeledDocument:
    scene, page = Scene(draw, reserved=draw.split == "test"), Page()
    for role in draw.shuffled(ROLES)[: draw.between(4, 6)]:
        role_sentence(role)(scene, page)
    return page.finish("roles")


def next_token_documents(count: int, seed: int, split: str = "test") -> list[LabeledDocument]:
    """`count` documents as in the corpus, with at least one determined span each."""
    _check_split(split)
    documents = (document(f"next/{seed}", index, split) for index in counting())
    return list(islice((each for each in documents if each.deterministic), count))


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
