"""What stands where a text is masked: whole words and numbers, several of them together.

Shapes: N texts, R sequences that run together, T positions, D width, S masked positions, C
candidates, V vocabulary.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssl_lib.batches.datasets import token_spans
from ssl_lib.objectives.masked_language_model import MaskedLanguageModel
from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import Flags
from ssl_lib.predictor.likelihood import Likelihood
from ssl_lib.predictor.pieces import KINDS, STATES, STOP, TRANSITIONS, token_kinds
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import vocabulary_table

MASK = "[MASK]"
LONGEST_PIECE = 4  # tokens of a word or number behind one mask
BEAM = 4  # ways to fill a mask of so many tokens
WIDTH = 4  # answers to the first masks with which the next one is filled
WHOLE = ("word", "number", "decimals", "whole")


class Slot(NamedTuple):
    """A mask of so many tokens, some of them filled: `before` + `tokens` + masks + `after`.

    `spaced`: the first token has to bring the space that the text has before the mask.
    """

    origin: int
    before: list[int]
    tokens: list[int]
    size: int
    after: list[int]
    spaced: bool
    state: int
    log_share: float


class Answer(NamedTuple):
    """A text up to one of its masks, what its masks hold, and logarithms of both probabilities."""

    text: str
    parts: tuple[str, ...]
    masked: float
    causal: float

    @property
    def score(self) -> float:
        """Logarithm of the geometric mean of both, up to a constant."""
        return 0.5 * (self.masked + self.causal)


class Filling(Likelihood):
    """Masked words and numbers restored."""

    def fill_mask(self, text: str, k: int = 1, tokens: bool = False) -> list[tuple[str, float]]:
        """For each `[MASK]`, its k most probable words or whole numbers.

        See `fill_masks`. Raises ModelError if there is no mask.
        """
        (masks,) = self.fill_masks([text], k, tokens)
        return [candidate for candidates in masks for candidate in candidates]

    @torch.no_grad()
    def fill_masks(
        self, texts: Sequence[str], k: int = 1, tokens: bool = False
    ) -> list[list[list[tuple[str, float]]]]:
        """For each text, for each of its `[MASK]`s, the k most probable words or whole numbers.

        A mask may take one to four tokens, with a space before them or not. Candidates come from
        the masked head, token by token; all lengths are compared by the geometric mean of its
        probability and of the causal likelihood of the whole text. Several masks are filled
        together: the first candidates of all of them are one answer, the second ones another, with
        the probability of that answer. Probabilities sum to 1 over the candidates considered. With
        `tokens` each mask is one token by itself. Long texts are read around each mask.
        """
        split = [text.split(MASK) for text in texts]
        if any(len(pieces) == 1 for pieces in split):
            raise ModelError(f"the text holds no {MASK}; write {MASK} where a word is missing")
        if tokens:
            return self._fill_tokens(texts, k)
        found = []
        for pieces in split:
            answers = self._answers(pieces, max(k, WIDTH))
            scores_C = torch.tensor([answer.score for answer in answers], dtype=torch.float64)
            shares = scores_C.softmax(0).tolist()
            best = list(zip(answers, shares, strict=True))[:k]
            masks = []
            for mask in range(len(pieces) - 1):
                masks.append([(answer.parts[mask], share) for answer, share in best])
            found.append(masks)
        return found

    def _answers(self, pieces: Sequence[str], width: int) -> list[Answer]:
        """The `width` most probable answers to all masks of a text, the best first."""
        answers = [Answer(pieces[0], (), 0.0, 0.0)]
        for mask, right in enumerate(pieces[1:], start=1):
            # what follows, the other masks as one token each
            after = self._encoded_with_masks(MASK.join(pieces[mask:]))
            slots = self._slots([answer.text for answer in answers], after)
            for place in range(LONGEST_PIECE):
                slots = self._filled(slots, place)
            answers = self._scored(answers, slots, right)
            answers = sorted(answers, key=lambda answer: -answer.score)[:width]
        return answers

    def _encoded_with_masks(self, text: str) -> list[int]:
        """Ids of a text, each `[MASK]` as one mask token."""
        first, *others = text.split(MASK)
        ids = encode(self.encoding, first)
        for piece in others:
            ids += [self.special.mask, *encode(self.encoding, piece)]
        return ids

    def _slots(self, texts: Sequence[str], after: list[int]) -> list[Slot]:
        """Masks of 1 to 4 tokens behind each text; where it ends with a space, with it and without.

        "is " → " is" and a word that brings its space, or " is", " " and a number.
        """
        slots = []
        for origin, text in enumerate(texts):
            shapes = [(encode(self.encoding, text), False)]
            if text.endswith(" ") and not text.endswith("  "):
                shapes.append((encode(self.encoding, text[:-1]), True))
            for before, spaced in shapes:
                for size in range(1, LONGEST_PIECE + 1):
                    slots.append(Slot(origin, before, [], size, after, spaced, 0, 0.0))
        return slots

    def _filled(self, slots: Sequence[Slot], place: int) -> list[Slot]:
        """The slots, those that are longer than `place` with their next token: BEAM ways each."""
        kinds_V = token_kinds(self.encoding)
        done = [slot for slot in slots if slot.size <= place]
        open_slots = [slot for slot in slots if slot.size > place]
        windows = [self._window(slot) for slot in open_slots]
        states = self._masked_states([ids for ids, _ in windows], [at for _, at in windows])
        log_shares_SV = self._logits(states).log_softmax(-1)
        begins_V = vocabulary_table(self.encoding).leading_space
        grown: dict[tuple[int, bool, int], list[Slot]] = defaultdict(list)
        for slot, log_shares_V in zip(open_slots, log_shares_SV, strict=True):
            then_V = torch.from_numpy(TRANSITIONS[slot.state][kinds_V])
            allowed_V = (then_V != STOP) & torch.from_numpy(kinds_V != KINDS.index("blank"))
            if not slot.tokens:
                allowed_V &= torch.from_numpy(begins_V == slot.spaced)
            scores_V = log_shares_V.cpu() + slot.log_share
            scores_V[~allowed_V] = -torch.inf
            values, tokens = scores_V.topk(min(BEAM, len(scores_V)))
            for value, token in zip(values.tolist(), tokens.tolist(), strict=True):
                if value > -math.inf:
                    grown[slot.origin, slot.spaced, slot.size].append(
                        slot._replace(
                            tokens=[*slot.tokens, token],
                            state=int(then_V[token]),
                            log_share=value,
                        )
                    )
        for group in grown.values():
            done += sorted(group, key=lambda slot: -slot.log_share)[:BEAM]
        return done

    def _window(self, slot: Slot) -> tuple[list[int], int]:
        """Ids of a slot's surroundings that fit the context, and where its next token stands."""
        whole = [*slot.tokens, *[self.special.mask] * (slot.size - len(slot.tokens))]
        room = self.context_length - len(whole)
        behind = min(len(slot.after), max(room // 2, room - len(slot.before)))
        before = slot.before[max(0, len(slot.before) - (room - behind)) :]
        return [*before, *whole, *slot.after[:behind]], len(before) + len(slot.tokens)

    def _masked_states(self, sequences: Sequence[list[int]], places: Sequence[int]) -> Tensor:
        """The masked head's states [S, D] at one place of each sequence."""
        mlm = self.objectives["mlm"]
        assert isinstance(mlm, MaskedLanguageModel)
        states_SD = torch.zeros(len(sequences), self.width, device=self.placement.device)
        for ran in self._run(sequences, causal=False):
            width = ran.ids_RT.shape[1]
            flat = [row * width + places[index] for row, index in enumerate(ran.indices)]
            positions_S = torch.tensor(flat, device=states_SD.device)
            read_RTD = mlm.read(ran.hidden_RTD, ran.documents_RT)
            states_SD[ran.indices] = mlm.head(read_RTD.flatten(0, 1)[positions_S])
        return states_SD

    def _scored(self, answers: Sequence[Answer], slots: Sequence[Slot], right: str) -> list[Answer]:
        """Answers with one more mask filled, by whole words and numbers alone."""
        found: dict[tuple[str, ...], Answer] = {}
        sequences = []
        firsts = []
        for slot in slots:
            answer = answers[slot.origin]
            written = self._decode(slot.tokens)
            text = answer.text.removesuffix(" ") if slot.spaced else answer.text
            parts = (*answer.parts, written.strip())
            ids = [*slot.before, *slot.tokens]
            # what the encoding would write in other tokens has not been scored as what it is
            whole = STATES[slot.state] in WHOLE and encode(self.encoding, text + written) == ids
            if not whole or parts in found:
                continue
            masked = answer.masked + slot.log_share
            found[parts] = Answer(text + written + right, parts, masked, answer.causal)
            # a space at its end belongs to what the next mask holds
            ids += encode(self.encoding, right.removesuffix(" "))
            shared = len(encode(self.encoding, answer.text.removesuffix(" ")))
            # the window ends a little behind the mask and begins as early as it can
            end = min(len(ids), len(slot.before) + len(slot.tokens) + self.context_length // 4)
            start = max(0, end - self.context_length)
            sequences.append(ids[start:end])
            firsts.append(max(1, shared - start))
        scored = []
        nats = self._score(sequences, firsts)
        for answer, (nats_S, _) in zip(found.values(), nats, strict=True):
            likelihood = float(nats_S.sum(dtype=np.float64))
            scored.append(answer._replace(causal=answer.causal - likelihood))
        return scored

    def _fill_tokens(self, texts: Sequence[str], k: int) -> list[list[list[tuple[str, float]]]]:
        """The k most probable tokens of each mask by itself."""
        sequences: list[list[int]] = []
        places: list[int] = []
        counts = []
        for text in texts:
            ids = self._encoded_with_masks(text)
            masks = [place for place, token in enumerate(ids) if token == self.special.mask]
            counts.append(len(masks))
            for place in masks:
                slot = Slot(0, ids[:place], [], 1, ids[place + 1 :], False, 0, 0.0)
                window, at = self._window(slot)
                sequences.append(window)
                places.append(at)
        if not sequences:
            return []
        candidates = iter(self._most_probable(self._masked_states(sequences, places), k))
        return [[next(candidates) for _ in range(count)] for count in counts]

    @torch.no_grad()
    def restores(self, texts: Sequence[str], places: Sequence[tuple[int, int]]) -> Flags:
        """Whether each text's characters [start, end) come back when all their tokens are masked.

        bool [N]. They are filled one after the other, each with the token most probable by the
        geometric mean of the masked head and of the causal one (`fill_masks` compares whole texts);
        how many there are is given away. A long text is cut around the place to fit the context.
        """
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
        for step in range(max(map(len, hidden), default=0)):
            open_S = [index for index, targets in enumerate(hidden) if step < len(targets)]
            places_S = [hidden[index][step] for index in open_S]
            states_SD = self._masked_states([sequences[index] for index in open_S], places_S)
            log_shares_SV = self._logits(states_SD).log_softmax(-1)
            # nothing stands before a text's first token
            behind = [row for row, place in enumerate(places_S) if place > 0]
            before = [sequences[open_S[row]][: places_S[row]] for row in behind]
            if before:
                causal_SV = self._logits(self._last_states(before)).log_softmax(-1)
                log_shares_SV[behind] += causal_SV
            for index, place, token in zip(
                open_S, places_S, log_shares_SV.argmax(-1).tolist(), strict=True
            ):
                sequences[index][place] = token
        filled = [
            [ids[target] for target in targets]
            for ids, targets in zip(sequences, hidden, strict=True)
        ]
        return np.array(
            [one == other for one, other in zip(filled, truth, strict=True)], dtype=bool
        )
