"""Which device and precision to use, and the processes of a distributed run."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist

from ssl_lib.config import TrainingSettings
from ssl_lib.errors import UserError

BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")  # x86-64 and ARM


class Placement(NamedTuple):
    """Where a run computes: device, whether bfloat16 autocast is on, and this process among all."""

    device: torch.device
    autocast: bool
    rank: int = 0
    world: int = 1

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Autocast to bfloat16 where it pays."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            yield


def place(settings: TrainingSettings) -> Placement:
    """Choose device and precision. Raises UserError if a GPU is asked for and none is there."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "training.device is cuda, but torch sees no GPU; set training.device=auto or cpu"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    use_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    rank, world = process_rank()
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if use_gpu
        else torch.device("cpu")
    )
    wanted = settings.precision == "bfloat16" or (
        settings.precision == "auto" and bfloat16_pays(device)
    )
    return Placement(device, wanted, rank, world)


def process_rank() -> tuple[int, int]:
    """(rank, number of processes); starts the process group if torchrun has set its variables."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device has units for bfloat16 products; without them they are up to 165 times slower than float32.

    It asks for what the processor has and measures nothing: a busy machine makes any timing say the wrong thing.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(unit, False) for unit in BFLOAT16_UNITS)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: on a processor a C++ compiler. Warns once where it has not."""
    if device.type == "cuda" or any(
        shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")
    ):
        return True
    warnings.warn(
        "training.compile is on, but no C++ compiler was found; training goes on uncompiled",
        stacklevel=2,
    )
    return False


def sum_over_processes(
    counts: dict[str, dict[str, int]], placement: Placement
) -> dict[str, dict[str, int]]:
    """Counts added over all processes."""
    if placement.world == 1:
        return counts
    flat = torch.tensor(
        [count for parts in counts.values() for count in parts.values()],
        dtype=torch.int64,
        device=placement.device,
    )
    dist.all_reduce(flat)
    values = iter(flat.tolist())
    return {name: {part: next(values) for part in parts} for name, parts in counts.items()}
