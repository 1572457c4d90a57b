"""How texts run through a model: encoding, batches of similar length, logits.

Every kind of answer is a class of its own that adds its methods to `ModelInUse`. Texts are read in
pieces of at most the model's context; pieces of similar length run together (`_run`), so that no
text depends on the others.

Shapes: N texts or sequences, R sequences that run together, T positions, D width, S target
positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import tiktoken
import torch
from torch import Tensor

from ssl_lib.batches.datasets import padded_sequences
from ssl_lib.config import Settings
from ssl_lib.model.devices import place
from ssl_lib.model.layers import normalize
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.model_folder import ModelError
from ssl_lib.predictions import Ran
from ssl_lib.predictor.calibration import Calibration
from ssl_lib.predictor.remembered import RememberedNumbers
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

LOGITS_AT_ONCE = 2048  # positions that meet the whole vocabulary together


class ModelInUse:
    """A model with its encoding; nothing here changes it."""

    def __init__(
        self,
        settings: Settings,
        encoding: tiktoken.Encoding,
        objectives: Mapping[str, Objective],
        calibration: Calibration | None = None,
        remembered: RememberedNumbers | None = None,
    ) -> None:
        self.settings = settings
        self.calibration = calibration or Calibration()
        self.remembered = remembered
        self.encoding = encoding
        self.special = special_ids(encoding)
        self.context_length = settings.model.context_length
        self.placement = place(settings.training)
        self.objectives: dict[str, Objective] = {}
        for name, objective in objectives.items():
            self.objectives[name] = objective.eval().to(self.placement.device)
        self.trunk = next(iter(self.objectives.values())).trunk

    @property
    def width(self) -> int:
        """D."""
        return self.trunk.width

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
