"""Documents of the sealed world: a few sentences of one domain, with deterministic spans.

The domains have the shares that test documents of the built-in world have. What follows from the
text before it is marked in the templates; see `ssl_lib.synthetic.document`.
"""

from __future__ import annotations

from collections.abc import Callable

from ssl_lib.numbers.writing import scientific
from ssl_lib.sealed.cast import Cast, log_uniform, story
from ssl_lib.sealed.reasoning import FACTS, addition, draw_row, state, subtraction
from ssl_lib.sealed.templates import ROLE_TEMPLATES
from ssl_lib.sealed.words import METALS, PLANETS
from ssl_lib.synthetic.document import (
    ROLES,
    DocumentBuilder,
    LabeledDocument,
    Template,
    Values,
    parse_template,
    parse_templates,
)
from ssl_lib.synthetic.entities import MONTH_DAYS, MONTHS
from ssl_lib.synthetic.quantities import Draw, operand_split

_LONGEST = 280  # characters after which no sentence is begun
_MOST_SENTENCES = 7

# "Stallholders banked ฿3.41 million, zero after zero ฿3,410,000."
_MILLIONS = parse_templates(
    """
    {guild} banked ฿{a} million, zero after zero ฿{b!}.
    Grants worth ฿{b} shrink, rounded to nothing, into ฿{a!} million.
    """,
    "money",
)
_MONEY_SUM = parse_templates(
    """
    A berth at ฿{a} and a pilot at ฿{b} bill the captain ฿{c!}.
    {person} bid ฿{a}, raised it by ฿{b}, and so offered ฿{c!}.
    """,
    "money",
)
_MONEY_DIFFERENCE = parse_templates(
    """
    Out of a purse holding ฿{a} the juggler squanders ฿{b} and pockets ฿{c!}.
    Marked ฿{a} but knocked down by ฿{b}, the harp fetches ฿{c!}.
    """,
    "money",
)
_FORMS = parse_templates("""
    Without its comma {a} shrinks to {b!}.
    Give {b} its comma back and it looks like {a!}.
    Typing {d} thousand digit by digit fills {b!}.
    Astronomers, sparing ink, abbreviate {b} to {s!}.
""")
_DATES = parse_templates("""
    {month} {d:date_part}, {y:year} enters our logbook as {y:year!}-{m:date_part!}-{e:date_part!}.
    Almanacs decode {y:year}-{m:date_part}-{e:date_part} into {month!} {d:date_part!}, {y:year!}.
    {guild} burned down during {y:year}, hence within the {f:year!}s.
""")
_CLOCKS = parse_templates(
    """
    Departures posted for {k}:{m} get shouted as {h!}:{m!} p.m. sharp.
    Adjust a ship's chronometer to {h}:{m} p.m. and it displays {k!}:{m!}.
    """,
    "date_part",
)
_LEADS = parse_templates(
    """
    {team} led {rival} {a} to {b}, a cushion of {c!} points.
    Needing to overtake {a}, {rival} stopped at {b}, missing {c!}.
    """,
    "score",
)
_TOTALS = parse_templates(
    """
    {person} vaulted for {a} marks, then dived for {b}, banking {c!} overall.
    Tries by {team} numbered {a}, those by {rival} {b}, so spectators cheered {c!}.
    """,
    "score",
)
_GAUGES = (  # larger unit, smaller unit, factor, template
    ("km", "m", 1000, "Our chart notes {a} km whereas the diver, using metres, notes {b!} m."),
    ("kg", "g", 1000, "An anchor marked {b} g hangs from a hook marked {a!} kg."),
    ("l", "ml", 1000, "Pour {a} l into vials and the vials add up to {b!} ml."),
    ("m", "cm", 100, "Sawing {b} cm of timber requires a bench of {a!} m."),
)
_GAUGE_TEMPLATES = {source: parse_template(source, "measurement") for *_, source in _GAUGES}
_MANIFEST = parse_template(
    "Dockers credit {ship} with {x} {things} in {i:year}, {y} in {j:year} plus {w} in {k:year}."
)
_MANIFEST_QUESTIONS = parse_templates("""
    Her busiest season, {t:year!}, brought ashore {c!}.
    Looking up {q:year} in that manifest yields {r!}.
    Whoever recalls {r} {things!} must mean {q:year!}.
""")
_PLANET = parse_templates(
    """
    {name} circles our Sun within {a} days; its calendar therefore lasts {a!} days.
    Spanning {b} km from core to crust, {name} has a radius of {b!} km.
    """,
    "measurement",
)
_METAL = parse_templates(
    """
    {name}, melting at {b} °C, stays solid until {b!} °C.
    {name} packs {n:count} protons, so chemists label it {n:count!}.
    """,
    "measurement",
)


def _money(cast: Cast, builder: DocumentBuilder) -> None:
    """An amount of money said twice, or a sum or a difference of amounts."""
    draw = cast.draw
    share = draw.random()
    templates, values = _MILLIONS, _millions(draw)
    if share < 0.3:
        templates, values = _MONEY_SUM, addition(draw, _MONEY_SUM[0])
    elif share < 0.6:
        templates, values = _MONEY_DIFFERENCE, subtraction(draw, _MONEY_DIFFERENCE[0])
    cast.say(builder, draw.pick(templates), values)


def _millions(draw: Draw) -> Values:
    """An amount in millions `a`, and in full `b`."""
    # hundredths of a million: 345 is 3.45 million and 3,450,000
    number = draw.between(201, 9_499)
    number += number % 10 == 0  # 3.40 would be written 3.4
    return {"a": f"{number / 100:.2f}", "b": f"{number * 10_000:,}"}


def _form(cast: Cast, builder: DocumentBuilder) -> None:
    """A number in two forms: 12345 is `a` "12,345", `b`, `d` "12.345" thousand, `s` "1.2345e4"."""
    draw = cast.draw
    # 12345 in four forms; a last digit of 0 would be lost in two of them
    number = log_uniform(draw, 1_200, 95_000)
    number += number % 10 == 0
    values: Values = {"a": f"{number:,}", "b": number, "s": scientific(number)}
    values["d"] = f"{number // 1000}.{number % 1000:03d}"
    cast.say(builder, draw.pick(_FORMS), values)


def _date(cast: Cast, builder: DocumentBuilder) -> None:
    """A date or a time of day said twice."""
    draw = cast.draw
    if draw.random() < 0.3:
        # 3:07 p.m. is 15:07
        hour = draw.between(1, 11)
        clock: Values = {"h": hour, "k": hour + 12, "m": f"{draw.below(60):02d}"}
        cast.say(builder, draw.pick(_CLOCKS), clock)
        return
    month = draw.below(12)
    year = draw.between(1790, 2040)
    day = draw.between(1, MONTH_DAYS[month])
    values: Values = {"month": MONTHS[month], "m": f"{month + 1:02d}"}
    values |= {"d": day, "e": f"{day:02d}", "y": year, "f": year // 10 * 10}
    cast.say(builder, draw.pick(_DATES), values)


def _score(cast: Cast, builder: DocumentBuilder) -> None:
    """The lead or the total of two scores."""
    draw = cast.draw
    templates, facts = (_LEADS, subtraction) if draw.random() < 0.5 else (_TOTALS, addition)
    template = draw.pick(templates)
    cast.say(builder, template, facts(draw, template))


def _gauge(cast: Cast, builder: DocumentBuilder) -> None:
    """A measurement with a decimal point, said again in the smaller unit."""
    draw = cast.draw
    while True:
        large, small, factor, source = draw.pick(_GAUGES)
        tenths = draw.between(12, 985)
        amount = f"{tenths / 10:.1f}"
        # the fact belongs to one split, as every conversion does
        decimal = tenths % 10 != 0
        if decimal and operand_split("conversion", large, small, amount) == draw.split:
            break
    values: Values = {"a": amount, "b": tenths * factor // 10}
    cast.say(builder, _GAUGE_TEMPLATES[source], values)


def _manifest(cast: Cast, builder: DocumentBuilder) -> None:
    """A small table told in one sentence, and two questions about it."""
    draw = cast.draw
    numbers = draw_row(draw, 3)
    first = draw.between(1790, 2035)
    years = [first, first + 1, first + 2]
    values: Values = {"things": story(draw)["things"], "c": max(numbers)}
    values |= dict(zip("xyw", numbers, strict=True))
    values |= dict(zip("ijk", years, strict=True))
    # the year of the largest is asked, and two more questions about any year
    values["t"] = years[numbers.index(max(numbers))]
    cast.say(builder, _MANIFEST, values)
    for template in draw.shuffled(_MANIFEST_QUESTIONS)[:2]:
        place = draw.below(3)
        cast.say(builder, template, values | {"q": years[place], "r": numbers[place]})


def _fact(cast: Cast, builder: DocumentBuilder) -> None:
    """A fact of a planet or of a metal."""
    draw = cast.draw
    if draw.random() < 0.5:
        name, days, radius = draw.pick(PLANETS)
        planet: Values = {"name": name, "a": days, "b": radius}
        cast.say(builder, draw.pick(_PLANET), planet)
    else:
        name, protons, melting = draw.pick(METALS)
        metal: Values = {"name": name, "n": protons, "b": melting}
        cast.say(builder, draw.pick(_METAL), metal)


RESTATED: dict[str, Callable[[Cast, DocumentBuilder], None]] = {
    "payment": _money,
    "form": _form,
    "date": _date,
    "match": _score,
    "gauge": _gauge,
    "manifest": _manifest,
    "fact": _fact,
}
# Percent of documents; families, "a ROLE" for sentences of a role, names of RESTATED.
DOMAINS = {
    "ledgers": (25, "addition,subtraction"),
    "contests": (12, "comparison,comparison,maximum,maximum,maximum,minimum,minimum,minimum"),
    "patterns": (8, "sequence,sequence,sequence,sequence,sequence,geometric"),
    "capacities": (9, "conversion"),
    "tolls": (13, "percentage,percentage,percentage,percentage,a percentage"),
    "proclamations": (7, "numeration,numeration,numeration,form"),
    "auctions": (6, "payment,payment,payment,a money,a percentage,a identifier"),
    "almanacs": (4, "date,date,date,a date_part,a year,a ordinal"),
    "fixtures": (4, "match,match,match,a score,a ordinal"),
    "workshops": (4, "gauge,gauge,gauge,a measurement,a count"),
    "harbours": (4, "manifest,manifest,a count,a identifier"),
    "skies": (4, "fact,fact,fact,a measurement,a year"),
}
# each name as often as its percent: a draw of one is a draw by weight
_WEIGHTED_DOMAINS = [name for name, (percent, _) in DOMAINS.items() for _ in range(percent)]


def role_sentence(role: str, cast: Cast, builder: DocumentBuilder) -> None:
    """Add one sentence with a number of the role."""
    template: Template = cast.draw.pick(ROLE_TEMPLATES[role])
    cast.say(builder, template)


def document(seed: int, index: int) -> LabeledDocument:
    """Document number `index`: three to seven sentences of one domain."""
    draw = Draw(f"sealed/next/{seed}", "test", index)
    domain = draw.pick(_WEIGHTED_DOMAINS)
    kinds = DOMAINS[domain][1].split(",")
    cast = Cast(draw)
    builder = DocumentBuilder()
    most = draw.between(_MOST_SENTENCES - 2, _MOST_SENTENCES)
    # three sentences at least, however long they are
    while builder.sentences < 3 or (builder.sentences < most and builder.length < _LONGEST):
        kind = draw.pick(kinds)
        if kind in FACTS:
            state(kind, draw, builder)
        elif kind in RESTATED:
            RESTATED[kind](cast, builder)
        else:
            role_sentence(kind.removeprefix("a "), cast, builder)
    return builder.finish(domain)


def role_document(seed: int, index: int) -> LabeledDocument:
    """Document number `index` of four to six sentences, whose numbers play one role each."""
    draw = Draw(f"sealed/roles/{seed}", "test", index)
    cast = Cast(draw)
    builder = DocumentBuilder()
    for role in draw.shuffled(ROLES)[: draw.between(4, 6)]:
        role_sentence(role, cast, builder)
    return builder.finish("roles")
