"""Facts from tables that installed packages carry: physical constants, flowers, wines, tumours, patients, athletes.

Every row belongs to one split, by a hash of its table and number, so a test document never repeats a training fact.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ssl_lib.synthetic.operands import operand_split
from ssl_lib.synthetic.page import Page, Template, plain
from ssl_lib.synthetic.scene import Scene, Values

_Fact = tuple[Values, tuple[Template, ...]]
_LARGEST_NAME = 40  # characters; longer names of constants are mostly fixed words

_CONSTANTS = plain(
    [
        "The {name} is {a} {unit}.",
        "The {name} has a value of {a} {unit}.",
        "In {unit}, the {name} is {a}.",
        "The value {a} {unit} is known as the {name}.",
    ],
    "measurement",
)
_IRIS = plain(
    [
        "One {name} flower has a petal of {a} by {b} cm and a sepal of {d} by {e} cm.",
        "The {name} petal is {a} by {b} cm, so its length is {a!} cm.",
        "An {name} with a sepal of {d} cm has a petal of {a} cm.",
    ],
    "measurement",
)
_WINE = plain(
    [
        "A wine of class {n:identifier} has {a:percentage}% alcohol and colour {b}.",
        "This wine has {d} mg of magnesium and {e} g of ash.",
        "With {a:percentage}% alcohol and {d} mg of magnesium, it is class {n:identifier}.",
    ],
    "measurement",
)
_TUMOURS = plain(
    [
        "A {name} tumour has a radius of {a} and an area of {b}.",
        "This {name} tumour has a texture of {d} and a radius of {a}.",
    ],
    "measurement",
)
_PATIENTS = plain(
    [
        "A patient of {n:count} years has a mass index of {a} and a pressure of {b}.",
        "At {n:count} years the mass index is {a}.",
        "At a pressure of {b} the mass index is {a}.",
    ],
    "measurement",
)
_ATHLETES = plain(
    [
        "An athlete did {n:count} chin-ups and {m:count} sit-ups with a waist of {a} inches.",
        "One of the athletes did {m:count} sit-ups and {o:count} jumps.",
    ],
    "measurement",
)


@lru_cache(maxsize=4)
def facts(split: str) -> tuple[_Fact, ...]:
    """All facts of a split. Needs scipy and scikit-learn to be installed; imports nothing of scikit-learn."""
    tables = {
        "constants": _constants(),
        "iris": _iris(),
        "wine": _wine(),
        "tumours": _tumours(),
        "patients": _patients(),
        "athletes": _athletes(),
    }
    return tuple(
        fact
        for name, rows in tables.items()
        for row, fact in enumerate(rows)
        if operand_split(name, row) == split
    )


def state_fact(scene: Scene, page: Page) -> None:
    """Add one to two sentences about one row of a table."""
    draw = scene.draw
    values, wordings = draw.pick(facts(draw.split))
    for wording in draw.shuffled(wordings)[: draw.between(1, 2)]:
        scene.say(page, wording, values)


def _constants() -> Iterator[_Fact]:
    from scipy.constants import physical_constants

    for name, (value, unit, _) in sorted(physical_constants.items()):
        letters = "".join(character for character in name + unit if character not in "^-/ ().,{}_'")
        if (
            len(name) <= _LARGEST_NAME
            and unit
            and not any(map(str.isdigit, name))
            and letters.isalpha()
            and value > 0
        ):
            yield {"name": name, "a": f"{value:.6g}", "unit": unit}, _CONSTANTS


def _table(file: str) -> list[list[str]]:
    spec = find_spec("sklearn")
    assert spec is not None, "scikit-learn is a dependency of the project"
    assert spec.origin is not None
    path = Path(spec.origin).parent / "datasets" / "data" / file
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    if "," in text:
        return list(csv.reader(text.splitlines()))[1:]
    return [line.split() for line in text.splitlines()]


def _short(text: str) -> str:
    return f"{float(text):.6g}"


def _iris() -> Iterator[_Fact]:
    kinds = ("iris setosa", "iris versicolor", "iris virginica")
    for sepal_length, sepal_width, length, width, kind in _table("iris.csv"):
        values: Values = {"name": kinds[int(kind)], "a": _short(length), "b": _short(width)}
        yield values | {"d": _short(sepal_length), "e": _short(sepal_width)}, _IRIS


def _wine() -> Iterator[_Fact]:
    for row in _table("wine_data.csv"):
        values: Values = {"n": int(row[13]) + 1, "a": _short(row[0]), "b": _short(row[9])}
        yield values | {"d": _short(row[4]), "e": _short(row[2])}, _WINE


def _tumours() -> Iterator[_Fact]:
    for row in _table("breast_cancer.csv"):
        name = "benign" if row[30] == "1" else "malignant"
        yield (
            {"name": name, "a": _short(row[0]), "d": _short(row[1]), "b": _short(row[3])},
            _TUMOURS,
        )


def _patients() -> Iterator[_Fact]:
    for row in _table("diabetes_data_raw.csv.gz"):
        yield {"n": _short(row[0]), "a": _short(row[2]), "b": _short(row[3])}, _PATIENTS


def _athletes() -> Iterator[_Fact]:
    exercise, bodies = _table("linnerud_exercise.csv")[1:], _table("linnerud_physiological.csv")[1:]
    for (chins, situps, jumps), (_, waist, _) in zip(exercise, bodies, strict=True):
        yield (
            {"n": _short(chins), "m": _short(situps), "o": _short(jumps), "a": _short(waist)},
            _ATHLETES,
        )
