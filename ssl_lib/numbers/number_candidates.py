"""Where a number in letters may begin, for a whole text at once: tables over the first letters of every word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

NOT_ASCII = 128  # every character beyond ASCII
_PADDING = 16
# The first letters of number words. Those of the scales count only behind "a" and "an" ("half a million").
_PLAIN_LETTERS = "one two twel twen thre thir ten four five fif fort fori firs six seve seco eigh elev nin zero half quar"
_SCALE_LETTERS = "thou tril hund mill bill doze cror lakh"


def characters(text: str) -> Bytes:
    """One byte a character, NOT_ASCII for all beyond ASCII, then zeros: an index of -1 meets a zero as well."""
    if text.isascii():
        return np.frombuffer(text.encode() + bytes(_PADDING), np.uint8)
    codes = np.frombuffer((text + "\0" * _PADDING).encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.minimum(codes, NOT_ASCII).astype(np.uint8)


def bytes_where(letters: str) -> Flags:
    """A table of 256 entries: which bytes are one of the characters."""
    return np.isin(np.arange(256), [ord(letter) for letter in letters])


def _fourth_letters(words: str) -> npt.NDArray[np.uint32]:
    """For three letters of five bits each: the set of letters that may follow, as bits."""
    table = np.zeros((32, 32, 32), np.uint32)
    for word in words.split():
        codes = [ord(letter) & 31 for letter in word]
        table[tuple(codes[:3])] |= np.uint32(1 << codes[3] if len(codes) > 3 else 0xFFFFFFFF)
    return table.ravel()


_PLAIN, _SCALES = _fourth_letters(_PLAIN_LETTERS), _fourth_letters(_SCALE_LETTERS)
_ROMAN, _ROMAN_NEXT = bytes_where("IVXLCDM"), bytes_where("IVXLCDM ,.;:)\n\0")
_ROMAN_BEFORE = bytes_where("\0 \n(\x80")  # zero: the beginning of the text


def candidates(codes: Bytes) -> tuple[list[int], list[int], list[int]]:
    """`(words, romans, brackets)`: where a spelled-out number, a Roman numeral, a bracket with a small one may begin.

    Nothing that is one is missing; many are none. `codes` is `characters(text)`.
    """
    letter = ((codes | np.uint8(32)) - np.uint8(97)) < 26
    starts = np.flatnonzero(letter[1:] & ~letter[:-1]) + 1
    if letter[0]:
        starts = np.concatenate([[0], starts])
    one, two, three, four = (codes[starts + place] for place in range(4))
    key = (one & 31).astype(np.int64) << 10 | (two & 31).astype(np.int64) << 5 | (three & 31)
    bit = four & np.uint8(31)
    before, article = codes[starts - 1], codes[starts - 2] | np.uint8(32)
    words = (_PLAIN[key] >> bit) & 1 > 0
    words |= (
        ((_SCALES[key] >> bit) & 1 > 0)
        & (before == ord(" "))
        & ((article == ord("a")) | (article == ord("n")))
    )
    romans = _ROMAN[one] & _ROMAN_BEFORE[before] & _ROMAN_NEXT[two]
    brackets = (
        starts[(before == ord("(")) & ((one == ord("i")) | (one == ord("v")) | (one == ord("x")))]
        - 1
    )
    return starts[words].tolist(), starts[romans].tolist(), brackets.tolist()
