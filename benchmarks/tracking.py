"""What tracking costs: the same short training with MLflow (SQLite) and without it, in turn.

    python benchmarks/tracking.py --steps 200 --rounds 3

The settings are those of params.yaml; `data/tokenized` must exist. Every run starts from the same
weights, so that both do the same work. Printed: seconds of each, on the wall and of the processor,
which a busy machine disturbs less, and the median of each ratio.
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


def seconds(settings: Settings, root: Path, tracked: bool) -> tuple[float, float]:
    """Wall and processor time of training, opening and closing the run included, as in `train`."""
    encoding, corpora, _ = open_corpora(settings, root)
    with tempfile.TemporaryDirectory() as store:
        own = settings.replaced({"tracking.uri": f"sqlite:///{store}/mlflow.db"})
        # the store is made once in a project's life
        with start_run(own, Path(store), "train"):
            pass
        started, used = time.perf_counter(), time.process_time()
        with start_run(own, Path(store), "train") if tracked else NullRun() as run:
            run.log_params(own.model_dump())
            fit(own, encoding, corpora, run)
        return time.perf_counter() - started, time.process_time() - used


def main() -> None:
    """Print the rounds and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    values = {"training.steps": options.steps, "training.validate_every_steps": options.steps}
    settings = load_settings("params.yaml").replaced(values)
    ratios: list[tuple[float, float]] = []
    for number in range(options.rounds):
        without = seconds(settings, Path.cwd(), tracked=False)
        tracked = seconds(settings, Path.cwd(), tracked=True)
        ratios.append((tracked[0] / without[0], tracked[1] / without[1]))
        told = (f"{one[0]:.1f} s, {one[1]:.1f} s of the processor" for one in (without, tracked))
        print("round {}: {} without; {} with tracking".format(number + 1, *told), flush=True)
    wall, processor = (statistics.median(kind) - 1 for kind in zip(*ratios, strict=True))
    print(f"median: tracking adds {wall:.1%}, and {processor:.1%} of the processor's time")


if __name__ == "__main__":
    main()
