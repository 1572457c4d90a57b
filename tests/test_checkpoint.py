"""Checkpoints: what was written comes back, or nothing does."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from ssl_lib.files import write_atomically
from ssl_lib.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)

STATE = {
    "weights": {"a": torch.arange(50.0), "b": torch.eye(3, dtype=torch.bfloat16)},
    "step": 7,
    "best": [1.5, None],
}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "checkpoint.pt"
    save_checkpoint(STATE, path)
    state = load_checkpoint(path)
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert torch.equal(state["weights"]["b"], STATE["weights"]["b"])
    assert state["weights"]["b"].dtype == torch.bfloat16
    assert (state["step"], state["best"]) == (7, [1.5, None])
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_one_flipped_bit_anywhere_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged .* delete it"):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 10, 31, 32, 500])
def test_a_cut_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_a_write_that_fails_half_way_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            save_checkpoint({"big": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert load_checkpoint(path)["step"] == 7


def test_a_file_that_an_interrupted_write_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    (tmp_path / ".checkpoint.pt.999999").write_bytes(b"half")
    assert load_checkpoint(path)["step"] == 7
    save_checkpoint({**STATE, "step": 8}, path)
    assert load_checkpoint(path)["step"] == 8


def test_durable_writes_replace_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"a long first content")
    write_atomically(path, b"short")
    assert path.read_bytes() == b"short"
