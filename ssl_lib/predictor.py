"""A pretrained model in use: embeddings, next tokens, numbers with intervals, masks, denoising.

Every method reads texts in pieces of at most the model's context; pieces of similar length run
together (`_run`), so that no text depends on the others.

Shapes: N texts or sequences, R sequences that run together, T positions, D width, S target
positions, V vocabulary, Q points of the number scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken
import torch
from torch import Tensor
from torch.nn import functional

from ssl_lib.batches.datasets import padded_sequences, token_spans
from ssl_lib.config import Settings
from ssl_lib.model.devices import place
from ssl_lib.model.layers import normalize
from ssl_lib.numbers import Number, find_numbers
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.denoising import DenoisingAutoencoder
from ssl_lib.objectives.masked_language_model import MaskedLanguageModel
from ssl_lib.objectives.model_folder import ModelError, read_model, save_model
from ssl_lib.objectives.numerical import (
    NumberPrediction,
    NumericalPatternLearner,
    number_prediction,
    scale_points,
)
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.predictions import (
    Flags,
    Floats,
    Ran,
    TokenPredictions,
    TokenStates,
    cut_at,
    cut_into_pieces,
)
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

MASK = "[MASK]"
LOGITS_AT_ONCE = 2048  # positions that meet the whole vocabulary together
NUMBERS_AT_ONCE = 256  # texts whose distributions of numbers are tabulated together


class Predictor:
    """A model with its encoding; nothing here changes it."""

    def __init__(
        self, settings: Settings, encoding: tiktoken.Encoding, objectives: Mapping[str, Objective]
    ) -> None:
        self.settings = settings
        self.encoding = encoding
        self.special = special_ids(encoding)
        self.context_length = settings.model.context_length
        self.placement = place(settings.training)
        self.objectives: dict[str, Objective] = {}
        for name, objective in objectives.items():
            self.objectives[name] = objective.eval().to(self.placement.device)
        self.trunk = next(iter(self.objectives.values())).trunk

    @classmethod
    def untrained(cls, settings: Settings, encoding: tiktoken.Encoding) -> Predictor:
        """The randomly initialized model of the same architecture, the `before` of all measures."""
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(settings, encoding, build_objectives(settings, encoding))

    @property
    def width(self) -> int:
        """D."""
        return self.trunk.width

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit-length embeddings, float32 [N, D]; a long text's is the mean of its pieces'.

        Raises ModelError for an empty text.
        """
        contrastive = self.objectives["contrastive"]
        assert isinstance(contrastive, ContrastiveTokenEncoder)
        encoded = self._encode(texts)
        if not all(encoded):
            raise ModelError("an empty text has no embedding; leave it out")
        pieces = cut_into_pieces(encoded, self.context_length)
        # P pieces of N texts: a text's vectors are added up
        vectors_PD = np.zeros((len(pieces), self.width), dtype=np.float32)
        for ran in self._run([piece.ids for piece in pieces], causal=False):
            found_RD = contrastive.embed(ran.hidden_RTD, ran.ids_RT, ran.documents_RT)
            found_RD = found_RD.float().cpu()
            vectors_PD[ran.indices] = found_RD.numpy()
        sums_ND = np.zeros((len(texts), self.width), dtype=np.float32)
        np.add.at(sums_ND, [piece.owner for piece in pieces], vectors_PD)
        lengths_N1 = np.linalg.norm(sums_ND, axis=1, keepdims=True)
        lengths_N1 = lengths_N1.clip(1e-12)
        unit_ND: Floats = sums_ND / lengths_N1
        return unit_ND

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> list[TokenStates]:
        """Hidden states [T, D] of every text's tokens, with bidirectional attention.

        A token sees its piece of at most `model.context_length` tokens. With `every_layer` the
        states in front of the first of the L layers and behind each stand side by side,
        [T, (L + 1) * D].
        """
        return self._states(texts, causal=False, every_layer=every_layer)

    def causal_states(self, texts: Sequence[str]) -> list[TokenStates]:
        """Hidden states [T, D] of every text's tokens, each seeing only what stands before it."""
        return self._states(texts, causal=True)

    @torch.no_grad()
    def log_likelihoods(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        """Log-likelihood of each continuation after its prompt, nats, float64 [N].

        The prompt is cut on the left to fit the context.
        """
        sequences = []
        firsts = []
        for prompt, continuation in zip(prompts, continuations, strict=True):
            ids = encode(self.encoding, prompt + continuation)
            border = len(prompt.encode("utf-8", "surrogatepass"))
            sizes = [len(self.encoding.decode_single_token_bytes(token)) for token in ids]
            # tokens that end inside the prompt; the next one reaches into the continuation
            ends = np.cumsum(sizes)
            inside = int(np.sum(ends <= border))
            cut = max(0, len(ids) - self.context_length)
            sequences.append(ids[cut:])
            # nothing predicts the first token of a sequence
            firsts.append(max(inside - cut, 1))
        sums = [nats_S.sum(dtype=np.float64) for nats_S, _ in self._score(sequences, firsts)]
        return -np.array(sums, dtype=np.float64)

    @torch.no_grad()
    def next_token_ranks(self, texts: Sequence[str]) -> list[TokenPredictions]:
        """Predictions of every token of every text but the first, from what stands before it.

        Pieces overlap by half a context, so that at least so much stands before each token, or all
        of the text.
        """
        half = self.context_length // 2
        encoded = self._encode(texts)
        found = []
        for text, ids in zip(texts, encoded, strict=True):
            right_T = np.zeros(len(ids), dtype=bool)
            nats_T = np.full(len(ids), np.nan, dtype=np.float32)
            found.append(TokenPredictions(right_T, nats_T, token_spans(self.encoding, text, ids)))
        pieces = cut_into_pieces(encoded, self.context_length, overlap=half)
        # the first half of a piece has been scored in the piece before
        firsts = [half if piece.start else 1 for piece in pieces]
        scored = self._score([piece.ids for piece in pieces], firsts)
        for piece, first, (nats_S, right_S) in zip(pieces, firsts, scored, strict=True):
            start = piece.start + first
            part = slice(start, start + len(nats_S))
            found[piece.owner].nll[part] = nats_S
            found[piece.owner].correct[part] = right_S
        return [TokenPredictions(right[1:], nats[1:], spans[1:]) for right, nats, spans in found]

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations, up to and without `stop`, a document's end, `max_tokens` tokens.

        Raises ModelError for an empty prompt.
        """
        sequences = self._encode(prompts)
        if not all(sequences):
            raise ModelError("an empty prompt cannot be continued; give at least one word")
        # where the prompts end and the texts begin
        ends = [len(ids) for ids in sequences]
        texts = [""] * len(prompts)
        active = list(range(len(prompts)))
        for _ in range(max_tokens):
            if not active:
                break
            states_ND = self._last_states([sequences[index] for index in active])
            parts = torch.split(states_ND, LOGITS_AT_ONCE)
            tokens_N = torch.cat([self._logits(part).argmax(-1) for part in parts])
            unfinished = []
            for index, token in zip(active, tokens_N.tolist(), strict=True):
                # a document's end is no text
                if token == self.special.end:
                    continue
                ids = sequences[index]
                ids.append(token)
                text = self._decode(ids[ends[index] :])
                texts[index] = text
                # "3." may go on as "3.5": a stop at the very end is not known to be one
                if len(cut_at(text, stop)) + len(stop) >= len(text):
                    unfinished.append(index)
            active = unfinished
        return [cut_at(text, stop) for text in texts]

    def predict_next(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable next tokens with their probabilities.

        Raises ModelError for an empty text.
        """
        return self.predict_next_tokens([text], k)[0]

    @torch.no_grad()
    def predict_next_tokens(
        self, texts: Sequence[str], k: int = 5
    ) -> list[list[tuple[str, float]]]:
        """`predict_next` of many texts."""
        states_ND = self._last_states(self._encode(texts))
        return self._most_probable(states_ND, k)

    def predict_number(self, text: str) -> NumberPrediction:
        """The value of the number that comes next: median, 90% interval, orders of magnitude."""
        return self.predict_numbers([text])[0]

    @torch.no_grad()
    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[NumberPrediction]:
        """`predict_number` of many texts, with the central intervals of the given probabilities."""
        numerical = self.objectives["numerical"]
        assert isinstance(numerical, NumericalPatternLearner)
        scale_Q = scale_points(self.placement.device)
        found = []
        for start in range(0, len(texts), NUMBERS_AT_ONCE):
            sequences = []
            for text in texts[start : start + NUMBERS_AT_ONCE]:
                # up to where the first digit would stand: with the space before it, where the
                # encoding writes that as a token of its own
                if text and not text.endswith((" ", "$", "(")):
                    text += " "
                ids = encode(self.encoding, text + "1")
                sequences.append(ids[:-1])
            states_ND = self._last_states(sequences)
            cumulative_NQ = numerical.value_head.cumulative(states_ND, scale_Q).double()
            for cumulative_Q in cumulative_NQ:
                found.append(number_prediction(cumulative_Q, scale_Q, intervals))
        return found

    def fill_mask(self, text: str, k: int = 1) -> list[tuple[str, float]]:
        """For each `[MASK]`, its k most probable tokens with their probabilities.

        Raises ModelError if there is none, or too much text.
        """
        (masks,) = self.fill_masks([text], k)
        return [candidate for candidates in masks for candidate in candidates]

    @torch.no_grad()
    def fill_masks(self, texts: Sequence[str], k: int = 1) -> list[list[list[tuple[str, float]]]]:
        """For each text, for each of its `[MASK]`s, the k most probable tokens."""
        mlm = self.objectives["mlm"]
        assert isinstance(mlm, MaskedLanguageModel)
        sequences = []
        for text in texts:
            first, *others = text.split(MASK)
            if not others:
                raise ModelError(f"the text holds no {MASK}; write {MASK} where a token is missing")
            ids = encode(self.encoding, first)
            for piece in others:
                ids += [self.special.mask, *encode(self.encoding, piece)]
            sequences.append(ids)
        found: dict[int, list[list[tuple[str, float]]]] = {}
        for ran in self._whole(sequences):
            # the masks of all sequences one after the other: S of them
            masked_RT = ran.ids_RT == self.special.mask
            candidates = self._most_probable(mlm.head(ran.hidden_RTD[masked_RT]), k)
            end = 0
            for index, count in zip(ran.indices, masked_RT.sum(-1).tolist(), strict=True):
                found[index] = candidates[end : end + count]
                end += count
        return [found[index] for index in range(len(texts))]

    @torch.no_grad()
    def restores(self, texts: Sequence[str], places: Sequence[tuple[int, int]]) -> Flags:
        """Whether each text's characters [start, end) come back when all their tokens are masked.

        bool [N]: every token most probable in its place, so that how many there are is given away.
        A long text is cut around the place to fit the context.
        """
        mlm = self.objectives["mlm"]
        assert isinstance(mlm, MaskedLanguageModel)
        sequences = []
        hidden = []
        truth = []
        for text, (start, end), ids in zip(texts, places, self._encode(texts), strict=True):
            starts_T, ends_T = token_spans(self.encoding, text, ids).T
            inside = np.flatnonzero((starts_T < end) & (ends_T > start))
            # half of the context on either side, or more where the text begins or ends
            last = max(0, len(ids) - self.context_length)
            cut = min(max(0, int(inside.mean()) - self.context_length // 2), last)
            kept = ids[cut : cut + self.context_length]
            # of a number longer than the context, the tokens that are kept
            targets = [index - cut for index in inside.tolist() if 0 <= index - cut < len(kept)]
            truth.append([kept[target] for target in targets])
            for target in targets:
                kept[target] = self.special.mask
            hidden.append(targets)
            sequences.append(kept)
        right_N = np.zeros(len(texts), dtype=bool)
        for ran in self._run(sequences, causal=False):
            pairs = zip(ran.hidden_RTD, ran.indices, strict=True)
            states_SD = torch.cat([hidden_TD[hidden[index]] for hidden_TD, index in pairs])
            best = iter(self._logits(mlm.head(states_SD)).argmax(-1).tolist())
            for index in ran.indices:
                right_N[index] = [next(best) for _ in truth[index]] == truth[index]
        return right_N

    def denoise(self, text: str, threshold: float = 0.5) -> str:
        """The text, with other tokens where the decoder is sure of them.

        A token is replaced by one whose probability is `threshold` at least. Raises ModelError for
        too much text.
        """
        return self.denoise_texts([text], threshold)[0]

    @torch.no_grad()
    def denoise_texts(self, texts: Sequence[str], threshold: float = 0.5) -> list[str]:
        """`denoise` of many texts."""
        denoising = self.objectives["denoising"]
        assert isinstance(denoising, DenoisingAutoencoder)
        sequences = self._encode(texts)
        found = [""] * len(texts)
        for ran in self._whole(sequences):
            rebuilt_RTD = denoising.rebuild_sequences(ran.hidden_RTD, ran.documents_RT)
            for rebuilt_TD, index in zip(rebuilt_RTD, ran.indices, strict=True):
                # without padding, as which an empty text ran
                own = sequences[index]
                logits_TV = self._logits(rebuilt_TD[: len(own)])
                logits_TV[:, self.special.end] = -torch.inf
                probabilities_TV = logits_TV.softmax(-1)
                probability_T, best_T = probabilities_TV.max(-1)
                own_T = torch.tensor(own, dtype=best_T.dtype, device=best_T.device)
                chosen_T = torch.where(probability_T < threshold, own_T, best_T)
                found[index] = self._decode(chosen_T.tolist())
        return found

    def find_numbers(self, text: str) -> list[Number]:
        """The numbers written in a text."""
        return find_numbers(text)

    def save(self, folder: Path) -> None:
        """Write model.safetensors, config.json and encoding.json: all that `load` needs."""
        save_model(folder, self.settings, self.encoding, self.objectives)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encode(self.encoding, text) for text in texts]

    def _run(
        self, sequences: Sequence[Sequence[int]], causal: bool, every_layer: bool = False
    ) -> Iterator[Ran]:
        """The trunk over all sequences, each once, those of similar length together."""
        device = self.placement.device
        batches = padded_sequences(sequences, self.special.padding, device)
        for indices, ids_RT, documents_RT in batches:
            causal_R = torch.full((len(ids_RT),), causal, device=device)
            with self.placement.precision():
                if every_layer:
                    layers = self.trunk.layer_states(ids_RT, documents_RT, causal_R)
                    normal = [normalize(states_RTD.float()) for states_RTD in layers]
                    hidden_RTD = torch.cat(normal, dim=-1)
                else:
                    hidden_RTD = self.trunk(ids_RT, documents_RT, causal_R).float()
            yield Ran(indices, ids_RT, documents_RT, hidden_RTD)

    def _whole(self, sequences: Sequence[Sequence[int]]) -> Iterator[Ran]:
        """Sequences with bidirectional attention. Raises ModelError if one does not fit."""
        longest = max(map(len, sequences), default=0)
        if longest > self.context_length:
            raise ModelError(
                f"the text has {longest} tokens, the model's context is {self.context_length}; "
                "give a shorter text"
            )
        return self._run(sequences, causal=False)

    @torch.no_grad()
    def _states(
        self, texts: Sequence[str], causal: bool, every_layer: bool = False
    ) -> list[TokenStates]:
        width = self.width
        if every_layer:
            width *= self.trunk.shape.layers + 1
        encoded = self._encode(texts)
        found = []
        for text, ids in zip(texts, encoded, strict=True):
            states_TD = np.zeros((len(ids), width), dtype=np.float32)
            found.append(TokenStates(states_TD, token_spans(self.encoding, text, ids)))
        pieces = cut_into_pieces(encoded, self.context_length)
        for ran in self._run([piece.ids for piece in pieces], causal, every_layer):
            hidden_RTD = ran.hidden_RTD.cpu().numpy()
            for hidden_TD, index in zip(hidden_RTD, ran.indices, strict=True):
                owner, start, piece = pieces[index]
                end = start + len(piece)
                found[owner].states[start:end] = hidden_TD[: len(piece)]
        return found

    def _last_states(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Causal states [N, D] of the last tokens of sequences, cut on the left to the context.

        Raises ModelError for an empty one.
        """
        if not all(sequences):
            raise ModelError(
                "an empty text says nothing about what comes next; give at least one word"
            )
        cut = [ids[-self.context_length :] for ids in sequences]
        # in the order of the texts, not in the one in which they run
        states_ND = torch.zeros(len(cut), self.width, device=self.placement.device)
        for ran in self._run(cut, causal=True):
            lasts_R = [len(cut[index]) - 1 for index in ran.indices]
            rows_R = list(range(len(lasts_R)))
            states_ND[ran.indices] = ran.hidden_RTD[rows_R, lasts_R]
        return states_ND

    def _score(
        self, sequences: Sequence[Sequence[int]], firsts: Sequence[int]
    ) -> list[tuple[Floats, Flags]]:
        """Nats [S] of each sequence's tokens from `first` on, and whether they were most probable.

        Each is predicted from the state before it.
        """
        found: dict[int, tuple[Floats, Flags]] = {}
        for ran in self._run(sequences, causal=True):
            # the target positions of all sequences one after the other: S of them, as in
            # row_S [0, 0, 1], place_S [1, 2, 1]
            places = [np.arange(firsts[index], len(sequences[index])) for index in ran.indices]
            counts = [len(place) for place in places]
            row_S = np.repeat(np.arange(len(counts)), counts)
            place_S = np.concatenate(places)
            # the state of a position predicts the token that follows it
            before_S = place_S - 1
            hidden_SD = ran.hidden_RTD[row_S, before_S]
            targets_S = ran.ids_RT[row_S, place_S]
            nats_S = np.zeros(len(row_S), dtype=np.float32)
            right_S = np.zeros(len(row_S), dtype=bool)
            for start in range(0, len(row_S), LOGITS_AT_ONCE):
                part = slice(start, start + LOGITS_AT_ONCE)
                true_S = targets_S[part]
                logits_SV = self._logits(hidden_SD[part])
                loss_S = functional.cross_entropy(logits_SV, true_S, reduction="none")
                nats_S[part] = loss_S.cpu().numpy()
                best_S = logits_SV.argmax(-1)
                is_right_S = best_S == true_S
                right_S[part] = is_right_S.cpu().numpy()
            end = 0
            for index, count in zip(ran.indices, counts, strict=True):
                part = slice(end, end + count)
                found[index] = (nats_S[part], right_S[part])
                end += count
        return [found[index] for index in range(len(sequences))]

    def _logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V], float32, of tokens that text can hold and of the end of a document.

        Mask, noise and padding cannot be predicted.
        """
        vocabulary_VD = self.trunk.vocabulary_matrix()
        logits = hidden @ vocabulary_VD.T
        # behind the encoding's ids the model has spare ones (SPARE_IDS of the trunk)
        logits = logits[..., : self.encoding.n_vocab]
        logits = logits.float()
        for token in (self.special.mask, self.special.noise, self.special.padding):
            if token < logits.shape[-1]:
                logits[..., token] = -torch.inf
        return logits

    def _most_probable(self, states_SD: Tensor, k: int) -> list[list[tuple[str, float]]]:
        """The k most probable tokens of each of S positions, with their probabilities."""
        found = []
        for part_SD in torch.split(states_SD, LOGITS_AT_ONCE):
            logits_SV = self._logits(part_SD)
            probabilities_SV = logits_SV.softmax(-1)
            values_Sk, tokens_Sk = probabilities_SV.topk(min(k, logits_SV.shape[-1]))
            for values, ids in zip(values_Sk.tolist(), tokens_Sk.tolist(), strict=True):
                tokens = [self._decode([token]) for token in ids]
                found.append(list(zip(tokens, values, strict=True)))
        return found

    def _decode(self, ids: Sequence[int]) -> str:
        return self.encoding.decode_bytes(list(ids)).decode("utf-8", "replace")


def load(source: str | Path = "model") -> Predictor:
    """Load a model folder, or one that MLflow holds (`models:/name@alias`, `runs:/id/model`).

    Raises ModelError if it is no model, TrackingError if the store has none.
    """
    if str(source).startswith(("models:/", "runs:/")):
        from ssl_lib.tracking import download_model

        source = download_model(str(source))
    parts = read_model(Path(source))
    return Predictor(*parts)
