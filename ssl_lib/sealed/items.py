"""What the sealed world asks: four-choice questions, sentence pairs, labeled documents.

The same kinds of items as in `ssl_lib.synthetic.items`, deterministic by seed. There is one split:
nothing is ever learned from the sealed world.
"""

from __future__ import annotations

from itertools import count as counting
from itertools import islice

from ssl_lib.sealed.cast import Cast
from ssl_lib.sealed.documents import document, role_document
from ssl_lib.sealed.reasoning import FACTS, questions
from ssl_lib.sealed.words import THINGS
from ssl_lib.synthetic.document import LabeledDocument, Values
from ssl_lib.synthetic.items import (
    ChoiceItem,
    SimilarityPair,
    choice_item,
    different_items,
    over_families,
    similarity_pair,
)
from ssl_lib.synthetic.paraphrases import Kind, Proposition, WrittenForm, proposition
from ssl_lib.synthetic.quantities import Draw

KINDS = {
    "money": Kind(
        "money",
        200_000,
        90_000_000,
        (
            WrittenForm("฿", 1, "", separated=True),
            WrittenForm("฿", 1_000_000, " million"),
            WrittenForm("", 1_000_000, " million baht"),
            WrittenForm("", 1, " baht"),
            WrittenForm("฿", 1_000, " thousand"),
        ),
    ),
    "pressure": Kind(
        "measurement",
        1_500,
        95_000,
        (
            WrittenForm("", 1, " Pa"),
            WrittenForm("", 1000, " kPa"),
            WrittenForm("", 1, " pascals", separated=True),
            WrittenForm("", 1000, " kilopascals"),
        ),
    ),
    "energy": Kind(
        "measurement",
        1_500,
        95_000,
        (
            WrittenForm("", 1, " kWh"),
            WrittenForm("", 1000, " MWh"),
            WrittenForm("", 1, " kilowatt-hours", separated=True),
            WrittenForm("", 1000, " megawatt-hours"),
        ),
    ),
    "count": Kind(
        "count",
        1_500,
        95_000,
        (
            WrittenForm("", 1, ""),
            WrittenForm("", 1, "", separated=True),
            WrittenForm("", 1000, " thousand"),
        ),
    ),
}


def _said(kind: str, templates: str) -> Proposition:
    return proposition(KINDS[kind], common="", held_out=templates)


PROPOSITIONS = (
    _said(
        "money",
        """
        {guild} endowed a theatre with QUANTITY.
        The theatre got an endowment worth QUANTITY through {guild}.
        Endowing a theatre drained {guild} by QUANTITY.
        """,
    ),
    _said(
        "money",
        """
        Dredging {town} harbour swallowed QUANTITY.
        Dredgers billed {town} QUANTITY over its harbour.
        """,
    ),
    _said(
        "pressure",
        """
        A valve aboard {ship} bursts above QUANTITY.
        {ship} carries a valve rated at QUANTITY.
        Beyond QUANTITY, no valve aboard {ship} stays shut.
        """,
    ),
    _said(
        "energy",
        """
        Windmills near {town} generate QUANTITY yearly.
        A yearly yield of QUANTITY flows off windmills near {town}.
        """,
    ),
    _said(
        "energy",
        """
        Lighting its stage, {guild} consumes QUANTITY.
        QUANTITY light whatever {guild} stages.
        """,
    ),
    _said(
        "count",
        """
        Librarians at {guild} catalogued QUANTITY {things}.
        Catalogues by {guild} list QUANTITY {things}.
        QUANTITY {things} fill every catalogue {guild} prints.
        """,
    ),
    _said(
        "count",
        """
        Spectators numbering QUANTITY applauded {person}.
        {person} reaped applause out of QUANTITY spectators.
        """,
    ),
)


def choice_items(family: str, count: int, seed: int) -> list[ChoiceItem]:
    """`count` different four-choice items of one of CHOICE_FAMILIES.

    Raises ValueError if so many do not exist.
    """
    templates = questions(family)
    draw = Draw(f"sealed/items/{family}/{seed}", "test")

    def drawn() -> ChoiceItem:
        template = draw.pick(templates)
        return choice_item(draw, family, template, FACTS[family](draw, template))

    items = different_items(count, drawn)
    if len(items) < count:
        raise ValueError(f"only {len(items)} sealed items of family {family}, {count} wanted")
    return items


def spread_items(count: int, seed: int) -> list[ChoiceItem]:
    """`count` four-choice items, as evenly over the families as that goes."""
    return over_families(count, lambda family, size: choice_items(family, size, seed))


def similarity_pairs(count: int, seed: int) -> list[SimilarityPair]:
    """`count` pairs of sentences about one quantity each, of three kinds in turn."""
    draw = Draw(f"sealed/similarity/{seed}", "test")
    return [similarity_pair(draw, number, PROPOSITIONS, _names) for number in range(count)]


def _names(draw: Draw) -> Values:
    cast = Cast(draw)
    names: Values = {kind: "".join(cast.name(kind)) for kind in ("guild", "town", "ship", "person")}
    return names | {"things": draw.pick(THINGS)}


def role_documents(count: int, seed: int) -> list[LabeledDocument]:
    """`count` documents whose numbers play balanced roles, one a sentence."""
    return [role_document(seed, index) for index in range(count)]


def next_token_documents(count: int, seed: int) -> list[LabeledDocument]:
    """`count` documents with at least one deterministic span each."""
    # some documents tell nothing that follows from what stands before it
    documents = (document(seed, index) for index in counting())
    return list(islice((each for each in documents if each.deterministic), count))
