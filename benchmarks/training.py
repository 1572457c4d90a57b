"""What a step of training costs: five objectives beside one, and beside other people's models.

    python -m benchmarks.training --rows five/next all/next next/plain --size small
    python -m benchmarks.training --rows all --json rows.jsonl
    python -m benchmarks.training --list

Every row is a ratio of two sides that run in turn in one process, a step each, so that a busy
machine slows both alike; printed is the median over the rounds of their step times. `make bench`
takes all rows. Sides that name
another model read the same ids. `data/tokenized` must exist. `next/transformers` needs the package
transformers, which nothing else of the project does.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line has it

import torch

from benchmarks.plain_gpt import PlainGPT, Size, plain_step
from ssl_lib.batches.batch import Batch
from ssl_lib.config import Settings, load_settings
from ssl_lib.model.devices import place
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.registry import REGISTRY
from ssl_lib.training.stage import open_corpora
from ssl_lib.training.trainer import SelfSupervisedTrainer

Step = Callable[[int], object]
ALL = tuple(REGISTRY)
SIZES = {
    "small": Size(layers=3, width=128, heads=4, vocabulary=0, context=128, sequences=16),
    "medium": Size(layers=4, width=256, heads=4, vocabulary=4096, context=128, sequences=32),
    "large": Size(layers=4, width=256, heads=4, vocabulary=50304, context=128, sequences=32),
}
ROWS = {
    "five/next": ("five", "next"),
    "all/next": ("all", "next"),
    "five/three": ("five", "three"),
    "five/plain": ("five", "plain"),
    "next/plain": ("next", "plain"),
    "five/transformers": ("five", "transformers"),
    "next/transformers": ("next", "transformers"),
    "five compiled/five": ("five compiled", "five"),
    "fetch/five": ("fetch", "five"),
}
OBJECTIVES = {
    "five": ALL,
    "all": ALL,
    "five compiled": ALL,
    "three": ("mlm", "ntp", "denoising"),
    "next": ("ntp",),
}


class Sides:
    """Makes the sides of a size; each is a function of the step."""

    def __init__(self, size: Size) -> None:
        settings = load_settings("params.yaml")
        model = {"layers": size.layers, "width": size.width, "heads": size.heads}
        values = {f"model.{name}": value for name, value in model.items()}
        values |= {"model.context_length": size.context, "training.sequences": size.sequences}
        self.settings = settings.replaced(values)
        self.encoding, corpora, _ = open_corpora(self.settings, Path.cwd())
        self.train = corpora.train
        self.size = size._replace(vocabulary=max(size.vocabulary, self.encoding.n_vocab))

    def make(self, name: str) -> Step:
        """The side of this name."""
        if name == "fetch":
            return self.batch
        if name in OBJECTIVES:
            return self.own(name)
        step = plain_step(PlainGPT(self.size))
        if name == "transformers":
            step = plain_step(self.gpt2(), loss_of="loss")
        return lambda index: step(self.batch(index).token_ids_BT)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - one object, as long as the program runs
    def batch(self, index: int) -> Batch:
        """What both sides of a row read at a step."""
        return self.train.batch(index, self.size.sequences)

    def own(self, name: str) -> Step:
        """A step of the library: some objectives, by their shares of the batch or on all of it."""
        settings = self.settings.replaced({"training.compile": name == "five compiled"})
        trunk = Trunk(trunk_shape(settings, self.size.vocabulary), self.encoding)
        objectives = []
        for one in OBJECTIVES[name]:
            own = getattr(settings.objectives, one)
            if name == "all" and hasattr(own, "batch_fraction"):
                own = own.model_copy(update={"batch_fraction": 1.0})
            objectives.append(REGISTRY[one](settings=own, trunk=trunk, encoding=self.encoding))
        trainer = SelfSupervisedTrainer(
            *objectives,
            weights=settings.objectives.weights(),
            settings=settings.training,
            placement=place(settings.training),
        )
        return lambda index: trainer.train_step(self.batch(index))

    def gpt2(self) -> torch.nn.Module:
        """GPT2LMHeadModel of transformers, of the same size, without dropout."""
        from transformers import GPT2Config, GPT2LMHeadModel

        size = self.size
        config = GPT2Config(
            vocab_size=size.vocabulary,
            n_positions=size.context,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
        return GPT2LMHeadModel(config)


def trunk_shape(settings: Settings, vocabulary: int) -> TrunkShape:
    """The encoder that the settings describe."""
    model = settings.model.model_dump(exclude={"context_length"})
    return TrunkShape(vocab_size=vocabulary, **model)


def seconds(step: Step, index: int) -> float:
    """Wall time of one step."""
    started = time.perf_counter()
    step(index)
    return time.perf_counter() - started


def measure(sides: Sides, row: str, rounds: int) -> dict[str, float | str]:
    """Medians of both sides in milliseconds, and of their ratios."""
    first, second = (sides.make(name) for name in ROWS[row])
    # the first steps make what the later ones have: caches, optimizer states, compiled code
    for index in range(3):
        first(index)
        second(index)
    times = []
    for index in range(3, 3 + rounds):
        if first != sides.batch:
            sides.batch(index)  # fetched before either side
        times.append((seconds(first, index), seconds(second, index)))
    return {
        "row": row,
        "first_ms": 1e3 * statistics.median(one for one, _ in times),
        "second_ms": 1e3 * statistics.median(other for _, other in times),
        "ratio": statistics.median(one / other for one, other in times),
    }


def machine() -> str:
    """Processor, threads and torch, in words."""
    known = torch.cpu.get_capabilities()
    unit = "AMX" if known.get("amx_bf16") else "AVX-512" if known.get("avx512_f") else "no AVX-512"
    name = known.get("cpu_name") or platform.processor()
    return f"{name}, {unit}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def main() -> None:
    """Print a table; with --json write it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", choices=[*ROWS, "all"], default=["five/next", "next/plain"]
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--json", type=Path, help="file that the rows are added to, a line each")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(ROWS))
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{machine()}; {options.size}: {SIZES[options.size]}")
    sides = Sides(SIZES[options.size])
    rows = list(ROWS) if "all" in options.rows else options.rows
    for row in rows:
        if row.endswith("/transformers") and not importlib.util.find_spec("transformers"):
            print(
                f"{row:22} left out: pip install 'ssl-lib[bench]' brings the package transformers"
            )
            continue
        found = measure(sides, row, options.rounds)
        both = f"{found['first_ms']:.0f} ms, {found['second_ms']:.0f} ms"
        print(f"{row:22} {found['ratio']:6.2f}   ({both})")
        if options.json:
            line = json.dumps({"machine": machine(), "size": options.size, **found})
            with options.json.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
