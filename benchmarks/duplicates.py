"""Documents a second of the stage `corpus` where most of them are alike.

    python -P benchmarks/duplicates.py --records 2000 20000 100000 1000000 --sections 3000

Records share one template and differ in their values, so that all stay. Copies are those of
sections of text, each with a typo of its own, so that one of each stays. The rate should not
depend on how many there are. One process does all, and its processor time is measured, which other
work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from ssl_lib.config import parse_settings
from ssl_lib.corpus import build_corpus

WORDS = """pressure valve report the of inspection temperature and measured line pump was under
    normal after before with repair pipe flow sensor at level tank reading value operator noted
    shift plant unit found replaced cleaned tested within limits during start stop""".split()
# With these, records are alike in four of five of their 16-grams: just below the threshold, which
# is the most work if texts alone are compared.
NOTES = " ".join(
    """The inspection followed the procedure for valves of this type, with the instruments that are
    listed in the plan of the year, and all of them were within their calibration. The operator was
    informed of the result, and has confirmed that no change was made to the unit since the last
    visit. Seals, bolts and joints were looked at from all sides, and no wear beyond what is usual
    was seen. The surroundings were clean and dry. Photographs are kept with the plan, and may be
    asked for by whoever plans the next repair.""".split()
)
SECTION_WORDS = 280  # about 1,800 characters, below corpus.document_characters


def records(count: int) -> Iterator[str]:
    """Inspection records: one template, four values."""
    generator = random.Random(0)
    for number in range(count):
        pressure, temperature = generator.uniform(1, 9), generator.uniform(15, 90)
        yield (
            f"Inspection record {number}. The pressure valve was inspected under normal load. "
            f"Measured pressure {pressure:.2f} bar at {temperature:.1f} °C, flow "
            f"{generator.randrange(10, 999)} l/h. No leaks were found and the unit was released "
            f"for operation until the next inspection. {NOTES}"
        )


def copies(sections: int, of_each: int) -> Iterator[str]:
    """Near copies, section after section in turn: each has one word with two letters exchanged."""
    for turn in range(of_each):
        for section in range(sections):
            generator = random.Random(section)
            words = []
            for _ in range(SECTION_WORDS):
                number = generator.random() < 0.1
                words.append(str(generator.randrange(10**4)) if number else generator.choice(WORDS))
            place = random.Random(f"{section} {turn}").randrange(SECTION_WORDS)
            if words[place].isalpha():
                words[place] = words[place][1] + words[place][0] + words[place][2:]
            yield " ".join(words)


def measure(name: str, texts: Iterable[str], near_duplicates: str, of_each: int = 1) -> None:
    """Print the rate of the stage on these documents, and how many of them stay."""
    # of copies that meet, one in the test split stays: a third of the sections for each split
    share = 0.33 / of_each if of_each > 1 else 0.03
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        path = root / "data" / "sources" / "texts.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="utf-8") as file:
            for text in texts:
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        size = path.stat().st_size / 1e6
        corpus = {
            "sources": [{"path": "data/sources/texts.jsonl"}],
            "near_duplicates": near_duplicates,
            "test_share": share,
            "validation_share": share,
        }
        settings = parse_settings({"corpus": corpus})
        start = time.process_time()
        build_corpus(settings, root)
        seconds = time.process_time() - start
        manifest = json.loads((root / "data" / "raw" / "manifest.json").read_text("utf-8"))
        read, kept = manifest["sources"][0]["documents_read"], sum(manifest["documents"].values())
    rates = f"{read / seconds:7.0f} documents/s, {size / seconds:5.2f} MB/s"
    print(f"{name}, {near_duplicates}: {read:>8} read, {kept:>8} kept, {seconds:6.1f} s, {rates}")


def main() -> None:
    """Measure records of each size, then copies of each number of sections."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sections", type=int, nargs="*", default=[300, 3000])
    parser.add_argument("--copies", type=int, default=140, help="of each section")
    modes = ("text_and_numbers", "text", "none")
    parser.add_argument("--near-duplicates", nargs="+", default=modes[:1], choices=modes)
    options = parser.parse_args()
    # one process, whatever the machine
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for mode in options.near_duplicates:
        for count in options.records:
            measure("records", records(count), mode)
        for sections in options.sections:
            measure("copies", copies(sections, options.copies), mode, options.copies)


if __name__ == "__main__":
    main()
