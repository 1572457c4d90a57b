"""What tracking costs: the same short training with MLflow (SQLite) and without it, in turn.

    python benchmarks/tracking.py --steps 200 --rounds 3

The settings are those of params.yaml; `data/tokenized` must exist. Every run starts from the same
weights, so that both do the same work. Printed: seconds of each, and the median ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from ssl_lib.config import Settings, load_settings
from ssl_lib.tracking import NullRun, start_run
from ssl_lib.training.fit import fit
from ssl_lib.training.stage import open_corpora


def seconds(settings: Settings, root: Path, tracked: bool) -> float:
    """Wall time of training; opening and closing the run count too, as `train` does both."""
    encoding, corpora, _ = open_corpora(settings, root)
    with tempfile.TemporaryDirectory() as store:
        own = settings.replaced({"tracking.uri": f"sqlite:///{store}/mlflow.db"})
        # the store is made once in a project's life
        with start_run(own, Path(store), "train"):
            pass
        started = time.perf_counter()
        with start_run(own, Path(store), "train") if tracked else NullRun() as run:
            run.log_params(own.model_dump())
            fit(own, encoding, corpora, run)
        return time.perf_counter() - started


def main() -> None:
    """Print the rounds and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    values = {"training.steps": options.steps, "training.validate_every_steps": options.steps}
    settings = load_settings("params.yaml").replaced(values)
    ratios = []
    for number in range(options.rounds):
        without = seconds(settings, Path.cwd(), tracked=False)
        tracked = seconds(settings, Path.cwd(), tracked=True)
        ratios.append(tracked / without)
        print(f"round {number + 1}: {without:.1f} s without, {tracked:.1f} s with tracking")
    print(f"median: tracking adds {statistics.median(ratios) - 1:.1%}")


if __name__ == "__main__":
    main()
