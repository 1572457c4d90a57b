"""How probable a text is, token by token, from what stands before each.

Shapes: N texts, R sequences that run together, T positions, D width, S target positions, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ssl_lib.batches.datasets import token_spans
from ssl_lib.predictions import Flags, Floats, TokenPredictions, cut_into_pieces
from ssl_lib.predictor.base import LOGITS_AT_ONCE, ModelInUse
from ssl_lib.tokens.encodings import encode


class Likelihood(ModelInUse):
    """Log-likelihoods of continuations and of all tokens."""

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
