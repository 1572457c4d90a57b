"""Probes of the numbers themselves, after Wallace et al. 2019: list maximum, decoding, addition, on ranges 100,
1,000 and 10,000.

Each integer is embedded alone, once, by the frozen model (mean of the bidirectional states of its tokens); integers
are split 80/20, so that no probe has seen a test integer. Half of the lists hold near neighbours. A probe is a
small network, the same for every model and seed; all of them are trained side by side, as one batched network whose
members share nothing but the data of their seed. Two sources of features that no text has trained stand beside the
models: the digits themselves, one-hot, and random convolutions over them. Where the protocol differs from the
paper: the list maximum's scorer is a network on each number instead of a bidirectional LSTM over the list, and
training takes a fixed number of steps.

Legend: M models, S seeds, P = M * S members, I integers, B rows, L numbers of a list, D width, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_lib.evaluation.protocol import Contest, Judged
from ssl_lib.evaluation.statistics import Paired, TaskResult, lower_is_better, paired_medians

RANGES = (100, 1_000, 10_000)
LIST = 5
TRAIN_SHARE = 0.8
NEAR_SHARE = 0.5
NEIGHBOURS = 15  # near neighbours are drawn from this many consecutive integers of the split, or
NEIGHBOUR_SHARE = 0.02  # from this share of them if that is more
HIDDEN = 64
STEPS = 400
ROWS = 64
TEST_ROWS = 500
LEARNING_RATE = 1e-2  # better than 3e-3 and 2e-2 on the digits alone; never tried on a model
PAPER = {  # Wallace et al. 2019, tables 2 and 3, as given in this project's references
    "list_maximum": {
        "BERT": (0.95, 0.62, 0.52), "ELMo": (0.98, 0.88, 0.76), "char-CNN": (0.97, 0.93, 0.88), "untrained CNN":
        (0.97, 0.87, 0.84),
    },
    "decoding": {"BERT": (3.2, 29.0, 432.0), "char-CNN": (2.5, 4.9, 11.6)},
    "addition": {"BERT": (4.6, 67.8, 455.0), "char-CNN": (1.2, 7.8, 15.1)},
}  # fmt: skip
METRICS = {"list_maximum": "accuracy", "decoding": "rmse", "addition": "rmse"}
TERMS = {"list_maximum": LIST, "decoding": 1, "addition": 2}


class Rows(NamedTuple):
    """Indices of integers [S, B, L] and what to say about them [S, B]: a position of the list, or a value."""

    indices: NDArray[np.int64]
    targets: NDArray[np.float64]


def evaluate_probes(
    contest: Contest, seeds: int, ranges: Sequence[int] = RANGES, steps: int = STEPS
) -> dict[str, TaskResult]:
    """One result a task and range, under `task/range`: medians over seeds, items resampled inside each seed.

    Accuracy for the list maximum; for the others the root mean squared error, of which less is better.
    """
    top = max(ranges)
    features = {
        "before": number_features(contest.before, top),
        "after": number_features(contest.after, top),
    }
    features |= plain_features(top)
    results = {}
    for limit in ranges:
        for task in METRICS:
            tables = {name: table[:limit] for name, table in features.items()}
            results[f"{task}/{limit}"] = _result(
                contest, task, limit, probe_scores(tables, task, contest.seed, seeds, steps)
            )
    return results


def number_features(model: Judged, limit: int) -> NDArray[np.float32]:
    """Features [I, D] of the integers 0 to limit - 1, each embedded as a text of its own."""
    states = model.token_states([str(number) for number in range(limit)])
    return np.stack([np.asarray(found.states, dtype=np.float32).mean(axis=0) for found in states])


def plain_features(limit: int, channels: int = 32, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Features that no text has trained: right-aligned digits, one-hot, and random convolutions over the same."""
    places = len(str(limit - 1))
    codes_IL = np.array(
        [[int(d) if d != " " else 10 for d in f"{n:>{places}}"] for n in range(limit)]
    )
    digits_ILC = np.eye(11, dtype=np.float32)[codes_IL]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        convolution = nn.Conv1d(11, channels, 3, padding=1)
    with torch.no_grad():
        convolved = torch.tanh(convolution(torch.from_numpy(digits_ILC).transpose(1, 2)))
    return {
        "digits": digits_ILC.reshape(limit, -1),
        "random_convolutions": convolved.flatten(1).numpy(),
    }


def probe_scores(
    features: Mapping[str, NDArray[np.float32]], task: str, seed: int, seeds: int, steps: int
) -> dict[str, NDArray[np.float64]]:
    """Hits or squared errors [S, B] on the test integers, by model."""
    limit = len(next(iter(features.values())))
    generators = [np.random.default_rng([seed, limit, s]) for s in range(seeds)]
    splits = [np.split(g.permutation(limit), [int(TRAIN_SHARE * limit)]) for g in generators]
    tables = _standardised(features, [train for train, _ in splits])
    test = _stacked(
        [
            draw_rows(task, held_out, TEST_ROWS, g)
            for (_, held_out), g in zip(splits, generators, strict=True)
        ]
    )
    centre, scale = TERMS[task] * (limit - 1) / 2, limit * np.sqrt(TERMS[task] / 12)
    network = Members(
        len(features) * seeds,
        tables.shape[-1] * (1 if task == "list_maximum" else TERMS[task]),
        seed,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = _stacked(
            [
                draw_rows(task, train, ROWS, g)
                for (train, _), g in zip(splits, generators, strict=True)
            ]
        )
        loss = _losses(network, tables, rows, task, centre, scale).mean(dim=1).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        scores_PB = _scores(network, tables, test, task, centre, scale).double().numpy()
    return dict(zip(features, scores_PB.reshape(len(features), seeds, -1), strict=True))


def draw_rows(
    task: str, integers: NDArray[np.int64], count: int, generator: np.random.Generator
) -> Rows:
    """Random rows over the given integers; half of the lists hold near neighbours, and none repeats a number."""
    if task != "list_maximum":
        indices_BL = generator.choice(integers, size=(count, TERMS[task]))
        return Rows(indices_BL, indices_BL.sum(axis=1).astype(np.float64))
    ordered = np.sort(integers)
    close = min(len(ordered), max(NEIGHBOURS, int(NEIGHBOUR_SHARE * len(ordered))))
    width_B = np.where(generator.random(count) < NEAR_SHARE, close, len(ordered))
    first_B = (generator.random(count) * (len(ordered) - width_B + 1)).astype(np.int64)
    places_BL = (generator.random((count, LIST)) * width_B[:, None]).astype(np.int64)
    repeated_B = (np.diff(np.sort(places_BL, axis=1), axis=1) == 0).any(axis=1)
    for row in np.flatnonzero(repeated_B):
        places_BL[row] = generator.choice(width_B[row], size=LIST, replace=False)
    indices_BL = ordered[first_B[:, None] + places_BL]
    return Rows(indices_BL, indices_BL.argmax(axis=1).astype(np.float64))


class Members(nn.Module):
    """P independent networks of three layers, evaluated together; each starts from the same weights as its peers."""

    def __init__(self, members: int, width: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = (width, HIDDEN, HIDDEN, 1)
        initial = [
            torch.randn(1, a, b, generator=generator) * (2 / a) ** 0.5 for a, b in pairwise(sizes)
        ]
        self.weights = nn.ParameterList(weight.repeat(members, 1, 1) for weight in initial)
        self.biases = nn.ParameterList(torch.zeros(members, 1, b) for b in sizes[1:])

    def forward(self, inputs_PBD: Tensor) -> Tensor:
        """One output a row, [P, B]."""
        hidden = inputs_PBD
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, torch.relu(hidden) if layer else hidden, weight)
        return hidden.squeeze(2)


def _outputs(network: Members, tables_MSID: Tensor, rows: Rows, task: str) -> Tensor:
    """Outputs [P, B], or [P, B, L] for lists. The gather is one over a flat table: slices by seed would be copied."""
    models, seeds, integers, width = tables_MSID.shape
    indices_SBL = torch.from_numpy(rows.indices)
    firsts_P = torch.arange(models * seeds) * integers
    places_PN = firsts_P[:, None] + indices_SBL.flatten(1).repeat(models, 1)
    chosen_PND = (
        tables_MSID.view(-1, width)
        .index_select(0, places_PN.flatten())
        .view(*places_PN.shape, width)
    )
    rows_in, terms = indices_SBL.shape[1:]
    if task == "list_maximum":
        return network(chosen_PND).view(-1, rows_in, terms)
    return network(chosen_PND.view(-1, rows_in, terms * width))


def _losses(
    network: Members, tables_MSID: Tensor, rows: Rows, task: str, centre: float, scale: float
) -> Tensor:
    """Loss [P, B]: cross-entropy over the list, or squared error of the standardised value."""
    outputs = _outputs(network, tables_MSID, rows, task)
    targets_PB = torch.from_numpy(rows.targets).repeat(tables_MSID.shape[0], 1)
    if task == "list_maximum":
        return nn.functional.cross_entropy(
            outputs.transpose(1, 2), targets_PB.long(), reduction="none"
        )
    return (outputs - ((targets_PB - centre) / scale).float()).square()


def _scores(
    network: Members, tables_MSID: Tensor, rows: Rows, task: str, centre: float, scale: float
) -> Tensor:
    """Hits, or squared errors in units of the numbers, [P, B]."""
    outputs = _outputs(network, tables_MSID, rows, task)
    targets_PB = torch.from_numpy(rows.targets).repeat(tables_MSID.shape[0], 1)
    if task == "list_maximum":
        return outputs.argmax(dim=2) == targets_PB.long()
    return (outputs.double() * scale + centre - targets_PB).square()


def _standardised(
    features: Mapping[str, NDArray[np.float32]], training: Sequence[NDArray[np.int64]]
) -> Tensor:
    """Tables [M, S, I, D]: mean 0 and deviation 1 over the seed's training integers, zeros up to the widest model."""
    width = max(table.shape[1] for table in features.values())
    tables = torch.zeros(len(features), len(training), len(next(iter(features.values()))), width)
    for m, table in enumerate(features.values()):
        for s, rows in enumerate(training):
            centred = (table - table[rows].mean(axis=0)) / np.maximum(table[rows].std(axis=0), 1e-4)
            tables[m, s, :, : table.shape[1]] = torch.from_numpy(np.clip(centred, -10.0, 10.0))
    return tables


def _stacked(rows: Sequence[Rows]) -> Rows:
    return Rows(np.stack([r.indices for r in rows]), np.stack([r.targets for r in rows]))


def _result(
    contest: Contest, task: str, limit: int, scores: dict[str, NDArray[np.float64]]
) -> TaskResult:
    rooted = METRICS[task] == "rmse"
    estimate = paired_medians(
        scores["before"],
        scores["after"],
        contest.bootstrap_samples,
        contest.seed,
        square_root=rooted,
    )
    by_seed = {name: _of_seeds(values, rooted) for name, values in scores.items()}
    details: dict[str, Any] = {"seeds": by_seed, "test_integers": limit - int(TRAIN_SHARE * limit)}
    if limit in RANGES:
        details["paper"] = {name: row[RANGES.index(limit)] for name, row in PAPER[task].items()}
    baselines: dict[str, Paired | float] = {
        name: paired_medians(
            scores[name],
            scores["after"],
            contest.bootstrap_samples,
            contest.seed,
            square_root=rooted,
        )
        for name in scores
        if name not in ("before", "after")
    }
    baselines["constant"] = 1 / LIST if not rooted else float(limit * np.sqrt(TERMS[task] / 12))
    result = estimate.result(METRICS[task], int(scores["after"].size), details, baselines)
    return lower_is_better(result) if rooted else result


def _of_seeds(scores_SB: NDArray[np.float64], rooted: bool) -> list[float]:
    means_S = scores_SB.mean(axis=1)
    return (np.sqrt(means_S) if rooted else means_S).tolist()
