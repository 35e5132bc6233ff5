"""Tests of the softmax loss."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

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


def test_smoothed_it_equals_a_loop_over_every_class(normal, dtype):
    logits = normal(4, 7, dtype=dtype)
    ages = torch.tensor([0, 6, 3, 3])
    s = logits.softmax(dim=1)
    for row, value in enumerate(softmax_loss(logits.log_softmax(dim=1), ages, smoothing=0.2)):
        label = [0.2 / 7 + (0.8 if j == ages[row] else 0) for j in range(7)]
        expected = -sum(label[j] * math.log(s[row, j]) for j in range(7))
        assert value.item() == pytest.approx(expected, rel=1e-5)


def test_smoothed_it_is_torchs(normal):
    logits, ages = normal(4, 7), torch.tensor([0, 6, 3, 3])
    expected = cross_entropy(logits, ages, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(softmax_loss(logits.log_softmax(dim=1), ages, 0.1), expected)
