"""A supervised baseline: a small convolutional network over characters.

It is trained from scratch on the probe's own training items.

Legend: N items, L characters of a window, H channels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

WINDOW = 32  # characters on either side of the number's start, which stands in the middle
CHANNELS = 48
EPOCHS = 6
ITEMS = 64  # of one step
LEARNING_RATE = 3e-3
ALPHABET = 128  # ASCII; everything else is one symbol


class CharCnn(nn.Module):
    """Two convolutions; the mean over the number's characters, the maximum over the window."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(ALPHABET + 1, CHANNELS)
        self.inside = nn.Embedding(2, CHANNELS)
        self.first = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.second = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.head = nn.Linear(2 * CHANNELS, classes)

    def forward(self, characters_NL: Tensor, inside_NL: Tensor) -> Tensor:
        """Logits [N, K] of character codes and a mask of the number."""
        hidden_NHL = (self.characters(characters_NL) + self.inside(inside_NL)).transpose(1, 2)
        hidden_NHL = torch.relu(self.first(hidden_NHL))
        hidden_NHL = torch.relu(self.second(hidden_NHL))
        mask_N1L = inside_NL.unsqueeze(1).float()
        number_NH = (hidden_NHL * mask_N1L).sum(2) / mask_N1L.sum(2).clamp_min(1.0)
        logits: Tensor = self.head(torch.cat([number_NH, hidden_NHL.amax(2)], dim=1))
        return logits


def char_cnn_labels(
    items: Mapping[str, Sequence[tuple[str, int, int]]],
    labels: Mapping[str, NDArray[Any]],
    seed: int,
) -> NDArray[Any]:
    """Labels [N] of the test items (text, start, end), from the epoch best on validation."""
    classes, target_N = np.unique(labels["train"], return_inverse=True)
    inputs = {name: windows(found) for name, found in items.items()}
    targets_N = torch.from_numpy(target_N)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharCnn(len(classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    best, predicted = -1.0, np.empty(0, dtype=labels["train"].dtype)
    for _ in range(EPOCHS):
        _train_epoch(model, optimizer, inputs["train"], targets_N, generator)
        chosen = classes[_predict(model, inputs["validation"])]
        accuracy = float(np.mean(chosen == labels["validation"]))
        if accuracy > best:
            best, predicted = accuracy, classes[_predict(model, inputs["test"])]
    return predicted


def windows(items: Sequence[tuple[str, int, int]]) -> tuple[Tensor, Tensor]:
    """Character codes and masks of the numbers, both [N, 2 * WINDOW]; 0 is padding."""
    characters_NL = np.zeros((len(items), 2 * WINDOW), dtype=np.int64)
    inside_NL = np.zeros_like(characters_NL)
    for place, (text, start, end) in enumerate(items):
        first = max(0, start - WINDOW)
        # four bytes a character, so that the codes can be read as numbers
        content = text[first : start + WINDOW].encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(content, dtype=np.uint32)
        offset = WINDOW - (start - first)
        characters_NL[place, offset : offset + len(codes)] = np.minimum(codes, ALPHABET)
        inside_NL[place, WINDOW : min(WINDOW + end - start, 2 * WINDOW)] = 1
    return torch.from_numpy(characters_NL), torch.from_numpy(inside_NL)


def _train_epoch(
    model: CharCnn,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[Tensor, Tensor],
    targets_N: Tensor,
    generator: torch.Generator,
) -> None:
    order = torch.randperm(len(targets_N), generator=generator)
    for chosen in torch.split(order, ITEMS):
        logits = model(inputs[0][chosen], inputs[1][chosen])
        loss = nn.functional.cross_entropy(logits, targets_N[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        optimizer.step()


@torch.no_grad()
def _predict(model: CharCnn, inputs: tuple[Tensor, Tensor]) -> NDArray[np.int64]:
    """Places of the classes [N]; 512 items at a time, which bounds memory."""
    blocks = zip(torch.split(inputs[0], 512), torch.split(inputs[1], 512), strict=True)
    found = [model(characters, inside).argmax(1) for characters, inside in blocks]
    return torch.cat(found).numpy()
