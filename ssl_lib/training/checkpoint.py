"""Checkpoints that survive a kill: written beside, synced, then renamed; read back only if their digest is right."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from ssl_lib.errors import UserError
from ssl_lib.files import write_atomically


class CheckpointError(UserError):
    """A checkpoint that is not what was written."""


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a state of tensors and plain values; an interrupted write leaves the previous checkpoint whole."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_atomically(path, hashlib.sha256(content).digest() + content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote. Raises CheckpointError if a bit has changed."""
    content = path.read_bytes()
    digest, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(
            f"{path} is damaged (its SHA-256 is not the one it was written with); delete it to start this run anew"
        )
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
