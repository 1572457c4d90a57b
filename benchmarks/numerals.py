"""Throughput of the number finder on prose, in MB/s and as a ratio to a bare search for digits.

    python -P benchmarks/numerals.py [FILE ...]

Without files it measures prose made here, with a number in every 70 characters or so, and dense
text (one in 15). Each time is the best of many short ones, so that others on the machine disturb
it little.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ssl_lib.numbers import find_number_arrays, find_numbers

COMMON = """
the of and to in a is that for it as was with be by on not he his but at are this have from or
had an they which you were her all she there would their we him been has when who will more no
if out so said what up its about into than them can only other new some could time these two may
then do first any my now such like our over man me even most made after also did many before
must through back years where much your way well down should because each just those people
state how too little good world government house company market water between
"""
WORDS = COMMON.split()
SPARSE = ("in {year}", "about {n} people", "{p}% of them", "three of the", "on page {n}")
DENSE = (
    "${d} million in {year}",
    "from {n} to {m},000",
    "{d} kg and {p}%",
    "{m}-{n} of the {year}s",
)


def prose(megabytes: float, every: int, templates: tuple[str, ...], seed: int = 0) -> str:
    """Text of about `megabytes` MB with one template every `every` words."""
    generator = random.Random(seed)
    parts: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        words = [generator.choice(WORDS) for _ in range(every)]
        number = generator.choice(templates).format(
            year=generator.randint(1800, 2030),
            n=generator.randint(2, 999),
            m=generator.randint(1, 99),
            p=generator.randint(1, 99),
            d=generator.randint(10, 999) / 10,
        )
        parts.append(f"{' '.join(words).capitalize()} {number}. ")
        size += len(parts[-1])
    return "".join(parts)


def rate(find: Callable[[str], object], documents: list[str], repeats: int = 20) -> float:
    """MB/s of UTF-8: the best of `repeats` for each document, over about 20 of the documents."""
    sample = documents[:: max(1, len(documents) // 20)]
    for document in documents:
        find(document)
    seconds = 0.0
    for document in sample:
        best = float("inf")
        for _ in range(repeats):
            begin = time.perf_counter()
            find(document)
            best = min(best, time.perf_counter() - begin)
        seconds += best
    size = sum(len(document.encode("utf-8", "surrogatepass")) for document in sample)
    return size / 1e6 / seconds


def report(name: str, text: str) -> None:
    """Print one line for the text in documents of 1 kB and one for documents of 10 kB."""
    bare = re.compile(r"[0-9]+").findall
    for size in (1000, 10_000):
        label = f"{name}, {size // 1000} kB"
        documents = [text[i : i + size] for i in range(0, len(text), size)]
        objects = rate(find_numbers, documents)
        arrays = rate(find_number_arrays, documents)
        digits = rate(bare, documents)
        count = sum(len(find_numbers(document)) for document in documents)
        every = len(text) / max(count, 1)
        print(
            f"{label:<24} numbers {objects:6.1f} MB/s   arrays {arrays:6.1f} MB/s"
            f"   {objects / digits:5.2f} of a digit search"
            f"   one number in {every:.0f} characters"
        )


def main() -> None:
    """Measure the files named on the command line, or prose made here."""
    for path in sys.argv[1:]:
        report(Path(path).name, Path(path).read_text(errors="replace"))
    if len(sys.argv) == 1:
        report("prose", prose(0.3, 16, SPARSE))
        report("dense", prose(0.3, 3, DENSE))
    for digits in (10_000, 1_000_000):
        begin = time.perf_counter()
        find_numbers("7" * digits)
        milliseconds = (time.perf_counter() - begin) * 1e3
        print(f"a run of {digits} digits: {milliseconds:.2f} ms")


if __name__ == "__main__":
    main()
