"""Tests of the Kullback-Leibler loss."""

import math

import pytest
import torch

from contrastive_age.model.losses.kl import kl_loss


def softmax(logits):
    total = sum(math.exp(x) for x in logits)
    return [math.exp(x) / total for x in logits]


def of_logits(anchor, positive):
    return kl_loss(anchor.log_softmax(dim=1), positive.log_softmax(dim=1))


def test_equals_a_loop_over_every_pair_and_class(normal, dtype):
    anchor, positive = normal(5, 7, dtype=dtype), normal(5, 7, dtype=dtype)
    for row, value in enumerate(of_logits(anchor, positive)):
        a, p = softmax(anchor[row].tolist()), softmax(positive[row].tolist())
        expected = sum(p[j] * (math.log(p[j]) - math.log(a[j])) for j in range(7)) / 7
        assert value.item() == pytest.approx(expected, rel=1e-4)
    assert of_logits(anchor, positive).dtype == dtype


def test_of_equal_distributions_is_zero(normal):
    logits = normal(3, 7)
    torch.testing.assert_close(of_logits(logits, logits + 5), torch.zeros(3, dtype=torch.float64))


def test_of_vanished_probabilities_is_finite():
    anchor = torch.tensor([[0.0, 500.0]], requires_grad=True)
    positive = torch.tensor([[500.0, 0.0]], requires_grad=True)
    loss = of_logits(anchor, positive).sum()
    assert loss.item() == pytest.approx(250)
    for gradient in torch.autograd.grad(loss, (anchor, positive)):
        assert torch.isfinite(gradient).all()


def test_of_nothing_is_empty(normal):
    assert of_logits(normal(0, 7), normal(0, 7)).shape == (0,)


def test_gradient(normal):
    assert torch.autograd.gradcheck(of_logits, (normal(3, 4, grad=True), normal(3, 4, grad=True)))
