"""Tests of the softmax loss."""

import math

import pytest
import torch

from contrastive_age.model.losses.softmax import softmax_loss


def test_equals_a_loop_over_every_class(normal, dtype):
    logits = normal(5, 7, dtype=dtype)
    ages = torch.tensor([0, 6, 3, 3, 1])
    for row, value in enumerate(softmax_loss(logits.log_softmax(dim=1), ages)):
        total = sum(math.exp(logits[row, j]) for j in range(7))
        expected = -math.log(math.exp(logits[row, ages[row]]) / total)
        assert value.item() == pytest.approx(expected, rel=1e-5)
    assert softmax_loss(logits.log_softmax(dim=1), ages).dtype == dtype


def test_of_nothing_is_empty(normal):
    assert softmax_loss(normal(0, 7), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_gradient(normal):
    ages = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(
        lambda x: softmax_loss(x.log_softmax(dim=1), ages), normal(3, 4, grad=True)
    )
