"""Speed and peak memory of the stages `corpus` and `tokenize` on corpora of several sizes.

    python -P benchmarks/corpus_memory.py FILE.jsonl --megabytes 100 1000 --workers 1 2 dask

FILE holds one JSON object with a text a line. Its texts are repeated with other digits and their
words in another order, so that no two documents are alike, until the corpus is large enough; each
stage runs in a process of its own, in a temporary folder, and its peak resident memory is printed
(Linux), with the ratio of the largest to the smallest corpus. The stage `corpus` runs once for each
entry of `--workers`: with so many processes that prepare documents (1: none beside its own), or
with two workers of Dask; what stands last stays for `tokenize`. Beside the seconds that passed
stand those of processor time, of all its processes together: others on the machine change the
former only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

BUILD = "--build-with"  # how the script calls itself for a corpus in a process of its own
DIGIT = re.compile("[0-9]")


def changed(text: str, generator: random.Random) -> str:
    """The text with other digits and its words in another order."""
    words = text.split(" ")
    generator.shuffle(words)
    return DIGIT.sub(lambda match: str(generator.randint(1, 9)), " ".join(words))


def documents(texts: list[str], size: int) -> Iterator[str]:
    """Changed texts that together have about `size` bytes."""
    generator = random.Random(0)
    written = 0
    for text in itertools.cycle(texts):
        if written >= size:
            return
        document = changed(text, generator)
        written += len(document.encode())
        yield document


def build(workers: str, overrides: list[str]) -> None:
    """The stage `corpus` in this folder, with so many processes, or with Dask."""
    from ssl_lib.config import load_settings
    from ssl_lib.corpus import build_corpus

    settings = load_settings("params.yaml", overrides)
    if workers == "dask":
        from distributed import Client

        with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
            build_corpus(settings, Path(), client.get_executor())
    elif workers == "1":
        with ThreadPoolExecutor(1) as thread:
            build_corpus(settings, Path(), thread)
    else:
        with ProcessPoolExecutor(int(workers), get_context("spawn")) as pool:
            build_corpus(settings, Path(), pool)


class Cost(NamedTuple):
    """What a stage took, its workers included."""

    peak: float  # resident memory in MB
    seconds: float
    processor_seconds: float


def processor_time() -> float:
    """Seconds of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_stage(stage: str, root: Path, overrides: list[str], workers: str = "") -> Cost:
    """Run one stage in a process of its own."""
    command = [sys.executable, "-m", "ssl_lib", stage, "--params", "params.yaml"]
    if workers:
        command = [sys.executable, "-P", str(Path(__file__).resolve()), BUILD, workers]
    for override in overrides:
        command += ["--set", override]
    start, used, peak = time.perf_counter(), processor_time(), 0.0
    process = subprocess.Popen(command, cwd=root)
    # Sampled: the kernel's own peak of a child begins with the memory of its parent.
    while process.poll() is None:
        peak = max(peak, sum(resident(pid) for pid in family(process.pid)))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"stage {stage} failed with status {process.returncode}")
    return Cost(peak, time.perf_counter() - start, processor_time() - used)


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started, as far as they still run."""
    yield pid
    children: list[str] = []
    # Dask starts its workers in another thread than the first
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children += listing.read_text(encoding="ascii").split()
    for child in children:
        yield from family(int(child))


def resident(pid: int) -> float:
    """Resident memory in MB, with a share of what processes share; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    # "Pss:              12345 kB"
    sizes = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    return sizes[0] / 1024 if sizes else 0.0


def measure(
    texts: list[str], megabytes: int, scratch: Path, overrides: list[str], workers: list[str]
) -> dict[str, float]:
    """Peak memory of each stage by its name, printed as it becomes known."""
    root = scratch / str(megabytes)
    root.mkdir()
    shutil.copy("params.yaml", root)
    with (root / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for text in documents(texts, megabytes * 1_000_000):
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    source = "{path: corpus.jsonl}"
    peaks = {}
    runs = [("corpus", number) for number in workers] + [("tokenize", "")]
    for stage, number in runs:
        settings = [f"corpus.sources=[{source}]", *overrides]
        cost = run_stage(stage, root, settings, number)
        name = f"{stage} ({number})" if number else stage
        peaks[name] = cost.peak
        line = f"{megabytes:>6} MB, {name:<13} peak {cost.peak:7.0f} MB"
        for kind, seconds in (("", cost.seconds), ("processor ", cost.processor_seconds)):
            line += f", {seconds:6.0f} {kind}s, {megabytes / seconds:5.2f} MB a {kind}second"
        print(line, flush=True)
    return peaks


def main() -> None:
    """Measure all sizes and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "file", type=Path, nargs="?", help="documents, one JSON object with a text a line"
    )
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--workers", nargs="+", default=["2"], metavar="N or dask")
    parser.add_argument(BUILD, default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build_with:
        build(options.build_with, options.overrides)
        return
    if not options.file:
        parser.error("name a FILE with documents")
    with options.file.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    peaks = []
    with TemporaryDirectory() as scratch:
        for megabytes in sorted(options.megabytes):
            peaks.append(
                measure(texts, megabytes, Path(scratch), options.overrides, options.workers)
            )
    for stage in peaks[0]:
        ratio = peaks[-1][stage] / peaks[0][stage]
        print(f"{stage}: {ratio:.2f} times the peak of the smallest corpus")


if __name__ == "__main__":
    main()
