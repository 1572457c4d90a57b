"""The shared encoder that every objective reads. It runs once over all views of a step.

Shapes: B sequences, T positions, D width, V vocabulary, G digit groups of the vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import tiktoken
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ssl_lib.model.cache import Past
from ssl_lib.model.layers import (
    AttentionInputs,
    Block,
    attention_mask,
    normalize,
    rotary_table,
    same_document_before,
)
from ssl_lib.model.number_embedding import make_number_embedding
from ssl_lib.tokens.running_values import (
    RunningNumber,
    VocabularyTensors,
    running_numbers,
    vocabulary_tensors,
)
from ssl_lib.tokens.vocabulary import SPARE_IDS, plain_vocabulary, special_ids, vocabulary_table

MODES = ("causal", "bidirectional")  # of attention, sequence by sequence


class TrunkShape(NamedTuple):
    """Size of an encoder; `vocab_size` counts the entries of its encoding, without SPARE_IDS."""

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

    def check(self) -> None:
        """Raise ValueError if the numbers do not fit each other."""
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads = {2 * self.heads}, got {self.width}"
            )
        if not 0 <= self.mode_specific_layers <= self.layers:
            raise ValueError(
                f"mode_specific_layers must be at most layers = {self.layers}, "
                f"got {self.mode_specific_layers}"
            )
        if not 0 <= self.induction_heads <= self.heads:
            raise ValueError(
                f"induction_heads must be at most heads = {self.heads}, got {self.induction_heads}"
            )


class Trunk(nn.Module):
    """Token ids to hidden states: the encoder that objectives share.

    The same weights serve causal and bidirectional sequences, but for the mode-specific layers: the
    last ones, which each of the two modes has for itself. With an `encoding`, the model knows the
    values of its digit groups and the ids of its special tokens; without one it sees tokens only,
    and mask, noise and padding are the three ids after `vocab_size`. Raises ValueError if the shape
    does not fit, or is too small for the encoding, EncodingError if that has no special tokens.
    """

    def __init__(
        self, shape: TrunkShape | None = None, encoding: tiktoken.Encoding | None = None
    ) -> None:
        super().__init__()
        shape = shape or TrunkShape()
        shape.check()
        self.shape = shape
        if encoding is None:
            self.vocabulary = plain_vocabulary(shape.vocab_size)
        else:
            special_ids(encoding)  # an encoding without special tokens is refused here
            known = vocabulary_table(encoding)
            self.vocabulary = known.extended(shape.vocab_size + SPARE_IDS)
        # The table's columns move with the weights, but are not saved: the encoding is.
        columns = vocabulary_tensors(self.vocabulary, torch.device("cpu"))
        for name, column in columns._asdict().items():
            self.register_buffer(name, column, persistent=False)

        self.embedding = nn.Embedding(len(self.vocabulary), shape.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.mode = nn.Embedding(2, shape.width) if shape.mode_embedding else None
        if self.mode is not None:
            nn.init.normal_(self.mode.weight, std=0.02)
        self.numbers = make_number_embedding(shape.number_embedding, shape.width)
        self._matrix_VD: Tensor | None = None  # inside one_vocabulary_matrix
        shared = shape.layers - shape.mode_specific_layers
        self.blocks = self._blocks(0, shared)
        self.mode_specific_blocks = nn.ModuleDict()
        for mode in MODES:
            self.mode_specific_blocks[mode] = self._blocks(shared, shape.layers)

    def _blocks(self, start: int, stop: int) -> nn.ModuleList:
        """The layers from `start` to `stop` - 1; the first of all has the induction heads."""
        shape = self.shape
        blocks = nn.ModuleList()
        for layer in range(start, stop):
            induction_heads = 0 if layer else shape.induction_heads
            blocks.append(
                Block(
                    shape.width, shape.heads, shape.layers, shape.short_convolution, induction_heads
                )
            )
        return blocks

    @property
    def all_blocks(self) -> list[Block]:
        """The shared blocks and the mode-specific ones of both modes."""
        return [module for module in self.modules() if isinstance(module, Block)]

    @property
    def columns(self) -> VocabularyTensors:
        """The columns of `vocabulary` on the encoder's device."""
        return VocabularyTensors(*(getattr(self, name) for name in VocabularyTensors._fields))

    @property
    def width(self) -> int:
        """D."""
        return self.shape.width

    def forward(
        self,
        ids_BT: Tensor,
        document_ids_BT: Tensor,
        causal_B: Tensor,
        running: RunningNumber | None = None,
    ) -> Tensor:
        """Hidden states [B, T, D], normalized; `causal_B` tells where attention is causal.

        `running` are the numbers that the ids spell, if they have been read already.
        """
        states = self.layer_states(ids_BT, document_ids_BT, causal_B, running)
        return normalize(states[-1])

    def layer_states(
        self,
        ids_BT: Tensor,
        document_ids_BT: Tensor,
        causal_B: Tensor,
        running: RunningNumber | None = None,
    ) -> list[Tensor]:
        """The residual stream [B, T, D] in front of the first layer and behind each one."""
        head_width = self.width // self.shape.heads
        inputs = AttentionInputs(
            attention_mask(document_ids_BT, causal_B),
            rotary_table(ids_BT.shape[1], head_width, ids_BT.device),
            same_document_before(document_ids_BT, max(self.shape.short_convolution, 1)),
        )
        # With 3 layers of which 1 is mode-specific: embedding, 2 shared, 1 of the sequence's mode.
        states = [self.embed(ids_BT, document_ids_BT, causal_B, running)]
        states += self._through(self.blocks, states[-1], inputs)
        if not self.shape.mode_specific_layers:
            return states
        # Each mode's sequences go through their own blocks; an absent mode costs nothing.
        causal_C = causal_B.nonzero()[:, 0]
        other_C = (~causal_B).nonzero()[:, 0]
        parts = []
        for mode, index in zip(MODES, (causal_C, other_C), strict=True):
            if len(index):
                blocks = self.mode_specific_blocks[mode].children()
                hidden_BTD = states[-1][index]
                parts.append(self._through(blocks, hidden_BTD, inputs.of_sequences(index)))
        # Causal sequences came first; back into the order of the batch, layer by layer.
        order_B = torch.cat([causal_C, other_C]).argsort()
        for layer in zip(*parts, strict=True):
            states.append(torch.cat(layer)[order_B])
        return states

    def extend(self, ids_BT: Tensor, document_ids_BT: Tensor, pasts: Sequence[Past]) -> Tensor:
        """Causal states [B, S, D], normalized, of the S positions that no past knows yet.

        There is one past for each layer. They know none of the T positions or all but the last, and
        know all of them afterwards.
        """
        positions = ids_BT.shape[1]
        new = positions - pasts[0].positions
        assert new in (1, positions)
        kernel = max(self.shape.short_convolution, 1)
        tail_BT = document_ids_BT[:, -new - kernel :]
        same_BST = document_ids_BT[:, -new:, None] == document_ids_BT[:, None]
        past_ST = same_BST.new_ones(same_BST.shape[1:]).tril(positions - new)
        table = rotary_table(positions, self.width // self.shape.heads, ids_BT.device)
        rotation = table[0][-new:], table[1][-new:]
        near_PBT1 = same_document_before(tail_BT, kernel)
        inputs = AttentionInputs((same_BST & past_ST)[:, None], rotation, near_PBT1)
        # a running value needs the digits, commas and points right before, and nothing else
        columns = self.columns
        linked_BT = (columns.digits_V[ids_BT] > 0) | columns.point_V[ids_BT]
        linked_BT |= columns.comma_V[ids_BT]
        run_B = linked_BT.flip(1).long().cumprod(1).sum(1)
        read = max(new, int(run_B.max()) + 1)
        causal_B = torch.ones(len(ids_BT), dtype=torch.bool, device=ids_BT.device)
        hidden_BTD = self.embed(ids_BT[:, -read:], document_ids_BT[:, -read:], causal_B)
        hidden_BTD = hidden_BTD[:, -new:]
        blocks = [*self.blocks, *self.mode_specific_blocks["causal"].children()]
        for block, past in zip(blocks, pasts, strict=True):
            hidden_BTD = block(hidden_BTD, inputs, past)
        return normalize(hidden_BTD)

    def _through(
        self, blocks: Iterable[nn.Module], hidden_BTD: Tensor, inputs: AttentionInputs
    ) -> list[Tensor]:
        """The residual stream behind each of the blocks."""
        states = []
        for block in blocks:
            if self.shape.activation_checkpointing and self.training:
                hidden_BTD = checkpoint(block, hidden_BTD, inputs, use_reentrant=False)
            else:
                hidden_BTD = block(hidden_BTD, inputs)
            states.append(hidden_BTD)
        return states

    def embed(
        self,
        ids_BT: Tensor,
        document_ids_BT: Tensor,
        causal_B: Tensor,
        running: RunningNumber | None = None,
    ) -> Tensor:
        """Input of the first block, [B, T, D]: token, number and mode.

        Raises ValueError, on a CPU, if an id does not fit the vocabulary.
        """
        if not torch.compiler.is_compiling() and ids_BT.device.type == "cpu" and ids_BT.numel():
            highest = int(ids_BT.max())
            if highest >= self.embedding.num_embeddings:
                raise ValueError(
                    f"token id {highest} does not fit a model of vocab_size "
                    f"{self.shape.vocab_size}; make vocab_size at least the encoding's n_vocab"
                )
        hidden_BTD = nn.functional.embedding(ids_BT, self.vocabulary_matrix())
        hidden_BTD = normalize(hidden_BTD)
        if self.numbers is not None:
            if running is None:
                running = running_numbers(ids_BT, document_ids_BT, self.columns)
            hidden_BTD = hidden_BTD + self.numbers(running)
        if self.mode is not None:
            mode_BD = self.mode(causal_B.long())
            hidden_BTD = hidden_BTD + mode_BD[:, None, :]
        return hidden_BTD

    def vocabulary_matrix(self) -> Tensor:
        """[V, D], shared by input and output.

        Digit groups carry the features of their value where the number embedding has them.
        """
        if self._matrix_VD is not None:
            return self._matrix_VD
        weight_VD = self.embedding.weight
        if self.numbers is None or self.numbers.vocabulary is None:
            return weight_VD
        ids_G, added_GD = self.numbers.of_vocabulary(self.columns)
        return weight_VD.index_add(0, ids_G, added_GD.to(weight_VD.dtype))

    @contextlib.contextmanager
    def one_vocabulary_matrix(self) -> Iterator[None]:
        """Inside the block every call of `vocabulary_matrix` gives the same tensor.

        It is made once, and its gradients come back through it once.
        """
        self._matrix_VD = self.vocabulary_matrix()
        try:
            yield
        finally:
            self._matrix_VD = None
