"""A model in use, against versions that run one text, one prefix at a time."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import torch
from reference import greedy_loop, spans_by_bytes, words_loop

from ssl_lib.config import Settings
from ssl_lib.config.tree import RENAMED
from ssl_lib.errors import UserError
from ssl_lib.numbers.scale import to_scale
from ssl_lib.objectives.numerical import number_prediction, scale_points
from ssl_lib.predictor import ModelError, Predictor, load
from ssl_lib.predictor.calibration import (
    TOKENS,
    Calibration,
    _numbers_of,
    denoising_threshold,
    number_weights,
)
from ssl_lib.predictor.growing import GrowingSequences
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

SHORT = ["The sum of 2 + 3 is 5.", "Revenue rose 12% to $3.4 million.", "naïve café 🙂 weighs 7 kg"]


@pytest.fixture(scope="module")
def model(settings: Settings, encoding: tiktoken.Encoding) -> Predictor:
    """Untrained, with sharper predictions, so that ranks and sums tell right from wrong.

    In full precision, in which texts together and one by one have the same answers.
    """
    exact = settings.replaced({"training.precision": "float32"})
    predictor = Predictor.untrained(exact, encoding)
    with torch.no_grad():
        predictor.trunk.embedding.weight.mul_(25.0)
    return predictor


@pytest.fixture(scope="module")
def long(texts: list[str]) -> str:
    """A text of several contexts."""
    return " ".join(texts[:4])


def next_token_nats(model: Predictor, ids: list[int]) -> np.ndarray:
    """-log p(next token) after a prefix by itself; over all but mask, noise and padding."""
    special = special_ids(model.encoding)
    with torch.no_grad():
        states = model.trunk(
            torch.tensor([ids]), torch.zeros(1, len(ids), dtype=torch.int64), torch.tensor([True])
        )[0, -1]
        scores = (
            (model.trunk.vocabulary_matrix() @ states)[: model.encoding.n_vocab].double().numpy()
        )
    scores[[special.mask, special.noise, special.padding]] = -np.inf
    highest = scores.max()
    return highest + math.log(np.exp(scores - highest).sum()) - scores


def test_next_probabilities_sum_to_one_and_are_those_of_the_slow_model(model: Predictor) -> None:
    found = model.predict_next(SHORT[0], k=10**6, tokens=True)
    assert sum(probability for _, probability in found) == pytest.approx(1.0, abs=1e-5)
    nats = next_token_nats(model, encode(model.encoding, SHORT[0]))
    assert [probability for _, probability in found[:5]] == pytest.approx(
        sorted(np.exp(-nats))[::-1][:5], rel=1e-3
    )
    assert found[0][0] == model.encoding.decode([int(nats.argmin())])
    assert len(model.predict_next(SHORT[0], tokens=True)) == 5


def test_log_likelihoods_equal_the_sum_of_slow_next_tokens(model: Predictor) -> None:
    prompts = ["The sum of 2 + 3 is", "Revenue rose", "The café weighs", "1,2"]
    continuations = [" 5.", " 12% to $3.4 million.", " 7 kg 🙂", "34 apples"]
    found = model.log_likelihoods(prompts, continuations)
    for prompt, continuation, got in zip(prompts, continuations, found, strict=True):
        ids = encode(model.encoding, prompt + continuation)
        border, end, expected = len(prompt.encode()), 0, 0.0
        for index, token in enumerate(ids):
            end += len(model.encoding.decode_single_token_bytes(token))
            if end > border and index:
                expected -= float(next_token_nats(model, ids[:index])[token])
        assert got == pytest.approx(expected, rel=1e-4)
    assert found.dtype == np.float64


def test_log_likelihood_does_not_depend_on_the_other_texts(model: Predictor, long: str) -> None:
    together = model.log_likelihoods(
        ["The sum is", long, "Two"], [" 5", " 7.", " and more words than that"]
    )
    for index, (prompt, continuation) in enumerate(
        [("The sum is", " 5"), (long, " 7."), ("Two", " and more words than that")]
    ):
        assert together[index] == pytest.approx(
            model.log_likelihoods([prompt], [continuation])[0], rel=1e-4
        )


def test_log_likelihood_of_nothing_is_zero_and_a_longer_continuation_is_less_likely(
    model: Predictor,
) -> None:
    nothing, short, more = model.log_likelihoods(["The sum is"] * 3, ["", " 5", " 5 and 6"])
    assert nothing == 0.0
    assert more < short < 0.0


def test_log_likelihood_of_a_long_prompt_reads_the_last_context(
    model: Predictor, long: str
) -> None:
    ids = encode(model.encoding, long + " 7")
    got = model.log_likelihoods([long], [" 7"])[0]
    count = len(ids) - len(encode(model.encoding, long))
    window = ids[-model.context_length :]
    expected = -sum(
        float(next_token_nats(model, window[:at])[window[at]])
        for at in range(len(window) - count, len(window))
    )
    assert got == pytest.approx(expected, rel=1e-4)


def test_ranks_of_a_short_text_equal_the_slow_model(model: Predictor) -> None:
    for text, found in zip(SHORT, model.next_token_ranks(SHORT), strict=True):
        ids = encode(model.encoding, text)
        nats = [next_token_nats(model, ids[:at]) for at in range(1, len(ids))]
        assert found.nll.tolist() == pytest.approx(
            [float(row[token]) for row, token in zip(nats, ids[1:], strict=True)], rel=1e-3
        )
        assert found.correct.tolist() == [
            int(row.argmin()) == token for row, token in zip(nats, ids[1:], strict=True)
        ]
        lengths = [len(model.encoding.decode_single_token_bytes(token)) for token in ids]
        assert [tuple(span) for span in found.spans] == spans_by_bytes(text, lengths)[1:]


@pytest.mark.parametrize(
    ("layers", "own_layers", "kernel", "heads", "numbers"),
    [(2, 1, 3, 1, "fourier"), (3, 0, 0, 0, "none"), (1, 1, 2, 2, "place_value")],
)
def test_states_of_growing_sequences_are_those_of_whole_ones(
    settings: Settings,
    encoding: tiktoken.Encoding,
    layers: int,
    own_layers: int,
    kernel: int,
    heads: int,
    numbers: str,
) -> None:
    changed = {
        "model.layers": layers, "model.mode_specific_layers": own_layers,
        "model.short_convolution": kernel, "model.induction_heads": heads,
        "model.number_embedding": numbers,
    }  # fmt: skip
    model = Predictor.untrained(settings.replaced(changed), encoding)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.trunk.parameters():
        # convolutions begin with zeros, and would do nothing
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    texts = ["It weighs 1,234.5 kg and", "The sum of 12", "A", "9,0"]
    sequences = [encode(encoding, text) for text in texts]
    growing = GrowingSequences(model, sequences)
    rows = [0, 1, 2, 3]
    for step, more in enumerate([",", "345", ".", "67", " of", " 2"]):
        with torch.no_grad():
            states = growing.last_states()
            for ids, state in zip(sequences, states, strict=True):
                whole = torch.tensor([ids])
                slow = model.trunk(whole, torch.zeros_like(whole), torch.tensor([True]))[0, -1]
                torch.testing.assert_close(state, slow, rtol=0.0, atol=1e-5)
        # sequences change places, are dropped and come twice
        rows = [[2, 1, 0, 3], [3, 0], [1, 0, 1]][step % 3]
        rows = [row for row in rows if row < len(sequences)]
        token = encode(encoding, more)[-1]
        sequences = [[*sequences[row], token] for row in rows]
        growing.grow(rows, [token] * len(rows))


def test_next_words_are_those_of_a_search_without_a_beam(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = 0.02
    monkeypatch.setattr("ssl_lib.predictor.next.LEAST_PROBABLE", least)
    read = model.encoding.decode_single_token_bytes
    entries = [read(token) for token in range(model.encoding.n_vocab)]
    end = special_ids(model.encoding).end
    known = 0
    for text in [SHORT[0], "It rose to 3.", "There are 12", "In all $"]:
        ids = encode(model.encoding, text)
        slow = words_loop(
            lambda tokens, ids=ids: np.exp(-next_token_nats(model, [*ids, *tokens])),
            entries,
            end,
            text,
            least,
            depth=model.context_length // 4,
        )
        found = dict(model.predict_next(text, k=200))
        assert sum(found.values()) <= 1.0 + 1e-6
        # pieces of a character become one when they are joined
        found = {word: share for word, share in found.items() if "\ufffd" not in word}
        slow = {word: share for word, share in slow.items() if "\ufffd" not in word}
        assert found == pytest.approx(slow, abs=1e-5)
        known += len(found)
    assert known > 20


def test_spaces_at_the_end_make_no_difference(model: Predictor) -> None:
    for text in SHORT:
        assert model.predict_next(text) == model.predict_next(text + " ")
        assert all(word == word.strip() for word, _ in model.predict_next(text + "  "))


@pytest.mark.parametrize("length", [31, 32, 33, 47, 48, 49, 64, 65, 120])
def test_ranks_of_a_long_text_cover_every_token_with_half_a_context_before_it(
    model: Predictor, long: str, length: int
) -> None:
    text = model.encoding.decode(encode(model.encoding, long)[:length])
    ids = encode(model.encoding, text)
    (found,) = model.next_token_ranks([text])
    assert len(found.nll) == len(found.correct) == len(found.spans) == len(ids) - 1
    assert bool(np.isfinite(found.nll).all())
    last = float(found.nll[-1])
    half = model.context_length // 2
    windows = (
        range(max(0, len(ids) - model.context_length), max(1, len(ids) - half))
        if len(ids) > model.context_length
        else [0]
    )
    slow = [float(next_token_nats(model, ids[start:-1])[ids[-1]]) for start in windows]
    assert any(last == pytest.approx(value, rel=1e-3) for value in slow)


@pytest.mark.parametrize("causal", [True, False])
def test_states_stand_with_their_characters_and_ignore_the_other_texts(
    model: Predictor, long: str, causal: bool
) -> None:
    texts = [*SHORT, long, ""]
    read = model.causal_states if causal else model.token_states
    for text, found in zip(texts, read(texts), strict=True):
        ids = encode(model.encoding, text)
        lengths = [len(model.encoding.decode_single_token_bytes(token)) for token in ids]
        assert [tuple(span) for span in found.spans] == spans_by_bytes(text, lengths)
        assert found.states.shape == (len(ids), model.width)
        np.testing.assert_allclose(found.states, read([text])[0].states, atol=1e-4)


@pytest.mark.parametrize("own_layers", [0, 1])
def test_states_of_every_layer_are_those_of_a_model_cut_off_there(
    settings: Settings, encoding: tiktoken.Encoding, own_layers: int
) -> None:
    model = Predictor.untrained(
        settings.replaced({"model.layers": 3, "model.mode_specific_layers": own_layers}), encoding
    )
    (found,) = model.token_states([SHORT[0]], every_layer=True)
    ids = torch.tensor([encode(encoding, SHORT[0])])
    documents, causal = torch.zeros_like(ids), torch.tensor([False])
    blocks = [*model.trunk.blocks, *model.trunk.mode_specific_blocks["bidirectional"]]
    slow, around = [model.trunk.embed(ids, documents, causal)], []
    hook = blocks[0].register_forward_pre_hook(lambda block, given: around.append(given[1]))
    model.trunk(ids, documents, causal)
    hook.remove()
    for block in blocks:
        slow.append(block(slow[-1], around[0]))
    expected = torch.cat(
        [torch.nn.functional.layer_norm(state, state.shape[-1:]) for state in slow], dim=-1
    )[0]
    np.testing.assert_allclose(found.states, expected.detach().numpy(), atol=1e-5)
    (last,) = model.token_states([SHORT[0]])
    np.testing.assert_allclose(found.states[:, -model.width :], last.states, atol=1e-5)


def test_causal_states_ignore_what_follows_and_others_do_not(model: Predictor) -> None:
    start = "The total of the bill was"
    count = len(encode(model.encoding, start))
    one, other = model.causal_states([start + " 12 pounds", start + " naught, they said"])
    np.testing.assert_allclose(one.states[:count], other.states[:count], atol=1e-5)
    one, other = model.token_states([start + " 12 pounds", start + " naught, they said"])
    assert np.abs(one.states[:count] - other.states[:count]).max() > 1e-2


def test_embeddings_have_unit_length_and_ignore_the_batch_they_come_in(
    model: Predictor, long: str
) -> None:
    texts = [*SHORT, long, "7"]
    together = model.embed(texts)
    assert together.dtype == np.float32
    assert together.shape == (5, model.width)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, rtol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.embed([text])[0], vector, atol=1e-5)
    np.testing.assert_allclose(model.embed(texts[::-1])[::-1], together, atol=1e-5)


def test_a_long_text_is_embedded_as_the_mean_of_its_pieces(model: Predictor, long: str) -> None:
    ids = encode(model.encoding, long)
    pieces = [
        ids[start : start + model.context_length]
        for start in range(0, len(ids), model.context_length)
    ]
    with torch.no_grad():
        vectors = [
            model.objectives["contrastive"](torch.tensor(piece))[0].numpy() for piece in pieces
        ]
    mean = np.sum(vectors, axis=0)
    np.testing.assert_allclose(model.embed([long])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_number_has_nested_intervals_around_its_median_and_magnitudes_that_sum_to_one(
    model: Predictor,
) -> None:
    texts = ["The sum of 2 + 3 is", "It costs $", "x", "In the year"]
    for found in model.predict_numbers(texts, intervals=(0.1, 0.5, 0.8, 0.99)):
        levels = sorted(found.intervals)
        assert levels == [0.1, 0.5, 0.8, 0.9, 0.99]
        assert found.interval == found.intervals[0.9]
        bounds = [found.intervals[level] for level in levels]
        lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
        assert lows == sorted(lows, reverse=True)
        assert highs == sorted(highs)
        assert lows[0] <= found.median <= highs[0]
        assert found.value in (found.median, *(value for value, _ in found.exact[:1]))
        assert lows[0] < highs[0]
        assert all(0.0 <= share <= 1.0 for share in found.magnitudes.values())
        assert sum(found.magnitudes.values()) <= 1.0 + 1e-4
    single = model.predict_number(texts[0])
    assert single.value == model.predict_numbers(texts)[0].value


def test_intervals_hold_the_share_of_the_distribution_that_they_name(model: Predictor) -> None:
    head = model.objectives["numerical"].value_head
    states = torch.randn(1, model.width, generator=torch.Generator().manual_seed(0))
    from ssl_lib.objectives.numerical import number_prediction, scale_points, scaled

    points = scale_points(torch.device("cpu"))
    with torch.no_grad():
        found = number_prediction(head.cumulative(states, points)[0].double(), points, (0.5,))
        for level in (0.5, 0.9):
            bounds = scaled(torch.tensor(found.intervals[level], dtype=torch.float64)).double()
            low, high = head.cumulative(states, bounds)[0].tolist()
            assert high - low == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("tokens", [True, False])
def test_masks_are_filled_in_order_with_probable_ordinary_text(
    model: Predictor, tokens: bool
) -> None:
    found = model.fill_mask("The [MASK] of 2 + [MASK] is 5", k=3, tokens=tokens)
    assert len(found) == 6
    for group in (found[:3], found[3:]):
        shares = [share for _, share in group]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.0 + 1e-6
    if not tokens:
        # answers to both masks together
        assert [share for _, share in found[:3]] == [share for _, share in found[3:]]
        assert all(text == text.strip() for text, _ in found)
    assert not any(
        "<|mask|>" in text or "<|noise|>" in text or "<|padding|>" in text for text, _ in found
    )
    assert len(model.fill_mask("[MASK]", tokens=tokens)) == 1


def masked_nats(model: Predictor, before: list[int], piece: list[int], after: list[int]) -> float:
    """-log p of a piece token by token, each with masks for the rest of it."""
    special = special_ids(model.encoding)
    total = 0.0
    for place, token in enumerate(piece):
        masks = [special.mask] * (len(piece) - place)
        ids = torch.tensor([[*before, *piece[:place], *masks, *after]])
        with torch.no_grad():
            logits = model.objectives["mlm"](ids)[0, len(before) + place, : model.encoding.n_vocab]
        logits[[special.mask, special.noise, special.padding]] = -torch.inf
        total -= float(logits.double().log_softmax(-1)[token])
    return total


def test_candidates_of_all_lengths_are_compared_by_one_score(model: Predictor) -> None:
    before, after = "It has ", " people"
    found = model.fill_mask(f"{before}[MASK]{after}", k=100)
    assert sum(share for _, share in found) == pytest.approx(1.0, abs=1e-6)
    scores = []
    lengths = set()
    for word, _ in found:
        whole = encode(model.encoding, before + word + after)
        behind = encode(model.encoding, after)
        # a number, and what has no token with a space, stands behind one; other words bring it
        head = encode(model.encoding, before)
        if whole[: len(head)] != head:
            head = encode(model.encoding, before.rstrip())
        piece = whole[len(head) : len(whole) - len(behind)]
        lengths.add(len(piece))
        start = len(encode(model.encoding, before.rstrip()))
        causal = sum(
            float(next_token_nats(model, whole[:at])[whole[at]]) for at in range(start, len(whole))
        )
        scores.append(-0.5 * (causal + masked_nats(model, head, piece, behind)))
    shares = np.exp(np.array(scores) - max(scores))
    assert [share for _, share in found] == pytest.approx(shares / shares.sum(), abs=1e-3)
    assert len(lengths) > 1


def test_a_mask_of_a_long_text_is_filled_by_what_stands_around_it(
    model: Predictor, long: str
) -> None:
    for tokens in (True, False):
        one, two = (
            model.fill_mask(f"{long} It has [MASK] people. {more}{long}", k=2, tokens=tokens)
            for more in ("", long)
        )
        assert [text for text, _ in one] == [text for text, _ in two]
        assert [share for _, share in one] == pytest.approx([share for _, share in two], abs=1e-5)


@pytest.mark.parametrize("text", ["", "No mask here.", "mask"])
def test_a_text_without_a_mask_is_refused(model: Predictor, text: str) -> None:
    with pytest.raises(ModelError, match=r"holds no \[MASK\]"):
        model.fill_mask(text)


def test_a_long_text_is_denoised_in_windows_that_overlap(model: Predictor, long: str) -> None:
    ids = encode(model.encoding, long)
    context = model.context_length
    assert len(ids) > 3 * context
    assert model.denoise(long, threshold=1.1) == long
    (found,) = model.rebuilt([ids])
    starts = range(0, len(ids) - context // 2, context // 2)
    for place in range(0, len(ids), 3):
        # the window in whose middle the token lies
        start = min(starts, key=lambda start: abs(start + context / 2 - place - 0.5))
        (own,) = model.rebuilt([ids[start : start + context]])
        assert own[0][place - start] == found[0][place]
        assert own[1][place - start] == pytest.approx(found[1][place], abs=1e-5)


def test_changes_are_told_with_their_place_and_probability(model: Predictor) -> None:
    for text in SHORT:
        (found,) = model.denoised([text], threshold=0.05)
        rebuilt, end = "", 0
        for change in found.changes:
            assert text[change.start : change.end] == change.before
            assert 0.0 < change.probability <= 1.0
            rebuilt += text[end : change.start] + change.after
            end = change.end
        if "\ufffd" not in found.text:
            assert rebuilt + text[end:] == found.text
    assert model.denoised([SHORT[0]], threshold=1.1)[0].changes == []


def test_a_threshold_by_validation_leaves_clean_text_alone(
    model: Predictor, tokenized: Tokenized
) -> None:
    threshold = denoising_threshold(model, tokenized)
    changed = total = 0
    for start, end in itertools.pairwise(tokenized.documents.tolist()):
        ids = tokenized.tokens[start : end - 1].tolist()
        ((best, probability),) = model.rebuilt([ids])
        changed += int(((best != np.array(ids)) & (probability >= threshold)).sum())
        total += len(ids)
        if total > TOKENS:
            break
    assert changed <= 0.006 * total


def test_a_sure_exact_number_is_the_answer_and_inside_every_interval() -> None:
    points = scale_points(torch.device("cpu"))
    # a density around 1,000, and 90% on a number far from it
    cumulative = torch.special.ndtr((points - 5.0) / 0.5)
    found = number_prediction(cumulative, points, (0.5, 0.9), {5.0: 0.9, 7.0: 0.02})
    assert found.value == found.median == 5.0
    assert found.exact == ((5.0, 0.9), (7.0, 0.02))
    assert found.intervals[0.5] == (5.0, 5.0)
    assert found.interval[0] <= 5.0 <= found.interval[1]
    assert found.magnitudes[0] == pytest.approx(0.92, abs=1e-3)
    assert sum(found.magnitudes.values()) == pytest.approx(1.0, abs=1e-3)
    # the upper end lies in the density: 95% = 92% + 3% of its 8%
    place = torch.tensor((float(to_scale(np.array(found.interval[1]))) - 5.0) / 0.5)
    level = float(torch.special.ndtr(place))
    assert 0.92 + 0.08 * level == pytest.approx(0.95, abs=1e-3)
    plain = number_prediction(cumulative, points, (0.9,), {})
    unsure = number_prediction(cumulative, points, (0.9,), {5.0: 1e-6})
    assert plain.value == plain.median
    assert unsure.value == unsure.median == pytest.approx(plain.median, rel=0.02)


def test_exact_numbers_are_those_of_the_next_words(model: Predictor) -> None:
    shares = {"5": 0.5, "five": 0.1, "of": 0.2, "1.5 million": 0.1}
    found = model.exact_numbers("The sum is ", shares)
    # 20% are no number, and 10% are unknown
    assert found == pytest.approx({5.0: 0.6 / 0.8, 1.5e6: 0.1 / 0.8})
    assert model.exact_numbers("It costs $", {"7": 0.5, ".": 0.5}) == pytest.approx({7.0: 1.0})
    assert model.exact_numbers("It is", {"of": 1.0}) == {}
    weight = model.calibration.number_weight
    for text in SHORT:
        words = model.next_words([text])[0]
        exact = model.exact_numbers(text, words)
        told = dict(model.predict_number(text).exact)
        assert told == pytest.approx({value: weight * share for value, share in exact.items()})


def test_the_weight_of_exact_numbers_has_the_best_log_score(
    model: Predictor, tokenized: Tokenized, tmp_path: Path
) -> None:
    weight, remembered = number_weights(model, tokenized)
    assert 0.0 <= weight <= 0.99
    assert remembered == 0.0  # nothing is
    # an untrained model's exact numbers are worth no more than nothing
    assert weight < 0.5
    knows = copy.copy(model)
    # one that says what follows is right
    prompts, values, _ = _numbers_of(model, tokenized)
    answers = {prompt.rstrip(" "): value for prompt, value in zip(prompts, values, strict=True)}
    knows.next_words = lambda texts, width=0: [{text: 0.9} for text in texts]
    knows.exact_numbers = lambda text, words: {answers[text.rstrip(" ")]: 0.9}
    assert number_weights(knows, tokenized)[0] == 0.99
    calibration = Calibration(weight, 0.25, 0.75)
    assert Calibration.read(tmp_path) == Calibration()
    calibration.write(tmp_path)
    assert Calibration.read(tmp_path) == calibration
    (tmp_path / "calibration.json").write_text('{"else": 1}')
    with pytest.raises(UserError, match="damaged"):
        Calibration.read(tmp_path)


def test_empty_texts_are_refused_where_they_mean_nothing(model: Predictor) -> None:
    for call in (lambda: model.embed(["a", ""]), lambda: model.predict_next("")):
        with pytest.raises(ModelError, match="empty text"):
            call()


@pytest.mark.parametrize("mode", ["token", "document"])
def test_denoising_keeps_what_no_threshold_reaches_and_the_length_in_tokens(
    settings: Settings, encoding: tiktoken.Encoding, mode: str
) -> None:
    model = Predictor.untrained(settings.replaced({"objectives.denoising.mode": mode}), encoding)
    for text in [*SHORT, ""]:
        assert model.denoise(text, threshold=1.1) == text
    ids = encode(model.encoding, SHORT[0])
    rebuilt = model.denoise(SHORT[0], threshold=0.0)
    special = special_ids(model.encoding)
    both = []
    for name in ("denoising", "ntp"):
        with torch.no_grad():
            logits = model.objectives[name](torch.tensor([ids]))[0, :, : model.encoding.n_vocab]
        logits[:, [special.mask, special.noise, special.padding]] = -torch.inf
        both.append(logits.log_softmax(-1))
    # nothing stands before the first token, from which the causal head could tell it
    decoder, causal = both
    decoder[1:] += causal[:-1]
    decoder[:, special.end] = -torch.inf
    assert rebuilt == model.encoding.decode(decoder.argmax(-1).tolist())


def test_many_texts_are_answered_as_each_by_itself(model: Predictor) -> None:
    texts = [
        "The [MASK] of 2 + [MASK] is 5",
        "[MASK]",
        SHORT[2],
        "",
        f"{SHORT[1]} [MASK]",
        SHORT[0],
    ]

    def same(found: list[tuple[str, float]], alone: list[tuple[str, float]]) -> None:
        assert [token for token, _ in found] == [token for token, _ in alone]
        assert [p for _, p in found] == pytest.approx([p for _, p in alone], abs=1e-5)

    spoken = [text for text in texts if text]
    for text, found in zip(spoken, model.predict_next_tokens(spoken, k=4), strict=True):
        same(found, model.predict_next(text, k=4, tokens=True))
    for text, found in zip(spoken, model.predict_next_words(spoken, k=4), strict=True):
        same(found, model.predict_next(text, k=4))
    masked = [text for text in texts if "[MASK]" in text]
    for text, masks in zip(masked, model.fill_masks(masked, k=3), strict=True):
        assert [len(candidates) for candidates in masks] == [3] * text.count("[MASK]")
        same([pair for candidates in masks for pair in candidates], model.fill_mask(text, k=3))
    for text, masks in zip(masked, model.fill_masks(masked, k=3, tokens=True), strict=True):
        assert [len(candidates) for candidates in masks] == [3] * text.count("[MASK]")
        alone = model.fill_mask(text, k=3, tokens=True)
        same([pair for candidates in masks for pair in candidates], alone)
    for threshold in (0.0, 0.3):
        alone = [model.denoise(text, threshold) for text in texts]
        assert model.denoise_texts(texts, threshold) == alone
    assert model.fill_masks([]) == model.predict_next_tokens([]) == model.denoise_texts([]) == []


def test_generation_is_greedy_and_stops_where_it_should(model: Predictor) -> None:
    ids = encode(model.encoding, SHORT[0])
    chosen: list[int] = []
    for _ in range(6):
        chosen.append(int(next_token_nats(model, [*ids, *chosen]).argmin()))
    expected = model.encoding.decode(chosen).split("<|endoftext|>")[0]
    assert model.generate([SHORT[0]], max_tokens=6, stop="")[0] == expected
    for count in (1, 20, 50):
        # beyond the context, too
        slow = greedy_loop(
            lambda tokens: next_token_nats(model, tokens), ids, count, model.context_length
        )
        expected = model.encoding.decode(slow).split("<|endoftext|>")[0]
        assert model.generate([SHORT[0]], max_tokens=count, stop="")[0] == expected
    assert len(model.generate(SHORT, max_tokens=4)) == 3
    assert model.generate([], max_tokens=4) == []
    assert model.generate(SHORT, max_tokens=0) == ["", "", ""]
    letter = next((character for character in expected if character.isalpha()), expected[0])
    assert letter not in model.generate([SHORT[0]], max_tokens=6, stop=letter)[0]


def test_generation_does_not_depend_on_the_other_prompts_and_goes_beyond_the_context(
    model: Predictor, long: str
) -> None:
    together = model.generate([SHORT[0], long, "Two"], max_tokens=5, stop="")
    assert together == [
        model.generate([prompt], max_tokens=5, stop="")[0] for prompt in (SHORT[0], long, "Two")
    ]


def test_finding_numbers_needs_no_model_state(model: Predictor) -> None:
    assert [number.value for number in model.find_numbers("1,234.5 kg in 2024")] == [1234.5, 2024.0]


def test_a_saved_model_comes_back_exactly(model: Predictor, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for name, objective in model.objectives.items():
        state = again.objectives[name].state_dict()
        assert all(torch.equal(value, state[key]) for key, value in objective.state_dict().items())
    assert np.array_equal(again.embed(SHORT), model.embed(SHORT))
    assert again.generate(SHORT, max_tokens=3) == model.generate(SHORT, max_tokens=3)
    assert again.settings.model == model.settings.model
    assert not any(objective.training for objective in again.objectives.values())


def test_the_randomly_initialized_model_is_the_same_every_time_and_costs_no_randomness(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    torch.manual_seed(5)
    first = Predictor.untrained(settings, encoding)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    second = Predictor.untrained(settings, encoding)
    assert np.array_equal(first.embed(SHORT), second.embed(SHORT))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "encoding.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_model_that_is_not_whole_is_refused(
    model: Predictor, tmp_path: Path, name: str, damage: str
) -> None:
    model.save(tmp_path)
    path = tmp_path / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError):
        load(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", '{"model": []}', '{"model": 3}', '{"model": {"heads": 3}}', "{}"]
)
def test_a_config_of_another_shape_is_refused_in_one_sentence(
    model: Predictor, tmp_path: Path, content: str
) -> None:
    model.save(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError):
        load(tmp_path)


@pytest.mark.parametrize("key", ["short_convolution", "induction_heads", "mode_specific_layers"])
def test_a_model_written_before_a_part_existed_is_read_without_it(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path: Path, key: str
) -> None:
    model = Predictor.untrained(settings.replaced({f"model.{key}": 0}), encoding)
    model.save(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    del written["model"][key]
    (tmp_path / "config.json").write_text(json.dumps(written))
    assert np.array_equal(load(tmp_path).embed(SHORT), model.embed(SHORT))


def test_a_model_written_with_the_old_names_of_settings_is_read(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path: Path
) -> None:
    changed = {
        "model.mode_specific_layers": 1,
        "objectives.mlm.granularity": "span",
        "objectives.mlm.batch_fraction": 0.5,
        "training.sequences": 7,
        "training.min_lr_ratio": 0.25,
    }
    model = Predictor.untrained(settings.replaced(changed), encoding)
    model.save(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    for old, new in RENAMED.items():
        section = written
        *parents, name = new.split(".")
        for parent in parents:
            section = section.get(parent, {})
        if name in section:
            section[old.split(".")[-1]] = section.pop(name)
    assert written["training"]["rows"] == 7
    (tmp_path / "config.json").write_text(json.dumps(written))
    again = load(tmp_path)
    assert again.settings.model_dump(include={"model", "objectives", "training"}) == (
        model.settings.model_dump(include={"model", "objectives", "training"})
    )
    assert np.array_equal(again.embed(SHORT), model.embed(SHORT))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load(tmp_path / "nowhere")
