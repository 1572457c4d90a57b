"""Slow, obvious versions of what the package computes fast: loops over items, and nothing shared
with the package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_lib.numbers import find_numbers


def cross_entropy_loop(
    hidden_SD: Tensor,
    matrix_VD: Tensor,
    targets_S: Tensor,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> Tensor:
    """Sum of -log p(target) in nats, smoothed towards the uniform distribution, plus z_loss *
    log(partition)^2.
    """
    total = hidden_SD.new_zeros(())
    for hidden_D, target in zip(hidden_SD, targets_S.tolist(), strict=True):
        logits_V = matrix_VD @ hidden_D
        highest = logits_V.max().detach()
        log_partition = highest + (logits_V - highest).exp().sum().log()
        nats_V = log_partition - logits_V
        total = total + (1.0 - label_smoothing) * nats_V[target] + label_smoothing * nats_V.mean()
        total = total + z_loss * log_partition**2
    return total


def ntxent_loop(
    first_NP: Tensor, second_NP: Tensor, temperature: float, labels: Sequence[int] | None = None
) -> Tensor:
    """Chen et al. 2020, equation 1, over both anchors of every pair; equal labels are no negatives
    of each other.
    """
    count = len(first_NP)
    vectors = [*first_NP, *second_NP]
    names = [*labels, *labels] if labels is not None else list(range(2 * count))
    total = first_NP.new_zeros(())
    for anchor in range(2 * count):
        positive = (anchor + count) % (2 * count)
        denominator = first_NP.new_zeros(())
        for other in range(2 * count):
            negative = other != anchor and names[other] != names[anchor]
            if other == positive or negative:
                cosine = (
                    vectors[anchor]
                    @ vectors[other]
                    / (vectors[anchor].norm() * vectors[other].norm())
                )
                denominator = denominator + torch.exp(cosine / temperature)
        cosine = (
            vectors[anchor]
            @ vectors[positive]
            / (vectors[anchor].norm() * vectors[positive].norm())
        )
        total = total - torch.log(torch.exp(cosine / temperature) / denominator)
    return total


def magnitude_of(
    encoder: nn.Module,
    around: Sequence[int],
    each: float,
    separator: int,
    ids: list[int],
    log10: list[float],
    spans: list[int],
    at: int,
) -> Tensor:
    """A number's logarithm, and what the tokens around it in its span add, unless they are digits
    or a separator.
    """
    total = torch.tensor(log10[at])
    for column, step in enumerate(around):
        place = at + step
        inside = 0 <= place < len(ids) and spans[place] == spans[at]
        if inside and math.isnan(log10[place]) and ids[place] != separator:
            total = total + each * encoder.unit_log10.weight[ids[place], column]
    return total


def sentence_vectors_loop(
    encoder: nn.Module,
    frequencies: tuple[Sequence[float], Sequence[float], Sequence[float]],
    words: float,
    magnitudes: dict[int, Tensor],
    hidden_TD: Tensor,
    log10: list[float],
    spans: list[int],
) -> Tensor:
    """Span by span: a softmax mean of states (`words` of the whole), and one of the phases of its
    numbers if any.

    `frequencies` are those of the digits, what the magnitude adds to them in turn, and those of the
    magnitude; `magnitudes` by place.
    """
    digits, shifts, low = frequencies
    vectors = []
    for span in range(max(spans) + 1):
        places = [place for place, owner in enumerate(spans) if owner == span]
        shares = torch.stack(
            [encoder.attention.weight[0] @ hidden_TD[place] for place in places]
        ).softmax(0)
        vector = encoder.text(
            sum(share * hidden_TD[place] for share, place in zip(shares, places, strict=True))
        )
        vector = vector / vector.norm() * words**0.5
        numbers = [place for place in places if math.isfinite(log10[place])]
        if numbers:
            shares = torch.stack(
                [encoder.digit_attention.weight[0] @ hidden_TD[place] for place in numbers]
            ).softmax(0)
            phases = []
            for place in numbers:
                shifted = [
                    log10[place] * each % 1.0 + magnitudes[place] * shifts[n % 2]
                    for n, each in enumerate(digits)
                ]
                angles_F = (
                    2.0
                    * math.pi
                    * torch.stack([*shifted, *(magnitudes[place] * each for each in low)])
                )
                phases.append(torch.cat([angles_F.sin(), angles_F.cos()]))
            amount = encoder.fourier_DF @ sum(
                share * each for share, each in zip(shares, phases, strict=True)
            )
            vector = vector + amount / amount.norm() * (1.0 - words) ** 0.5
        vectors.append(vector / vector.norm())
    return torch.stack(vectors)


def amount_similarity_of(first: float, second: float) -> float:
    """1 for equal magnitudes, falling by the logarithm of 1 + 1000 times their change; 0 from a
    change of ten.
    """
    change = max(first, second) / min(first, second) - 1.0
    return max(0.0, 1.0 - math.log(1.0 + 1000.0 * change) / math.log(10_001.0))


def paraphrases_loop(numbers: Sequence[tuple[int, int, str]]) -> list[list[int]]:
    """Places of number pairs by which a sentence paraphrases the one before it; numbers are
    (document, sentence, plain decimal digits), sentences of -1 are none.
    """

    def digits(number: str) -> str:
        return number.replace(".", "").strip("0")

    def partners(place: int, way: int) -> list[int]:
        document, sentence, number = numbers[place]
        found = []
        for other, (its_document, its_sentence, its_number) in enumerate(numbers):
            neighbour = min(sentence, its_sentence) >= 0 and its_sentence == sentence + way
            if neighbour and its_document == document and digits(its_number) == digits(number):
                found += [other] * (len(digits(number)) >= 3)
        return found

    def mostly(place: int, way: int) -> bool:
        own = [other for other, number in enumerate(numbers) if number[1] == numbers[place][1]]
        return 2 * sum(bool(partners(other, way)) for other in own) >= len(own)

    pairs = [
        [place, *partners(place, 1)]
        for place in range(len(numbers))
        if len(partners(place, 1)) == 1
    ]
    clear = [pair for pair in pairs if len(partners(pair[1], -1)) == 1]
    return [pair for pair in clear if mostly(pair[0], 1) and mostly(pair[1], -1)]


def chord_loop(
    first_QD: Tensor, second_QD: Tensor, targets: list[float], smallest: float
) -> Tensor:
    """Squared error of how far two points of the unit sphere lie apart from how far points of that
    cosine do.
    """
    total = first_QD.new_zeros(())
    for first_D, second_D, target in zip(first_QD, second_QD, targets, strict=True):
        apart = ((first_D - second_D).square().sum() + smallest**2).sqrt()
        wanted = math.sqrt(4.0 * math.sin(math.acos(target) / 2.0) ** 2 + smallest**2)
        total = total + (apart - wanted) ** 2
    return total


def number_similarity_loop(
    numbers_MP: Tensor, scaled: Sequence[float], temperature: float
) -> Tensor:
    """Sum over anchors of the divergence (nats) of softmax(similarity / temperature) from
    softmax(target / 0.1).
    """
    total = numbers_MP.new_zeros(())
    for anchor in range(len(scaled)):
        others = [other for other in range(len(scaled)) if other != anchor]
        targets = [
            amount_similarity_of(10 ** min(abs(scaled[other] - scaled[anchor]), 30.0), 1.0) / 0.1
            for other in others
        ]
        highest = max(targets)
        weights = [math.exp(value - highest) for value in targets]
        exponentials = [
            torch.exp(numbers_MP[anchor] @ numbers_MP[other] / temperature) for other in others
        ]
        partition = torch.stack(exponentials).sum()
        for weight, exponential in zip(weights, exponentials, strict=True):
            share = weight / sum(weights)
            if share > 0:
                total = total + share * (math.log(share) - torch.log(exponential / partition))
    return total


def mixture_loop(
    log_weight_SK: Tensor,
    mean_SK: Tensor,
    spread_SK: Tensor,
    targets_S: Sequence[float],
    sharpest: float,
) -> Tensor:
    """Sum of -log(p(y) / p_max): p is a mixture of normal densities, p_max the peak of one with the
    least spread.
    """
    peak = 1.0 / (sharpest * math.sqrt(2.0 * math.pi))
    total = log_weight_SK.new_zeros(())
    for weights, means, spreads, target in zip(
        log_weight_SK.exp(), mean_SK, spread_SK, targets_S, strict=True
    ):
        density = weights.new_zeros(())
        for weight, mean, spread in zip(weights, means, spreads, strict=True):
            bell = torch.exp(-0.5 * ((target - mean) / spread) ** 2) / (
                spread * math.sqrt(2.0 * math.pi)
            )
            density = density + weight * bell
        total = total - torch.log(density / peak)
    return total


class Entry(NamedTuple):
    """What one token is inside a number."""

    digits: int = 0
    value: float = 0.0
    space: bool = False
    point: bool = False
    comma: bool = False


class Reading(NamedTuple):
    """Value so far, digits before and after the point, and the number's first token, at a token of
    digits.
    """

    value: float
    whole: int
    fraction: int
    start: int


def complete_numbers(readings: Sequence[Reading | None]) -> list[bool]:
    """At each token, whether a number ends there that no complete number behind it contains."""
    complete = [False] * len(readings)
    for index in reversed(range(len(readings))):
        behind = (
            later
            for later, whole in zip(readings[index + 1 :], complete[index + 1 :], strict=True)
            if whole
        )
        complete[index] = readings[index] is not None and all(
            later.start > index for later in behind
        )
    return complete


def running_numbers(entries: Sequence[Entry], documents: Sequence[int]) -> list[Reading | None]:
    """Read from left to right, one digit after the other: at each token, the number that ends there
    if nothing follows.

    Digits extend the number they touch, across one point. Groups that touch through commas are one
    number where the first has up to three digits and each other one three; nothing is joined to a
    wrong group or to decimals before it.
    """
    found: list[Reading | None] = []
    chain = ""
    owners: list[int] = []  # the token of each character of the chain
    for index, entry in enumerate(entries):
        if (index and documents[index] != documents[index - 1]) or (entry.digits and entry.space):
            chain, owners = "", []
        mark = "." if entry.point else "," if entry.comma else ""
        if entry.digits:
            chain += f"{int(entry.value):0{entry.digits}d}"
        elif (
            mark and chain[-1:].isdigit() and not (mark == "." and "." in chain.rsplit(",", 1)[-1])
        ):
            chain += mark
        else:
            chain, owners = "", []
        owners += [index] * (len(chain) - len(owners))
        found.append(_reading(chain.split(","), owners) if entry.digits else None)
    return found


def _reading(groups: list[str], owners: list[int]) -> Reading:
    """The number that a chain of digits, commas and points ends with; `owners` are the tokens of
    its characters.
    """
    whole, _, fraction = groups[-1].partition(".")
    thousands = [*groups[:-1], whole]
    grouped = 1 <= len(thousands[0]) <= 3 and all(len(group) == 3 for group in thousands[1:])
    joined = grouped and all(group.isdigit() for group in thousands)
    start = owners[0] if joined else owners[-len(groups[-1])]
    whole = "".join(thousands) if joined else whole
    return Reading(float(f"{whole}.{fraction or 0}"), len(whole), len(fraction), start)


def pack(documents: Sequence[Sequence[int]], context: int) -> list[list[tuple[int, int]]]:
    """Documents laid end to end as (document, token), cut into rows of `context`; what is left over
    is dropped.
    """
    stream = [(index, token) for index, document in enumerate(documents) for token in document]
    return [
        stream[start : start + context] for start in range(0, len(stream) - context + 1, context)
    ]


def spans_by_bytes(text: str, token_lengths: Sequence[int]) -> list[tuple[int, int]]:
    """For each token, the first and one past the last character that shares a byte with it."""
    owner = [
        index
        for index, character in enumerate(text)
        for _ in character.encode("utf-8", "surrogatepass")
    ]
    spans, start = [], 0
    for length in token_lengths:
        touched = owner[start : start + length]
        spans.append((touched[0], touched[-1] + 1))
        start += length
    return spans


def muon_step(
    weight: Tensor, gradient: Tensor, buffer: Tensor, rate: float, decay: float = 0.0
) -> tuple[Tensor, Tensor]:
    """One Muon update of one matrix in float64 (Jordan et al. 2024): the new weight and the new
    momentum.
    """
    buffer = 0.95 * buffer + 0.05 * gradient
    current = 0.05 * gradient + 0.95 * buffer
    transposed = current.shape[0] > current.shape[1]
    current = current.T if transposed else current
    current = current / current.norm()
    for _ in range(5):
        gram = current @ current.T
        current = 3.4445 * current - 4.7750 * gram @ current + 2.0315 * gram @ gram @ current
    update = current.T if transposed else current
    factor = math.sqrt(max(1.0, weight.shape[0] / weight.shape[1]))
    return weight * (1.0 - rate * decay) - rate * factor * update, buffer


def groups_by_text(
    tokens: Sequence[str],
    documents: Sequence[int],
    numbers: Sequence[int],
    words: bool,
    whole_numbers: bool,
) -> list[int]:
    """Group of every token of one row: those of one word (letters that touch) or of one number
    share theirs.
    """
    found: list[int] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        together = bool(index) and documents[index] == documents[index - 1]
        same_word = words and token[:1].isalpha() and before[-1:].isalpha()
        same_number = whole_numbers and numbers[index] >= 0 and numbers[index] == numbers[index - 1]
        together = together and (same_word or same_number)
        found.append(found[-1] if together else index)
    return found


def token_difficulty_loop(counts: Sequence[int]) -> list[float]:
    """For each id, the share of all tokens that are more common, half of those as common as it
    included.
    """
    found = []
    for own in counts:
        above = sum(count for count in counts if count > own)
        level = sum(count for count in counts if count == own)
        found.append((above + level / 2) / sum(counts))
    return found


def slow_attention(query: Tensor, key: Tensor, value: Tensor, allowed_B1TT: Tensor) -> Tensor:
    """Attention (Vaswani et al. 2017, eq. 1) by loops over sequences, heads and positions; [R, H,
    T, K] each.
    """
    mixed = torch.zeros_like(value)
    for row in range(query.shape[0]):
        for head in range(query.shape[1]):
            for position in range(query.shape[2]):
                seen = allowed_B1TT[row, 0, position].nonzero()[:, 0]
                scores = torch.stack(
                    [query[row, head, position] @ key[row, head, other] for other in seen]
                )
                weights = torch.softmax(scores / query.shape[-1] ** 0.5, dim=0)
                mixed[row, head, position] = sum(
                    w * value[row, head, o] for w, o in zip(weights, seen, strict=True)
                )
    return mixed


def slow_keys_of_the_position_before(key_RHTK: Tensor, documents_RT: Tensor, heads: int) -> Tensor:
    """For the first heads, the key of the position before it in its document, or zeros; for the
    others its own.
    """
    keys = key_RHTK.clone()
    for row in range(key_RHTK.shape[0]):
        for head in range(heads):
            for position in range(key_RHTK.shape[2]):
                follows = (
                    position > 0 and documents_RT[row, position - 1] == documents_RT[row, position]
                )
                keys[row, head, position] = key_RHTK[row, head, position - 1] if follows else 0.0
    return keys


def supervised_loop(items_NP: Tensor, labels: Sequence[int], temperature: float) -> Tensor:
    """Khosla et al. 2020, equation 2: the logarithm's mean over the positives of an anchor stands
    outside.
    """
    total = items_NP.new_zeros(())
    for anchor in range(len(labels)):
        others = [other for other in range(len(labels)) if other != anchor]
        exponentials = {
            other: torch.exp(items_NP[anchor] @ items_NP[other] / temperature) for other in others
        }
        partition = torch.stack(list(exponentials.values())).sum()
        positives = [other for other in others if labels[other] == labels[anchor]]
        for positive in positives:
            total = total - torch.log(exponentials[positive] / partition) / len(positives)
    return total


def equivalents_loop(
    first_NP: Tensor,
    second_NP: Tensor,
    changed_NP: Tensor,
    is_changed: Sequence[bool],
    values: Sequence[float],
    temperature: float,
) -> Tensor:
    """Each number's two forms against the forms of other values, and against itself with another
    value where known.
    """
    count = len(values)
    forms = [*first_NP, *second_NP]
    total = first_NP.new_zeros(())
    for anchor in range(2 * count):
        positive = (anchor + count) % (2 * count)
        rivals = [
            forms[other]
            for other in range(2 * count)
            if values[other % count] != values[anchor % count]
        ]
        rivals += [changed_NP[anchor % count]] if is_changed[anchor % count] else []
        own = torch.exp(forms[anchor] @ forms[positive] / temperature)
        partition = own + sum(torch.exp(forms[anchor] @ rival / temperature) for rival in rivals)
        total = total - torch.log(own / partition)
    return total


def momentum_loop(
    queries_NP: Tensor,
    keys: Sequence[tuple[Tensor, int]],
    queue: Sequence[tuple[Tensor, int]],
    temperature: float,
) -> Tensor:
    """He et al. 2020, equation 1: query n belongs to key n; keys and queued keys of other labels
    are its negatives.
    """
    total = queries_NP.new_zeros(())
    for index, query in enumerate(queries_NP):
        own, label = keys[index]
        rivals = [key for key, name in [*keys, *queue] if name != label]
        positive = torch.exp(query @ own / temperature)
        partition = positive + sum(torch.exp(query @ rival / temperature) for rival in rivals)
        total = total - torch.log(positive / partition)
    return total


class Remaining(NamedTuple):
    """What remains of a sequence: its tokens (`None`: the noise token), where each clean position
    went (-1: it is missing), and who rebuilds each clean position (place, how far behind).
    """

    tokens: list[int | None]
    places: list[int]
    rebuilders: list[tuple[int, int]]


def remove_deleted_loop(
    ids: Sequence[int],
    documents: Sequence[int],
    deleted: Sequence[bool],
    infilled: Sequence[bool],
    longest: int,
) -> Remaining:
    """Read one sequence from left to right and leave out what is missing, unless nothing stands
    before it or too much is missing already: then the noise token stands there.
    """
    tokens: list[int | None] = []
    places, rebuilders = [], []
    behind = 0
    for index, token in enumerate(ids):
        first = index == 0 or documents[index] != documents[index - 1]
        opens = infilled[index] and (first or not infilled[index - 1])
        behind += 1
        if (deleted[index] or infilled[index]) and not opens and not first and behind <= longest:
            places.append(-1)
        else:
            tokens.append(None if deleted[index] or infilled[index] else token)
            places.append(len(tokens) - 1)
            behind = 0
        rebuilders.append((len(tokens) - 1, behind))
    return Remaining(tokens, places, rebuilders)


def document_states_loop(
    hidden_RTD: Tensor, documents_RT: Sequence[Sequence[int]], present_RT: Sequence[Sequence[bool]]
) -> list[tuple[int, int, Tensor, int]]:
    """For each token: row, column, mean state of the positions of its document that are present,
    place in it.
    """
    found = []
    for row, documents in enumerate(documents_RT):
        for column, document in enumerate(documents):
            if document >= 0:
                inside = [
                    at
                    for at, other in enumerate(documents)
                    if other == document and present_RT[row][at]
                ]
                mean = torch.stack([hidden_RTD[row, at] for at in inside]).mean(0)
                found.append((row, column, mean, list(documents[:column]).count(document)))
    return found


def scale_of(value: float) -> float:
    """The signed logarithmic scale of numbers: sign(v) * log10(1 + |v| / 0.01)."""
    return math.copysign(math.log10(1.0 + abs(value) / 0.01), value)


def regression_loop(magnitudes_S: Tensor, negative_S: Tensor, values: Sequence[float]) -> Tensor:
    """Sum of the Huber loss of magnitudes in orders of magnitude (quadratic up to 1) and -log of
    the probability of the sign.
    """
    total = magnitudes_S.new_zeros(())
    for magnitude, negative, value in zip(magnitudes_S, negative_S, values, strict=True):
        error = (magnitude - abs(scale_of(value))).abs()
        total = total + (0.5 * error**2 if error < 1 else error - 0.5)
        chance = torch.sigmoid(negative)
        total = total - torch.log(chance if value < 0 else 1 - chance)
    return total


def mantissa_exponent_loop(
    signs_S2: Tensor, orders_SK: Tensor, places_SK: Tensor, values: Sequence[float]
) -> Tensor:
    """Sum of -log of the probabilities of the sign, the order of the scale and the place among its
    20 bins.
    """
    total = signs_S2.new_zeros(())
    for sign, order, place, value in zip(signs_S2, orders_SK, places_SK, values, strict=True):
        size = abs(scale_of(value))
        total = (
            total - sign[int(value < 0)] - order[int(size)] - place[int((size - int(size)) * 20)]
        )
    return total


def token_distance_loop(
    groups_SG: Tensor,
    group_values: Sequence[float],
    shifts_SK: Tensor,
    first: Sequence[float | None],
    values: Sequence[float],
) -> Tensor:
    """Sum of the expected distance in orders of magnitude of the first digit group (`None`: not
    written in digits, counts 0), and -log of the probability of the orders of magnitude that
    follow it, 15 standing for none.
    """
    total = groups_SG.new_zeros(())
    for groups, shifts, truth, value in zip(groups_SG, shifts_SK, first, values, strict=True):
        if truth is not None:
            for chance, group in zip(groups, group_values, strict=True):
                total = total + chance * abs(scale_of(group) - scale_of(truth))
            shift = round(math.log10(abs(value) + 0.01) - math.log10(truth + 0.01))
            total = total - shifts[shift + 15]
    return total


def slow_short_convolution(hidden_RTD: Tensor, documents_RT: Tensor, weight_PD: Tensor) -> Tensor:
    """Every position plus the weighted positions 1, 2, ... P places before it, where they are of
    the same document.
    """
    mixed = hidden_RTD.clone()
    for row in range(hidden_RTD.shape[0]):
        for position in range(hidden_RTD.shape[1]):
            for back in range(1, len(weight_PD) + 1):
                before = position - back
                if before >= 0 and documents_RT[row, before] == documents_RT[row, position]:
                    mixed[row, position] = (
                        mixed[row, position] + weight_PD[back - 1] * hidden_RTD[row, before]
                    )
    return mixed


def number_measures(
    values: list[float],
    points: list[float],
    quantiles: list[list[float]],
    levels: tuple[float, ...],
    unit: float,
) -> dict[str, float]:
    """Measures of forecasts of numbers, one number after the other."""

    def decades(value: float) -> float:
        return math.copysign(math.log10(1 + abs(value) / unit), value)

    errors, scores, right, within = [], [], [], []
    for value, point, row in zip(values, points, quantiles, strict=True):
        errors.append(abs(decades(value) - decades(point)))
        losses = []
        for level, quantile in zip(levels, row, strict=True):
            miss = decades(value) - decades(quantile)
            losses.append(level * miss if miss >= 0 else (level - 1) * miss)
        scores.append(2 * sum(losses) / len(losses))
        if value > 0:
            right.append(
                point > 0
                and math.floor(math.log10(value) + 1e-9) == math.floor(math.log10(point) + 1e-9)
            )
        within.append(abs(point - value) <= 0.01 * abs(value))
    return {
        "mean_error_decades": sum(errors) / len(errors),
        "median_error_decades": median(errors),
        "crps_decades": sum(scores) / len(scores),
        "exponent_accuracy": sum(right) / len(right),
        "within_1_percent": sum(within) / len(within),
    }


def coverage(
    values: list[float], quantiles: list[list[float]], levels: tuple[float, ...], interval: float
) -> float:
    """Share of the values between the quantiles that leave half of the rest on either side."""
    low = min(range(len(levels)), key=lambda i: abs(levels[i] - (1 - interval) / 2))
    high = min(range(len(levels)), key=lambda i: abs(levels[i] - (1 + interval) / 2))
    return sum(
        row[low] <= value <= row[high] for value, row in zip(values, quantiles, strict=True)
    ) / len(values)


def probe_scores(
    layers: list[tuple[list[list[float]], list[float]]],
    table: list[list[float]],
    rows: list[list[int]],
    targets: list[float],
    task: str,
    centre: float,
    scale: float,
) -> list[float]:
    """Hits or squared errors of one small network, asked one row after the other."""

    def output(inputs: list[float]) -> float:
        for number, (weight, bias) in enumerate(layers):
            inputs = [max(0.0, value) for value in inputs] if number else inputs
            inputs = [
                b + sum(x * w[j] for x, w in zip(inputs, weight, strict=True))
                for j, b in enumerate(bias)
            ]
        return inputs[0]

    scores = []
    for row, target in zip(rows, targets, strict=True):
        if task == "list_maximum":
            said = [output(table[integer]) for integer in row]
            scores.append(float(said.index(max(said)) == int(target)))
        else:
            joined = [value for integer in row for value in table[integer]]
            scores.append((output(joined) * scale + centre - target) ** 2)
    return scores


def are_near_duplicates(first: str, second: str, threshold: float, by_numbers: bool) -> bool:
    """Two texts whose sets of 16 characters in a row are alike, without and with their numbers.

    By numbers: the same values in the same order, and the text with each number as one character.
    """
    if by_numbers:
        values, texts = [], []
        for text in (first, second):
            text = " ".join(text.split())
            found = find_numbers(text)
            values.append([n.text.lower() if n.value != n.value else n.value for n in found])
            for number in reversed(found):
                text = text[: number.start] + "#" + text[number.end :]
            texts.append(text)
        if values[0] != values[1]:
            return False
        first, second = texts
    sets = []
    for text in (first, second):
        text = " ".join(text.casefold().split()).ljust(16)
        sets.append({text[start : start + 16] for start in range(len(text) - 15)})
    return len(sets[0] & sets[1]) >= threshold * len(sets[0] | sets[1])


def greedy_loop(
    nats: Callable[[list[int]], Sequence[float]], ids: Sequence[int], count: int, context: int
) -> list[int]:
    """The most probable token after all that is read, `count` times; every prefix is read anew.

    What is read begins so that `room` more tokens fit, and stays there while these are added.
    """
    room = min(count, context // 2)
    whole, start = list(ids), 0
    for step in range(count):
        if step % room == 0:
            start = max(0, len(whole) - (context - room + 1))
        found = list(nats(whole[start:]))
        whole.append(found.index(min(found)))
    return whole[len(ids) :]


_MARKS = r"\-+−–±~$€£¥₹"  # of signs and currencies, for use in brackets
_LETTER = r"(?:[^\W\d_]|\ufffd)"  # or a part of one


def words_loop(
    probabilities: Callable[[list[int]], Sequence[float]],
    entries: Sequence[bytes],
    end: int,
    text: str,
    least: float,
    depth: int,
) -> dict[str, float]:
    """Probabilities of words and numbers behind a text, from all ways above `least`.

    A way has fewer than `depth` tokens before the one that ends it.

    `probabilities` gives those of the next token after some tokens behind the text.
    """
    found: dict[str, float] = {}
    strings = [entry.decode("utf-8", "replace") for entry in entries]

    def whole(begun: str, probability: float) -> None:
        word = begun.strip()
        found[word] = found.get(word, 0.0) + probability

    def goes_on(begun: str, more: str) -> bool:
        """Whether a token belongs to the word or number that has been begun."""
        if re.fullmatch(rf"{_LETTER}+", more):
            return re.search(rf"{_LETTER}$", begun) is not None
        if re.fullmatch(r"\d+", more):
            if re.search(r"\d,$", begun):
                return len(more) == 3
            return re.search(rf"[\d{_MARKS}]$|\d\.$", begun) is not None
        # one point, and no comma behind it
        if more in (".", ","):
            return re.search(r"\d$", begun) is not None and "." not in begun
        return more in (" million", " billion", " thousand", " trillion", " hundred") and bool(
            re.search(r"\d$", begun)
        )

    def follow(tokens: list[int], begun: str, probability: float) -> None:
        if len(tokens) == depth:
            return
        row = [float(one) for one in probabilities(tokens)]
        if not begun:
            for token, string in enumerate(strings):
                letters = re.fullmatch(rf"{_LETTER}+", string) and text[-1].isalpha()
                digits = re.fullmatch(r"\d+", string) and re.search(r"\d[.,]?$", text)
                row[token] = 0.0 if letters or digits else row[token]
            row = [one / sum(row) for one in row]
        stopped = 0.0
        for token, (one, string) in enumerate(zip(row, strings, strict=True)):
            if begun.strip() and not goes_on(begun, string):
                stopped += one
            elif probability * one >= least:
                longer = begun + string
                marks = re.fullmatch(r"\s*[^\w\s\ufffd]+", longer) and longer[-1] not in _MARKS
                scaled = re.search(r"\d \w+$", longer)
                if token == end or marks or scaled:
                    whole(longer, probability * one)
                else:
                    follow([*tokens, token], longer, probability * one)
        if begun.strip():
            whole(re.sub(r"(?<=\d)[.,]$", "", begun), probability * stopped)

    follow([], "", 1.0)
    return found
