"""Tests of Eq. 9 as it is printed."""

import math

import pytest
import torch
from torch.nn.functional import kl_div

from contrastive_age.model.losses.kl_printed import kl_printed_loss


def softmax(logits):
    total = sum(math.exp(x) for x in logits)
    return [math.exp(x) / total for x in logits]


def of_logits(anchor, positive):
    return kl_printed_loss(anchor.log_softmax(dim=1), positive.log_softmax(dim=1))


def peaked(classes, place, odds):
    """The logits of one class `odds` times as probable as each other."""
    logits = torch.zeros(1, classes, dtype=torch.float64)
    logits[0, place] = math.log(odds)
    return logits


def test_equals_a_loop_over_every_pair_and_class(normal, dtype):
    anchor, positive = normal(5, 7, dtype=dtype), normal(5, 7, dtype=dtype)
    for row, value in enumerate(of_logits(anchor, positive)):
        a, p = softmax(anchor[row].tolist()), softmax(positive[row].tolist())
        expected = sum(p[j] * (math.log(p[j]) - a[j]) for j in range(7)) / 7
        assert value.item() == pytest.approx(expected, rel=1e-4)
    assert of_logits(anchor, positive).dtype == dtype


def test_is_torchs_divergence_fed_with_probabilities(normal):
    anchor, positive = normal(5, 7), normal(5, 7)
    fed = kl_div(anchor.softmax(dim=1), positive.softmax(dim=1), reduction="none")
    torch.testing.assert_close(of_logits(anchor, positive), fed.mean(dim=1))


@pytest.mark.parametrize("classes", [2, 70])
def test_its_minimum_is_a_certain_anchor_and_a_flat_positive(normal, classes):
    lowest = -math.log(math.e + classes - 1) / classes
    attained = of_logits(peaked(classes, 0, 1e12), peaked(classes, 0, math.e))
    assert attained.item() == pytest.approx(lowest)
    scale = torch.logspace(-2, 2, 500, dtype=torch.float64)[:, None]
    anchor, positive = normal(500, classes) * scale, normal(500, classes) * scale
    values = of_logits(anchor, positive)
    assert lowest <= values.min().item()
    assert values.max().item() <= 0
    assert (of_logits(positive, positive) > lowest).all()


def test_of_a_certain_positive_of_another_class_is_zero():
    loss = of_logits(peaked(7, 1, 1e15), peaked(7, 3, 1e15))
    assert loss.item() == pytest.approx(0, abs=1e-10)


def test_moves_equal_distributions_apart():
    """At equality the anchor is drawn to the top class, and the positive away from it."""
    anchor = peaked(7, 3, 10).requires_grad_()
    positive = peaked(7, 3, 10).requires_grad_()
    for_anchor, for_positive = torch.autograd.grad(
        of_logits(anchor, positive).sum(), (anchor, positive)
    )
    assert for_anchor[0, 3] < 0 < for_positive[0, 3]


@pytest.mark.parametrize("classes", [2, 70])
def test_its_pull_is_bounded(normal, classes):
    scale = torch.logspace(-2, 2, 500, dtype=torch.float64)[:, None]
    logits = [(normal(500, classes) * scale).requires_grad_() for _ in range(2)]
    gradients = torch.autograd.grad(of_logits(*logits).sum(), logits)
    anchor, positive = (own.abs().sum(dim=1).max().item() * classes for own in gradients)
    assert anchor <= 1 / 2
    assert positive <= (math.log(classes) + 1) / 2


def test_of_vanished_probabilities_is_finite():
    anchor = torch.tensor([[0.0, 500.0]], requires_grad=True)
    positive = torch.tensor([[500.0, 0.0]], requires_grad=True)
    loss = of_logits(anchor, positive).sum()
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, (anchor, positive)):
        assert torch.isfinite(gradient).all()


def test_of_nothing_is_empty(normal):
    assert of_logits(normal(0, 7), normal(0, 7)).shape == (0,)


def test_gradient(normal):
    pair = normal(3, 4, grad=True), normal(3, 4, grad=True)
    assert torch.autograd.gradcheck(of_logits, pair)
