"""Tests of the cosine loss."""

import math

import pytest
import torch

from contrastive_age.model.losses.cosine import cosine_loss


def test_equals_a_loop_over_every_pair(normal, dtype):
    anchor, positive = normal(5, 8, dtype=dtype), normal(5, 8, dtype=dtype)
    for row, value in enumerate(cosine_loss(anchor, positive)):
        a, p = anchor[row].tolist(), positive[row].tolist()
        dot = sum(x * y for x, y in zip(a, p, strict=True))
        norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in p))
        assert value.item() == pytest.approx(1 - dot / norms, rel=1e-5)
    assert cosine_loss(anchor, positive).dtype == dtype


def test_of_equal_opposite_and_orthogonal_features():
    anchor = torch.tensor([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0]])
    positive = torch.tensor([[5.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    assert cosine_loss(anchor, positive).tolist() == pytest.approx([0, 2, 1], abs=1e-6)


def test_of_vanishing_features_is_finite_with_finite_gradient():
    anchor = torch.zeros(1, 4, requires_grad=True)
    loss = cosine_loss(anchor, torch.ones(1, 4)).sum()
    (gradient,) = torch.autograd.grad(loss, anchor)
    assert loss.item() == 1
    assert torch.isfinite(gradient).all()


def test_of_nothing_is_empty(normal):
    assert cosine_loss(normal(0, 8), normal(0, 8)).shape == (0,)


def test_gradient(normal):
    pair = normal(3, 4, grad=True), normal(3, 4, grad=True)
    assert torch.autograd.gradcheck(cosine_loss, pair)
