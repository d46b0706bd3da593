import pytest
import torch

from potstill.objectives.weight_gradient import WeightGradient


@pytest.mark.parametrize("positions", [7, 1500, 1501])  # the last is summed the other way round
@pytest.mark.parametrize(
    ("narrow", "wide", "tolerance"),
    [
        (torch.float64, torch.float64, 1e-12),
        (torch.float32, torch.float32, 1e-4),
        (torch.bfloat16, torch.float32, 2e-2),
    ],
)
def test_the_sum_over_chunks_is_the_product_of_all(
    positions: int, narrow: torch.dtype, wide: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    gradient = torch.randn(positions, 1200, dtype=torch.float64).to(narrow)
    states = torch.randn(positions, 300, dtype=torch.float64).to(narrow)
    found = WeightGradient(torch.empty(1200, 300, dtype=wide), narrow, wide, positions)
    for start in range(0, positions, 400):
        found.add(gradient[start : start + 400], states[start : start + 400])
    result = found.result()
    assert result.dtype == wide
    assert result.is_contiguous()
    expected = gradient.double().T @ states.double()
    assert (result.double() - expected).norm() <= tolerance * expected.norm()
