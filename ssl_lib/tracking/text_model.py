"""The model as MLflow loads it: code and safetensors, no pickle.

MLflow runs this file by itself, with a copy of the package beside the weights, so a stored model
needs no checkout.
"""

from __future__ import annotations

from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class TextModel(PythonModel):
    """Rows with a column `text` in, one answer for each row out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights from the artifact folder `model`."""
        import ssl_lib

        self.predictor = ssl_lib.load(context.artifacts["model"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pandas.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> list[Any]:
        """`task` embed: a unit-length vector; next_tokens: the `k` most probable continuations.

        Raises ValueError for another task.
        """
        options = params or {}
        texts = [str(text) for text in model_input["text"]]
        task, k = options.get("task", "embed"), int(options.get("k", 5))
        if task == "embed":
            return list(self.predictor.embed(texts).tolist())
        if task == "next_tokens":
            return [self.predictor.predict_next(text, k=k) for text in texts]
        raise ValueError(f"task must be embed or next_tokens, got {task!r}")


set_model(TextModel())
