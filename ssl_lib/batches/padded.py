"""Rows of different length, padded together, and the characters that tokens cover.

Shapes: R rows, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tiktoken
import torch
from torch import Tensor

from ssl_lib.batches.batch import PADDING_DOCUMENT

TOKENS_AT_ONCE = 4096


class PaddedRows(NamedTuple):
    """Some of the rows given: which ones, their ids [R, T] and document ids [R, T] (0, and -1 on padding)."""

    indices: list[int]
    ids: Tensor
    documents: Tensor


def padded_rows(
    rows: Sequence[Sequence[int]], padding: int, device: torch.device
) -> Iterator[PaddedRows]:
    """Rows of similar length together, at most TOKENS_AT_ONCE tokens at once; every row comes up exactly once."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= TOKENS_AT_ONCE:
            end += 1
        yield _pad(order[start:end], rows, padding, device)
        start = end


def _pad(
    indices: list[int], rows: Sequence[Sequence[int]], padding: int, device: torch.device
) -> PaddedRows:
    lengths = torch.tensor([len(rows[index]) for index in indices])
    ids = torch.full((len(indices), max(1, int(lengths.max()))), padding)
    for line, index in enumerate(indices):
        ids[line, : len(rows[index])] = torch.tensor(rows[index], dtype=torch.int64)
    documents = torch.where(torch.arange(ids.shape[1]) < lengths[:, None], 0, PADDING_DOCUMENT)
    return PaddedRows(indices, ids.to(device), documents.to(device))


def token_spans(encoding: tiktoken.Encoding, text: str, ids: Sequence[int]) -> np.ndarray:
    """Characters [T, 2] that each token covers; tokens that share the bytes of one character all cover it."""
    lengths = np.array(
        [len(encoding.decode_single_token_bytes(token)) for token in ids], dtype=np.int64
    )
    ends = np.cumsum(lengths)
    content = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    begins = np.concatenate([(content & 0xC0) != 0x80, [True]])
    character_of_byte = np.cumsum(begins) - 1
    first = character_of_byte[np.minimum(ends - lengths, len(content))]
    last = character_of_byte[np.maximum(ends - 1, 0)] + 1 if len(ids) else ends
    return np.stack([first, last], axis=1)
