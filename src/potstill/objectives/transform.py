"""What an architecture does between its head and its logits, and the way back for gradients."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LogitTransform:
    """logits = cap·tanh(scale·x / cap), or scale·x where there is no cap, of head outputs x."""

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, outputs: Tensor) -> Tensor:
        """The logits, differentiable; head outputs are left as they are."""
        scaled = outputs * self.scale if self.scale != 1.0 else outputs
        return torch.tanh(scaled / self.cap) * self.cap if self.cap else scaled

    def forward(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits in the place of the head outputs, and the slope that `backward` needs where there is a cap."""
        if self.cap is None:
            return (outputs.mul_(self.scale) if self.scale != 1.0 else outputs), None
        bent = outputs.mul_(self.scale / self.cap).tanh_()
        slope = bent.square().neg_().add_(1).mul_(self.scale)
        return bent.mul_(self.cap), slope

    def backward(self, gradient: Tensor, slope: Tensor | None) -> Tensor:
        """The gradient by head outputs from that by logits, in its place."""
        if slope is not None:
            return gradient.mul_(slope)
        return gradient.mul_(self.scale) if self.scale != 1.0 else gradient


IDENTITY = LogitTransform()


def logit_transform(config: Any) -> LogitTransform:
    """The model's own: a scale (Cohere, Granite), a soft cap (Gemma 2), or nothing."""
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    return LogitTransform(scale, getattr(config, "final_logit_softcapping", None) or None)
