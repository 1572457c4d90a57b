"""The Transformer that every objective reads. It runs once over all views of a step.

Shapes: R rows, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import tiktoken
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ssl_lib.model.layers import Block, Surroundings, normalise, rotary_table
from ssl_lib.model.number_embedding import make_number_embedding
from ssl_lib.tokens.running_values import VocabularyTensors, running_numbers, vocabulary_tensors
from ssl_lib.tokens.vocabulary import SPARE_IDS, plain_vocabulary, vocabulary_table

MODES = ("causal", "bidirectional")  # of rows


class TrunkShape(NamedTuple):
    """Size of a trunk. `vocab_size` counts the entries of the encoding; rows for special tokens are added to it."""

    vocab_size: int = 50257
    width: int = 768
    layers: int = 2
    heads: int = 12
    number_embedding: str = "fourier"
    mode_embedding: bool = True
    mode_specific_layers: int = 0
    short_convolution: int = 0
    induction_heads: int = 0
    activation_checkpointing: bool = False


class Trunk(nn.Module):
    """Token ids to hidden states; the same weights serve causal and bidirectional rows, but for the private layers: the
    last ones, which each of the two kinds of rows has for itself.

    With an `encoding`, the model knows the values of its digit groups and the ids of its special tokens; without one
    it sees tokens
    only, and mask, noise and padding are the three ids after `vocab_size`.
    """

    def __init__(
        self, shape: TrunkShape | None = None, encoding: tiktoken.Encoding | None = None
    ) -> None:
        super().__init__()
        shape = shape or TrunkShape()
        if shape.width % (2 * shape.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads = {2 * shape.heads}, got {shape.width}"
            )
        self.shape = shape
        if encoding is None:
            known = plain_vocabulary(shape.vocab_size)
        else:
            known = vocabulary_table(encoding).extended(shape.vocab_size + SPARE_IDS)
        assert known.special  # an encoding without special tokens is refused here
        self.vocabulary = known
        columns = vocabulary_tensors(known, torch.device("cpu"))
        for name, column in columns._asdict().items():
            self.register_buffer(name, column, persistent=False)
        rows = len(known)
        self.embedding = nn.Embedding(rows, shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.mode = nn.Embedding(2, shape.width) if shape.mode_embedding else None
        if self.mode is not None:
            nn.init.normal_(self.mode.weight, std=0.02)
        self.numbers = make_number_embedding(shape.number_embedding, shape.width)
        if not 0 <= shape.mode_specific_layers <= shape.layers:
            raise ValueError(
                f"mode_specific_layers must be at most layers = {shape.layers}, got {shape.mode_specific_layers}"
            )
        if not 0 <= shape.induction_heads <= shape.heads:
            raise ValueError(
                f"induction_heads must be at most heads = {shape.heads}, got {shape.induction_heads}"
            )
        shared = shape.layers - shape.mode_specific_layers
        self.blocks = self._blocks(0, shared)
        self.private_blocks = nn.ModuleDict(
            {mode: self._blocks(shared, shape.layers) for mode in MODES}
        )

    def _blocks(self, start: int, stop: int) -> nn.ModuleList:
        """The layers from `start` to `stop` - 1; the first of all has the induction heads."""
        shape = self.shape
        return nn.ModuleList(
            Block(
                shape.width,
                shape.heads,
                shape.layers,
                shape.short_convolution,
                0 if layer else shape.induction_heads,
            )
            for layer in range(start, stop)
        )

    @property
    def all_blocks(self) -> list[Block]:
        """The shared blocks and the private ones of both kinds of rows."""
        return [
            *self.blocks,
            *(block for blocks in self.private_blocks.values() for block in blocks),
        ]

    @property
    def columns(self) -> VocabularyTensors:
        """The columns of `vocabulary` on the trunk's device."""
        return VocabularyTensors(*(getattr(self, name) for name in VocabularyTensors._fields))

    @property
    def width(self) -> int:
        """D."""
        return self.shape.width

    def forward(self, ids_RT: Tensor, document_ids_RT: Tensor, causal_R: Tensor) -> Tensor:
        """Hidden states [R, T, D], normalised. `causal_R` tells which rows may look only backwards."""
        return normalise(self.layer_states(ids_RT, document_ids_RT, causal_R)[-1])

    def layer_states(
        self, ids_RT: Tensor, document_ids_RT: Tensor, causal_R: Tensor
    ) -> list[Tensor]:
        """The residual stream [R, T, D] in front of the first layer and behind each one, as it is."""
        around = Surroundings(
            attention_mask(document_ids_RT, causal_R),
            rotary_table(ids_RT.shape[1], self.width // self.shape.heads, ids_RT.device),
            same_document_before(document_ids_RT, max(self.shape.short_convolution, 1)),
        )
        states = [self.embed(ids_RT, document_ids_RT, causal_R)]
        states += self._through(self.blocks, states[-1], around)
        if self.shape.mode_specific_layers:
            states += self._through_private(states[-1], around, causal_R)
        return states

    def _through(
        self, blocks: Iterable[nn.Module], hidden_RTD: Tensor, around: Surroundings
    ) -> list[Tensor]:
        states = []
        for block in blocks:
            if self.shape.activation_checkpointing and self.training:
                hidden_RTD = checkpoint(block, hidden_RTD, around, use_reentrant=False)
            else:
                hidden_RTD = block(hidden_RTD, around)
            states.append(hidden_RTD)
        return states

    def _through_private(
        self, hidden_RTD: Tensor, around: Surroundings, causal_R: Tensor
    ) -> list[Tensor]:
        """Each kind of rows through its own blocks; a kind that is absent costs nothing."""
        rows = [kind_R.nonzero()[:, 0] for kind_R in (causal_R, ~causal_R)]
        parts = [
            self._through(self.private_blocks[mode], hidden_RTD[index], around.of_rows(index))
            for mode, index in zip(MODES, rows, strict=True)
            if len(index)
        ]
        order_R = torch.cat(rows).argsort()
        return [torch.cat(layer)[order_R] for layer in zip(*parts, strict=True)]

    def embed(self, ids_RT: Tensor, document_ids_RT: Tensor, causal_R: Tensor) -> Tensor:
        """Input of the first block, [R, T, D]: token, number and mode."""
        self._check(ids_RT)
        matrix_VD = self.vocabulary_matrix()
        hidden_RTD = nn.functional.embedding(ids_RT, matrix_VD)
        hidden_RTD = normalise(hidden_RTD)
        if self.numbers is not None:
            hidden_RTD = hidden_RTD + self.numbers(
                running_numbers(ids_RT, document_ids_RT, self.columns)
            )
        if self.mode is not None:
            hidden_RTD = hidden_RTD + self.mode(causal_R.long())[:, None, :]
        return hidden_RTD

    def vocabulary_matrix(self) -> Tensor:
        """[V, D] shared by input and output; digit groups carry the features of their value where the number embedding
        has them.
        """
        if self.numbers is None or self.numbers.vocabulary is None:
            return self.embedding.weight
        ids_G, added_GD = self.numbers.of_vocabulary(self.columns)
        return self.embedding.weight.index_add(0, ids_G, added_GD.to(self.embedding.weight.dtype))

    def _check(self, ids_RT: Tensor) -> None:
        if not torch.compiler.is_compiling() and ids_RT.device.type == "cpu" and ids_RT.numel():
            highest = int(ids_RT.max())
            if highest >= self.embedding.num_embeddings:
                raise ValueError(
                    f"token id {highest} does not fit a model of vocab_size {self.shape.vocab_size}; "
                    "make vocab_size at least the encoding's n_vocab"
                )


def attention_mask(document_ids_RT: Tensor, causal_R: Tensor) -> Tensor:
    """[R, 1, T, T], True where a position may look: inside its document, and backwards only in causal rows."""
    same_RTT = document_ids_RT[:, :, None] == document_ids_RT[:, None, :]
    positions = document_ids_RT.shape[1]
    past_TT = torch.ones(
        positions, positions, dtype=torch.bool, device=document_ids_RT.device
    ).tril()
    return (same_RTT & (past_TT | ~causal_R[:, None, None]))[:, None]


def same_document_before(document_ids_RT: Tensor, reach: int) -> Tensor:
    """[P, R, T, 1], True where the position 1, 2, ... P places before lies in the same row and document."""
    padded = nn.functional.pad(
        document_ids_RT, (reach, 0), value=-2
    )  # -2: no document, not even padding
    width = document_ids_RT.shape[1]
    shifted = [padded[:, reach - back : reach - back + width] for back in range(1, reach + 1)]
    same_PRT = [document_ids_RT == before_RT for before_RT in shifted]
    return torch.stack(same_PRT)[..., None]
