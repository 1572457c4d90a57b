"""Facts from tables that installed packages carry.

Physical constants (scipy); flowers, wines, tumours, patients, athletes (scikit-learn). Every row
belongs to one split, by a hash of its table and number, so that a test document never repeats a
training fact.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ssl_lib.errors import MissingExtraError
from ssl_lib.synthetic.document import DocumentBuilder, Template, Values, parse_templates
from ssl_lib.synthetic.entities import Entities
from ssl_lib.synthetic.quantities import operand_split

Fact = tuple[Values, tuple[Template, ...]]

_LONGEST_NAME = 40  # characters; longer names of constants are mostly fixed words
# "The electron mass is 9.10938e-31 kg."
_CONSTANTS = """
    The {name} is {a} {unit}.
    The {name} has a value of {a} {unit}.
    In {unit}, the {name} is {a}.
    The value {a} {unit} is known as the {name}.
"""
_SPECIES = ("iris setosa", "iris versicolor", "iris virginica")


class Table(NamedTuple):
    """A table of scikit-learn: which columns fill which slots, and the templates with the slots."""

    files: tuple[str, ...]  # whose rows stand side by side
    columns: dict[str, int]
    named: Callable[[list[str]], Values]  # slots that hold no number of the row as it stands
    templates: str

    def facts(self) -> Iterator[Fact]:
        """One fact a row."""
        templates = parse_templates(self.templates, "measurement")
        for rows in zip(*map(_rows, self.files), strict=True):
            row = [cell for part in rows for cell in part]
            values = self.named(row)
            for slot, column in self.columns.items():
                values[slot] = _short(float(row[column]))
            yield values, templates


TABLES = {
    # columns: length and width of sepal and petal in cm, species
    "iris": Table(
        ("iris.csv",),
        {"a": 2, "b": 3, "d": 0, "e": 1},
        lambda row: {"name": _SPECIES[int(row[4])]},
        """
        One {name} flower has a petal of {a} by {b} cm and a sepal of {d} by {e} cm.
        The {name} petal is {a} by {b} cm, so its length is {a!} cm.
        An {name} with a sepal of {d} cm has a petal of {a} cm.
        """,
    ),
    # columns: alcohol 0, ash 2, magnesium 4, color 9, class 13
    "wine": Table(
        ("wine_data.csv",),
        {"a": 0, "b": 9, "d": 4, "e": 2},
        lambda row: {"n": int(row[13]) + 1},
        """
        A wine of class {n:identifier} has {a:percentage}% alcohol and colour {b}.
        This wine has {d} mg of magnesium and {e} g of ash.
        With {a:percentage}% alcohol and {d} mg of magnesium, it is class {n:identifier}.
        """,
    ),
    # columns: radius 0, texture 1, area 3, diagnosis 30
    "tumours": Table(
        ("breast_cancer.csv",),
        {"a": 0, "b": 3, "d": 1},
        lambda row: {"name": "benign" if row[30] == "1" else "malignant"},
        """
        A {name} tumour has a radius of {a} and an area of {b}.
        This {name} tumour has a texture of {d} and a radius of {a}.
        """,
    ),
    # columns: age 0, body mass index 2, blood pressure 3
    "patients": Table(
        ("diabetes_data_raw.csv.gz",),
        {"n": 0, "a": 2, "b": 3},
        lambda row: {},
        """
        A patient of {n:count} years has a mass index of {a} and a pressure of {b}.
        At {n:count} years the mass index is {a}.
        At a pressure of {b} the mass index is {a}.
        """,
    ),
    # columns: chin-ups 0, sit-ups 1, jumps 2; then weight 3, waist 4, pulse 5
    "athletes": Table(
        ("linnerud_exercise.csv", "linnerud_physiological.csv"),
        {"n": 0, "m": 1, "o": 2, "a": 4},
        lambda row: {},
        """
        An athlete did {n:count} chin-ups and {m:count} sit-ups with a waist of {a} inches.
        One of the athletes did {m:count} sit-ups and {o:count} jumps.
        """,
    ),
}


@lru_cache(maxsize=4)
def facts(split: str) -> tuple[Fact, ...]:
    """All facts of a split. Needs scipy and scikit-learn; imports nothing of scikit-learn."""
    tables = {"constants": _constants()}
    tables |= {name: table.facts() for name, table in TABLES.items()}
    found: list[Fact] = []
    for name, rows in tables.items():
        found += [fact for row, fact in enumerate(rows) if operand_split(name, row) == split]
    return tuple(found)


def state_fact(entities: Entities, builder: DocumentBuilder) -> None:
    """Add one to two sentences about one row of a table."""
    draw = entities.draw
    values, templates = draw.pick(facts(draw.split))
    chosen = draw.shuffled(templates)
    for template in chosen[: draw.between(1, 2)]:
        entities.say(builder, template, values)


def _constants() -> Iterator[Fact]:
    """Positive constants with short plain names and plain units of measure."""
    from scipy.constants import physical_constants

    templates = parse_templates(_CONSTANTS, "measurement")
    for name, (value, unit, _) in sorted(physical_constants.items()):
        if len(name) > _LONGEST_NAME or not unit or value <= 0:
            continue
        letters = "".join(character for character in name + unit if character not in "^-/ ().,{}_'")
        if letters.isalpha() and not any(map(str.isdigit, name)):
            yield {"name": name, "a": _short(value), "unit": unit}, templates


def _rows(file: str) -> list[list[str]]:
    """Cells of a bundled table, separated by commas or spaces, without a header of words."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingExtraError("sklearn", "report")
    path = Path(spec.origin).parent / "datasets" / "data" / file
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    rows = [line.replace(",", " ").split() for line in text.splitlines()]
    header = any(character.isalpha() for character in "".join(rows[0]))
    return rows[1:] if header else rows


def _short(number: float) -> str:
    return f"{number:.6g}"
