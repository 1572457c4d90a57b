"""Fixtures that several tests share: a tiny corpus, its encoding, settings of a second."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiktoken
import torch

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.synthetic.generator import generate
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import save_encoding, train_encoding
from ssl_lib.tokens.vocabulary import VocabularyTable, vocabulary_table

CONTEXT = 32


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Sixty generated documents full of numbers, and one that is not ASCII."""
    generated = [document.text for document in generate(seed=7, documents=60)]
    return [*generated, "Der Wärmefluß beträgt 12,5 W – naïve 東京 🙂."]


@pytest.fixture(scope="session")
def encoding(texts: list[str]) -> tiktoken.Encoding:
    """Digits in groups of three from the right, 1,440 entries."""
    return train_encoding(texts, 1440, "right3")


@pytest.fixture(scope="session")
def encoding_file(encoding: tiktoken.Encoding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same encoding on disk."""
    path = tmp_path_factory.mktemp("encoding") / "encoding.json"
    save_encoding(encoding, path)
    return path


@pytest.fixture(scope="session")
def tokenized(encoding: tiktoken.Encoding, texts: list[str]) -> Tokenized:
    """The tiny corpus as a token store in memory."""
    return tokenize_texts(encoding, texts)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """One layer of width 32, 32 tokens, float32, one thread; objectives weigh 1 and see all."""
    equal = {f"objectives.{name}.weight": 1.0 for name in OBJECTIVES}
    whole = {
        f"objectives.{name}.batch_fraction": 1.0 for name in ("mlm", "contrastive", "denoising")
    }
    return Settings().replaced(
        equal
        | whole
        | {
            "model.layers": 1,
            "model.width": 32,
            "model.heads": 2,
            "model.context_length": CONTEXT,
            "model.mode_specific_layers": 0,
            "objectives.mlm.batch_fraction": 1.0,
            "objectives.denoising.batch_fraction": 1.0,
            "objectives.contrastive.batch_fraction": 1.0,
            "objectives.contrastive.effective_batch": 48,
            "objectives.contrastive.projection": 16,
            "objectives.contrastive.equivalent_weight": 0.0,
            "objectives.denoising.bottleneck": 16,
            "objectives.numerical.components": 4,
            "training.steps": 12,
            "training.sequences": 4,
            "training.warmup_steps": 2,
            "training.validate_every_steps": 6,
            "training.validation_sequences": 4,
            "training.checkpoint_every_steps": 5,
            "training.device": "cpu",
            "training.precision": "float32",
            "training.threads": 1,
            "tracking.log_every_steps": 1,
        }
    )


@pytest.fixture(scope="session")
def sequences(tokenized: Tokenized) -> PackedSequences:
    """Packed sequences of the tiny corpus."""
    return PackedSequences(tokenized, CONTEXT, seed=3)


@pytest.fixture(scope="session")
def batch(sequences: PackedSequences) -> Batch:
    """Six packed sequences with numbers at a quarter of their positions or more, as most have."""
    steps = (sequences.batch(step, 6) for step in range(sequences.sequences_per_epoch // 6))
    return next(batch for batch in steps if (batch.number_BT >= 0).float().mean() >= 0.25)


@pytest.fixture
def trunk(encoding: tiktoken.Encoding) -> Trunk:
    """One layer of width 32 with the values of the encoding's digit groups."""
    torch.manual_seed(0)
    return Trunk(TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2), encoding)


@pytest.fixture(scope="session")
def vocabulary(encoding: tiktoken.Encoding) -> VocabularyTable:
    """What each entry of the tiny encoding is."""
    return vocabulary_table(encoding)
