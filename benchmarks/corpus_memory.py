"""Peak memory of the stages `corpus` and `tokenize` on a small and on a large corpus of the same text.

    python -P benchmarks/corpus_memory.py FILE.jsonl --megabytes 100 1000

FILE holds one JSON object with a text a line. Its texts are repeated with other digits and their words in another
order, so that no two documents are alike, until the corpus is large enough; each stage runs in a process of its own,
in a temporary folder, and its peak resident memory is printed (Linux), with the largest ratio over the smallest corpus.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

STAGES = ("corpus", "tokenize")
DIGIT = re.compile("[0-9]")


def changed(text: str, draw: random.Random) -> str:
    """The text with other digits and its words in another order."""
    words = text.split(" ")
    draw.shuffle(words)
    return DIGIT.sub(lambda match: str(draw.randint(1, 9)), " ".join(words))


def documents(texts: list[str], size: int) -> Iterator[str]:
    """Changed texts that together have about `size` bytes."""
    draw = random.Random(0)
    written = 0
    for text in itertools.cycle(texts):
        if written >= size:
            return
        document = changed(text, draw)
        written += len(document.encode())
        yield document


def run_stage(stage: str, root: Path, overrides: list[str]) -> tuple[float, float]:
    """Peak resident memory in MB and seconds of one stage in a process of its own, its workers included.

    Sampled ten times a second: the kernel's own figure for a child begins with the memory of its parent.
    """
    command = [sys.executable, "-m", "ssl_lib", stage, "--params", "params.yaml"]
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [*command, *(word for each in overrides for word in ("--set", each))], cwd=root
    )
    while process.poll() is None:
        peak = max(peak, sum(resident(pid) for pid in family(process.pid)))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"stage {stage} failed with status {process.returncode}")
    return peak, time.perf_counter() - start


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started, as far as they still run."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def resident(pid: int) -> float:
    """Resident memory in MB, a share of what is shared with other processes; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def measure(
    texts: list[str], megabytes: int, scratch: Path, overrides: list[str]
) -> dict[str, float]:
    """Peak memory of each stage by its name, printed as it becomes known."""
    root = scratch / str(megabytes)
    root.mkdir()
    (root / "params.yaml").write_text(
        Path("params.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with (root / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for text in documents(texts, megabytes * 1_000_000):
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    source = (
        'corpus.sources=[{path: corpus.jsonl, domain: "", weight: 1.0, field: text, documents: 0}]'
    )
    peaks = {}
    for stage in STAGES:
        peaks[stage], seconds = run_stage(stage, root, [source, *overrides])
        print(
            f"{megabytes:>6} MB, {stage:<9} peak {peaks[stage]:7.0f} MB, {seconds:6.0f} s",
            flush=True,
        )
    return peaks


def main() -> None:
    """Measure all sizes and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="documents, one JSON object with a text a line")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    with options.file.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with TemporaryDirectory() as scratch:
        peaks = [
            measure(texts, size, Path(scratch), options.overrides)
            for size in sorted(options.megabytes)
        ]
    for stage in STAGES:
        print(
            f"{stage}: {peaks[-1][stage] / peaks[0][stage]:.2f} times the peak of the smallest corpus"
        )


if __name__ == "__main__":
    main()
