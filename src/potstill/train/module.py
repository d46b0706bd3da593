"""Student and loss as one module, so that wrappers such as DDP see a single forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from potstill.models.prefix import hidden_states
from potstill.objectives import chunked_sum
from potstill.objectives.transform import logit_transform
from potstill.train.targets import Batch, Target


@dataclass(frozen=True, slots=True)
class StateMatching:
    """Hidden-state matching: the weight of the term, and for each pair the student's layer and the teacher's width."""

    weight: float
    layers: tuple[int, ...]  # counted from 0, the embedding's output, as transformers counts hidden states
    teacher_width: int


class StudentWithLoss(nn.Module):
    """The student's network with its objective and, where hidden states are matched, the projections learned for it."""

    def __init__(self, network: Any, matching: StateMatching | None = None) -> None:
        super().__init__()
        self.network = network
        self._transform = logit_transform(network.config)
        self._matching = matching
        width = int(network.config.hidden_size)
        wanted = matching.layers if matching is not None else ()
        self.projections = nn.ModuleList(
            nn.Identity()
            if matching is None or width == matching.teacher_width
            else nn.Linear(width, matching.teacher_width, bias=False)
            for _ in wanted
        )

    def forward(self, batch: Batch, target: Target) -> Tensor:
        """Sum of the loss over the batch's supervised positions, in nats."""
        layers = self._matching.layers if self._matching is not None else ()
        found = hidden_states(self.network, batch.tokens, batch.prefix, layers)
        states, *others = (one[batch.rows, batch.columns] for one in found)
        head = self.network.get_output_embeddings()
        if torch.is_autocast_enabled(states.device.type):
            states = states.to(torch.get_autocast_dtype(states.device.type))
        total = chunked_sum(
            states, head.weight, getattr(head, "bias", None), target.loss, transform=self._transform
        )  # fmt: skip
        if self._matching is not None:
            total = total + self._matching.weight * self._apart(others, target.states)
        return total

    def _apart(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
        """Σ over positions of the mean over layers and widths of (W h_student - h_teacher)².

        Jiao et al. 2020 (TinyBERT), eq. 8, with W the identity where the widths agree.
        """
        parts = [
            (projection(mine).float() - other.float()).square().mean(-1).sum()
            for projection, mine, other in zip(self.projections, ours, theirs, strict=True)
        ]
        return torch.stack(parts).mean()
