"""The contrastive objective: its views, its terms against slow references, its temperature."""

from __future__ import annotations

import pytest
import tiktoken
import torch
import torch.multiprocessing
from contrasting import (
    CONTRAST,
    assert_same_loss_and_gradients,
    encoder_in,
    seeded,
    trainer_of,
)
from reference import (
    equivalents_loop,
    ntxent_loop,
    supervised_loop,
)
from torch import Tensor

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.datasets import PackedSequences, padded_batch
from ssl_lib.batches.rewriting import EquivalentFormView
from ssl_lib.config import ContrastiveSettings, Settings
from ssl_lib.errors import UserError
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.base import ObjectiveGroup, Prepared, unit_length
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.contrastive.sentence_encoder import (
    LOG10_PER_WEIGHT,
    UNIT_OFFSETS,
    WrittenNumbers,
)
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts

PLAIN = {"batch_fraction": 1.0, "projection": 16, "sentence_weight": 1.0, "equivalent_weight": 0.0}


def encoder_of(
    trunk: Trunk, encoding: tiktoken.Encoding | None = None, **changed: object
) -> ContrastiveTokenEncoder:
    torch.manual_seed(0)
    settings = ContrastiveSettings(**(PLAIN | changed))
    return ContrastiveTokenEncoder(trunk=trunk, settings=settings, encoding=encoding)


def prepared_with_states(
    encoder: ContrastiveTokenEncoder, batch: Batch, seed: int = 3
) -> tuple[Prepared, dict[str, Tensor]]:
    """The objective's views and selections, and random hidden states in place of the trunk's."""
    prepared = ObjectiveGroup([encoder]).prepare(batch, seeded(seed))
    shape = (*batch.token_ids_BT.shape, encoder.trunk.width)
    hidden = {
        name: torch.randn(shape, generator=seeded(place), requires_grad=True)
        for place, name in enumerate(prepared.views)
    }
    return prepared, hidden


EXTRA_PARTS = {"type_weight": 1.0, "equivalent_weight": 1.0}


@pytest.mark.parametrize("views", [2, 3, 4])
def test_token_loss_is_the_mean_over_all_pairs_of_views(
    trunk: Trunk, batch: Batch, views: int
) -> None:
    encoder = encoder_of(trunk, views=views, effective_batch=12)
    prepared, hidden = prepared_with_states(encoder, batch)
    names = ["masked", "corrupted", "masked_2", "corrupted_2"][:views]
    assert [name for name in prepared.views if "masked" in name or "corrupted" in name] == names
    token = prepared.selected["contrastive"]["token"]
    states = [hidden[name].reshape(-1, 32)[token["positions"]] for name in names]
    projected = [unit_length(encoder.token_projection(state)) for state in states]
    pairs = [
        ntxent_loop(projected[first], projected[second], 0.07, token["labels"].tolist())
        for first in range(views)
        for second in range(first + 1, views)
    ]
    fast = encoder.loss_sums(hidden, prepared.selected["contrastive"])["token"]
    assert token.count == 24
    assert_same_loss_and_gradients(fast, sum(pairs) / len(pairs), [hidden[name] for name in names])


def test_sentences_of_one_document_are_no_negatives_of_each_other(
    trunk: Trunk, batch: Batch
) -> None:
    encoder = encoder_of(trunk, effective_batch=999)
    prepared, hidden = prepared_with_states(encoder, batch)
    document = prepared.selected["contrastive"]["document"]
    count = len(document["first"])
    views = [
        unit_length(
            encoder.document_projection(
                encoder.sentences(
                    hidden[name],
                    WrittenNumbers.under(at, document.tensors),
                    document["span"],
                    count,
                )
            )
        )
        for at, name in enumerate(("masked", "corrupted"))
    ]
    owners = batch.document_ids_BT.flatten()[document["first"]].tolist()
    assert 1 < len(set(owners)) < count
    fast = encoder.loss_sums(hidden, prepared.selected["contrastive"])["document"]
    assert_same_loss_and_gradients(
        fast, ntxent_loop(*views, 0.07, owners), [hidden["masked"], hidden["corrupted"]]
    )


def test_paraphrased_quantities_are_held_to_one_magnitude(encoding: tiktoken.Encoding) -> None:
    """3 orders of magnitude between km and m at first, and what units are learned takes from them.

    Words have no magnitude.
    """
    texts = [
        "The road is 4.722 km long. The length of the road is 4722 m.",
        "It is seven thousand two hundred eleven. It is 7211 m.",
    ]
    encoder = encoder_of(Trunk(TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2), encoding))
    prepared, hidden = prepared_with_states(encoder, padded_batch(tokenize_texts(encoding, texts)))
    chosen = prepared.selected["contrastive"]
    assert chosen["magnitude"].count == 1
    assert encoder.loss_sums(hidden, chosen)["magnitude"].item() == pytest.approx(
        3.0 - 0.5, abs=1e-5
    )
    with torch.no_grad():
        km, m = (encoding.encode(unit)[0] for unit in (" km long.", " m."))
        assert km != m
        encoder.sentences.unit_log10.weight[km, UNIT_OFFSETS.index(1)] = 2.75 / LOG10_PER_WEIGHT
        encoder.sentences.unit_log10.weight[m, UNIT_OFFSETS.index(1)] = -0.25 / LOG10_PER_WEIGHT
    assert encoder.loss_sums(hidden, chosen)["magnitude"].item() == pytest.approx(0.0, abs=1e-5)


def test_further_views_are_drawn_anew(trunk: Trunk, batch: Batch) -> None:
    views = ObjectiveGroup([encoder_of(trunk, views=4)]).prepare(batch, seeded()).views
    assert not torch.equal(views["masked"].ids_RT, views["masked_2"].ids_RT)
    assert not torch.equal(views["corrupted"].ids_RT, views["corrupted_2"].ids_RT)
    assert (views["masked_2"].ids_RT == trunk.vocabulary.special.mask).any()
    assert (views["corrupted_2"].ids_RT == trunk.vocabulary.special.noise).any()


def test_parts_that_are_not_asked_for_leave_the_others_as_they_are(
    trunk: Trunk, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    plain, full = (
        encoder_of(trunk, encoding, effective_batch=999, **changed) for changed in ({}, EXTRA_PARTS)
    )
    full.load_state_dict(plain.state_dict(), strict=False)
    (prepared, hidden), (fuller, more_hidden) = (
        prepared_with_states(encoder, batch) for encoder in (plain, full)
    )
    assert all(
        torch.equal(view.ids_RT, fuller.views[name].ids_RT) for name, view in prepared.views.items()
    )
    sums = plain.loss_sums(hidden, prepared.selected["contrastive"])
    more = full.loss_sums(more_hidden, fuller.selected["contrastive"])
    assert (
        set(more) - set(sums)
        == {"type", "equivalent"}
        == set(full.part_weights()) - set(plain.part_weights())
    )
    drawn = {"random_pair"}  # after the further view
    assert [
        part for part in sums if not torch.equal(sums[part], more[part]) and part not in drawn
    ] == []


def test_type_loss_equals_the_loop_over_both_views(trunk: Trunk, batch: Batch) -> None:
    encoder = encoder_of(trunk, type_weight=1.0, effective_batch=30)
    prepared, hidden = prepared_with_states(encoder, batch)
    chosen = prepared.selected["contrastive"]
    positions = chosen["token"]["positions"].tolist()
    states = [
        hidden[name][at // 32, at % 32] for name in ("masked", "corrupted") for at in positions
    ]
    items = torch.stack([unit_length(encoder.type_projection(state)) for state in states])
    types = [int(batch.types_BT.flatten()[at]) for at in positions] * 2
    assert len(set(types)) > 1
    fast = encoder.loss_sums(hidden, chosen)["type"]
    assert chosen["type"].count == 60
    inputs = [hidden["masked"], hidden["corrupted"], encoder.type_projection.weight]
    assert_same_loss_and_gradients(fast, supervised_loop(items, types, 0.07), inputs)


def test_loss_of_equivalent_forms_in_the_objective_equals_the_loop(
    trunk: Trunk, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> None:
    batch = PackedSequences(tokenized, 64, seed=3).batch(0, 12)
    encoder = encoder_of(trunk, encoding, equivalent_weight=1.0, effective_batch=8)
    prepared, hidden = prepared_with_states(encoder, batch)
    view, index = prepared.views["equivalent"], number_index_BT(batch)
    negative, chosen = (
        prepared.views["hard_negative"].ids_RT,
        prepared.selected["contrastive"]["equivalent"],
    )
    assert isinstance(view, EquivalentFormView)
    assert chosen.count == 16
    numbers = [int(index[chosen["span"] == place].unique()) for place in range(8)]
    assert len(set(numbers)) == 8

    def mean(name: str, where: Tensor) -> Tensor:
        return unit_length(encoder.number_projection(hidden[name][where].mean(0)))

    first = torch.stack([mean("anchor", index == number) for number in numbers])
    second = torch.stack([mean("equivalent", view.number_RT == number) for number in numbers])
    changed = torch.stack([mean("hard_negative", index == number) for number in numbers])
    differs = [bool((negative != batch.token_ids_BT)[index == number].any()) for number in numbers]
    values = [float(batch.values_BT[index == number][0]) for number in numbers]
    slow = equivalents_loop(first, second, changed, differs, values, 0.07)
    fast = encoder.loss_sums(hidden, prepared.selected["contrastive"])["equivalent"]
    assert_same_loss_and_gradients(
        fast, slow, [hidden[name] for name in ("anchor", "equivalent", "hard_negative")]
    )


@pytest.mark.parametrize("changed", [EXTRA_PARTS, {"views": 3}, {"momentum": 0.9, "queue": 8}])
@pytest.mark.parametrize(
    "lines", [["no figures in here at all.", "nor in there. None, we say."], ["7"]]
)
def test_a_batch_with_little_in_it_gives_finite_losses_and_gradients(
    encoding: tiktoken.Encoding, trunk: Trunk, changed: dict[str, object], lines: list[str]
) -> None:
    batch = padded_batch(tokenize_texts(encoding, lines))
    group = ObjectiveGroup([encoder_of(trunk, encoding, **changed)])
    sums = group(group.prepare(batch, seeded()))["contrastive"]
    assert all(bool(value.isfinite()) for value in sums.values())
    sum(sums.values()).backward()
    gradients = [weight.grad for weight in group.parameters() if weight.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_equivalent_forms_need_an_encoding() -> None:
    with pytest.raises(UserError, match="equivalent_weight needs the encoding"):
        ContrastiveTokenEncoder(
            60, ContrastiveSettings(equivalent_weight=1.0), width=16, layers=1, heads=2
        )


@pytest.mark.parametrize("learned", [True, False])
def test_a_learned_temperature_multiplies_similarities_by_a_hundred_at_most(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences, learned: bool
) -> None:
    changed = {f"{CONTRAST}.learned_temperature": learned, f"{CONTRAST}.temperature": 0.002}
    trainer = trainer_of(settings.replaced(changed), encoding)
    trainer.train_step(sequences.batch(0, 3))
    assert float(encoder_in(trainer).temperature.detach()) == pytest.approx(
        0.01 if learned else 0.002, rel=1e-4
    )


def test_a_learned_temperature_moves(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    trainer = trainer_of(settings.replaced({f"{CONTRAST}.learned_temperature": True}), encoding)
    for step in range(2):
        trainer.train_step(sequences.batch(step, 3))
    assert encoder_in(trainer).temperature.item() != pytest.approx(0.07, rel=1e-6)


def test_contrastive_embeddings_of_rows_have_unit_length_whatever_padding_follows(
    trunk: Trunk,
) -> None:
    encoder = ContrastiveTokenEncoder(trunk=trunk).eval()
    row = torch.randint(300, 400, (1, 9), generator=seeded())
    longer = torch.cat([row, torch.full((1, 5), trunk.vocabulary.special.padding)], dim=1)
    torch.testing.assert_close(encoder(row).norm(dim=-1), torch.ones(1))
    torch.testing.assert_close(encoder(row), encoder(longer), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["It rose by 12 in May.", "It rose by 12% in May.", "It cost $3 million then."]
)
def test_a_changed_number_is_no_longer_equal_to_the_original(
    encoding: tiktoken.Encoding, trunk: Trunk, text: str
) -> None:
    batch = padded_batch(tokenize_texts(encoding, [text]))
    encoder = ContrastiveTokenEncoder(trunk=trunk)
    for seed in range(4):
        prepared = ObjectiveGroup([encoder]).prepare(batch, seeded(seed))
        negative = prepared.selected["contrastive"]["hard_negative"]
        assert negative.count == 1
        assert float(negative["targets"].max()) < 1.0
