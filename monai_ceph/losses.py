"""The heatmap regression loss: equation 3 of the paper."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["HeatmapRegressionLoss", "switch_on"]


def switch_on(current_step: int, epoch: int | None, value: float = 1.0) -> float:
    """Return 0 before ``epoch`` and ``value`` from then on; None: always 0. For MONAI's ParamSchedulerHandler."""
    return value if epoch is not None and current_step >= epoch else 0.0


class HeatmapRegressionLoss(nn.Module):
    r"""Cross-entropy against the heatmaps, plus a focal term that is switched on in a later epoch.

    .. math::
        L = -\frac{1}{N} \sum_{b=1}^{N} \left( \tfrac12 H \log \hat H
            + \tfrac12 \alpha_t (1 - H_t)^\gamma \log H_t \right), \quad
        H_t = \hat H \text{ if } H > 0.01 \text{ else } 1 - \hat H

    (Zhong et al. 2019, eq. 3.) :math:`\hat H` is the softmax over channels. The paper does not say how pixels are
    reduced: channels are summed and pixels averaged. It does not give alpha and gamma either: as in Lin et al. 2017
    (Focal Loss for Dense Object Detection), :math:`\alpha_t` is alpha where H > 0.01 and 1 - alpha elsewhere.
    A channel of NaN (a landmark without annotation) is left out of the softmax and of the loss.

    Args:
        alpha: weight of pixels with H above ``threshold`` in the focal term.
        gamma: exponent of the focal term.
        threshold: H above which a pixel belongs to a landmark (0.01 in the paper).
        focal_weight: factor of the focal term: 0 while it is off, 1 while it is on (see :func:`switch_on`).

    Raises:
        ValueError: if alpha or gamma is out of range.
    """

    def __init__(
        self, alpha: float = 0.25, gamma: float = 2.0, threshold: float = 0.01, focal_weight: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1 or gamma < 0:
            raise ValueError(f"alpha must be in 0..1 and gamma not negative, got {alpha} and {gamma}")
        self.alpha, self.gamma, self.threshold, self.focal_weight = alpha, gamma, threshold, focal_weight

    def set_focal_weight(self, weight: float) -> None:
        """Set the factor of the focal term; the setter for MONAI's ParamSchedulerHandler."""
        self.focal_weight = weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a scalar, for logits and heatmaps (batch, channel, row, column).

        Raises:
            ValueError: if the shapes differ.
        """
        if logits.shape != target.shape:
            raise ValueError(f"logits {tuple(logits.shape)} and heatmaps {tuple(target.shape)} differ in shape")
        logits, target = logits.as_subclass(torch.Tensor), target.as_subclass(torch.Tensor)
        missing = target.isnan().flatten(2).any(dim=2)[:, :, None, None]
        if missing.any():
            logits = logits.masked_fill(missing, -torch.inf)
            target = target.masked_fill(missing, 0)
        log_p = torch.log_softmax(logits, dim=1)
        if missing.any():
            log_p = log_p.masked_fill(missing, 0)
        loss = -0.5 * (target * log_p).sum(dim=1).mean()
        if self.focal_weight:
            loss = loss + self.focal_weight * self._focal(log_p, target, missing)
        return loss

    def _focal(self, log_p: torch.Tensor, target: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        landmark = target > self.threshold
        log_rest = torch.log(-torch.expm1(log_p.clamp(max=-1e-6)))
        log_t = torch.where(landmark, log_p, log_rest)
        alpha_t = torch.where(landmark, self.alpha, 1 - self.alpha)
        # the slope of x ** gamma at 0 is infinite for a gamma below 1
        doubt = (-torch.expm1(log_t)).clamp(min=1e-6)
        focal = alpha_t * doubt**self.gamma * log_t
        return -0.5 * focal.masked_fill(missing, 0).sum(dim=1).mean()
