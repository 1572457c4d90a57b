"""Where a word or a number ends: what each token may do to one that has been begun.

Shapes: V vocabulary, K kinds of tokens.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.tokens.vocabulary import token_bytes_table, vocabulary_table

# kinds of tokens; " sum" and "(sum" open a word, "mation" goes on with one
KINDS = (
    *("blank", "opening", "letters", "digits", "three_digits", "spaced_digits", "scale_word"),
    *("point", "comma", "sign", "mark", "end"),
)
# what has been read of a word or number; `point` and `comma` may yet turn out to end a sentence
STATES = ("nothing", "word", "number", "decimals", "point", "comma", "sign", "whole")
STOP = -1  # the token belongs to what comes after
_SIGNS = ("-", "+", "−", "–", "±", "~")
_CURRENCIES = ("$", "€", "£", "¥", "₹")

_digits = ("digits", "three_digits")
_RULES: dict[str, dict[str, str]] = {
    "nothing": {
        "blank": "nothing",
        **dict.fromkeys(("opening", "letters", "scale_word"), "word"),
        **dict.fromkeys((*_digits, "spaced_digits"), "number"),
        "sign": "sign",
        **dict.fromkeys(("point", "comma", "mark", "end"), "whole"),
    },
    "word": {"letters": "word"},
    "number": {
        **dict.fromkeys(_digits, "number"),
        "point": "point",
        "comma": "comma",
        "scale_word": "whole",
    },
    "decimals": {**dict.fromkeys(_digits, "decimals"), "scale_word": "whole"},
    "point": dict.fromkeys(_digits, "decimals"),
    # "12,345" is one number, "12,5" are two
    "comma": {"three_digits": "number"},
    "sign": dict.fromkeys(_digits, "number"),
    "whole": {},
}
# [STATES, K]: the state behind each kind of token, or STOP
TRANSITIONS = np.full((len(STATES), len(KINDS)), STOP, dtype=np.int64)
for _state, _row in _RULES.items():
    for _kind, _then in _row.items():
        TRANSITIONS[STATES.index(_state), KINDS.index(_kind)] = STATES.index(_then)


@functools.lru_cache(maxsize=8)
def token_kinds(encoding: tiktoken.Encoding) -> npt.NDArray[np.int64]:
    """The kind of every token, an index into KINDS, [V]."""
    table = vocabulary_table(encoding)
    kinds_V = np.full(len(table), KINDS.index("mark"), dtype=np.int64)
    for token, entry in enumerate(token_bytes_table(encoding)):
        text = entry.decode("utf-8", "replace")
        if token == table.special.end:
            kind = "end"
        elif not text.strip():
            kind = "blank"
        elif table.digits[token]:
            kind = "three_digits" if table.digits[token] == 3 else "digits"
            kind = "spaced_digits" if table.leading_space[token] else kind
        elif table.scale_log10[token] and table.leading_space[token]:
            kind = "scale_word"
        elif table.word_end[token]:
            kind = "letters" if table.word_start[token] else "opening"
        elif table.point[token] or table.comma[token]:
            kind = "point" if table.point[token] else "comma"
        else:
            kind = "sign" if text.endswith((*_SIGNS, *_CURRENCIES)) else "mark"
        kinds_V[token] = KINDS.index(kind)
    return kinds_V


def attached_kinds(text: str) -> tuple[str, ...]:
    """The kinds of tokens that would go on with the text's last word or number, not begin one."""
    if text[-1:].isdigit() or (text[-1:] in (".", ",") and text[-2:-1].isdigit()):
        return _digits
    return ("letters",) if text[-1:].isalpha() else ()
