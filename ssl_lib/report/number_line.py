"""Numbers as the trunk sees them: a plane through their states, and their nearest neighbours.

Shapes: N numbers, D width.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = -3, 9  # powers of ten
STEPS = ("1", "2", "5")  # of each decade
ASKED = (
    "7",
    "12",
    "99",
    "100",
    "2024",
    "12%",
    "$3.4 million",
    "0.5",
    "1,000",
    "1e6",
    "twenty-one",
    "3rd",
)
NEAREST = 5
LABEL = "Mean bidirectional state of the tokens of each number, written alone."


class SeesNumbers(Protocol):
    """The part of a predictor that is used here."""

    def token_states(self, texts: Sequence[str]) -> Sequence[Any]:
        """For each text an object whose `states` are [T, D]."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]."""
        ...


def write_number_line(before: SeesNumbers, after: SeesNumbers, folder: Path) -> dict[str, Any]:
    """Compute the number line of both models and the neighbours by the trained one into `folder/number_line.json`."""
    found = number_line(after) | {"untrained": number_line(before), "neighbours": neighbours(after)}
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / ".number_line.json.new"
    scratch.write_text(
        json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    os.replace(scratch, folder / "number_line.json")
    return found


def number_line(model: SeesNumbers) -> dict[str, Any]:
    """Numbers from 1e-3 to 1e9 on the first two principal components of their states.

    Returns `values` [N], `points` [N, 2], `explained` (shares of the variance), `rank_correlation` (Spearman
    between the first component, oriented so that it rises, and the value) and `label`.
    """
    texts = written_numbers()
    states_ND = np.stack(
        [
            np.asarray(found.states, dtype=np.float64).mean(axis=0)
            for found in model.token_states(texts)
        ]
    )
    points_N2, explained = principal_plane(states_ND)
    values = [float(text) for text in texts]
    ranks_N = np.arange(len(values), dtype=np.float64)
    correlation = _correlation(points_N2[:, 0].argsort().argsort(), ranks_N)
    if correlation < 0:
        points_N2[:, 0], correlation = -points_N2[:, 0], -correlation
    return {
        "values": values,
        "points": points_N2.round(5).tolist(),
        "explained": [round(share, 4) for share in explained],
        "rank_correlation": round(correlation, 4),
        "label": LABEL,
    }


def neighbours(
    model: SeesNumbers, asked: Sequence[str] = ASKED, count: int = NEAREST
) -> dict[str, Any]:
    """For each of some written numbers, those of a fixed list of candidates with the highest cosine of embeddings."""
    texts = list(dict.fromkeys([*asked, *candidates()]))
    vectors_ND = np.asarray(model.embed(texts), dtype=np.float64)
    cosines = vectors_ND[: len(asked)] @ vectors_ND.T
    rows = []
    for i, text in enumerate(asked):
        order = [j for j in (-cosines[i]).argsort(kind="stable").tolist() if j != i][:count]
        rows.append(
            {"number": text, "nearest": [[texts[j], round(float(cosines[i, j]), 4)] for j in order]}
        )
    return {"candidates": len(texts), "rows": rows}


def written_numbers() -> list[str]:
    """1, 2 and 5 of every decade, without exponents, smallest first: 0.001, 0.002, ... 1000000000."""
    powers = [Decimal(10) ** power for power in range(LOWEST, HIGHEST)]
    found = [f"{Decimal(step) * power:f}" for power in powers for step in STEPS]
    return [*found, f"{Decimal(10) ** HIGHEST:f}"]


def candidates() -> list[str]:
    """Numbers in many written forms."""
    plain = [
        str(value)
        for value in (
            *range(31),
            *range(90, 111),
            200,
            500,
            990,
            999,
            1001,
            1100,
            2000,
            5000,
            10000,
            100000,
        )
    ]
    years = [
        str(year)
        for year in (
            1066,
            1492,
            1789,
            1900,
            1914,
            1969,
            1999,
            2000,
            2001,
            2019,
            2020,
            2023,
            2025,
            2050,
        )
    ]
    forms = [
        form
        for value in (1, 2, 5, 10, 12, 13, 20, 50, 75, 100, 120)
        for form in (f"{value}%", f"${value}", f"0.{value}", f"{value},000")
    ]
    large = [
        "$3.4 billion",
        "$34 million",
        "$3.5 million",
        "$2 million",
        "$340,000",
        "1e5",
        "1e7",
        "2e6",
        "1,000,000",
        "1.5",
        "0.05",
        "−7",
        "-12",
    ]
    words = [
        "one",
        "two",
        "seven",
        "twelve",
        "twenty",
        "twenty-two",
        "thirty-one",
        "hundred",
        "1st",
        "2nd",
        "4th",
        "10th",
        "21st",
    ]
    return [*plain, *years, *forms, *large, *words]


def principal_plane(
    rows_ND: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Coordinates [N, 2] on the first two principal components, and the shares of the variance that they hold."""
    centred_ND = rows_ND - rows_ND.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred_ND, full_matrices=False)
    total = float((sizes**2).sum())
    shares = (sizes**2 / total)[:2] if total > 0 else np.zeros(2)
    return left[:, :2] * sizes[:2], (float(shares[0]), float(shares[1]))


def _correlation(first_N: NDArray[Any], second_N: NDArray[Any]) -> float:
    value = float(np.corrcoef(first_N, second_N)[0, 1])
    return value if math.isfinite(value) else 0.0
