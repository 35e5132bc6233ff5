"""Tests of the loss of one binary question a year, which OR-CNN and CORAL share."""

import math

import pytest
import torch

from contrastive_age.model.losses.or_cnn import binary_loss

AGES = torch.tensor([0, 6, 3, 3])


def test_equals_a_loop_over_every_question(normal, dtype):
    scores = normal(4, 6, dtype=dtype)
    found = binary_loss(scores, AGES)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        expected = 0.0
        for k in range(6):
            older = 1 / (1 + math.exp(-scores[row, k].item()))
            expected -= math.log(older if age > k else 1 - older)
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """Class 1 of 3: older than 0 with odds of 3 to 1, older than 1 with odds of 1 to 4."""
    scores = torch.tensor([[math.log(3), -math.log(4)]])
    found = binary_loss(scores, torch.tensor([1])).item()
    assert found == pytest.approx(-math.log(0.75) - math.log(0.8))


def test_sure_answers_stay_finite():
    scores = torch.tensor([[500.0, -500.0]], requires_grad=True)
    wrong = binary_loss(scores, torch.tensor([0]))
    wrong.sum().backward()
    assert wrong.item() == pytest.approx(500)
    assert torch.isfinite(scores.grad).all()


def test_gradient(normal):
    assert torch.autograd.gradcheck(lambda x: binary_loss(x, AGES), normal(4, 6, grad=True))
