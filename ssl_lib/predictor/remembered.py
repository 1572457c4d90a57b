"""Numbers of the training text, each with the state before it: what followed in like contexts.

Nearest-neighbour language models (Khandelwal et al. 2020) for numbers alone. `train` makes them;
a model folder without them answers from its weights.

Shapes: M remembered numbers, N texts, K nearest, D width, B sequences, T positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_lib.batches.batch import number_starts_BT
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.batches.views import causal_view
from ssl_lib.errors import UserError
from ssl_lib.objectives.base import states_at, unit_length

if TYPE_CHECKING:
    from ssl_lib.predictor import Predictor

STATES, VALUES = "number_states.npy", "number_values.npy"
MOST = 50_000  # numbers; of a longer corpus those of as many random documents as hold them
SEQUENCES_AT_ONCE = 32
NEAREST = 8
SHARPNESS = 20.0  # of the softmax over cosines
QUERIES_AT_ONCE = 256


class RememberedNumbers(NamedTuple):
    """Unit-length states [M, D], float16, and the values [M], float64, that came next."""

    states: npt.NDArray[np.float16]
    values: npt.NDArray[np.float64]

    def nearest(self, states_ND: Tensor) -> list[dict[float, float]]:
        """For each state the values behind its K nearest by cosine, weighed by a softmax of it."""
        known_MD = torch.from_numpy(np.asarray(self.states, dtype=np.float32))
        found: list[dict[float, float]] = []
        for part_ND in torch.split(unit_length(states_ND).cpu(), QUERIES_AT_ONCE):
            cosine_NK, place_NK = (part_ND @ known_MD.T).topk(min(NEAREST, len(known_MD)))
            share_NK = (SHARPNESS * cosine_NK).softmax(-1).tolist()
            values_NK = self.values[place_NK.numpy()].tolist()
            for values, shares in zip(values_NK, share_NK, strict=True):
                # the same number behind several of them is more probable
                by_value = dict.fromkeys(values, 0.0)
                for value, share in zip(values, shares, strict=True):
                    by_value[value] += share
                found.append(by_value)
        return found

    def write(self, folder: Path) -> None:
        """Put them beside the weights."""
        np.save(folder / STATES, self.states)
        np.save(folder / VALUES, self.values)

    @classmethod
    def read(cls, folder: Path) -> RememberedNumbers | None:
        """Those of a folder, memory-mapped; none if it has none. Raises UserError if damaged."""
        if not (folder / STATES).exists():
            return None
        try:
            states = np.load(folder / STATES, mmap_mode="r")
            values = np.load(folder / VALUES)
        except (ValueError, OSError) as error:
            raise UserError(
                f"{folder / STATES} and {VALUES} cannot be read ({error}); "
                "run `ssl-lib train` again, or delete both"
            ) from None
        if states.ndim != 2 or len(states) != len(values):
            raise UserError(
                f"{folder / STATES} and {VALUES} do not belong together; "
                "run `ssl-lib train` again, or delete both"
            )
        return cls(states, values)


@torch.no_grad()
def remember(model: Predictor, sequences: PackedSequences) -> RememberedNumbers | None:
    """The first MOST numbers of the sequences, with the causal state before each; None: no number.

    Numbers without a usable value, and those at the beginning of a document, are left out.
    """
    device = model.placement.device
    states: list[Tensor] = []
    values: list[Tensor] = []
    count = 0
    for step in range(-(-sequences.sequences_per_epoch // SEQUENCES_AT_ONCE)):
        left = sequences.sequences_per_epoch - step * SEQUENCES_AT_ONCE
        batch = sequences.batch(step, SEQUENCES_AT_ONCE).first(left).to(device)
        view = causal_view(batch, model.trunk.vocabulary)
        begins_N = (number_starts_BT(batch) & batch.values_BT.isfinite()).flatten()
        # "costs $3.4 million": the state at " costs", before the token " $"
        before_S = view.target_positions_S[begins_N[view.target_positions_S + 1]]
        causal_B = torch.ones(len(view.ids_RT), dtype=torch.bool, device=device)
        with model.placement.precision():
            hidden_BTD = model.trunk(view.ids_RT, view.document_ids_RT, causal_B)
        states.append(unit_length(states_at(hidden_BTD, before_S)).half().cpu())
        values.append(batch.values_BT.flatten()[before_S + 1].cpu())
        count += len(before_S)
        if count >= MOST:
            break
    if not count:
        return None
    return RememberedNumbers(torch.cat(states)[:MOST].numpy(), torch.cat(values)[:MOST].numpy())
