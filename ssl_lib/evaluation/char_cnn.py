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
        embedded_NLH = self.characters(characters_NL) + self.inside(inside_NL)
        embedded_NHL = embedded_NLH.transpose(1, 2)
        hidden_NHL = torch.relu(self.first(embedded_NHL))
        hidden_NHL = torch.relu(self.second(hidden_NHL))
        mask_N1L = inside_NL.unsqueeze(1).float()
        count_N1 = mask_N1L.sum(2).clamp_min(1.0)
        inside_NHL = hidden_NHL * mask_N1L
        number_NH = inside_NHL.sum(2) / count_N1
        largest_NH = hidden_NHL.amax(2)
        pooled = torch.cat([number_NH, largest_NH], dim=1)
        logits: Tensor = self.head(pooled)
        return logits


def char_cnn_labels(
    items: Mapping[str, Sequence[tuple[str, int, int]]],
    labels: Mapping[str, NDArray[Any]],
    seed: int,
) -> NDArray[Any]:
    """Labels [N] of the test items (text, start, end), from the epoch best on validation."""
    classes, target_N = np.unique(labels["train"], return_inverse=True)
    inputs = {name: windows(located) for name, located in items.items()}
    targets_N = torch.from_numpy(target_N)
    generator = torch.Generator().manual_seed(seed)
    # the caller's random numbers go on as if nothing had been drawn
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharCnn(len(classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    best = -1.0
    predicted = np.empty(0, dtype=labels["train"].dtype)
    for _ in range(EPOCHS):
        _train_epoch(model, optimizer, inputs["train"], targets_N, generator)
        chosen = classes[_predict(model, inputs["validation"])]
        right = chosen == labels["validation"]
        accuracy = float(np.mean(right))
        if accuracy > best:
            best = accuracy
            predicted = classes[_predict(model, inputs["test"])]
    return predicted


def windows(items: Sequence[tuple[str, int, int]]) -> tuple[Tensor, Tensor]:
    """Character codes and masks of the numbers, both [N, 2 * WINDOW]; 0 is padding."""
    shape = (len(items), 2 * WINDOW)
    characters_NL = np.zeros(shape, dtype=np.int64)
    inside_NL = np.zeros_like(characters_NL)
    for place, (text, start, end) in enumerate(items):
        first = max(0, start - WINDOW)
        # four bytes a character, so that the codes can be read as numbers
        content = text[first : start + WINDOW].encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(content, dtype=np.uint32)
        # a number at the beginning of a text has padding before it
        offset = WINDOW - (start - first)
        filled = slice(offset, offset + len(codes))
        characters_NL[place, filled] = np.minimum(codes, ALPHABET)
        inside_NL[place, WINDOW : WINDOW + end - start] = 1
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
        characters_NL, inside_NL = (column[chosen] for column in inputs)
        logits = model(characters_NL, inside_NL)
        loss = nn.functional.cross_entropy(logits, targets_N[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        optimizer.step()


@torch.no_grad()
def _predict(model: CharCnn, inputs: tuple[Tensor, Tensor]) -> NDArray[np.int64]:
    """Places of the classes [N]; 512 items at a time, which bounds memory."""
    columns = (torch.split(column, 512) for column in inputs)
    found = []
    for characters_NL, inside_NL in zip(*columns, strict=True):
        logits_NK = model(characters_NL, inside_NL)
        found.append(logits_NK.argmax(1))
    return torch.cat(found).numpy()
