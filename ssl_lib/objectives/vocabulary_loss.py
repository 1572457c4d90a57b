"""Cross-entropy over a vocabulary; over a large one without its logits in memory.

There the gradients are made beside the loss, chunk by chunk, while a chunk's logits are at hand: nothing is kept for
the backward pass but gradients of the two inputs (as in Liger kernels, Hsu et al. 2024).

Shapes: S scored positions, D width, V vocabulary, C positions of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}  # 16 MB of float32 logits lie in a processor's cache


def vocabulary_loss(
    hidden_SD: Tensor,
    matrix_VD: Tensor,
    targets_S: Tensor,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    emphasis_S: Tensor | None = None,
) -> Tensor:
    """Sum over S of the cross-entropy in nats of `hidden @ matrix.T`; `z_loss` times the squared log partition is
    added (Chowdhery et al. 2022). `emphasis_S` multiplies each position's gradient and leaves the value of the loss as
    it is. It can be differentiated once.
    """
    chunk = max(1, LOGITS_AT_ONCE[hidden_SD.device.type] // len(matrix_VD))
    if len(targets_S) <= 2 * chunk:
        logits_SV = functional.linear(hidden_SD, matrix_VD.to(hidden_SD.dtype)).float()
        loss_S = functional.cross_entropy(
            logits_SV, targets_S, reduction="none", label_smoothing=label_smoothing
        )
        loss_S = loss_S + z_loss * logits_SV.logsumexp(-1).square() if z_loss else loss_S
        return loss_S.sum() if emphasis_S is None else _emphasised(loss_S, emphasis_S)
    if torch.is_autocast_enabled(hidden_SD.device.type):
        hidden_SD = hidden_SD.to(torch.get_autocast_dtype(hidden_SD.device.type))
    return _VocabularyLoss.apply(
        hidden_SD, matrix_VD, targets_S, label_smoothing, z_loss, emphasis_S, chunk
    )


def _emphasised(loss_S: Tensor, emphasis_S: Tensor) -> Tensor:
    """The sum of the losses, with the gradient of their weighted sum."""
    weighted = (loss_S * emphasis_S).sum()
    return weighted + (loss_S.sum() - weighted).detach()


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_SD: Tensor,
        matrix_VD: Tensor,
        targets_S: Tensor,
        label_smoothing: float,
        z_loss: float,
        emphasis_S: Tensor | None,
        chunk: int,
    ) -> Tensor:
        """The loss, and where they are wanted its gradients by `hidden_SD` and `matrix_VD`, kept for `backward`."""
        wanted = any(ctx.needs_input_grad)
        low_VD = matrix_VD.to(hidden_SD.dtype)
        hidden_grad_SD = torch.empty_like(hidden_SD) if wanted else None
        matrix_grad_VD = torch.zeros_like(matrix_VD) if wanted else None
        total = hidden_SD.new_zeros((), dtype=torch.float32)
        for start in range(0, len(targets_S), chunk):
            part = slice(start, start + chunk)
            logits_CV = functional.linear(hidden_SD[part], low_VD).float()
            log_total_C1 = logits_CV.logsumexp(-1, keepdim=True)
            total += _loss(logits_CV, log_total_C1, targets_S[part], label_smoothing, z_loss)
            if wanted:
                slope_CV = _slope(logits_CV, log_total_C1, targets_S[part], label_smoothing, z_loss)
                if emphasis_S is not None:
                    slope_CV *= emphasis_S[part, None]
                slope_CV = slope_CV.to(hidden_SD.dtype)
                hidden_grad_SD[part] = slope_CV @ low_VD
                matrix_grad_VD += slope_CV.T @ hidden_SD[part]
        ctx.save_for_backward(hidden_grad_SD, matrix_grad_VD)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The kept gradients times the one from outside."""
        hidden_grad_SD, matrix_grad_VD = ctx.saved_tensors
        return (
            hidden_grad_SD * outer.to(hidden_grad_SD.dtype),
            matrix_grad_VD * outer,
            None,
            None,
            None,
            None,
            None,
        )


def _loss(
    logits_CV: Tensor,
    log_total_C1: Tensor,
    targets_C: Tensor,
    label_smoothing: float,
    z_loss: float,
) -> Tensor:
    chosen_C1 = logits_CV.gather(1, targets_C[:, None])
    loss_C1 = log_total_C1 - (1.0 - label_smoothing) * chosen_C1
    if label_smoothing:
        loss_C1 = loss_C1 - label_smoothing * logits_CV.mean(-1, keepdim=True)
    return (loss_C1 + z_loss * log_total_C1.square()).sum()


def _slope(
    logits_CV: Tensor,
    log_total_C1: Tensor,
    targets_C: Tensor,
    label_smoothing: float,
    z_loss: float,
) -> Tensor:
    """The loss's gradient by the logits, in their place."""
    slope_CV = logits_CV.sub_(log_total_C1).exp_()
    if z_loss:
        slope_CV *= 1.0 + 2.0 * z_loss * log_total_C1
    if label_smoothing:
        slope_CV -= label_smoothing / slope_CV.shape[1]
    rows_C = torch.arange(len(targets_C), device=targets_C.device)
    slope_CV[rows_C, targets_C] -= 1.0 - label_smoothing
    return slope_CV
