"""Gaps: tokens that are missing from a row, the rest moved up, padding at its end (Lewis et al. 2020, BART).

A deleted token leaves no trace, an infilled run of tokens leaves one noise token, which stands for the first of them.
The position before a gap rebuilds what is missing in it: position q the clean tokens at q + 1, q + 2, and so on.

Shapes: R rows, T positions, N = R * T clean positions, S scored positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch
from ssl_lib.batches.views import View

LONGEST_GAP = 8  # tokens missing in a row


class Gaps(NamedTuple):
    """Flat masks of clean positions: `missing_N` go, `noise_N` become the noise token. `after_N` counts how far a
    missing position lies behind the one that stands for it (0 elsewhere).
    """

    missing_N: Tensor
    noise_N: Tensor
    after_N: Tensor


def lay_gaps(batch: Batch, deleted_N: Tensor, infilled_N: Tensor) -> Gaps:
    """The gaps that deleting and infilling these flat positions leaves.

    A gap has something before it in its row and document, and at most LONGEST_GAP tokens: where it would not, the noise
    token stands in place of one of them.
    """
    index_N = torch.arange(len(deleted_N), device=deleted_N.device)
    begins_N = document_begins(batch.document_ids_BT).flatten()
    before_N = torch.cat([infilled_N.new_zeros(1), infilled_N[:-1]])
    opens_N = infilled_N & (begins_N | ~before_N)
    missing_N = deleted_N | infilled_N & ~opens_N
    last_N = torch.where(~missing_N | begins_N, index_N, 0).cummax(0).values
    after_N = (index_N - last_N) % (LONGEST_GAP + 1)
    stands_N = missing_N & (after_N == 0)
    missing_N &= ~stands_N
    return Gaps(missing_N, opens_N | stands_N, torch.where(missing_N, after_N, 0))


def close_gaps(view: View, gaps: Gaps, padding: int) -> View:
    """The view without its missing tokens: the rest of each row moves up, `source_N` and `after_S` say from where."""
    missing_RT = gaps.missing_N.view_as(view.ids_RT)
    order_RT = missing_RT.int().argsort(dim=1, stable=True)
    gone_RT = missing_RT.gather(1, order_RT)
    place_RT = (~missing_RT).cumsum(1) - 1
    first_R1 = (
        torch.arange(len(missing_RT), device=missing_RT.device)[:, None] * missing_RT.shape[1]
    )
    source_N = torch.where(missing_RT, -1, place_RT + first_R1).flatten()
    after_S = gaps.after_N[view.scored_S]
    return View(
        ids_RT=view.ids_RT.gather(1, order_RT).masked_fill(gone_RT, padding),
        document_ids_RT=view.document_ids_RT.gather(1, order_RT).masked_fill(
            gone_RT, PADDING_DOCUMENT
        ),
        causal=view.causal,
        scored_S=view.scored_S - after_S,
        targets_S=view.targets_S,
        source_N=source_N,
        after_S=after_S,
    )


def document_begins(document_ids_RT: Tensor) -> Tensor:
    """True at the first position of every document in every row, padding included."""
    begins_RT = torch.ones_like(document_ids_RT, dtype=torch.bool)
    begins_RT[:, 1:] = document_ids_RT[:, 1:] != document_ids_RT[:, :-1]
    return begins_RT
