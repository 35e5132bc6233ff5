"""Batches of random features and labels, and what any loss over pairs of images must keep."""

import math
from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor

labels = st.lists(st.integers(0, 6), min_size=1, max_size=9)
"""Few ages, so that there are ties, pairs of one age, and batches of one age alone."""


def drawn(number: int, width: int = 3, dtype: torch.dtype = torch.float64, seed: int = 7) -> Tensor:
    """Features that are standard normal, (n, D)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, width, generator=generator, dtype=dtype)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def check_gradients(loss: Callable[[Tensor], Tensor], features: Tensor) -> None:
    """Hold value and gradient in float32 against those in float64; all of them are finite."""
    results = []
    for dtype in (torch.float32, torch.float64):
        own = features.detach().to(dtype).requires_grad_()
        value = loss(own)
        assert value.shape == ()
        assert value.dtype == dtype
        results.append((value.double(), torch.autograd.grad(value, own)[0].double()))
    for found, exact in zip(*results, strict=True):
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=2e-5)
