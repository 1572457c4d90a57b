"""A pretrained model in use: embeddings, next tokens, numbers with intervals, masks, denoising.

Shapes: N texts, T positions, D width, S scored positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tiktoken
import torch
from torch import Tensor

from ssl_lib.batches.datasets import PaddedSequences, padded_sequences, token_spans
from ssl_lib.config import Settings
from ssl_lib.model.devices import Placement, place
from ssl_lib.model.layers import normalize
from ssl_lib.numbers import Number, find_numbers
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.model_folder import ModelError, read_model, save_model
from ssl_lib.objectives.numerical import NumberPrediction, number_prediction, scale_points
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.encodings import encode, special_ids

MASK = "[MASK]"


class TokenStates(NamedTuple):
    """Hidden states [T, D] of a text's tokens and the characters [T, 2] each of them covers."""

    states: np.ndarray
    spans: np.ndarray


class TokenPredictions(NamedTuple):
    """Teacher-forced predictions of a text: whether the most probable token was right [T], its nats [T], characters
    [T, 2].
    """

    correct: np.ndarray
    nll: np.ndarray
    spans: np.ndarray


class Predictor:
    """A model with its encoding; nothing here changes it."""

    def __init__(
        self, settings: Settings, encoding: tiktoken.Encoding, objectives: Mapping[str, Objective]
    ) -> None:
        self.settings, self.encoding = settings, encoding
        self.objectives = {name: objective.eval() for name, objective in objectives.items()}
        self.special = special_ids(encoding)
        self.trunk = next(iter(self.objectives.values())).trunk
        self.context_length = settings.model.context_length
        self.placement: Placement = place(settings.training)
        for objective in self.objectives.values():
            objective.to(self.placement.device)

    @classmethod
    def untrained(cls, settings: Settings, encoding: tiktoken.Encoding) -> Predictor:
        """The same architecture at its random initialisation: the twin that every `before` is measured on."""
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(settings, encoding, build_objectives(settings, encoding))

    @property
    def width(self) -> int:
        """D."""
        return self.trunk.width

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length embeddings, float32 [N, D]; a text longer than the context is the mean of its pieces. Raises
        ModelError for an empty text.
        """
        pieces = [self._pieces(text) for text in texts]
        rows = [piece for group in pieces for piece in group]
        vectors = np.zeros((len(rows), self.width), dtype=np.float32)
        for indices, ids, documents in self._padded(rows):
            hidden = self._hidden(ids, documents, causal=False)
            vectors[indices] = (
                self.objectives["contrastive"].embed(hidden, ids, documents).float().cpu().numpy()
            )
        owners = np.repeat(np.arange(len(texts)), [len(group) for group in pieces])
        summed = np.zeros((len(texts), self.width), dtype=np.float32)
        np.add.at(summed, owners, vectors)
        return summed / np.linalg.norm(summed, axis=1, keepdims=True).clip(1e-12)

    def token_states(self, texts: Sequence[str], every_layer: bool = False) -> list[TokenStates]:
        """Hidden states [T, D] of every text's tokens, each seen from both sides inside its piece of at most
        `model.context_length` tokens; with `every_layer`, those in front of the first of the L layers and behind each one side
        by side, [T, (L + 1) * D].
        """
        return self._states(texts, causal=False, every_layer=every_layer)

    def causal_states(self, texts: Sequence[str]) -> list[TokenStates]:
        """Hidden states of every text's tokens, each seeing only what stands before it."""
        return self._states(texts, causal=True)

    @torch.no_grad()
    def log_likelihoods(self, prompts: Sequence[str], continuations: Sequence[str]) -> np.ndarray:
        """Log-likelihood of each continuation after its prompt, nats, float64 [N]; the prompt is cut on the left to
        fit the context.
        """
        rows, lengths = [], []
        for prompt, continuation in zip(prompts, continuations, strict=True):
            ids, first = self._joined(prompt, continuation)
            rows.append(ids[-self.context_length :])
            lengths.append(min(len(ids) - first, self.context_length - 1))
        totals = np.zeros(len(rows))
        for indices, ids, documents in self._padded(rows):
            counts = [lengths[index] for index in indices]
            lines = torch.tensor(np.repeat(np.arange(len(indices)), counts), device=ids.device)
            places = torch.tensor(
                np.concatenate(
                    [np.arange(len(rows[i]) - lengths[i], len(rows[i])) for i in indices]
                ),
                device=ids.device,
            )
            hidden_SD = self._hidden(ids, documents, causal=True)[lines, places - 1]
            nats = self._nats(hidden_SD, ids[lines, places])
            totals[np.asarray(indices)] = -np.bincount(
                lines.cpu().numpy(), nats, minlength=len(indices)
            )
        return totals

    @torch.no_grad()
    def next_token_ranks(self, texts: Sequence[str]) -> list[TokenPredictions]:
        """Every token of every text but the first predicted from what stands before it, in pieces that overlap by half
        a context.
        """
        found: list[TokenPredictions] = []
        encoded = [encode(self.encoding, text) for text in texts]
        windows = [
            (owner, start)
            for owner, ids in enumerate(encoded)
            for start in self._window_starts(len(ids))
        ]
        correct = [np.zeros(len(ids), dtype=bool) for ids in encoded]
        nats_of = [np.full(len(ids), np.nan, dtype=np.float32) for ids in encoded]
        rows = [encoded[owner][start : start + self.context_length] for owner, start in windows]
        for indices, ids, documents in self._padded(rows):
            nats, right = self._next_token_scores(ids, documents)
            for line, index in enumerate(indices):
                owner, start = windows[index]
                skip = 1 if start == 0 else self.context_length // 2
                end = len(rows[index])
                nats_of[owner][start + skip : start + end] = nats[line, skip:end]
                correct[owner][start + skip : start + end] = right[line, skip:end]
        for text, ids, right, nats in zip(texts, encoded, correct, nats_of, strict=True):
            found.append(
                TokenPredictions(right[1:], nats[1:], token_spans(self.encoding, text, ids)[1:])
            )
        return found

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations, up to and without `stop`, an end of document, or `max_tokens` tokens."""
        rows = [encode(self.encoding, prompt) for prompt in prompts]
        if not all(rows):
            raise ModelError("an empty prompt cannot be continued; give at least one word")
        starts = [len(row) for row in rows]
        texts = ["" for _ in rows]
        active = list(range(len(rows)))
        for _ in range(max_tokens):
            for index, token in zip(
                active,
                self._greedy([rows[index][-self.context_length :] for index in active]),
                strict=True,
            ):
                rows[index].append(token)
                texts[index] = _decoded(
                    self.encoding,
                    [token for token in rows[index][starts[index] :] if token != self.special.end],
                )
            active = [
                index
                for index in active
                if rows[index][-1] != self.special.end and not _stopped(texts[index], stop)
            ]
            if not active:
                break
        return [_cut_at(text, stop) for text in texts]

    @torch.no_grad()
    def predict_next(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable next tokens with their probabilities."""
        hidden_D = self._last_states([text])[0]
        probabilities_V = self._ordinary_logits(hidden_D).softmax(-1)
        best = probabilities_V.topk(min(k, len(probabilities_V)))
        return [
            (_decoded(self.encoding, [token]), value)
            for value, token in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def predict_number(self, text: str) -> NumberPrediction:
        """The value of the number that comes next: median, 90% interval and probabilities of magnitudes."""
        return self.predict_numbers([text])[0]

    @torch.no_grad()
    def predict_numbers(
        self, texts: Sequence[str], intervals: Sequence[float] = (0.5, 0.9)
    ) -> list[NumberPrediction]:
        """`predict_number` of many texts, with the central intervals of the given probabilities."""
        scale_Q = scale_points(self.placement.device)
        found = []
        for start in range(0, len(texts), 256):
            states_ND = self._before_number(texts[start : start + 256])
            cumulative_NQ = (
                self.objectives["numerical"].value_head.cumulative(states_ND, scale_Q).double()
            )
            found += [number_prediction(row_Q, scale_Q, intervals) for row_Q in cumulative_NQ]
        return found

    @torch.no_grad()
    def fill_mask(self, text: str, k: int = 1) -> list[tuple[str, float]]:
        """For each `[MASK]`, its k most probable tokens with their probabilities. Raises ModelError if there is none,
        or too much text.
        """
        pieces = text.split(MASK)
        if len(pieces) == 1:
            raise ModelError(f"the text holds no {MASK}; write {MASK} where a token is missing")
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            ids += ([self.special.mask] if index else []) + encode(self.encoding, piece)
        self._check_length(ids)
        positions = [index for index, token in enumerate(ids) if token == self.special.mask]
        _, row, documents = next(self._padded([ids]))
        hidden_SD = self._hidden(row, documents, causal=False)[0, positions]
        probabilities_SV = self._ordinary(
            self.objectives["mlm"].head(hidden_SD) @ self.trunk.vocabulary_matrix().T
        ).softmax(-1)
        best = probabilities_SV.topk(k)
        pairs = zip(best.indices.flatten().tolist(), best.values.flatten().tolist(), strict=True)
        return [(_decoded(self.encoding, [token]), value) for token, value in pairs]

    @torch.no_grad()
    def denoise(self, text: str, threshold: float = 0.5) -> str:
        """The text with every token replaced that the decoder takes, by `threshold` at least, for another one."""
        ids = encode(self.encoding, text)
        self._check_length(ids)
        _, row, documents = next(self._padded([ids]))
        logits_TV = self._ordinary(
            self.objectives["denoising"].rebuild_sequences(
                self._hidden(row, documents, causal=False), documents
            )[0]
            @ self.trunk.vocabulary_matrix().T
        )
        logits_TV[:, self.special.end] = -torch.inf
        best = logits_TV.softmax(-1).max(-1)
        sure_T = best.values >= threshold
        rebuilt = [
            int(new) if sure else old
            for old, new, sure in zip(ids, best.indices, sure_T, strict=False)
        ]
        return _decoded(self.encoding, rebuilt)

    def find_numbers(self, text: str) -> list[Number]:
        """The numbers written in a text."""
        return find_numbers(text)

    def save(self, folder: Path) -> None:
        """Write model.safetensors, config.json and encoding.json: all that `load` needs."""
        save_model(folder, self.settings, self.encoding, self.objectives)

    def _states(
        self, texts: Sequence[str], causal: bool, every_layer: bool = False
    ) -> list[TokenStates]:
        width = self.width * (1 + self.trunk.shape.layers * every_layer)
        with torch.no_grad():
            encoded = [encode(self.encoding, text) for text in texts]
            pieces = [
                [
                    ids[start : start + self.context_length]
                    for start in range(0, len(ids), self.context_length)
                ]
                for ids in encoded
            ]
            rows = [piece for group in pieces for piece in group]
            states: list[np.ndarray] = [np.zeros((0, width), dtype=np.float32)] * len(rows)
            for indices, ids, documents in self._padded(rows):
                hidden = self._hidden(ids, documents, causal, every_layer).cpu().numpy()
                for line, index in enumerate(indices):
                    states[index] = hidden[line, : len(rows[index])]
        found, first = [], 0
        for text, ids, group in zip(texts, encoded, pieces, strict=True):
            own = states[first : first + len(group)] or [np.zeros((0, width), dtype=np.float32)]
            first += len(group)
            found.append(TokenStates(np.concatenate(own), token_spans(self.encoding, text, ids)))
        return found

    def _pieces(self, text: str) -> list[list[int]]:
        ids = encode(self.encoding, text)
        if not ids:
            raise ModelError("an empty text has no embedding; leave it out")
        return [
            ids[start : start + self.context_length]
            for start in range(0, len(ids), self.context_length)
        ]

    def _padded(self, rows: Sequence[Sequence[int]]) -> Iterator[PaddedSequences]:
        return padded_sequences(rows, self.special.padding, self.placement.device)

    def _hidden(
        self, ids: Tensor, documents: Tensor, causal: bool, every_layer: bool = False
    ) -> Tensor:
        causal_R = torch.full((len(ids),), causal, device=ids.device)
        with self.placement.precision():
            if not every_layer:
                return self.trunk(ids, documents, causal_R).float()
            layers = self.trunk.layer_states(ids, documents, causal_R)
            return torch.cat([normalize(hidden_RTD.float()) for hidden_RTD in layers], dim=-1)

    def _nats(self, hidden_SD: Tensor, targets_S: Tensor) -> np.ndarray:
        """Nats [S] of tokens after the states before them; the vocabulary is seen by a few thousand at a time."""
        parts = [
            torch.nn.functional.cross_entropy(
                self._ordinary_logits(hidden), targets, reduction="none"
            )
            .cpu()
            .numpy()
            for hidden, targets in zip(hidden_SD.split(2048), targets_S.split(2048), strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def _next_token_scores(self, ids: Tensor, documents: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Nats of every token and whether it was the most probable, [R, T]; column 0 is unpredicted (nan, False)."""
        hidden = self._hidden(ids, documents, causal=True)
        nats = np.full(ids.shape, np.nan, dtype=np.float32)
        right = np.zeros(ids.shape, dtype=bool)
        for line in range(0, len(ids), 16):
            rows = slice(line, line + 16)
            logits = self._ordinary(hidden[rows, :-1] @ self.trunk.vocabulary_matrix().T)
            targets = ids[rows, 1:].clamp(max=logits.shape[-1] - 1)
            nats[rows, 1:] = (
                torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
                .cpu()
                .numpy()
            )
            right[rows, 1:] = (logits.argmax(-1) == targets).cpu().numpy()
        return nats, right

    def _ordinary(self, logits: Tensor) -> Tensor:
        """Logits of tokens that text can hold and of the end of a document; mask, noise and padding cannot be
        predicted.
        """
        logits = logits[..., : self.encoding.n_vocab].float()
        for token in (self.special.mask, self.special.noise, self.special.padding):
            if token < logits.shape[-1]:
                logits[..., token] = -torch.inf
        return logits

    def _ordinary_logits(self, hidden: Tensor) -> Tensor:
        return self._ordinary(hidden @ self.trunk.vocabulary_matrix().T)

    def _greedy(self, rows: list[list[int]]) -> list[int]:
        chosen = [0] * len(rows)
        for indices, ids, documents in self._padded(rows):
            hidden = self._hidden(ids, documents, causal=True)
            last = torch.tensor([len(rows[index]) - 1 for index in indices], device=hidden.device)
            tokens = self._ordinary_logits(
                hidden[torch.arange(len(indices), device=hidden.device), last]
            ).argmax(-1)
            for index, token in zip(indices, tokens.tolist(), strict=True):
                chosen[index] = token
        return chosen

    def _last_states(self, texts: Sequence[str], before_number: bool = False) -> Tensor:
        rows = [
            self._ids_before_number(text) if before_number else encode(self.encoding, text)
            for text in texts
        ]
        if not all(rows):
            raise ModelError(
                "an empty text says nothing about what comes next; give at least one word"
            )
        states = torch.zeros(len(rows), self.width, device=self.placement.device)
        rows = [row[-self.context_length :] for row in rows]
        for indices, ids, documents in self._padded(rows):
            hidden = self._hidden(ids, documents, causal=True)
            last = torch.tensor([len(rows[index]) - 1 for index in indices], device=hidden.device)
            states[indices] = hidden[torch.arange(len(indices), device=hidden.device), last]
        return states

    def _before_number(self, texts: Sequence[str]) -> Tensor:
        return self._last_states(texts, before_number=True)

    def _ids_before_number(self, text: str) -> list[int]:
        """Ids up to where the first digit of a number would stand: where the encoding writes a space as its own token,
        that space too.
        """
        probe = text if text.endswith((" ", "$", "(")) or not text else f"{text} "
        with_digit = encode(self.encoding, f"{probe}1")
        return with_digit[:-1]

    def _joined(self, prompt: str, continuation: str) -> tuple[list[int], int]:
        """Ids of prompt and continuation together, and the first token that reaches into the continuation."""
        ids = encode(self.encoding, prompt + continuation)
        border = len(prompt.encode("utf-8", "surrogatepass"))
        ends = np.cumsum([len(self.encoding.decode_single_token_bytes(token)) for token in ids])
        return ids, max(1, int(np.searchsorted(ends, border, side="right")))

    def _window_starts(self, length: int) -> list[int]:
        half = self.context_length // 2
        return (
            [0, *range(half, max(half, length - half), half)]
            if length > self.context_length
            else [0]
        )

    def _check_length(self, ids: Sequence[int]) -> None:
        if len(ids) > self.context_length:
            raise ModelError(
                f"the text has {len(ids)} tokens, the model's context is {self.context_length}; give a shorter text"
            )


def load(source: str | Path = "model") -> Predictor:
    """Load a model folder, or one that MLflow holds (`models:/name@alias`, `runs:/id/model`).

    Raises ModelError if it is no model.
    """
    if str(source).startswith(("models:/", "runs:/")):
        from ssl_lib.tracking import download_model

        source = download_model(str(source))
    return Predictor(*read_model(Path(source)))


def _decoded(encoding: tiktoken.Encoding, ids: Sequence[int]) -> str:
    return encoding.decode_bytes(list(ids)).decode("utf-8", "replace")


def _stopped(text: str, stop: str) -> bool:
    """Whether a stop stands in the text and what follows it is known not to be a digit."""
    return len(_cut_at(text, stop)) + len(stop) < len(text)


def _cut_at(text: str, stop: str) -> str:
    """The text before the first `stop` that no digit follows; a stop at the very end of the text counts."""
    start = text.find(stop) if stop else -1
    while start >= 0 and text[start + len(stop) : start + len(stop) + 1].isdigit():
        start = text.find(stop, start + 1)
    return text if start < 0 else text[:start]
