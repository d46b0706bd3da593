"""Divergences between teacher and student as pure functions on tensors, in nats, and the head that never fills N×V."""

from potstill.objectives.dense import KINDS, per_position
from potstill.objectives.head import chunked_sum

__all__ = ["KINDS", "chunked_sum", "per_position"]
