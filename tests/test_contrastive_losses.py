"""The losses of the contrastive objective against their slow references, gradients included."""

from __future__ import annotations

import math

import pytest
import torch
import torch.multiprocessing
from contrasting import (
    assert_same_loss_and_gradients,
    random_units,
    seeded,
)
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import (
    amount_similarity_of,
    chord_loop,
    equivalents_loop,
    momentum_loop,
    ntxent_loop,
    number_similarity_loop,
    paraphrases_loop,
    supervised_loop,
)

from ssl_lib.numbers.similarity import similarity_of_orders
from ssl_lib.objectives.base import unit_length
from ssl_lib.objectives.contrastive.momentum import NO_LABEL, Keys, momentum_ntxent
from ssl_lib.objectives.contrastive.ntxent import content_labels, ntxent, supervised_contrastive
from ssl_lib.objectives.contrastive.numbers import (
    ntxent_with_hard_negatives,
    number_similarity_loss,
)
from ssl_lib.objectives.contrastive.sentence_pairs import (
    SMALLEST_CHORD,
    BatchNumbers,
    chord_loss,
    paraphrased_numbers,
)
from ssl_lib.objectives.numerical import scaled


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("labels", [None, [0, 1, 0, 2, 1, 3]])
def test_ntxent_equals_the_loop_of_the_paper(temperature: float, labels: list[int] | None) -> None:
    raw = [torch.randn(6, 4, generator=seeded(seed), requires_grad=True) for seed in (0, 1)]
    fast = ntxent(
        *map(unit_length, raw), temperature, None if labels is None else torch.tensor(labels)
    )
    assert fast.count == 12
    assert_same_loss_and_gradients(
        fast.sum, ntxent_loop(*map(unit_length, raw), temperature, labels), raw
    )


WRITTEN = st.sampled_from(
    ["234", "23.4", "2340", "0.234", "119", "1.19", "10", "5", "1000", "62.5"]
)


def said(*sentences: tuple[str, ...]) -> list[list[int]]:
    """The pairs of numbers by which sentences of one document are paraphrases, fast and slow."""
    numbers = [
        (0, sentence, number)
        for sentence, all_of_it in enumerate(sentences)
        for number in all_of_it
    ]
    return paraphrased(numbers)


def paraphrased(numbers: list[tuple[int, int, str]]) -> list[list[int]]:
    documents, places, written = zip(*numbers, strict=True)
    values = torch.tensor([float(number) for number in written], dtype=torch.float64)
    columns = torch.tensor(places), torch.tensor(documents), values, torch.arange(len(numbers))
    fast = paraphrased_numbers(BatchNumbers(*columns)).tolist()
    assert fast == paraphrases_loop(numbers)
    return fast


@given(st.lists(st.tuples(st.integers(-1, 5), WRITTEN), min_size=1, max_size=12))
def test_paraphrases_are_those_of_the_definition(drawn: list[tuple[int, str]]) -> None:
    paraphrased([(max(sentence, 0) // 3, sentence, number) for sentence, number in sorted(drawn)])


def test_a_sentence_paraphrases_another_if_it_says_the_same() -> None:
    assert said(("2.34",), ("2340",)) == [[0, 1]]
    assert said(("2019", "2.34"), ("2340",)) == [[1, 2]]
    assert (
        said(("234", "119", "353"), ("353", "10", "343")) == []
    )  # two sums with one number in common
    assert said(("10", "234", "23.4"), ("23.4", "10", "234")) == []  # which of the two is meant?
    assert said(("24", "48", "96", "192"), ("240", "480", "960", "1920")) == []


@pytest.mark.parametrize("targets", [[1.0, 0.92, 0.5, 0.0, 0.25], [0.0] * 5])
def test_pairs_are_held_to_the_distance_of_their_target_similarities(targets: list[float]) -> None:
    raw = [torch.randn(5, 4, generator=seeded(seed), requires_grad=True) for seed in (0, 1)]
    fast = chord_loss((unit_length(raw[0]) * unit_length(raw[1])).sum(-1), torch.tensor(targets))
    assert fast.count == 5
    slow = chord_loop(unit_length(raw[0]), unit_length(raw[1]), targets, SMALLEST_CHORD)
    assert_same_loss_and_gradients(fast.sum, slow, raw)


def test_equal_embeddings_of_a_pair_have_a_finite_gradient() -> None:
    same_QD = unit_length(torch.ones(1, 3)).requires_grad_()
    loss = chord_loss((same_QD * same_QD).sum(-1), torch.tensor([1.0])).sum
    (gradient,) = torch.autograd.grad(loss, same_QD)
    assert float(loss.detach()) < 1e-3
    assert gradient.isfinite().all()


def test_ntxent_is_near_zero_for_orthogonal_items_and_log_of_all_for_equal_items() -> None:
    assert float(ntxent(torch.eye(4), torch.eye(4), 0.05).sum) < 1e-6
    one = unit_length(torch.ones(4, 3))
    assert float(ntxent(one, one, 0.05).sum) == pytest.approx(8 * math.log(7), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "temperature", "message"), [(1, 0.1, "at least 2"), (3, 0.0, "positive")]
)
def test_ntxent_refuses_what_has_no_negatives_or_no_temperature(
    count: int, temperature: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ntxent(torch.eye(count), torch.eye(count), temperature)


def test_number_similarity_loss_equals_the_loop() -> None:
    raw = torch.randn(6, 4, generator=seeded(), requires_grad=True)
    on_scale = scaled(torch.tensor([12.0, 12.0, 12.5, 120.0, 1e6, -3.0], dtype=torch.float64))
    fast = number_similarity_loss(unit_length(raw), on_scale, 0.2)
    assert fast.count == 6
    assert_same_loss_and_gradients(
        fast.sum, number_similarity_loop(unit_length(raw), on_scale.tolist(), 0.2), [raw]
    )
    assert float(fast.sum.detach()) > 0


def test_similarity_is_one_for_equal_numbers_and_falls_with_relative_change() -> None:
    changes = [0.0, 0.001, 0.01, 0.1, 1.0, 9.0, 10.0]
    orders = torch.tensor([math.log10(1.0 + change) for change in changes], dtype=torch.float64)
    got = similarity_of_orders(orders).tolist()
    expected = [amount_similarity_of(1.0, 1.0 + change) for change in changes]
    assert got == pytest.approx(expected, abs=1e-9)
    assert got[0] == 1.0
    assert got == sorted(got, reverse=True)


def test_a_change_from_2_to_20_percent_asks_for_less_similarity_than_one_to_2_1_percent() -> None:
    far, near = (
        float(similarity_of_orders(torch.tensor(math.log10(after / 2.0), dtype=torch.float64)))
        for after in (20.0, 2.1)
    )
    assert far < 0.02
    assert near > 0.5


@budget(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.sampled_from([0.07, 0.5]))
def test_supervised_loss_equals_the_loop_of_the_paper(
    labels: list[int], temperature: float
) -> None:
    raw = random_units(len(labels))
    fast = supervised_contrastive(unit_length(raw), torch.tensor(labels), temperature)
    assert fast.count == len(labels)
    if len(set(labels)) < len(labels):
        assert_same_loss_and_gradients(
            fast.sum, supervised_loop(unit_length(raw), labels, temperature), [raw]
        )
    else:
        assert float(fast.sum.detach()) == 0.0


def test_supervised_loss_of_one_positive_each_is_ntxent() -> None:
    first, second = (unit_length(random_units(5, seed=seed)).detach() for seed in (0, 1))
    pairs = supervised_contrastive(torch.cat([first, second]), torch.arange(5).repeat(2), 0.07)
    torch.testing.assert_close(pairs.sum, ntxent(first, second, 0.07).sum)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]]
)
def test_loss_of_equivalent_forms_equals_the_loop(values: list[float]) -> None:
    raw = [random_units(4, seed=seed) for seed in range(3)]
    is_changed = [True, False, True, True]
    fast = ntxent_with_hard_negatives(
        torch.stack([*map(unit_length, raw)]),
        torch.tensor(is_changed),
        torch.tensor(values, dtype=torch.float64),
        0.2,
    )
    assert fast.count == 8
    assert_same_loss_and_gradients(
        fast.sum, equivalents_loop(*map(unit_length, raw), is_changed, values, 0.2), raw
    )


@budget(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.lists(st.integers(0, 6), max_size=8),
    st.integers(0, 3),
)
def test_loss_against_a_queue_equals_the_loop(
    labels: list[int], queued: list[int], empty: int
) -> None:
    raw, keys = random_units(len(labels)), unit_length(random_units(len(labels), seed=1)).detach()
    past = unit_length(random_units(len(queued) + empty, seed=2)).detach()
    fast = momentum_ntxent(
        unit_length(raw),
        0,
        Keys(keys, torch.tensor(labels)),
        Keys(past, torch.tensor([*queued, *[NO_LABEL] * empty], dtype=torch.int64)),
        0.2,
    )
    slow = momentum_loop(
        unit_length(raw),
        list(zip(keys, labels, strict=True)),
        list(zip(past, queued, strict=False)),
        0.2,
    )
    assert fast.count == len(labels)
    assert_same_loss_and_gradients(fast.sum, slow, [raw])


def test_a_queued_key_of_the_same_label_is_no_negative_and_any_other_one_is() -> None:
    queries, keys = (
        unit_length(random_units(2)).detach(),
        Keys(unit_length(random_units(2, seed=1)).detach(), torch.tensor([7, 8])),
    )
    past = unit_length(random_units(1, seed=2)).detach()

    def loss(*labels: int) -> float:
        return float(
            momentum_ntxent(queries[:1], 0, keys, Keys(past, torch.tensor(labels)), 0.2).sum
        )

    assert loss(7) == loss(NO_LABEL)
    assert loss(9) == loss(8) > loss(7)


@budget(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=8))
def test_spans_have_one_label_exactly_if_they_hold_the_same_ids(spans: list[list[int]]) -> None:
    ids = torch.tensor([[token for span in spans for token in (*span, 9)]])
    index = torch.tensor(
        [[place for number, span in enumerate(spans) for place in (*[number] * len(span), -1)]]
    )
    labels = content_labels(ids, index, len(spans)).tolist()
    assert min(labels) >= 0
    for first, one in zip(spans, labels, strict=True):
        for second, other in zip(spans, labels, strict=True):
            assert (one == other) == (first == second)
