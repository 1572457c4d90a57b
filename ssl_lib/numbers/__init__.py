"""Numbers in text: found, read, written in other forms, placed on one scale and compared.

    find_numbers("Revenue rose 12% to $3.4 million.")  # → two of `Number`: 12 (percent), 3400000 (currency)

Nothing here needs torch, a vocabulary or the rest of the package. Names are imported when they are first used.

* `finder`: `find_numbers`, `find_number_arrays`, `Number`, `NumberArrays`, `FORMS`; the rules stand in docs/numbers.md
* `writing`: the other way round, an amount in words, with separators, scientific; `equivalent_forms`
* `scale`: the signed logarithmic scale on which values are predicted, and exponent and mantissa
* `similarity`: how alike two amounts are, the one formula that trains and judges
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_lib.numbers.finder import (
        FORMS,
        Number,
        NumberArrays,
        find_number_arrays,
        find_numbers,
    )
    from ssl_lib.numbers.similarity import amount_similarity
    from ssl_lib.numbers.writing import equivalent_forms

__all__ = [
    "FORMS",
    "Number",
    "NumberArrays",
    "amount_similarity",
    "equivalent_forms",
    "find_number_arrays",
    "find_numbers",
]

_HOMES = dict.fromkeys(__all__, "ssl_lib.numbers.finder") | {
    "equivalent_forms": "ssl_lib.numbers.writing",
    "amount_similarity": "ssl_lib.numbers.similarity",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
