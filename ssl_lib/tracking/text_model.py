"""The model as MLflow loads it: code and safetensors, no pickle.

MLflow runs this file by itself, with a copy of the package beside the weights, so a stored model
needs no checkout.
"""

from __future__ import annotations

from typing import Any

import pandas
from mlflow.exceptions import MlflowException
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
        """What `ssl-lib serve` answers: `task` embed, next, number, fill_mask, denoise or numbers.

        `k`, `threshold` (below 0: the model's own) and `tokens` as there. Raises MlflowException,
        which a server tells with status 400.
        """
        import ssl_lib

        options = params or {}
        texts = [str(text) for text in model_input["text"]]
        known = {key: options[key] for key in ("k", "threshold", "tokens") if key in options}
        # a parameter of MLflow cannot be absent
        if known.get("threshold", 0.0) < 0.0:
            del known["threshold"]
        try:
            task = str(options.get("task", "embed"))
            return ssl_lib.answers(self.predictor, task, texts, **known)
        except ssl_lib.UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


set_model(TextModel())
