"""What comes next: whole words and numbers, tokens, and greedy continuations.

Shapes: N texts, B beginnings of words, D width, V vocabulary, K kinds of tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import cut_at
from ssl_lib.predictor.base import LOGITS_AT_ONCE, ModelInUse
from ssl_lib.predictor.growing import GrowingSequences
from ssl_lib.predictor.pieces import (
    KINDS,
    STATES,
    STOP,
    TRANSITIONS,
    attached_kinds,
    token_kinds,
)

BEAM = 16  # beginnings of words that are followed at a time, of each text
LARGEST_BEAM = 256
LEAST_PROBABLE = 1e-3  # beginnings below that are given up
LONGEST_WORD = 16  # tokens, and at most a quarter of the context
KEPT_VALUES = 2**26  # numbers in memory that all beginnings together keep of their texts


class Beginning(NamedTuple):
    """A word or number of text `owner` that is not known to be whole yet."""

    owner: int
    tokens: list[int]
    state: int
    probability: float


class Next(ModelInUse):
    """The most probable continuations of a text."""

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], max_tokens: int = 16, stop: str = ".") -> list[str]:
        """Greedy continuations, up to and without `stop`, a document's end, `max_tokens` tokens.

        A prompt is cut on the left so that half a context of answer, or all of it, fits behind; a
        longer answer is read anew from there each time. Raises ModelError for an empty prompt.
        """
        sequences = self._encode(prompts)
        if not all(sequences):
            raise ModelError("an empty prompt cannot be continued; give at least one word")
        # where the prompts end and the texts begin
        ends = [len(ids) for ids in sequences]
        texts = [""] * len(prompts)
        active = list(range(len(prompts)))
        room = max(1, min(max_tokens, self.context_length // 2))
        with self.trunk.one_vocabulary_matrix():
            for step in range(max_tokens if active else 0):
                if step % room == 0:
                    longest = self.context_length - room + 1
                    growing = GrowingSequences(self, [sequences[i][-longest:] for i in active])
                tokens = self._best_tokens(growing.last_states())
                unfinished = []
                rows = []
                for row, (index, token) in enumerate(zip(active, tokens, strict=True)):
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
                        rows.append(row)
                active = unfinished
                if not active:
                    break
                growing.grow(rows, [sequences[index][-1] for index in active])
        return [cut_at(text, stop) for text in texts]

    def _best_tokens(self, states_ND: Tensor) -> list[int]:
        """The most probable token behind each state."""
        parts = torch.split(states_ND, LOGITS_AT_ONCE)
        best_N = torch.cat([self._logits(part).argmax(-1) for part in parts])
        return list(best_N.tolist())

    def predict_next(self, text: str, k: int = 5, tokens: bool = False) -> list[tuple[str, float]]:
        """The k most probable next words and whole numbers, with their probabilities.

        With `tokens` the next tokens instead. Raises ModelError for an empty text.
        """
        found = self.predict_next_tokens if tokens else self.predict_next_words
        return found([text], k)[0]

    @torch.no_grad()
    def predict_next_tokens(
        self, texts: Sequence[str], k: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The k most probable next tokens of each text."""
        states_ND = self._last_states(self._encode(texts))
        return self._most_probable(states_ND, k)

    def predict_next_words(self, texts: Sequence[str], k: int = 5) -> list[list[tuple[str, float]]]:
        """The k most probable words, whole numbers or marks of each text; fewer if few are found.

        Each probability is a sum of products of token probabilities, over the ways to the word's
        end, given that the text's own last word is whole: together at most 1. A number goes on over
        a decimal point, commas between groups and a scale word ("3.4 million"). Spaces at the
        text's end make no difference. Raises ModelError for an empty text.
        """
        width = min(max(BEAM, k), LARGEST_BEAM)
        found = self.next_words([text.rstrip(" ") for text in texts], width)
        ranked = [sorted(words.items(), key=lambda word: -word[1]) for words in found]
        return [words[:k] for words in ranked]

    @torch.no_grad()
    def next_words(self, texts: Sequence[str], width: int = BEAM) -> list[dict[str, float]]:
        """All words that a beam of `width` beginnings finds, with their probabilities.

        No text may end with a space.
        """
        sequences = self._encode(texts)
        if not all(sequences):
            raise ModelError(
                "an empty text says nothing about what comes next; give at least one word"
            )
        shape = self.trunk.shape
        each = 2 * width * self.context_length * shape.width * shape.layers
        at_once = max(1, KEPT_VALUES // each)
        found = []
        with self.trunk.one_vocabulary_matrix():
            for start in range(0, len(texts), at_once):
                part = slice(start, start + at_once)
                found += self._next_words(texts[part], sequences[part], width)
        return found

    def _next_words(
        self, texts: Sequence[str], sequences: Sequence[Sequence[int]], width: int
    ) -> list[dict[str, float]]:
        """The words of texts that fit into memory together."""
        steps = min(LONGEST_WORD, self.context_length // 4)
        longest = self.context_length - steps + 1
        growing = GrowingSequences(self, [ids[-longest:] for ids in sequences])
        found: list[dict[str, float]] = [defaultdict(float) for _ in texts]
        live = [Beginning(owner, [], 0, 1.0) for owner in range(len(texts))]
        kinds_V, stops_SK, then_SK = self._piece_tensors()
        for step in range(steps):
            states_BD = growing.last_states()
            probabilities_BV = self._logits(states_BD).softmax(-1)
            if step == 0:
                # the text's last word or number is whole: nothing may go on with it
                for row, text in enumerate(texts):
                    for kind in attached_kinds(text):
                        probabilities_BV[row, kinds_V == KINDS.index(kind)] = 0.0
                probabilities_BV /= probabilities_BV.sum(-1, keepdim=True).clamp_min(1e-30)
            state_B = torch.tensor([one.state for one in live], device=kinds_V.device)
            # how probable it is that the word has ended, and that it goes on with each token
            masses_BK = probabilities_BV.new_zeros(len(live), len(KINDS))
            masses_BK.index_add_(1, kinds_V, probabilities_BV)
            ended_B = (masses_BK * stops_SK[state_B]).sum(-1)
            for one, ended in zip(live, ended_B.tolist(), strict=True):
                if step and ended > 0:
                    found[one.owner][self._word(one)] += one.probability * ended
            probability_B = torch.tensor([one.probability for one in live], device=kinds_V.device)
            goes_on_BV = then_SK[state_B][:, kinds_V] != STOP
            joint_BV = probability_B[:, None] * probabilities_BV * goes_on_BV
            live, rows = self._grown(live, joint_BV, then_SK, kinds_V, found, width)
            if not live:
                break
            growing.grow(rows, [one.tokens[-1] for one in live])
        return found

    def _grown(
        self,
        live: Sequence[Beginning],
        joint_BV: Tensor,
        then_SK: Tensor,
        kinds_V: Tensor,
        found: Sequence[dict[str, float]],
        width: int,
    ) -> tuple[list[Beginning], list[int]]:
        """The most probable beginnings with one more token, and the rows from which they grew.

        What is whole by that token goes to `found`.
        """
        values_BC, tokens_BC = joint_BV.topk(min(width, joint_BV.shape[-1]))
        by_owner: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
        rows = zip(live, values_BC.tolist(), tokens_BC.tolist(), strict=True)
        for row, (one, values, tokens) in enumerate(rows):
            for value, token in zip(values, tokens, strict=True):
                if value >= LEAST_PROBABLE:
                    by_owner[one.owner].append((value, row, token))
        transitions = then_SK.tolist()
        kinds = kinds_V.tolist()
        grown = []
        grown_rows = []
        for owner, candidates in by_owner.items():
            for value, row, token in sorted(candidates, reverse=True)[:width]:
                state = transitions[live[row].state][kinds[token]]
                one = Beginning(owner, [*live[row].tokens, token], state, value)
                if STATES[state] == "whole":
                    found[owner][self._word(one)] += value
                else:
                    grown.append(one)
                    grown_rows.append(row)
        return grown, grown_rows

    def _word(self, one: Beginning) -> str:
        """Its text, without a point or comma that turned out to end a sentence."""
        open_mark = STATES[one.state] in ("point", "comma")
        tokens = one.tokens[:-1] if open_mark else one.tokens
        return self._decode(tokens).strip()

    def _piece_tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Kinds of tokens [V]; where a word ends (0 or 1) and its next state, [states, K]."""
        device = self.placement.device
        kinds_V = torch.from_numpy(token_kinds(self.encoding)).to(device)
        then_SK = torch.from_numpy(TRANSITIONS).to(device)
        return kinds_V, (then_SK == STOP).float(), then_SK
