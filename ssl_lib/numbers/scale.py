"""The number scale: where amounts lie on a signed logarithmic axis, in orders of magnitude (log10).

    y = sign(v) * log10(1 + |v| / RESOLUTION)

It holds zero, negative numbers and 1e-30 to 1e30 in [-33, 33]; around zero it is linear. Losses,
predictions and errors are measured on it. The functions over arrays take NumPy arrays and torch
tensors alike (float64 wanted, any shape) and give back what they were given; nothing here imports
torch.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from typing import Any, TypeVar

Values = TypeVar("Values")  # an array or a tensor

RESOLUTION = 0.01  # where the scale goes over from linear to logarithmic
LARGEST = 1e30  # values beyond count as this where they are predicted
EXTENT = 33.0  # of the scale: more than that of LARGEST, on both sides

_POWERS = [10.0**power for power in range(23)]  # all exact
_LIMITS = [float(f"1e{power}") for power in range(-22, 23)]


def to_scale(values: Values, resolution: float = RESOLUTION) -> Values:
    """Values to the scale: with the usual resolution, -9.99 is -3.0."""
    library, array = _functions_for(values)
    scaled: Values = library.sign(array) * library.log10(1.0 + library.abs(array) / resolution)
    return scaled


def from_scale(scaled: Values) -> Values:
    """The inverse of `to_scale`, in float64; beyond EXTENT as at EXTENT."""
    library, array = _functions_for(scaled)
    exact = library.asarray(array, dtype=library.float64)
    inside = library.clip(exact, -EXTENT, EXTENT)
    magnitudes = 10.0 ** library.abs(inside) - 1.0
    values: Values = library.sign(inside) * magnitudes * RESOLUTION
    return values


def orders_of_magnitude(values: Values, resolution: float = RESOLUTION) -> Values:
    """log10(v + resolution) of values that are not negative.

    Differences are the orders of magnitude between amounts.
    """
    library, array = _functions_for(values)
    orders: Values = library.log10(array + resolution)
    return orders


def exponent_and_mantissa(values: Values) -> tuple[Values, Values]:
    """Of positive values: v = mantissa * 10**exponent, 1 <= mantissa < 10 but for rounding."""
    library, array = _functions_for(values)
    exponents = library.floor(library.log10(array))
    return exponents, array / 10.0**exponents


def _functions_for(values: Values) -> tuple[Any, Any]:
    """`(library, values)`: torch for a tensor, which has loaded it, NumPy for all else."""
    if type(values).__module__.partition(".")[0] == "torch":
        return sys.modules["torch"], values
    import numpy

    return numpy, values


def usable(value: float) -> float:
    """The value, without a sign of zero; NaN outside [1e-307, 1e308).

    There, float64 cannot hold `mantissa * 10**exponent` exactly enough.
    """
    if value == 0.0:
        return 0.0
    return value if 1e-307 <= abs(value) < 1e308 else math.nan


def decompose(value: float) -> tuple[int, int, float]:
    """`(sign, exponent, mantissa)` of one value: sign * mantissa * 10**exponent is the value.

    Zero gives (0, 0, 0.0), and what is not `usable` (0, 0, nan).
    """
    magnitude = abs(usable(value))
    if not magnitude > 0.0:  # zero or NaN
        return 0, 0, magnitude
    sign = 1 if value > 0 else -1
    if 1e-22 <= magnitude < 1e22:
        exponent = bisect_right(_LIMITS, magnitude) - 23
        power = _POWERS[abs(exponent)]
        mantissa = max(1.0, magnitude * power if exponent < 0 else magnitude / power)
    else:
        digits, written = f"{magnitude:.16e}".split("e")
        mantissa, exponent = float(digits), int(written)
    if mantissa >= 10.0:  # 1e23 is 9.9999999999999992e22, whose mantissa rounds up
        return sign, exponent + 1, 1.0
    return sign, exponent, mantissa
