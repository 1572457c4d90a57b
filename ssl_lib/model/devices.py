"""Where a model computes: device, precision, and the processes of a distributed run."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist

from ssl_lib.config import TrainingSettings
from ssl_lib.errors import UserError

BFLOAT16_FEATURES = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")  # of x86-64 and ARM


class Placement(NamedTuple):
    """Where a run computes: device, whether in bfloat16, and this process among all."""

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
    has_gpu = torch.cuda.is_available()
    if settings.device == "cuda" and not has_gpu:
        raise UserError(
            "training.device is cuda, but torch sees no GPU; set training.device=auto or cpu"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    rank, world = process_rank()
    device = torch.device("cpu")
    if has_gpu and settings.device != "cpu":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    autocast = settings.precision == "bfloat16"
    if settings.precision == "auto":
        autocast = bfloat16_pays(device)
    return Placement(device, autocast, rank, world)


def process_rank() -> tuple[int, int]:
    """(rank, number of processes); starts the process group if torchrun has set its variables."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device has hardware for bfloat16 products.

    Without it they are up to 165 times slower than in float32. It asks for what the processor has
    and measures nothing: a busy machine makes any timing say the wrong thing.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(feature, False) for feature in BFLOAT16_FEATURES)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: on a processor a C++ compiler, else it warns."""
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++")
    if device.type == "cuda" or any(shutil.which(name) for name in compilers):
        return True
    warnings.warn(
        "training.compile is on, but no C++ compiler was found; training goes on uncompiled",
        stacklevel=2,
    )
    return False


def sum_over_processes(
    counts: Mapping[str, Mapping[str, int]], placement: Placement
) -> Mapping[str, Mapping[str, int]]:
    """Counts by objective and part, added over all processes, which must have the same keys."""
    if placement.world == 1:
        return counts
    flat = [count for parts in counts.values() for count in parts.values()]
    sums = torch.tensor(flat, dtype=torch.int64, device=placement.device)
    dist.all_reduce(sums)
    values = iter(sums.tolist())
    return {name: {part: next(values) for part in parts} for name, parts in counts.items()}
