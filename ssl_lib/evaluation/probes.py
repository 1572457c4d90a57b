"""Probes of the numbers themselves, after Wallace et al. 2019.

List maximum, decoding and addition, on integers below 100, 1,000 and 10,000. Each integer is
embedded alone, once, by the frozen model (mean of the bidirectional states of its tokens); integers
are split 80/20, so that no probe has seen a test integer. Half of the lists hold near neighbors. A
probe is a small network, the same for every model and seed; all of them are trained side by side,
as one batched network whose members share nothing but the data of their seed. Two sources of
features that no text has trained stand beside the models: the digits themselves, one-hot, and
random convolutions over them. Where the protocol differs from the paper: the list maximum's scorer
is a network on each number instead of a bidirectional LSTM over the list, and training takes a
fixed number of steps.

Legend: M models, S seeds, P = M * S members, I integers, B lists, L numbers of a list, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_lib.evaluation.base import EvaluatedModel, EvaluationTask, ModelPair
from ssl_lib.evaluation.comparison import Details, Scores, TaskResult, compare
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.statistics import Floats

Features = NDArray[np.float32]
Integers = NDArray[np.int64]

RANGES = (100, 1_000, 10_000)
LIST = 5
TRAIN_SHARE = 0.8
NEAR_SHARE = 0.5
NEIGHBORS = 15  # near neighbors are drawn from this many consecutive integers of the split, or
NEIGHBOR_SHARE = 0.02  # from this share of them if that is more
HIDDEN = 64
STEPS = 400
LISTS = 64  # of one step
TEST_LISTS = 500
LEARNING_RATE = 1e-2  # better than 3e-3 and 2e-2 on the digits alone; never tried on a model
PAPER = {  # Wallace et al. 2019, tables 2 and 3, as given in this project's references
    "list_maximum": {
        "BERT": (0.95, 0.62, 0.52), "ELMo": (0.98, 0.88, 0.76), "char-CNN": (0.97, 0.93, 0.88),
        "untrained CNN": (0.97, 0.87, 0.84),
    },
    "decoding": {"BERT": (3.2, 29.0, 432.0), "char-CNN": (2.5, 4.9, 11.6)},
    "addition": {"BERT": (4.6, 67.8, 455.0), "char-CNN": (1.2, 7.8, 15.1)},
}  # fmt: skip
METRICS = {"list_maximum": "accuracy", "decoding": "rmse", "addition": "rmse"}
TERMS = {"list_maximum": LIST, "decoding": 1, "addition": 2}


class Lists(NamedTuple):
    """Indices of integers [S, B, L], and the place of the largest or the value they make [S, B]."""

    indices: Integers
    targets: Floats

    @classmethod
    def stacked(cls, seeds: Sequence[Lists]) -> Lists:
        """Those of all seeds together."""
        indices, targets = zip(*seeds, strict=True)
        return cls(np.stack(indices), np.stack(targets))


class Plan(NamedTuple):
    """Ranges of integers, how many seeds, and steps of training."""

    ranges: Sequence[int]
    seeds: int
    steps: int


class NumberProbes(EvaluationTask[Plan, Features]):
    """One result a probe and range, under `probe/range`: medians over seeds.

    Accuracy for the list maximum; for the others the root mean squared error, of which less is
    better. Items are resampled inside each seed.
    """

    checked = False

    def items(self, data: EvaluationData) -> Plan:
        """All ranges; fewer steps where the other probes have fewer items."""
        settings = data.settings
        steps = min(STEPS, max(20, settings.probe_items // 4))
        return Plan(RANGES, settings.seeds, steps)

    def answer(self, model: EvaluatedModel, items: Plan) -> Features:
        """Features [I, D] of the integers from 0, each embedded as a text of its own."""
        integers = range(max(items.ranges))
        texts = [str(number) for number in integers]
        # "9999" is two tokens with digits in groups of three: their mean
        means = [found.states.mean(axis=0) for found in model.token_states(texts)]
        return np.stack(means)

    def results(self, pair: ModelPair, data: EvaluationData, items: Plan) -> dict[str, TaskResult]:
        """Train the probes of all models and seeds side by side, one probe and range at a time."""
        features = {
            "before": self.answer(pair.before, items),
            "after": self.answer(pair.after, items),
            **plain_features(max(items.ranges)),
        }
        seed = pair.resampling.seed
        found = {}
        for limit in items.ranges:
            tables = {name: table[:limit] for name, table in features.items()}
            for probe in METRICS:
                scores = probe_scores(tables, probe, seed, items.seeds, items.steps)
                found[f"{probe}/{limit}"] = self._result(pair, probe, limit, scores)
        return found

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """Each summary, with the paper's values and how far the seeds lie apart."""
        rows = {}
        for name, result in results.items():
            seeds = result.details["seeds"]
            spread = {who: [min(values), max(values)] for who, values in seeds.items()}
            paper = result.details.get("paper", {})
            rows[name] = result.summary() | {"paper": paper, "spread": spread}
        return {self.task.name: rows}

    def _result(
        self, pair: ModelPair, probe: str, limit: int, found: Mapping[str, Floats]
    ) -> TaskResult:
        """The comparison of one probe and range, with the paper's values."""
        rooted = METRICS[probe] == "rmse"
        test_integers = limit - int(TRAIN_SHARE * limit)
        details: Details = {"seeds": {}, "test_integers": test_integers}
        scores: dict[str, Scores | float] = {}
        for who, values_SB in found.items():
            scores[who] = Scores(values_SB, square_root=rooted)
            means_S = values_SB.mean(axis=1)
            details["seeds"][who] = (np.sqrt(means_S) if rooted else means_S).tolist()
        # what always saying the middle, or a random place of the list, reaches
        scores["constant"] = _scale(probe, limit) if rooted else 1 / LIST
        if limit in RANGES:
            place = RANGES.index(limit)
            details["paper"] = {name: values[place] for name, values in PAPER[probe].items()}
        task = self.task._replace(metric=METRICS[probe], higher_is_better=not rooted)
        return compare(task, scores, pair.resampling, details)


def plain_features(limit: int, channels: int = 32, seed: int = 0) -> dict[str, Features]:
    """Features that no text has trained: aligned digits, and random convolutions over them."""
    places = len(str(limit - 1))
    codes = []
    for number in range(limit):
        # 42 of four places → [10, 10, 4, 2]; 10 is a blank
        written = f"{number:>{places}}".replace(" ", ":")
        codes.append([ord(digit) - ord("0") for digit in written])
    digits_ILC = np.eye(11, dtype=np.float32)[np.array(codes)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        convolution = nn.Conv1d(11, channels, 3, padding=1)
    with torch.no_grad():
        digits_ICL = torch.from_numpy(digits_ILC).transpose(1, 2)
        convolved = torch.tanh(convolution(digits_ICL))
    one_hot = digits_ILC.reshape(limit, -1)
    convolutions = convolved.flatten(1).numpy()
    return {"digits": one_hot, "random_convolutions": convolutions}


def probe_scores(
    features: Mapping[str, Features], probe: str, seed: int, seeds: int, steps: int
) -> dict[str, Floats]:
    """Hits or squared errors [S, B] on the test integers, by model."""
    first = next(iter(features.values()))
    limit = len(first)
    border = int(TRAIN_SHARE * limit)
    generators = [np.random.default_rng([seed, limit, s]) for s in range(seeds)]
    orders = [generator.permutation(limit) for generator in generators]
    train = [order[:border] for order in orders]
    held_out = [order[border:] for order in orders]
    tables = standardized(features, train)
    test = _drawn(probe, held_out, TEST_LISTS, generators)
    terms = 1 if probe == "list_maximum" else TERMS[probe]
    network = Members(len(features) * seeds, tables.shape[-1] * terms, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        lists = _drawn(probe, train, LISTS, generators)
        # a sum over the members: the gradient of each is its own
        loss = _losses(network, tables, lists, probe).mean(dim=1).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        scores_PB = member_scores(network, tables, test, probe)
    by_model = scores_PB.double().numpy().reshape(len(features), seeds, -1)
    return dict(zip(features, by_model, strict=True))


def draw_lists(probe: str, integers: Integers, count: int, generator: np.random.Generator) -> Lists:
    """Random lists of the given integers, [B, L], and what to say about them [B].

    For the list maximum half of the lists hold near neighbors, and none repeats a number.
    """
    if probe != "list_maximum":
        indices_BL = generator.choice(integers, size=(count, TERMS[probe]))
        sums_B = indices_BL.sum(axis=1)
        targets_B = sums_B.astype(np.float64)
        return Lists(indices_BL, targets_B)
    ordered = np.sort(integers)
    size = len(ordered)
    wanted = max(NEIGHBORS, int(NEIGHBOR_SHARE * size))
    close = min(size, wanted)
    # a list is drawn from a window of the ordered integers: a narrow one, or all of them
    # half of the lists, by NEAR_SHARE
    is_near_B = generator.random(count) < NEAR_SHARE
    width_B = np.where(is_near_B, close, size)
    first_B = (generator.random(count) * (size - width_B + 1)).astype(np.int64)
    share_BL = generator.random((count, LIST))
    places_BL = share_BL * width_B[:, None]
    places_BL = places_BL.astype(np.int64)
    # lists that name a place twice are drawn again
    ordered_BL = np.sort(places_BL, axis=1)
    gaps_BL = np.diff(ordered_BL, axis=1)
    for place in np.flatnonzero((gaps_BL == 0).any(axis=1)):
        places_BL[place] = generator.choice(width_B[place], size=LIST, replace=False)
    places_BL += first_B[:, None]
    indices_BL = ordered[places_BL]
    largest_B = indices_BL.argmax(axis=1)
    targets_B = largest_B.astype(np.float64)
    return Lists(indices_BL, targets_B)


class Members(nn.Module):
    """P independent networks of three layers, evaluated together, with equal initial weights."""

    def __init__(self, members: int, width: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for a, b in pairwise((width, HIDDEN, HIDDEN, 1)):
            # He et al. 2015: the variance of a layer's inputs is kept
            initial = torch.randn(1, a, b, generator=generator) * (2 / a) ** 0.5
            weights = initial.repeat(members, 1, 1)
            self.weights.append(nn.Parameter(weights))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, b)))

    def forward(self, inputs_PBD: Tensor) -> Tensor:
        """One output a list, [P, B]."""
        hidden = inputs_PBD
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                hidden = torch.relu(hidden)
            hidden = torch.baddbmm(bias, hidden, weight)
        return hidden.squeeze(2)


def member_scores(network: Members, tables_MSID: Tensor, lists: Lists, probe: str) -> Tensor:
    """Hits, or squared errors of the values themselves, [P, B]."""
    outputs = _outputs(network, tables_MSID, lists, probe)
    targets_PB = torch.from_numpy(lists.targets).repeat(tables_MSID.shape[0], 1)
    if probe == "list_maximum":
        return outputs.argmax(dim=2) == targets_PB.long()
    limit = tables_MSID.shape[2]
    # the network says standardized values
    values_PB = outputs.double() * _scale(probe, limit) + _center(probe, limit)
    return (values_PB - targets_PB).square()


def standardized(features: Mapping[str, Features], training: Sequence[Integers]) -> Tensor:
    """Tables [M, S, I, D] with mean 0 and deviation 1 over the seed's training integers.

    Models narrower than the widest have zeros behind.
    """
    sizes = [table.shape for table in features.values()]
    integers, width = max(sizes)
    tables = torch.zeros(len(features), len(training), integers, width)
    for m, table_ID in enumerate(features.values()):
        for s, known in enumerate(training):
            mean_D = table_ID[known].mean(axis=0)
            deviation_D = np.maximum(table_ID[known].std(axis=0), 1e-4)
            standard_ID = np.clip((table_ID - mean_D) / deviation_D, -10.0, 10.0)
            own_width = table_ID.shape[1]
            tables[m, s, :, :own_width] = torch.from_numpy(standard_ID)
    return tables


def _drawn(
    probe: str,
    integers: Sequence[Integers],
    count: int,
    generators: Sequence[np.random.Generator],
) -> Lists:
    """Lists [S, B, L] of the integers of every seed."""
    found = []
    for own, generator in zip(integers, generators, strict=True):
        found.append(draw_lists(probe, own, count, generator))
    return Lists.stacked(found)


def _outputs(network: Members, tables_MSID: Tensor, lists: Lists, probe: str) -> Tensor:
    """Outputs [P, B], or [P, B, L] for the list maximum."""
    models, seeds, integers, width = tables_MSID.shape
    indices_SBL = torch.from_numpy(lists.indices)
    _, count, terms = indices_SBL.shape
    # one gather over a flat table [M * S * I, D]: slices by seed would be copied
    firsts_P = torch.arange(models * seeds) * integers
    indices_PN = indices_SBL.flatten(1).repeat(models, 1)
    places_PN = firsts_P[:, None] + indices_PN
    flat = tables_MSID.view(-1, width)
    chosen_PND = flat[places_PN]
    outputs: Tensor
    if probe == "list_maximum":
        # each number of a list is scored by itself
        outputs = network(chosen_PND)
        outputs = outputs.view(-1, count, terms)
    else:
        # the terms stand side by side
        # [P, B * terms, D] → [P, B, terms * D]
        inputs_PBD = chosen_PND.view(-1, count, terms * width)
        outputs = network(inputs_PBD)
    return outputs


def _losses(network: Members, tables_MSID: Tensor, lists: Lists, probe: str) -> Tensor:
    """Loss [P, B]: cross-entropy over the list, or squared error of the standardized value."""
    outputs = _outputs(network, tables_MSID, lists, probe)
    targets_PB = torch.from_numpy(lists.targets).repeat(tables_MSID.shape[0], 1)
    if probe == "list_maximum":
        scores_PLB = outputs.transpose(1, 2)
        # the classes are the places of the list
        places_PB = targets_PB.long()
        return nn.functional.cross_entropy(scores_PLB, places_PB, reduction="none")
    limit = tables_MSID.shape[2]
    standard_PB = (targets_PB - _center(probe, limit)) / _scale(probe, limit)
    errors_PB = outputs - standard_PB.float()
    return errors_PB.square()


def _center(probe: str, limit: int) -> float:
    """Mean of the sum of the terms, each even over 0 to limit - 1."""
    return TERMS[probe] * (limit - 1) / 2


def _scale(probe: str, limit: int) -> float:
    """Standard deviation of the same sum."""
    variance = TERMS[probe] / 12
    return float(limit * np.sqrt(variance))
