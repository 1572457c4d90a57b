"""All number embeddings with all value heads, and all groupings of digits, on one small budget.

    python benchmarks/number_encodings.py --steps 300 --seeds 2 --results comparison.jsonl

Reads data/raw (run `dvc repro corpus` first), tokenizes it once for each grouping, and prints a
Markdown table over the seeds: bits per byte of the held-out text, error of the next number's value
in orders of magnitude (log10), share of right exponents. Every finished run is one line of the
results file; a second start goes on after the last one.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, get_args

import numpy as np
import torch

from ssl_lib.config import Digits, NumberEmbedding, Settings, ValueHead, load_settings
from ssl_lib.evaluation.number_prediction import NextNumbers, absolute_error, next_numbers
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.predictor import Predictor
from ssl_lib.synthetic.items import next_token_documents
from ssl_lib.tokens.store import tokenize
from ssl_lib.tracking import NullRun
from ssl_lib.training.fit import fit
from ssl_lib.training.stage import open_corpora

BUDGET = [
    "tokens.workers=1",
    "model.width=64",
    "model.layers=2",
    "training.sequences=8",
    "training.warmup_steps=20",
    "training.validation_sequences=64",
    "training.threads=1",
]
SAME_AS = {"as_is": "left3"}  # in an encoding that is trained here


class Choice(NamedTuple):
    """What is compared."""

    embedding: str
    head: str
    digits: str


class Outcome(NamedTuple):
    """Of one run: bits per byte, mean error in log10, share of right exponents of all numbers."""

    bits_per_byte: float
    log10_error: float
    right_exponent: float


def choices(default: Settings) -> list[Choice]:
    """All pairs of embedding and head at the default grouping of digits, then other groupings."""
    digits = default.tokens.digits
    pairs = itertools.product(get_args(NumberEmbedding), get_args(ValueHead))
    found = [Choice(embedding, head, digits) for embedding, head in pairs]
    embedding, head = default.model.number_embedding, default.objectives.numerical.value_head
    for other in get_args(Digits):
        if other not in (digits, *SAME_AS):
            found.append(Choice(embedding, head, other))
    return found


def one_run(settings: Settings, numbers: NextNumbers, folder: Path) -> Outcome:
    """Train once on the tokens in `folder` and evaluate the model on held-out text."""
    encoding, corpora, _ = open_corpora(settings, folder)
    result = fit(settings, encoding, corpora, NullRun())
    model = Predictor(settings, encoding, result.objectives)
    predicted = TASKS["number_prediction"].load().answer(model, numbers)
    # 340 and 512 have the same exponent, 2; zero and negative numbers have none and are not right.
    positive = (numbers.values > 0) & (predicted.point > 0)
    exponents = np.floor(np.log10(numbers.values[positive]))
    same = np.floor(np.log10(predicted.point[positive])) == exponents
    nats = result.progress.validation[-1]["losses"]["ntp"]["loss"]
    meta = corpora.validation.store.meta
    bits = nats / math.log(2) * meta["tokens"] / meta["text_bytes"]
    error = float(absolute_error(predicted, numbers.values).mean())
    return Outcome(bits, error, float(same.sum() / len(numbers.values)))


def settings_of(choice: Choice, seed: int, steps: int, overrides: list[str]) -> Settings:
    """The settings of one run."""
    chosen = [
        f"model.number_embedding={choice.embedding}",
        f"objectives.numerical.value_head={choice.head}",
        f"tokens.digits={choice.digits}",
        f"training.steps={steps}",
        f"training.validate_every_steps={steps}",
        f"seed={seed}",
    ]
    return load_settings("params.yaml", [*BUDGET, *overrides, *chosen])


def read_results(path: Path) -> dict[tuple[str, ...], Outcome]:
    """Outcomes of the runs that have finished, by choice, seed, steps and overrides."""
    found = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # cut off when the process was killed
            continue
        found[tuple(row["run"])] = Outcome(*row["outcome"])
    return found


def finished(
    options: argparse.Namespace, runs: Iterable[tuple[Choice, int]]
) -> Iterator[tuple[Choice, int, Outcome]]:
    """Every run with its outcome, from the results file, or trained now and written to it."""
    known = read_results(options.results)
    numbers = next_numbers(next_token_documents(150, 11, "validation"), 600, 11)
    with TemporaryDirectory() as scratch:

        @functools.cache
        def tokens_of(digits: str) -> Path:
            folder = Path(scratch) / digits
            (folder / "data").mkdir(parents=True)
            (folder / "data" / "raw").symlink_to((options.root / "data" / "raw").resolve())
            choice = Choice("none", "mixture", digits)
            tokenize(settings_of(choice, 0, options.steps, options.overrides), folder)
            return folder

        for choice, seed in runs:
            key = (*choice, str(seed), str(options.steps), *options.overrides)
            if key not in known:
                settings = settings_of(choice, seed, options.steps, options.overrides)
                known[key] = one_run(settings, numbers, tokens_of(choice.digits))
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"run": key, "outcome": known[key]}) + "\n")
            yield choice, seed, known[key]


def main() -> None:
    """Make all runs and print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="project folder with data/raw"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("number_encodings.jsonl"), help="finished runs"
    )
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compared = choices(load_settings("params.yaml"))
    runs = itertools.product(compared, range(options.seeds))
    head = ["number_embedding", "value_head", "digits", "bits per byte", "log10 error"]
    print(f"| {' | '.join(head)} | right exponent |\n|---|---|---|---|---|---|", flush=True)
    for choice, found in itertools.groupby(finished(options, runs), key=lambda run: run[0]):
        # One column of each outcome over the seeds: mean (lowest-highest).
        columns = zip(*(outcome for _, _, outcome in found), strict=True)
        cells = []
        for column in columns:
            cells.append(f"{np.mean(column):.3f} ({min(column):.3f}-{max(column):.3f})")
        print(f"| {' | '.join([*choice, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
