"""Tests of the loss of label distributions and their means."""

import math

import pytest
import torch

from contrastive_age.model.losses.dldl_v2 import dldl_v2_loss
from contrastive_age.model.losses.term import class_numbers

AGES = torch.tensor([0, 6, 3, 3])


def test_equals_a_loop_over_every_class(normal, dtype):
    s = normal(4, 7, dtype=dtype).softmax(dim=1)
    expected = s @ class_numbers(s)
    found = dldl_v2_loss(s.log(), expected, AGES, 1.5)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        mean = sum(j * s[row, j].item() for j in range(7))
        heights = [math.exp(-((j - age) ** 2) / (2 * 1.5**2)) for j in range(7)]
        label = [height / sum(heights) for height in heights]
        divergence = sum(t * math.log(t / s[row, j].item()) for j, t in enumerate(label))
        assert found[row].item() == pytest.approx(divergence + abs(mean - age), rel=1e-4)


def test_by_hand():
    """Uniform over three classes at the lowest age: a mean of 1 is a year off, beside the KL.

    The label is 1, e^(-1/8) and e^(-1/2) over their sum of 2.4890: 0.4018, 0.3546 and 0.2437. Its
    entropy is 1.0781 nats, 0.0206 less than the log 3 of the uniform.
    """
    log_s = torch.full((1, 3), 1 / 3, dtype=torch.float64).log()
    age = torch.tensor([0])
    found = dldl_v2_loss(log_s, torch.tensor([1.0], dtype=torch.float64), age, 2.0)
    assert found.item() == pytest.approx(1.02056, abs=1e-5)


def test_gradient(normal):
    def loss(logits):
        s = logits.softmax(dim=1)
        return dldl_v2_loss(s.log(), s @ class_numbers(s), AGES, 2.0)

    assert torch.autograd.gradcheck(loss, normal(4, 7, grad=True))
