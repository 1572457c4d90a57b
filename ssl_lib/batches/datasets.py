"""Where batches come from: packed rows of a token store, or texts given in memory.

Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import tiktoken
import torch

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, gather_rows
from ssl_lib.errors import UserError
from ssl_lib.tokens.encodings import encoding as named_encoding
from ssl_lib.tokens.store import Tokenized, TokenStore, tokenize_texts

COUNTED_AT_ONCE = 2**24  # tokens; counting makes a copy of them in 64 bits


class PackedRows:
    """Rows of `context` tokens cut from the documents of a store, laid end to end in an order drawn anew for every
    epoch.

    `batch(step, rows)` is a pure function of (seed, step): resuming needs nothing but the step. With several
    processes, each takes
    the rows that are its own: `rank` of `world`.
    """

    def __init__(self, store: TokenStore, context: int, seed: int, shuffle: bool = True) -> None:
        self.store, self.context, self.seed, self.shuffle = store, context, seed, shuffle
        self.lengths = np.diff(store.documents)
        self.rows_per_epoch = int(store.documents[-1] - store.documents[0]) // context
        if self.rows_per_epoch < 1:
            raise UserError(
                f"the corpus holds {int(store.documents[-1])} tokens, fewer than one sequence of model.context_length = {context}; "
                "add documents or lower model.context_length"
            )
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def _draw_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Document order of an epoch and the cumulative lengths in that order."""
        order = np.arange(len(self.lengths))
        if self.shuffle:
            np.random.default_rng((self.seed, epoch)).shuffle(order)
        return order, np.concatenate([[0], np.cumsum(self.lengths[order])])

    def batch(self, step: int, rows: int, rank: int = 0, world: int = 1) -> Batch:
        """The `rows` rows of process `rank` at `step`, a step being `rows * world` rows."""
        first = (step * world + rank) * rows
        parts = [self._row_positions(index) for index in range(first, first + rows)]
        positions_BT, documents_BT = (np.stack(part) for part in zip(*parts, strict=True))
        return gather_rows(self.store, positions_BT, documents_BT)

    def token_counts(self, rows: int) -> torch.Tensor:
        """How often each of the ids 0 .. rows - 1 stands in the store, int64 [rows]."""
        counts = np.zeros(rows, dtype=np.int64)
        for start in range(0, len(self.store.tokens), COUNTED_AT_ONCE):
            counts += np.bincount(
                self.store.tokens[start : start + COUNTED_AT_ONCE], minlength=rows
            )
        return torch.from_numpy(counts)

    def _row_positions(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, row = divmod(index, self.rows_per_epoch)
        order, borders = self._order(epoch)
        flat_T = np.arange(row * self.context, (row + 1) * self.context)
        slot_T = np.searchsorted(borders, flat_T, side="right") - 1
        document_T = order[slot_T]
        return self.store.documents[document_T] + flat_T - borders[slot_T], document_T


class SelfSupervisedTextDataset(torch.utils.data.Dataset):
    """Unlabelled texts as rows of at most `context` tokens; a longer text gives several rows, a shorter one is padded.

    `tokenizer` is any `tiktoken.Encoding` or the name of one. Items are single-row `Batch`es, which torch's
    `DataLoader` collates as
    they are. Raises UserError if there is no text.
    """

    def __init__(
        self, texts: Sequence[str], tokenizer: tiktoken.Encoding | str, context: int = 128
    ) -> None:
        if isinstance(texts, str) or not len(texts):
            raise UserError("SelfSupervisedTextDataset needs a sequence of at least one text")
        self.encoding = named_encoding(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self.context = context
        self.tokenized = tokenize_texts(self.encoding, texts)
        self.rows = _document_rows(self.tokenized.documents, context)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        document, start, end = self.rows[index]
        positions_T = np.full(self.context, -1, dtype=np.int64)
        positions_T[: end - start] = np.arange(start, end)
        documents_T = np.where(positions_T >= 0, document, PADDING_DOCUMENT)
        return Batch(
            *(
                tensor[0]
                for tensor in gather_rows(self.tokenized, positions_T[None], documents_T[None])
            )
        )


def padded_batch(tokenized: Tokenized, context: int | None = None) -> Batch:
    """One row per document of an in-memory `Tokenized`, cut at `context` tokens, padded to the longest."""
    starts, ends = tokenized.documents[:-1], tokenized.documents[1:]
    lengths = ends - starts if context is None else np.minimum(ends - starts, context)
    columns_T = np.arange(max(int(lengths.max(initial=1)), 1))
    positions_BT = np.where(columns_T < lengths[:, None], starts[:, None] + columns_T, -1)
    documents_BT = np.broadcast_to(np.arange(len(starts))[:, None], positions_BT.shape)
    return gather_rows(tokenized, positions_BT, documents_BT)


def _document_rows(documents: np.ndarray, context: int) -> list[tuple[int, int, int]]:
    """(document, first token, end) of every row."""
    spans = zip(documents[:-1].tolist(), documents[1:].tolist(), strict=True)
    return [
        (document, start, min(start + context, last))
        for document, (first, last) in enumerate(spans)
        for start in range(first, last, context)
    ]
