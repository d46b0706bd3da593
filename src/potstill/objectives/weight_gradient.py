"""The gradient of the head's weight, summed over chunks of positions."""

import torch
from torch import Tensor

_WIDENED_BYTES = 1 << 20
_ROWS_TURNED = 1024  # at once: so many as stay in the cache
_WORTH_TURNING = 1500


class WeightGradient:
    """The sum over chunks of logits' gradient x states, in fp32 or wider.

    With many positions it is kept as (D, V) and turned once at the end: with the logits in their own order the product
    is faster on a CPU than with them transposed, which has to make up for the turning.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype, accumulator: torch.dtype, positions: int) -> None:
        self._turned = positions > _WORTH_TURNING
        # Not empty_like: it would keep the strides of what is only looked at the other way round.
        self._total = weight.new_empty((weight.T if self._turned else weight).shape, dtype=accumulator)
        self._begun = False
        self._product = self._wide = None
        if dtype != accumulator:
            self._product = torch.empty_like(self._total, dtype=dtype)
            self._wide = torch.empty_like(self._total[: self._rows_widened()])

    def add(self, gradient: Tensor, states: Tensor) -> None:
        """Add gradient.T (V, n) x states (n, D)."""
        left, right = (states.T.contiguous(), gradient) if self._turned else (gradient.T, states)
        if self._product is None:
            if self._begun:
                self._total.addmm_(left, right)
            else:
                torch.mm(left, right, out=self._total)
        else:
            torch.mm(left, right, out=self._product)
            self._widen(self._product)
        self._begun = True

    def result(self) -> Tensor:
        """The sum as (V, D). Nothing can be added after it."""
        self._product = self._wide = None
        if not self._turned:
            return self._total
        found = self._total.new_empty(self._total.T.shape)
        few = (torch.split(found, _ROWS_TURNED), torch.split(self._total, _ROWS_TURNED, 1))
        for rows, columns in zip(*few, strict=True):
            rows.copy_(columns.T)
        return found

    def _widen(self, product: Tensor) -> None:
        if not self._begun:
            self._total.copy_(product)
        elif self._wide is None or product.device.type != "cpu":
            self._total.add_(product)
        else:
            # On a CPU a sum of two dtypes widens one of them into memory of its own, every time anew.
            few = (torch.split(one, len(self._wide)) for one in (self._total, product))
            for total, narrow in zip(*few, strict=True):
                total.add_(self._wide[: len(narrow)].copy_(narrow))

    def _rows_widened(self) -> int:
        """So many as stay in the cache."""
        return max(1, _WIDENED_BYTES // (4 * self._total.shape[1]))
