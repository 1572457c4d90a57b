"""What the tests of evaluation share: data of a few texts, and a pair of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tiktoken

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import EvaluationTask, ModelPair
from ssl_lib.evaluation.comparison import Resampling, TaskResult
from ssl_lib.evaluation.data import Document, EvaluationData
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids


def evaluation_data(
    encoding: tiktoken.Encoding,
    training: Sequence[str] = ("Nothing of the kind.",),
    test: Sequence[str] = (),
    settings: EvaluationSettings | None = None,
    domain: str = "",
) -> EvaluationData:
    """Training and held-out texts, as a project has them."""
    end = special_ids(encoding).end
    tokens = [token for text in training for token in [*encode(encoding, text), end]]
    return EvaluationData(
        settings=settings or EvaluationSettings(items=36, probe_items=40),
        seed=0,
        encoding=encoding,
        training_tokens=np.array(tokens, dtype=np.uint32),
        training_values=np.ones(1),
        training_documents=[Document(text, domain) for text in training],
        test_documents=[Document(text, domain) for text in test],
    )


def pair_of(before: Any, after: Any, samples: int = 100) -> ModelPair:
    """Two models with few resamples."""
    return ModelPair(before, after, Resampling(samples, seed=0))


def run(task: EvaluationTask[Any, Any], pair: ModelPair, items: Any) -> TaskResult:
    """A task without baselines that must be fitted or counted."""
    encoding = getattr(pair.after, "encoding", None)
    settings = EvaluationSettings(items=20, baselines="none")
    data = EvaluationData(settings, 0, encoding, np.zeros(0, np.uint32), np.ones(1), [], [])
    return task.run(pair, data, items)
