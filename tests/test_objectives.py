"""Losses against their slow references, gradients included, and what each objective scores."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import (
    cross_entropy_loop,
    document_states_loop,
    mantissa_exponent_loop,
    mixture_loop,
    regression_loop,
    scale_of,
    token_distance_loop,
)
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import padded_batch
from ssl_lib.batches.views import View
from ssl_lib.config import DenoisingSettings, MlmSettings, NtpSettings, NumericalSettings
from ssl_lib.model.layers import normalize
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers.scale import from_scale
from ssl_lib.objectives.base import (
    LOGITS_AT_ONCE,
    Objective,
    ObjectiveGroup,
    Prepared,
    Selection,
    vocabulary_loss,
)
from ssl_lib.objectives.denoising import PLACE_FEATURES, DenoisingAutoencoder
from ssl_lib.objectives.masked_language_model import MaskedLanguageModel
from ssl_lib.objectives.next_token import NextTokenPredictor
from ssl_lib.objectives.numerical import (
    SMALLEST_SPREAD,
    MantissaExponentHead,
    MixtureHead,
    NumericalPatternLearner,
    RegressionHead,
    ValueHead,
    scale_points,
    scaled,
)
from ssl_lib.objectives.registry import REGISTRY
from ssl_lib.tokens.alignment import tokenize_texts

VALUE_HEADS = ("mixture", "regression", "mantissa_exponent", "token_distance")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same_loss_and_gradients(fast: Tensor, slow: Tensor, inputs: list[Tensor]) -> None:
    """Equal to 1e-5 of their size, in value and in every gradient."""
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    for quick, careful in zip(
        torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs), strict=True
    ):
        scale = max(1.0, float(careful.abs().max()))
        torch.testing.assert_close(quick, careful, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(("smoothing", "z_loss"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.01), (0.2, 0.3)])
def test_vocabulary_loss_equals_the_loop(smoothing: float, z_loss: float) -> None:
    hidden = torch.randn(7, 5, generator=seeded(), requires_grad=True)
    matrix = torch.randn(11, 5, generator=seeded(1), requires_grad=True)
    targets = torch.tensor([0, 10, 3, 3, 7, 1, 9])
    fast = vocabulary_loss(hidden, matrix, targets, smoothing, z_loss)
    slow = cross_entropy_loop(hidden, matrix, targets, smoothing, z_loss)
    assert_same_loss_and_gradients(fast, slow, [hidden, matrix])


@pytest.mark.parametrize(("smoothing", "z_loss"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.01), (0.2, 0.3)])
@pytest.mark.parametrize("positions_at_once", [1, 3])
@pytest.mark.parametrize("smallest_rows", [1, 256])
def test_vocabulary_loss_in_blocks_equals_the_dense_one(
    monkeypatch: pytest.MonkeyPatch,
    positions_at_once: int,
    smallest_rows: int,
    smoothing: float,
    z_loss: float,
) -> None:
    """Blocks of 1 or 3 positions, or of all positions and some entries of the vocabulary."""
    hidden = torch.randn(8, 5, generator=seeded(), requires_grad=True)
    matrix = torch.randn(11, 5, generator=seeded(1), requires_grad=True)
    targets = torch.arange(8)
    dense = vocabulary_loss(hidden, matrix, targets, smoothing, z_loss)
    monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", positions_at_once * 11)
    monkeypatch.setattr("ssl_lib.objectives.base.SMALLEST_ROWS", smallest_rows)
    in_blocks = vocabulary_loss(hidden, matrix, targets, smoothing, z_loss)
    assert "BlockedLoss" in type(in_blocks.grad_fn).__name__
    assert_same_loss_and_gradients(3.0 * in_blocks, 3.0 * dense, [hidden, matrix])


@pytest.mark.parametrize("positions_at_once", [1, 3, 99])
def test_gradient_weights_multiply_gradients_and_leave_the_loss(
    monkeypatch: pytest.MonkeyPatch, positions_at_once: int
) -> None:
    hidden = torch.randn(8, 5, generator=seeded(), requires_grad=True)
    matrix = torch.randn(11, 5, generator=seeded(1), requires_grad=True)
    targets, gradient_weights = (
        torch.arange(8),
        torch.tensor([1.0, 3.0, 1.0, 0.0, 2.0, 1.0, 1.0, 5.0]),
    )
    monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", positions_at_once * 11)
    fast = vocabulary_loss(hidden, matrix, targets, 0.1, 0.01, gradient_weights)
    one_by_one = [
        cross_entropy_loop(hidden[[n]], matrix, targets[[n]], 0.1, 0.01) for n in range(8)
    ]
    torch.testing.assert_close(fast, sum(one_by_one), rtol=1e-5, atol=1e-6)
    weighted = sum(
        float(weight) * loss for weight, loss in zip(gradient_weights, one_by_one, strict=True)
    )
    slow = weighted + (fast - weighted).detach()
    assert_same_loss_and_gradients(fast, slow, [hidden, matrix])


def test_vocabulary_loss_of_nothing_is_zero() -> None:
    hidden = torch.zeros(0, 5, requires_grad=True)
    loss = vocabulary_loss(hidden, torch.randn(11, 5), torch.zeros(0, dtype=torch.int64))
    assert float(loss.detach()) == 0.0
    loss.backward()


def head_and_states() -> tuple[MixtureHead, Tensor]:
    torch.manual_seed(0)
    return MixtureHead(width=8, components=3), torch.randn(5, 8, requires_grad=True)


def test_mixture_loss_equals_the_loop_over_components() -> None:
    head, states = head_and_states()
    values = torch.tensor([0.0, 1e-30, 12.5, -7.0, 3e8], dtype=torch.float64)
    fast = head.loss_sum(states, Selection(5, {"targets": values}))
    slow = mixture_loop(*head.mixture(states), scaled(values).tolist(), SMALLEST_SPREAD)
    assert_same_loss_and_gradients(fast, slow, [states, *head.parameters()])


def test_mixture_loss_is_finite_for_the_largest_and_the_smallest_values() -> None:
    head, states = head_and_states()
    values = torch.tensor([1e30, -1e30, 1e300, 0.0, -1e-30], dtype=torch.float64)
    loss = head.loss_sum(states, Selection(5, {"targets": values}))
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(bool(weight.grad.isfinite().all()) for weight in head.parameters())


def test_cumulative_of_the_mixture_rises_from_zero_to_one_as_its_components_do() -> None:
    head, states = head_and_states()
    points = scale_points(torch.device("cpu"))
    rising = head.cumulative(states, points).detach()
    assert bool((rising.diff(dim=1) >= -1e-6).all())
    assert float(rising[:, 0].max()) < 1e-3
    assert float(rising[:, -1].min()) > 0.9
    weights, means, spreads = (part.detach() for part in head.mixture(states))
    middle = len(points) // 2 + 300
    for row in range(5):
        terms = zip(
            weights[row].exp().tolist(), means[row].tolist(), spreads[row].tolist(), strict=True
        )
        expected = sum(
            weight * 0.5 * (1 + math.erf((float(points[middle]) - mean) / spread / math.sqrt(2)))
            for weight, mean, spread in terms
        )
        assert float(rising[row, middle]) == pytest.approx(expected, abs=1e-5)


@budget(max_examples=60, deadline=None)
@given(st.floats(-1e30, 1e30).filter(lambda value: value == 0 or abs(value) > 1e-6))
def test_scale_holds_sign_and_value(value: float) -> None:
    on_scale = scaled(torch.tensor(value, dtype=torch.float64))
    assert abs(float(on_scale)) <= 33
    assert math.copysign(1, float(on_scale)) == math.copysign(1, value) or value == 0
    assert float(from_scale(on_scale)) == pytest.approx(value, rel=1e-4, abs=1e-8)


def prepared_with_states(objective: Objective, batch: Batch) -> tuple[Prepared, dict[str, Tensor]]:
    """The objective's views and selections, and random hidden states in place of the trunk's."""
    prepared = ObjectiveGroup([objective]).prepare(batch, seeded(3))
    shape = (*batch.token_ids_BT.shape, objective.trunk.width)
    return prepared, {
        name: torch.randn(shape, generator=seeded(4), requires_grad=True) for name in prepared.views
    }


def clean(batch: Batch, positions: Tensor, shift: int = 0) -> Tensor:
    return batch.token_ids_BT.flatten()[positions + shift]


def state_of(hidden: Tensor, view: View, index: int, first: Tensor | None) -> Tensor:
    """From which the token at a flat position of sequences of 32 is predicted; shifted: `first`."""
    row, place = index // 32, index % 32
    if first is None:
        return hidden[row, place]
    documents = view.document_ids_RT[row].tolist()
    if place == 0 or documents[place - 1] != documents[place]:
        return hidden[row, place] + first
    return hidden[row, place - 1]


def with_some_first(objective: MaskedLanguageModel | DenoisingAutoencoder) -> Tensor | None:
    """What tells a document's first token, which begins at zero, made something else."""
    if objective.first is not None:
        torch.nn.init.normal_(objective.first)
    return objective.first


def weighted_loop(states: Tensor, targets: Tensor, trunk: Trunk, *extra: float) -> Tensor:
    """The plain loss with the gradient of one in which digits count four times."""
    matrix = trunk.vocabulary_matrix()
    plain = cross_entropy_loop(states, matrix, targets, *extra)
    digits = trunk.columns.digits_V[targets] > 0
    assert 0 < digits.sum() < len(digits)
    more = 3.0 * cross_entropy_loop(states[digits], matrix, targets[digits], *extra)
    return plain + more - more.detach()


@pytest.mark.parametrize("shifted", [True, False])
def test_mlm_loss_equals_the_loop_over_masked_positions(
    trunk: Trunk, batch: Batch, shifted: bool
) -> None:
    objective = MaskedLanguageModel(
        trunk=trunk,
        settings=MlmSettings(batch_fraction=1.0, shifted=shifted, number_weight=4.0),
    )
    prepared, hidden = prepared_with_states(objective, batch)
    scored = prepared.views["masked"].target_positions_S
    first, view = with_some_first(objective), prepared.views["masked"]
    assert (first is not None) == shifted
    states = torch.stack(
        [objective.head(state_of(hidden["masked"], view, at, first)) for at in scored.tolist()]
    )
    slow = weighted_loop(states, clean(batch, scored), trunk)
    fast = objective.loss_sums(hidden, prepared.selected["mlm"])["mlm"]
    assert prepared.counts() == {"mlm": {"mlm": len(scored)}}
    assert_same_loss_and_gradients(
        fast, slow, [*hidden.values(), objective.head.fc1.weight, trunk.embedding.weight]
    )


@pytest.mark.parametrize("training", [True, False])
def test_ntp_loss_equals_the_loop_and_is_plain_outside_training(
    trunk: Trunk, batch: Batch, training: bool
) -> None:
    settings = NtpSettings(label_smoothing=0.1, z_loss=0.01, number_weight=4.0)
    objective = NextTokenPredictor(trunk=trunk, settings=settings).train(training)
    batch = batch.first(2)
    prepared, hidden = prepared_with_states(objective, batch)
    scored = prepared.views["causal"].target_positions_S
    extra = (0.1, 0.01)
    states = torch.stack([hidden["causal"][index // 32, index % 32] for index in scored.tolist()])
    targets = clean(batch, scored, 1)
    slow = cross_entropy_loop(states, trunk.vocabulary_matrix(), targets)
    if training:
        slow = weighted_loop(states, targets, trunk, *extra)
    fast = objective.loss_sums(hidden, prepared.selected["ntp"])["ntp"]
    assert_same_loss_and_gradients(fast, slow, [hidden["causal"], trunk.embedding.weight])


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("kind", ["ce", "mse"])
def test_denoising_loss_equals_the_loop(
    trunk: Trunk, batch: Batch, kind: str, shifted: bool
) -> None:
    objective = DenoisingAutoencoder(
        trunk=trunk,
        settings=DenoisingSettings(
            batch_fraction=1.0, loss=kind, shifted=shifted, number_weight=4.0
        ),
    )
    prepared, hidden = prepared_with_states(objective, batch)
    scored = prepared.views["corrupted"].target_positions_S
    first, view = with_some_first(objective), prepared.views["corrupted"]
    states = torch.stack(
        [
            objective.rebuild(state_of(hidden["corrupted"], view, at, first))
            for at in scored.tolist()
        ]
    )
    matrix, targets = trunk.vocabulary_matrix(), clean(batch, scored)
    if kind == "ce":
        slow = weighted_loop(states, targets, trunk)
    else:
        slow = states.new_zeros(())
        for state, target in zip(states, targets.tolist(), strict=True):
            slow = slow + ((state - normalize(matrix[target].detach())) ** 2).mean()
    fast = objective.loss_sums(hidden, prepared.selected["denoising"])["denoising"]
    assert_same_loss_and_gradients(
        fast, slow, [hidden["corrupted"], *objective.to_latent.parameters()]
    )


GAPS = {"noise_rate": 0.5, "deletion_share": 0.5, "infill_share": 0.5}


def test_denoising_loss_with_gaps_equals_the_loop(trunk: Trunk, batch: Batch) -> None:
    torch.manual_seed(0)
    objective = DenoisingAutoencoder(
        trunk=trunk, settings=DenoisingSettings(batch_fraction=1.0, number_weight=1.0, **GAPS)
    )
    prepared, hidden = prepared_with_states(objective, batch)
    view = prepared.views["corrupted"]
    assert view.offsets_S is not None
    assert len(view.offsets_S.unique()) > 2
    states = []
    for position, after in zip(
        view.target_positions_S.tolist(), view.offsets_S.tolist(), strict=True
    ):
        latent = (
            objective.to_latent(hidden["corrupted"][position // 32, position % 32])
            + objective.offset_embedding.weight[after]
        )
        states.append(objective.decoder(latent))
    slow = cross_entropy_loop(torch.stack(states), trunk.vocabulary_matrix(), view.targets_S)
    fast = objective.loss_sums(hidden, prepared.selected["denoising"])["denoising"]
    assert prepared.counts() == {"denoising": {"denoising": len(states)}}
    weights = [
        hidden["corrupted"],
        objective.offset_embedding.weight,
        *objective.to_latent.parameters(),
    ]
    assert_same_loss_and_gradients(fast, slow, weights)


def places_at(place: int) -> Tensor:
    angles = [
        place * 10_000.0 ** (-2 * index / PLACE_FEATURES) for index in range(PLACE_FEATURES // 2)
    ]
    return torch.tensor(
        [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
    )


@pytest.mark.parametrize("kind", ["ce", "mse"])
@pytest.mark.parametrize("gaps", [{}, GAPS], ids=["in place", "gaps"])
def test_document_denoising_rebuilds_every_token_from_the_mean_of_its_document(
    trunk: Trunk, batch: Batch, kind: str, gaps: dict[str, float]
) -> None:
    torch.manual_seed(0)
    objective = DenoisingAutoencoder(
        trunk=trunk,
        settings=DenoisingSettings(
            batch_fraction=1.0, mode="document", loss=kind, number_weight=1.0, **gaps
        ),
    )
    prepared, hidden = prepared_with_states(objective, batch)
    present = prepared.views["corrupted"].present_RT().tolist()
    found = document_states_loop(hidden["corrupted"], batch.document_ids_BT.tolist(), present)
    states = [
        objective.decoder(torch.cat([objective.to_latent(mean), places_at(place)]))
        for *_, mean, place in found
    ]
    targets = torch.tensor([int(batch.token_ids_BT[row, column]) for row, column, *_ in found])
    matrix = trunk.vocabulary_matrix()
    if kind == "ce":
        slow = cross_entropy_loop(torch.stack(states), matrix, targets)
    else:
        wanted = [normalize(matrix[target].detach()) for target in targets.tolist()]
        slow = sum(((state - want) ** 2).mean() for state, want in zip(states, wanted, strict=True))
    fast = objective.loss_sums(hidden, prepared.selected["denoising"])["denoising"]
    assert prepared.counts() == {"denoising": {"denoising": int(batch.real_BT.sum())}}
    assert_same_loss_and_gradients(
        fast, slow, [hidden["corrupted"], *objective.to_latent.parameters()]
    )


def test_document_denoising_sees_a_row_through_one_vector_alone(trunk: Trunk, batch: Batch) -> None:
    objective = DenoisingAutoencoder(
        trunk=trunk, settings=DenoisingSettings(batch_fraction=1.0, mode="document")
    ).eval()
    states = torch.randn(2, 32, trunk.width, generator=seeded())
    documents = torch.tensor([[0] * 20 + [1] * 9 + [-1] * 3, [1] * 32])
    order = torch.cat([torch.randperm(20, generator=seeded(1)), torch.arange(20, 32)])
    rebuilt = objective.rebuild_sequences(states, documents)
    torch.testing.assert_close(
        objective.rebuild_sequences(states[:, order], documents)[0], rebuilt[0], rtol=0, atol=1e-5
    )
    elsewhere = states.clone()
    elsewhere[0, :20] += 1.0
    changed = (objective.rebuild_sequences(elsewhere, documents) - rebuilt).abs().amax(-1) > 1e-4
    assert changed.tolist() == [[True] * 20 + [False] * 12, [False] * 32]


def value_loop(
    head: ValueHead, states_SD: Tensor, values: list[float], first: list[float | None]
) -> Tensor:
    """The slow loss of any value head."""
    if isinstance(head, MixtureHead):
        return mixture_loop(
            *head.mixture(states_SD), [scale_of(value) for value in values], SMALLEST_SPREAD
        )
    if isinstance(head, RegressionHead):
        return regression_loop(*head(states_SD), values)
    if isinstance(head, MantissaExponentHead):
        return mantissa_exponent_loop(*head(states_SD), values)
    groups_SG, group_values, shifts_SK = head(states_SD)
    return token_distance_loop(groups_SG, group_values.tolist(), shifts_SK, first, values)


@pytest.mark.parametrize("head", VALUE_HEADS)
def test_loss_of_every_value_head_equals_its_loop(
    trunk: Trunk, encoding: tiktoken.Encoding, texts: list[str], head: str
) -> None:
    torch.manual_seed(0)
    batch = padded_batch(
        tokenize_texts(encoding, ["It fell to -12.5 or - 1,234 in three of 4 years.", *texts[:4]]),
        32,
    )
    objective = NumericalPatternLearner(trunk=trunk, settings=NumericalSettings(value_head=head))
    prepared, hidden = prepared_with_states(objective, batch)
    chosen = prepared.selected["numerical"]["value"]
    digits, ids = trunk.columns.digits_V, chosen["first_tokens"]
    first = [float(trunk.columns.values_V[token]) if digits[token] > 0 else None for token in ids]
    states = torch.stack(
        [hidden["causal"][at // 32, at % 32] for at in chosen["positions"].tolist()]
    )
    slow = value_loop(objective.value_head, states, chosen["targets"].tolist(), first)
    assert min(chosen["targets"].tolist()) < 0
    assert None in first
    fast = objective.loss_sums(hidden, prepared.selected["numerical"])["value"]
    assert_same_loss_and_gradients(
        fast, slow, [hidden["causal"], *objective.value_head.parameters()]
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("head", VALUE_HEADS)
def test_every_value_head_survives_a_batch_without_numbers(
    encoding: tiktoken.Encoding, trunk: Trunk, head: str, training: bool
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["no figures in here at all.", "None, we say."]))
    objective = NumericalPatternLearner(
        trunk=trunk, settings=NumericalSettings(value_head=head)
    ).train(training)
    group = ObjectiveGroup([objective]).train(training)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    prepared = group.prepare(batch, seeded())
    sums = group(prepared)["numerical"]
    assert prepared.counts()["numerical"]["value"] == 0
    assert float(sums["value"].detach()) == 0.0
    sum(sums.values()).backward()
    for name, weight in objective.value_head.named_parameters():
        assert weight.grad is not None, name
        assert not weight.grad.any(), name
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_numerical_losses_equal_the_loops(trunk: Trunk, batch: Batch) -> None:
    torch.manual_seed(0)
    objective = NumericalPatternLearner(trunk=trunk)
    prepared, hidden = prepared_with_states(objective, batch)
    fast = objective.loss_sums(hidden, prepared.selected["numerical"])
    types, values = batch.types_BT.flatten().tolist(), batch.values_BT.flatten().tolist()
    numbers = batch.number_BT.flatten().tolist()
    for part, view, shift, head in (
        ("type", "masked", 0, objective.type_head),
        ("next_type", "causal", 1, objective.next_type_head),
    ):
        positions = prepared.views[view].target_positions_S.tolist()
        slow = -sum(
            head(hidden[view][at // 32, at % 32]).log_softmax(-1)[types[at + shift]]
            for at in positions
        )
        assert prepared.counts()["numerical"][part] == len(positions)
        assert_same_loss_and_gradients(fast[part], slow, [hidden[view], head.weight])
    before = [
        at
        for at in prepared.views["causal"].target_positions_S.tolist()
        if numbers[at + 1] >= 0 and numbers[at] != numbers[at + 1] and math.isfinite(values[at + 1])
    ]
    states = torch.stack([hidden["causal"][at // 32, at % 32] for at in before])
    targets = scaled(torch.tensor([values[at + 1] for at in before], dtype=torch.float64)).tolist()
    slow = mixture_loop(*objective.value_head.mixture(states), targets, SMALLEST_SPREAD)
    assert prepared.counts()["numerical"]["value"] == len(before) > 0
    assert_same_loss_and_gradients(fast["value"], slow, [hidden["causal"]])


@pytest.mark.parametrize("name", REGISTRY)
def test_a_batch_without_numbers_gives_a_finite_loss(
    encoding: tiktoken.Encoding, trunk: Trunk, name: str
) -> None:
    batch = padded_batch(
        tokenize_texts(encoding, ["no figures in here at all.", "nor in there. None, we say."])
    )
    group = ObjectiveGroup([REGISTRY[name](trunk=trunk)])
    sums = group(group.prepare(batch, seeded()))[name]
    assert all(math.isfinite(float(value)) for value in sums.values())
    sum(sums.values()).backward()
    gradients = [weight.grad for weight in group.parameters() if weight.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("name", REGISTRY)
def test_one_short_row_is_no_error(encoding: tiktoken.Encoding, trunk: Trunk, name: str) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["7"]))
    group = ObjectiveGroup([REGISTRY[name](trunk=trunk)])
    sums: Mapping[str, Tensor] = group(group.prepare(batch, seeded()))[name]
    assert all(math.isfinite(float(value)) for value in sums.values())


@pytest.mark.parametrize("name", REGISTRY)
def test_an_objective_makes_a_trunk_of_its_own_or_shares_one(trunk: Trunk, name: str) -> None:
    kind = REGISTRY[name]
    own = kind(vocab_size=50, width=16, layers=1, heads=2)
    shape = {
        "mlm": (2, 6, 58),
        "ntp": (2, 6, 58),
        "denoising": (2, 6, 58),
        "numerical": (2, 6, 4),
        "contrastive": (2, 16),
    }
    assert own(torch.arange(12).view(2, 6)).shape == shape[name]
    assert kind(trunk=trunk).trunk is trunk
    with pytest.raises(ValueError, match="not both"):
        kind(trunk=trunk, width=16)
