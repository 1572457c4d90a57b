"""What earlier positions leave behind, so that a causal sequence can grow one token at a time.

Shapes: B sequences, T positions so far, S new ones, D width.
"""

from __future__ import annotations

from torch import Tensor, cat


class Past:
    """What one block keeps of the positions before: keys and values, inputs of convolutions."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    @property
    def positions(self) -> int:
        """How many positions have run."""
        return self.kept["key"].shape[2] if self.kept else 0

    def joined(self, name: str, new: Tensor, dim: int, last: int | None = None) -> Tensor:
        """What is kept under a name with the new positions behind it, along `dim`.

        All of it is kept for the next call, or the `last` positions.
        """
        whole = cat([self.kept[name], new], dim) if name in self.kept else new
        size = whole.shape[dim]
        kept = size if last is None else min(last, size)
        self.kept[name] = whole.narrow(dim, size - kept, kept)
        return whole

    def select(self, rows_B: Tensor) -> None:
        """Go on with these sequences, in this order; one may come several times."""
        self.kept = {name: kept[rows_B] for name, kept in self.kept.items()}
