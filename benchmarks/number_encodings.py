"""All number embeddings with all value heads on one small budget: `python benchmarks/number_encodings.py --steps 400
--seeds 2`.

Reads data/tokenized (run `dvc repro tokenize` first) and prints a Markdown table: held-out next-token loss, error of
the next number's
value in decades and share of right exponents, each as mean and range over seeds, on validation documents.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from ssl_lib.config import NumberEmbedding, Settings, ValueHead, load_settings
from ssl_lib.corpus.items import next_token_documents
from ssl_lib.evaluation.number_prediction import NextNumbers, absolute_error, forecasts, next_numbers
from ssl_lib.predictor import Predictor
from ssl_lib.tracking import NullRun
from ssl_lib.training.fit import fit
from ssl_lib.training.stage import open_corpora

BUDGET = [
    "model.width=64",
    "model.layers=2",
    "training.rows=8",
    "training.warmup_steps=20",
    "training.validation_rows=32",
]


def one_run(settings: Settings, numbers: NextNumbers, root: Path) -> tuple[float, float, float]:
    """Train once; (next-token loss, mean error in decades, share of right exponents)."""
    encoding, corpora, _ = open_corpora(settings, root)
    result = fit(settings, encoding, corpora, NullRun())
    predicted = forecasts(Predictor(settings, encoding, result.objectives), numbers.prompts)
    positive = (numbers.values > 0) & (predicted.point > 0)
    same = np.floor(np.log10(predicted.point[positive])) == np.floor(np.log10(numbers.values[positive]))
    loss = result.progress.validation[-1]["losses"]["ntp"]["loss"]
    return loss, float(absolute_error(predicted, numbers.values).mean()), float(same.sum() / len(numbers.values))


def main() -> None:
    """Run all pairs and print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="project folder with data/tokenized")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    numbers = next_numbers(next_token_documents(150, 11, "validation"), 600, 11)
    print(
        "| number_embedding | value_head | ntp (nats) | error (decades) | right exponent |\n|---|---|---|---|---|",
        flush=True,
    )
    for embedding, head in itertools.product(get_args(NumberEmbedding), get_args(ValueHead)):
        kind = [f"model.number_embedding={embedding}", f"objectives.numerical.value_head={head}"]
        steps = [f"training.steps={options.steps}", f"training.validate_every_steps={options.steps}"]
        rows = [
            one_run(
                load_settings("params.yaml", [*BUDGET, *kind, *steps, f"seed={seed}", *options.overrides]),
                numbers,
                options.root,
            )
            for seed in range(options.seeds)
        ]
        cells = (f"{np.mean(column):.3f} ({min(column):.3f}-{max(column):.3f})" for column in zip(*rows, strict=True))
        print(f"| {embedding} | {head} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
