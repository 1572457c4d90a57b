"""The built-in corpus: English documents full of numbers, deterministic by seed, of any size.

A document is a few sentences of one domain. Its facts (sums, comparisons, conversions ...) belong
to its split by a hash of their operands, so what evaluation asks was never said in training; see
`operand_split`. Document `i` depends on (seed, split, i) alone, so any range of documents can be
made in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ssl_lib.synthetic.document import DocumentBuilder, LabeledDocument
from ssl_lib.synthetic.entities import Entities
from ssl_lib.synthetic.facts import state_fact
from ssl_lib.synthetic.paraphrases import (
    state_date,
    state_form,
    state_measurement,
    state_money,
    state_paraphrase,
    state_score,
    state_table,
)
from ssl_lib.synthetic.quantities import SPLITS, Draw
from ssl_lib.synthetic.reasoning import FAMILIES, HELD_OUT_SHARE
from ssl_lib.synthetic.templates import ROLE_TEMPLATES

SentenceWriter = Callable[[Entities, DocumentBuilder], None]

WRITERS: dict[str, SentenceWriter] = {
    "money": state_money,
    "dates": state_date,
    "scores": state_score,
    "measurements": state_measurement,
    "tables": state_table,
    "forms": state_form,
    "quantities": state_paraphrase,
    "facts": state_fact,
}
_LONGEST = 280  # characters after which no sentence is begun
_MOST_SENTENCES = 8


class Domain(NamedTuple):
    """What documents of one domain say: reasoning families, roles of numbers, names of WRITERS.

    `money*6` stands for six times as often as `money`. The percentages say how many documents are
    of the domain: training dwells on what is hard to learn.
    """

    training_percent: int
    other_percent: int
    families: str = ""
    roles: str = ""
    writers: str = ""


# Percent of training and of other documents; families, roles, writers.
# fmt: off
DOMAINS = {
    "arithmetic": Domain(17, 25, "addition subtraction"),
    "comparison": Domain(11, 12, "comparison*2 maximum*3 minimum*3"),
    "sequences": Domain(8, 8, "sequence*7 geometric"),
    "multiples": Domain(3, 0, "geometric"),
    "units": Domain(13, 9, "conversion"),
    "percentages": Domain(14, 13, "percentage*10", "percentage"),
    "numeration": Domain(5, 7, "numeration*8", "", "forms*2"),
    "money": Domain(5, 4, "", "money*6 percentage*2 year*2 identifier*2 count",
                    "money*5 quantities*3"),
    "dates": Domain(3, 3, "", "date_part*5 year*5 identifier ordinal count", "dates*6"),
    "scores": Domain(3, 3, "", "score*6 ordinal*4 count*2 date_part", "scores*5"),
    "measurements": Domain(2, 3, "", "measurement*8 identifier count",
                           "measurements*6 quantities*3"),
    "tables": Domain(8, 3, "", "count*2 ordinal year identifier", "tables*5"),
    "quantities": Domain(7, 7, "", "", "quantities"),
    "facts": Domain(1, 3, "", "measurement year", "facts*8"),
}
# fmt: on


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
    domain = draw.pick(_TRAINING_DOMAINS if split == "train" else _OTHER_DOMAINS)
    builder = DocumentBuilder()
    # two sets of names: what is held out does not leak into other sentences
    entities = Entities(draw)
    held_out_entities = Entities(draw, held_out=True)
    most = draw.between(_MOST_SENTENCES - 2, _MOST_SENTENCES)
    while builder.sentences < 3 or (builder.sentences < most and builder.length < _LONGEST):
        held_out = split == "test" and draw.random() < HELD_OUT_SHARE
        write = draw.pick(_SENTENCES[domain])
        write(held_out_entities if held_out else entities, builder)
    return builder.finish(domain)


def role_sentence(role: str) -> SentenceWriter:
    """A writer of sentences with numbers of one role; held-out entities get held-out templates."""

    def write(entities: Entities, builder: DocumentBuilder) -> None:
        templates = ROLE_TEMPLATES[role].chosen(entities.held_out)
        entities.say(builder, entities.draw.pick(templates))

    return write


def _sentence_writers(domain: Domain) -> tuple[SentenceWriter, ...]:
    """Writers of a domain, each as often as its weight says: a uniform pick is a weighted one."""
    chosen: list[SentenceWriter] = [FAMILIES[name].say for name in _repeated(domain.families)]
    chosen += [role_sentence(name) for name in _repeated(domain.roles)]
    chosen += [WRITERS[name] for name in _repeated(domain.writers)]
    return tuple(chosen)


def _repeated(weighted_names: str) -> Iterator[str]:
    """The names as often as they weigh: "score*2 count" → "score", "score", "count"."""
    for weighted in weighted_names.split():
        name, _, weight = weighted.partition("*")
        yield from int(weight or 1) * [name]


_SENTENCES = {name: _sentence_writers(domain) for name, domain in DOMAINS.items()}
_TRAINING_DOMAINS = [
    name for name, domain in DOMAINS.items() for _ in range(domain.training_percent)
]
_OTHER_DOMAINS = [name for name, domain in DOMAINS.items() for _ in range(domain.other_percent)]
