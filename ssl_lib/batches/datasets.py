"""Where batches come from: packed sequences of a token store, or texts given in memory.

Shapes: B sequences, T positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tiktoken
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, gather_sequences
from ssl_lib.errors import UserError
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import encoding as named_encoding
from ssl_lib.tokens.store import TokenStore

Ints = npt.NDArray[np.int64]
COUNTED_AT_ONCE = 2**24  # tokens; counting makes a copy of them in 64 bits
TOKENS_AT_ONCE = 4096  # in a padded batch


class PackedSequences:
    """Sequences of `context_length` tokens, cut from the documents of a store laid end to end.

    The order of documents is drawn anew for every epoch. `batch(step, count)` is a pure function of
    (seed, step): resuming needs nothing but the step. Raises UserError if not even one sequence is
    full.
    """

    def __init__(
        self, store: Tokenized | TokenStore, context_length: int, seed: int, shuffle: bool = True
    ) -> None:
        self.store = store
        self.context_length = context_length
        self.seed = seed
        self.shuffle = shuffle
        self.lengths = np.diff(store.documents)
        tokens = int(self.lengths.sum())
        self.sequences_per_epoch = tokens // context_length
        if self.sequences_per_epoch < 1:
            raise UserError(
                f"the corpus holds {tokens} tokens, fewer than one sequence of "
                f"model.context_length = {context_length}; "
                "add documents or lower model.context_length"
            )
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, step: int, count: int, rank: int = 0, world: int = 1) -> Batch:
        """The `count` sequences of process `rank` at `step`, which has `count * world` of them."""
        first = (step * world + rank) * count
        parts = [self._positions(index) for index in range(first, first + count)]
        positions_BT, documents_BT = (np.stack(part) for part in zip(*parts, strict=True))
        return gather_sequences(self.store, positions_BT, documents_BT)

    def token_counts(self, size: int) -> Tensor:
        """How often each of the ids 0 .. size - 1 stands in the store, int64 [size]."""
        counts = np.zeros(size, dtype=np.int64)
        for start in range(0, len(self.store.tokens), COUNTED_AT_ONCE):
            some = self.store.tokens[start : start + COUNTED_AT_ONCE]
            counts += np.bincount(some, minlength=size)
        return torch.from_numpy(counts)

    def _draw_order(self, epoch: int) -> tuple[Ints, Ints]:
        """Document order of an epoch and the cumulative lengths in that order."""
        order = np.arange(len(self.lengths))
        if self.shuffle:
            np.random.default_rng((self.seed, epoch)).shuffle(order)
        ends = np.cumsum(self.lengths[order])
        return order, np.concatenate([[0], ends])

    def _positions(self, index: int) -> tuple[Ints, Ints]:
        """Token positions in the store and documents, [T] each, of a sequence counted from 0."""
        epoch, place = divmod(index, self.sequences_per_epoch)
        # Documents of 5, 3 and 4 tokens in this order have borders 0, 5, 8, 12; position 6 is the
        # second token of the second.
        order, borders = self._order(epoch)
        first = place * self.context_length
        flat_T = np.arange(first, first + self.context_length)
        slot_T = np.searchsorted(borders, flat_T, side="right") - 1
        document_T = order[slot_T]
        inside_T = flat_T - borders[slot_T]
        return self.store.documents[document_T] + inside_T, document_T


class SelfSupervisedTextDataset(Dataset[Batch]):
    """Unlabeled texts as sequences of at most `context_length` tokens.

    A longer text gives several sequences, a shorter one is padded. `tokenizer` is any
    `tiktoken.Encoding` or the name of one. Items are single-sequence `Batch`es, which torch's
    `DataLoader` collates as they are. Raises UserError if there is no text.
    """

    def __init__(
        self, texts: Sequence[str], tokenizer: tiktoken.Encoding | str, context_length: int = 128
    ) -> None:
        if isinstance(texts, str) or not len(texts):
            raise UserError("SelfSupervisedTextDataset needs a sequence of at least one text")
        self.encoding = named_encoding(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self.context_length = context_length
        self.tokenized = tokenize_texts(self.encoding, texts)
        # (document, first token, end) of every sequence: 300 tokens → 0-128, 128-256, 256-300
        self.sequences: list[tuple[int, int, int]] = []
        borders = self.tokenized.documents.tolist()
        for document, (first, last) in enumerate(itertools.pairwise(borders)):
            for start in range(first, last, context_length):
                end = min(start + context_length, last)
                self.sequences.append((document, start, end))

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Batch:
        document, start, end = self.sequences[index]
        positions_T = np.full(self.context_length, -1, dtype=np.int64)
        positions_T[: end - start] = np.arange(start, end)
        documents_T = np.where(positions_T >= 0, document, PADDING_DOCUMENT)
        batch = gather_sequences(self.tokenized, positions_T[None], documents_T[None])
        return Batch(*(tensor[0] for tensor in batch))


def padded_batch(tokenized: Tokenized, context_length: int | None = None) -> Batch:
    """One sequence for each document in memory, cut at `context_length`, padded to the longest."""
    starts = tokenized.documents[:-1]
    lengths = np.diff(tokenized.documents)
    if context_length is not None:
        lengths = np.minimum(lengths, context_length)
    width = max(int(lengths.max(initial=1)), 1)
    columns_T = np.arange(width)
    inside_BT = columns_T < lengths[:, None]
    positions_BT = np.where(inside_BT, starts[:, None] + columns_T, -1)
    documents_B = np.arange(len(starts))
    documents_BT = np.broadcast_to(documents_B[:, None], positions_BT.shape)
    return gather_sequences(tokenized, positions_BT, documents_BT)


class PaddedSequences(NamedTuple):
    """Some of the sequences: which ones, their ids and document ids [B, T] (-1 on padding)."""

    indices: list[int]
    ids: Tensor
    documents: Tensor


def padded_sequences(
    sequences: Sequence[Sequence[int]], padding: int, device: torch.device
) -> Iterator[PaddedSequences]:
    """Sequences of similar length together, at most TOKENS_AT_ONCE tokens at once, each once."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order):
            longest = len(sequences[order[end]])
            if (end + 1 - start) * longest > TOKENS_AT_ONCE:
                break
            end += 1
        # Those of the same batch differ little in length: little padding.
        indices = order[start:end]
        lengths = torch.tensor([len(sequences[index]) for index in indices])
        width = max(1, int(lengths.max()))
        ids = torch.full((len(indices), width), padding)
        for place, index in enumerate(indices):
            own = torch.tensor(sequences[index], dtype=torch.int64)
            ids[place, : len(own)] = own
        inside = torch.arange(ids.shape[1]) < lengths[:, None]
        documents = torch.where(inside, 0, PADDING_DOCUMENT)
        yield PaddedSequences(indices, ids.to(device), documents.to(device))
        start = end


def token_spans(
    encoding: tiktoken.Encoding, text: str, ids: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Characters [T, 2] that each token covers, half-open.

    Tokens that share the bytes of one character all cover it: "é" in two tokens → (0, 1), (0, 1).
    """
    entries = [encoding.decode_single_token_bytes(token) for token in ids]
    lengths = np.array([len(entry) for entry in entries], dtype=np.int64)
    # "é!" as tokens of 1, 1 and 1 bytes: ends 1, 2, 3; bytes belong to characters 0, 0, 1
    ends = np.cumsum(lengths)
    content = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    # Bytes 0b10...... continue a character; one more character begins behind the text.
    begins = np.concatenate([(content & 0xC0) != 0x80, [True]])
    character_of_byte = np.cumsum(begins) - 1
    first = character_of_byte[np.minimum(ends - lengths, len(content))]
    last = character_of_byte[np.maximum(ends - 1, 0)] + 1 if len(ids) else ends
    return np.stack([first, last], axis=1)
