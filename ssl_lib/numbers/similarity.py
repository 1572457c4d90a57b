"""How alike two amounts are: one formula, to train by and to judge by.

    1 - log(1 + 1000 r) / log(1 + 1000 * 10), but not below 0

r is the larger over the smaller, less one. It gives 1.0 for equal amounts, 0.92 for 0.1% apart,
0.74 for 1%, 0.5 for 10%, 0.25 for 100% and 0.0 from 1000% on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_SHARPNESS = 1000.0  # changes from a thousandth on count
_FARTHEST = 10.0  # and from here on, nothing is left
_NORMALIZER = math.log1p(_SHARPNESS * _FARTHEST)


def amount_similarity(first: float, second: float) -> float:
    """Similarity of two positive amounts, 0 to 1."""
    change = max(first, second) / min(first, second) - 1.0
    return max(0.0, 1.0 - math.log1p(_SHARPNESS * change) / _NORMALIZER)


def similarity_of_orders(orders: Tensor) -> Tensor:
    """The same, of any shape, for amounts that are `orders` of magnitude apart.

    That is log10 of the larger over the smaller, 0 or more.
    """
    change = (orders.clamp(max=30.0) * math.log(10.0)).expm1()
    falling = (_SHARPNESS * change).log1p() / _NORMALIZER
    return (1.0 - falling).clamp_min(0.0)
