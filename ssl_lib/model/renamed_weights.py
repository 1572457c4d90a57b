"""Names that weights had in models saved by earlier versions, and the names they have now.

A model folder written before a renaming is read as if it had been written after it.
"""

from __future__ import annotations

RENAMED = {
    "feed_forward.rise": "feed_forward.up_proj",
    "feed_forward.fall": "feed_forward.down_proj",
    "trunk.private_blocks": "trunk.mode_specific_blocks",
    "head.inward": "head.fc1",
    "head.outward": "head.fc2",
    "sentences.units": "sentences.unit_log10",
    "sentences.waves_DF": "sentences.fourier_DF",
    "value_head.parameters_SK": "value_head.output",
    "denoising.after": "denoising.offset_embedding",
    "value_head.shift": "value_head.output",
}
"""Whole dotted parts of a key: `mlm.head.inward.weight` is `mlm.head.fc1.weight` today."""


def current_name(key: str) -> str:
    """Today's name of a weight, as `model.safetensors` has it: `mlm.head.fc1.weight`."""
    dotted = f".{key}."
    for old, new in RENAMED.items():
        dotted = dotted.replace(f".{old}.", f".{new}.")
    return dotted[1:-1]
