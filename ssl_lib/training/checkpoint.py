"""What lets a run go on after a kill: its checkpoint, the name of its folder, SIGTERM noted."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.files import write_atomically


class CheckpointError(UserError):
    """A checkpoint that is not what was written."""


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a state of tensors and plain values, its SHA-256 in front.

    An interrupted write leaves the previous checkpoint whole.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    # the file: 32 bytes of SHA-256, then what torch.save wrote
    digest = hashlib.sha256(content).digest()
    write_atomically(path, digest + content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote. Raises CheckpointError if a bit has changed."""
    content = path.read_bytes()
    body = content[32:]
    if hashlib.sha256(body).digest() != content[:32]:
        raise CheckpointError(
            f"{path} is damaged (its SHA-256 is not the one it was written with); "
            "delete it to start this run anew"
        )
    file = io.BytesIO(body)
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def run_key(settings: Settings, *digests: str) -> str:
    """Name of a run's scratch folder: a hash of all settings and data that the result depends on.

    No other run's checkpoint is ever taken up.
    """
    tree = settings.model_dump(include={"seed", "model", "objectives", "training"})
    text = json.dumps([tree, digests], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    return digest.hexdigest()[:16]


@contextmanager
def sigterm_noted(resumable: bool) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGTERM has arrived, which then ends nothing by itself.

    Without a checkpoint to save, and outside the main thread, where Python handles no signals, it
    stays as it is.
    """
    received: list[int] = []
    if not resumable or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)
