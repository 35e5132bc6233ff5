"""Tests of the absolute error of a regression."""

import torch

from contrastive_age.model.losses.l1 import l1_loss

AGES = torch.tensor([0, 6, 3])


def test_equals_a_loop_over_every_image(normal, dtype):
    value = normal(3, dtype=dtype)
    found = l1_loss(value, AGES)
    assert found.dtype == dtype
    expected = [abs(v - y) for v, y in zip(value.tolist(), AGES.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=dtype))


def test_by_hand():
    assert l1_loss(torch.tensor([2.5, 6.0, 1.0]), AGES).tolist() == [2.5, 0, 2]


def test_gradient(normal):
    assert torch.autograd.gradcheck(lambda x: l1_loss(x, AGES), normal(3, grad=True))
