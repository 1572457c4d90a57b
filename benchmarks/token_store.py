"""Speed of corpus → tokens with numbers, as a ratio to tiktoken's bare `encode_ordinary_batch`.

    python benchmarks/token_store.py data/raw/train.jsonl --encoding data/tokenized/encoding.json

Both sides get the same texts, encoding and threads and run in turn, so that other work on the
machine meets both; a ratio is the median over the rounds. 1.0 means that finding and aligning the
numbers costs nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import tiktoken

from ssl_lib.numbers import find_number_arrays
from ssl_lib.tokens.alignment import grouped, tokenize_group
from ssl_lib.tokens.encodings import encoding

DOCUMENT_BYTES = (100, 1_000, 10_000)
MEGABYTES = 6


def documents_of(text: str, size: int) -> list[str]:
    """Documents of `size` characters cut from a text."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(chosen: tiktoken.Encoding, texts: list[str], threads: int) -> None:
    """Tokens, numbers and types of all texts."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda group: tokenize_group(chosen, group), grouped(texts)):
            pass


def main() -> None:
    """Print one line per document size and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, help="documents, one JSON object with a text per line")
    parser.add_argument("--encoding", default="data/tokenized/encoding.json")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chosen = encoding(options.encoding)
    with options.file.open(encoding="utf-8") as lines:
        text = "\n".join(json.loads(line)["text"] for line in lines)[: MEGABYTES * 1_000_000]
    megabytes = len(text.encode()) / 1e6
    tokenize_group(chosen, [text[:1000]])  # the first call compiles patterns
    rate = megabytes / seconds(partial(find_number_arrays, text))
    print(f"find_number_arrays alone: {rate:.1f} MB/s")
    for size in DOCUMENT_BYTES:
        texts = documents_of(text, size)
        for threads in options.threads:
            bare = partial(chosen.encode_ordinary_batch, texts, num_threads=threads)
            whole = partial(ours, chosen, texts, threads)
            pairs = [(seconds(bare), seconds(whole)) for _ in range(options.rounds)]
            ratio = statistics.median(raw / full for raw, full in pairs)
            raw, full = (megabytes / statistics.median(times) for times in zip(*pairs, strict=True))
            rates = f"{full:5.1f} MB/s with numbers, {raw:5.1f} bare"
            print(f"{size:>6} B, {threads} threads: {rates}; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
