"""Tests of the loss of soft ordinal labels."""

import math

import pytest
import torch

from contrastive_age.model.losses.sord import sord_loss

AGES = torch.tensor([0, 6, 3, 3])


def test_equals_a_loop_over_every_class(normal, dtype):
    log_s = normal(4, 7, dtype=dtype).log_softmax(dim=1)
    found = sord_loss(log_s, AGES)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        total = sum(math.exp(-abs(j - age)) for j in range(7))
        label = [math.exp(-abs(j - age)) / total for j in range(7)]
        expected = -sum(label[j] * log_s[row, j].item() for j in range(7))
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """Two classes at the first: a label of 0.7311 and 0.2689, a prediction of 0.9 and 0.1."""
    log_s = torch.tensor([[0.9, 0.1]]).log()
    expected = -0.7311 * math.log(0.9) - 0.2689 * math.log(0.1)
    assert sord_loss(log_s, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-4)


def test_gradient(normal):
    assert torch.autograd.gradcheck(
        lambda x: sord_loss(x.log_softmax(dim=1), AGES), normal(4, 7, grad=True)
    )
