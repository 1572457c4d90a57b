"""Numbers in text: found, written in other forms, placed on one scale and compared.

    find_numbers("Revenue rose 12% to $3.4 million.")  # → two of `Number`: 12 and 3400000

Nothing here needs torch, a vocabulary or the rest of the package; names are imported when they are
first used. Start with `finder`, then follow one run of digits through `digits`.

* `finder`: `find_numbers`, `find_number_arrays`, `Number`, `NumberArrays`
* `forms`: the forms of numbers, and what the characters of one tell by themselves
* `digits`, `words`: the grammar, one number after another
* `before`, `behind`, `identifiers`: what the characters around a run of digits mean for it
* `arrays`: the fast engine for long texts, which finds the same
* `lexicon`: number words, scales, months, currencies, units of measure
* `locales`: texts with decimal commas; `units`: the unit beside a number
* `writing`: an amount in words, with separators, scientific; `equivalent_forms`
* `scale`: the signed logarithmic scale on which values are predicted; exponent and mantissa
* `similarity`: how alike two amounts are
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
