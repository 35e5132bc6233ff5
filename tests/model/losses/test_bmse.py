"""Tests of the balanced squared error."""

import math

import pytest
import torch

from contrastive_age.model.losses.bmse import bmse_loss

AGES = torch.tensor([0, 6, 3, 3])


def test_equals_a_loop_over_every_pair(normal, dtype):
    value, log_sigma = normal(4, dtype=dtype) + 3, torch.full((4,), 0.4, dtype=dtype)
    variance = math.exp(0.8)
    expected = 0.0
    for i, v in enumerate(value.tolist()):
        densities = [math.exp(-((v - y) ** 2) / (2 * variance)) for y in AGES.tolist()]
        expected -= 2 * variance * math.log(densities[i] / sum(densities)) / 4
    found = bmse_loss(value, log_sigma, AGES)
    assert found.shape == ()
    assert found.dtype == dtype
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """Two images two years apart, met exactly, with a variance of 2: 4 log(1 + e^-1)."""
    ages = torch.tensor([1, 3])
    log_sigma = torch.full((2,), math.log(2) / 2)
    found = bmse_loss(ages.float(), log_sigma, ages).item()
    assert found == pytest.approx(4 * math.log(1 + math.exp(-1)))


def test_with_little_noise_a_value_need_only_be_nearest_to_its_own_age():
    """It asks which age of the batch a value belongs to, and no more."""
    value = torch.tensor([0.4, 2.9])
    log_sigma = torch.full((2,), math.log(0.05))
    assert bmse_loss(value, log_sigma, torch.tensor([0, 3])).item() == pytest.approx(0, abs=1e-6)


def test_far_away_it_stays_finite():
    value = torch.tensor([900.0, -900.0], requires_grad=True)
    log_sigma = torch.full((2,), -2.0, requires_grad=True)
    bmse_loss(value, log_sigma, torch.tensor([0, 3])).backward()
    assert torch.isfinite(value.grad).all()
    assert torch.isfinite(log_sigma.grad).all()


def test_of_nothing_is_0():
    empty = torch.zeros(0)
    assert bmse_loss(empty, empty, torch.zeros(0, dtype=torch.int64)).item() == 0


def test_gradient_by_the_values(normal):
    log_sigma = torch.full((4,), 0.4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: bmse_loss(x, log_sigma, AGES), normal(4, grad=True))


def test_gradient_by_the_noise_leaves_out_the_factor(normal):
    """That of the cross entropy times the variance, as it is at this noise."""
    value = normal(4)

    def cross_entropy(log_sigma):
        factor = 2 * torch.exp(2 * log_sigma)
        return bmse_loss(value, log_sigma, AGES) / factor.mean()

    at = torch.full((4,), 0.4, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(bmse_loss(value, at, AGES), at)
    step = 1e-6
    ends = [cross_entropy(at.detach() + sign * step) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step) * 2 * math.exp(0.8)
    assert found.sum().item() == pytest.approx(expected.item(), rel=1e-6)
