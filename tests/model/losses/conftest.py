"""Random features, logits and labels for the tests of the loss terms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Draw = Callable[..., Tensor]


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    chosen: torch.dtype = request.param
    return chosen


@pytest.fixture
def normal() -> Draw:
    """Draw standard normal tensors of a shape and type, other ones at each call."""
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int, dtype: torch.dtype = torch.float64, grad: bool = False) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_(grad)

    return draw
