"""The built-in corpus: English documents full of numbers, deterministic by seed, of any size, streamed.

A document is a few sentences of one domain. Its facts (sums, comparisons, conversions ...) belong to its split by a
hash of their operands, so what evaluation asks was never said in training; see `operand_split`. Document `i` depends on
(seed, split, i) alone, so any range of documents can be made in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ssl_lib.synthetic.facts import state_fact
from ssl_lib.synthetic.operands import SPLITS, Draw, operand_split
from ssl_lib.synthetic.page import ROLES, LabeledDocument, LabeledNumber, Page
from ssl_lib.synthetic.quantities import state_twice
from ssl_lib.synthetic.reasoning import FAMILIES, RESERVED_SHARE
from ssl_lib.synthetic.restatements import WRITERS
from ssl_lib.synthetic.role_wordings import RESERVED_ROLE_WORDINGS, ROLE_WORDINGS
from ssl_lib.synthetic.scene import Scene

__all__ = [
    "DOMAINS",
    "ROLES",
    "LabeledDocument",
    "LabeledNumber",
    "document",
    "generate",
    "operand_split",
]

Sentence = Callable[[Scene, Page], None]

DOMAINS = {  # percent of the training documents, which dwell on what is hard to learn, and of the others
    "arithmetic": (17, 25),
    "comparison": (11, 12),
    "sequences": (8, 8),
    "multiples": (3, 0),
    "units": (13, 9),
    "percentages": (14, 13),
    "numeration": (5, 7),
    "money": (5, 4),
    "dates": (3, 3),
    "scores": (3, 3),
    "measurements": (2, 3),
    "tables": (8, 3),
    "quantities": (7, 7),
    "facts": (1, 3),
}
_LONGEST = 280  # characters after which no sentence is begun
_MOST_SENTENCES = 8


def generate(
    seed: int, documents: int, split: str = "train", start: int = 0
) -> Iterator[LabeledDocument]:
    """Stream the documents `start` to `start + documents - 1` of a split.

    Raises ValueError if `split` is not train, validation or test.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return (document(seed, index, split) for index in range(start, start + documents))


def document(seed: int | str, index: int, split: str = "train") -> LabeledDocument:
    """Document number `index` of a split."""
    draw = Draw(seed, split, index)
    domain = draw.pick(_TRAINING_BY_SHARE if split == "train" else _OTHERS_BY_SHARE)
    sentences = _SENTENCES[domain]
    page = Page()
    scenes = (Scene(draw), Scene(draw, reserved=True)) if split == "test" else (Scene(draw),)
    sentences_wanted = draw.between(_MOST_SENTENCES - 2, _MOST_SENTENCES)
    while page.sentences < 3 or (page.sentences < sentences_wanted and page.length < _LONGEST):
        held_out = split == "test" and draw.random() < RESERVED_SHARE
        draw.pick(sentences)(scenes[held_out], page)
    return page.finish(domain)


def role_sentence(role: str) -> Sentence:
    """A writer of sentences with numbers of one role; in a scene of reserved words, with a reserved wording."""

    def write(scene: Scene, page: Page) -> None:
        wordings = RESERVED_ROLE_WORDINGS if scene.reserved else ROLE_WORDINGS
        scene.say(page, scene.draw.pick(wordings[role]))

    return write


def _fact_sentence(family: str) -> Sentence:
    state = FAMILIES[family].state
    return lambda scene, page: state(page, scene.draw)


def _sentences(
    families: dict[str, int], roles: dict[str, int], writers: dict[str, int]
) -> tuple[Sentence, ...]:
    """Writers as often as their weights say."""
    chosen: list[Sentence] = [
        _fact_sentence(name) for name, weight in families.items() for _ in range(weight)
    ]
    chosen += [role_sentence(name) for name, weight in roles.items() for _ in range(weight)]
    chosen += [_WRITERS[name] for name, weight in writers.items() for _ in range(weight)]
    return tuple(chosen)


_WRITERS = WRITERS | {"quantities": state_twice}
_TRAINING_BY_SHARE = tuple(domain for domain, (share, _) in DOMAINS.items() for _ in range(share))
_OTHERS_BY_SHARE = tuple(domain for domain, (_, share) in DOMAINS.items() for _ in range(share))
_SENTENCES: dict[str, tuple[Sentence, ...]] = {
    "arithmetic": _sentences({"addition": 1, "subtraction": 1}, {}, {}),
    "comparison": _sentences({"comparison": 2, "maximum": 3, "minimum": 3}, {}, {}),
    "sequences": _sentences({"sequence": 7, "geometric": 1}, {}, {}),
    "multiples": _sentences({"geometric": 1}, {}, {}),
    "units": _sentences({"conversion": 1}, {}, {}),
    "percentages": _sentences({"percentage": 10}, {"percentage": 1}, {}),
    "numeration": _sentences({"numeration": 8}, {}, {"forms": 2}),
    "money": _sentences(
        {},
        {"money": 6, "percentage": 2, "year": 2, "identifier": 2, "count": 1},
        {"money": 5, "quantities": 3},
    ),
    "dates": _sentences(
        {}, {"date_part": 5, "year": 5, "identifier": 1, "ordinal": 1, "count": 1}, {"dates": 6}
    ),
    "scores": _sentences({}, {"score": 6, "ordinal": 4, "count": 2, "date_part": 1}, {"scores": 5}),
    "measurements": _sentences(
        {}, {"measurement": 8, "identifier": 1, "count": 1}, {"measurements": 6, "quantities": 3}
    ),
    "tables": _sentences({}, {"count": 2, "ordinal": 1, "year": 1, "identifier": 1}, {"tables": 5}),
    "quantities": _sentences({}, {}, {"quantities": 1}),
    "facts": (*_sentences({}, {"measurement": 1, "year": 1}, {}), *(state_fact for _ in range(8))),
}
