"""Numbers as the shared encoder sees them: a plane through their states, nearest neighbours.

Start at `write_number_line`. Shapes: N numbers, M numbers whose neighbours are listed, D width.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.files import write_atomically

# 1, 2 and 5 times every power of ten from 0.001 to 1 billion.
LOWEST = -3
HIGHEST = 9
STEPS = ("1", "2", "5")
QUERIES = (
    "7", "12", "99", "100", "2024", "12%", "$3.4 million", "0.5", "1,000", "1e6", "twenty-one",
    "3rd",
)  # fmt: skip
NEAREST = 5
LABEL = "Mean bidirectional state of the tokens of each number, written alone."


class NumberReader(Protocol):
    """The part of a predictor that is used here."""

    def token_states(self, texts: Sequence[str]) -> Sequence[Any]:
        """For each text an object whose `states` are [T, D]."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]."""
        ...


def write_number_line(before: NumberReader, after: NumberReader, folder: Path) -> dict[str, Any]:
    """Write the number line of both models, and the trained one's neighbours, to number_line.json.

    Returns what was written: that of `number_line(after)`, with `untrained` and `neighbours`.
    """
    found = number_line(after)
    found["untrained"] = number_line(before)
    found["neighbours"] = nearest_numbers(after)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / "number_line.json", text)
    return found


def number_line(model: NumberReader) -> dict[str, Any]:
    """Numbers from 1e-3 to 1e9 on the first two principal components of their states.

    Returns `values` [N], `points` [N, 2], `explained` (shares of the variance), `rank_correlation`
    (Spearman between the first component, oriented so that it rises, and the value) and `label`.
    """
    texts = written_numbers()
    # A number of several tokens, such as "50000", is one point: the mean [D] of its states [T, D].
    all_states = [np.asarray(found.states, np.float64) for found in model.token_states(texts)]
    states_ND = np.stack([states_TD.mean(axis=0) for states_TD in all_states])
    points_N2, explained = principal_plane(states_ND)

    # The values rise, so their ranks are 0, 1, 2, ...
    ranks_N = points_N2[:, 0].argsort().argsort()
    correlation = float(np.corrcoef(ranks_N, np.arange(len(texts)))[0, 1])
    if not math.isfinite(correlation):
        correlation = 0.0
    # The sign of a principal component is arbitrary: small numbers stand at the left.
    if correlation < 0:
        points_N2[:, 0] = -points_N2[:, 0]
        correlation = -correlation
    return {
        "values": [float(text) for text in texts],
        "points": points_N2.round(5).tolist(),
        "explained": [round(share, 4) for share in explained],
        "rank_correlation": round(correlation, 4),
        "label": LABEL,
    }


def nearest_numbers(
    model: NumberReader, queries: Sequence[str] = QUERIES, count: int = NEAREST
) -> dict[str, Any]:
    """For each of some written numbers, the candidates whose embeddings have the highest cosine.

    Returns `candidates`, how many there are, and `rows`: the `number`, and its `nearest` as pairs
    of text and cosine.
    """
    texts = list(dict.fromkeys([*queries, *candidates()]))
    vectors_ND = np.asarray(model.embed(texts), dtype=np.float64)
    cosines_MN = vectors_ND[: len(queries)] @ vectors_ND.T
    rows = []
    for i, text in enumerate(queries):
        order = (-cosines_MN[i]).argsort(kind="stable").tolist()
        others = [j for j in order if j != i][:count]
        nearest = [[texts[j], round(float(cosines_MN[i, j]), 4)] for j in others]
        rows.append({"number": text, "nearest": nearest})
    return {"candidates": len(texts), "rows": rows}


def written_numbers() -> list[str]:
    """1, 2 and 5 of every power of ten, smallest first: 0.001, 0.002, ... 1000000000."""
    powers = [Decimal(10) ** power for power in range(LOWEST, HIGHEST)]
    found = [f"{Decimal(step) * power:f}" for power in powers for step in STEPS]
    return [*found, f"{Decimal(10) ** HIGHEST:f}"]


def candidates() -> list[str]:
    """Numbers in many written forms."""
    small = [*range(31), *range(90, 111)]
    larger = [200, 500, 990, 999, 1001, 1100, 2000, 5000, 10000, 100000]
    plain = [str(value) for value in small + larger]
    years = "1066 1492 1789 1900 1914 1969 1999 2000 2001 2019 2020 2023 2025 2050".split()
    # 12 → "12%", "$12", "0.12", "12,000"
    values = (1, 2, 5, 10, 12, 13, 20, 50, 75, 100, 120)
    forms = [form for n in values for form in (f"{n}%", f"${n}", f"0.{n}", f"{n},000")]
    money = ["$3.4 billion", "$34 million", "$3.5 million", "$2 million", "$340,000"]
    others = "1e5 1e7 2e6 1,000,000 1.5 0.05 −7 -12".split()
    words = "one two seven twelve twenty twenty-two thirty-one hundred".split()
    ordinals = "1st 2nd 4th 10th 21st".split()
    return [*plain, *years, *forms, *money, *others, *words, *ordinals]


def principal_plane(
    rows_ND: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Project [N, D] on its first two principal components.

    Returns coordinates [N, 2], and the shares of the variance that the two components hold.
    """
    centered_ND = rows_ND - rows_ND.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered_ND, full_matrices=False)
    total = float((sizes**2).sum())
    if total > 0:
        first, second = (sizes**2 / total)[:2].tolist()
    else:
        first, second = 0.0, 0.0
    return left[:, :2] * sizes[:2], (first, second)
