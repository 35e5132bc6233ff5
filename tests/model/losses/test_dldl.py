"""Tests of the loss of label distributions."""

import math

import pytest
import torch

from contrastive_age.model.losses.dldl import dldl_loss

AGES = torch.tensor([0, 6, 3, 3])


def label(age, classes, sigma):
    """The Gaussian about an age, class by class."""
    density = [math.exp(-((j - age) ** 2) / (2 * sigma**2)) for j in range(classes)]
    return [each / sum(density) for each in density]


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_equals_a_loop_over_every_class(normal, dtype, sigma):
    log_s = normal(4, 7, dtype=dtype).log_softmax(dim=1)
    found = dldl_loss(log_s, AGES, sigma)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        t = label(age, 7, sigma)
        expected = sum(t[j] * (math.log(t[j]) - log_s[row, j].item()) for j in range(7))
        assert found[row].item() == pytest.approx(expected, rel=1e-4)


def test_by_hand():
    """Three classes about the middle one with sigma 1: weights e^-1/2, 1, e^-1/2."""
    log_s = torch.full((1, 3), 1 / 3, dtype=torch.float64).log()
    t = [0.27407, 0.45186, 0.27407]
    expected = math.log(3) + sum(x * math.log(x) for x in t)
    found = dldl_loss(log_s, torch.tensor([1]), 1.0).item()
    assert found == pytest.approx(expected, abs=1e-4)
    assert found == pytest.approx(0.0302, abs=1e-4)


def test_is_0_of_the_label_itself_and_nowhere_less(normal):
    exact = torch.tensor([label(age, 7, 2.0) for age in AGES.tolist()]).log()
    assert dldl_loss(exact, AGES, 2.0).tolist() == pytest.approx([0] * 4, abs=1e-5)
    assert (dldl_loss(normal(4, 7).log_softmax(dim=1), AGES, 2.0) > 0).all()


def test_a_narrow_label_far_away_stays_finite(normal):
    logits = normal(1, 121, dtype=torch.float32, grad=True)
    dldl_loss(logits.log_softmax(dim=1), torch.tensor([120]), 0.2).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_gradient(normal):
    assert torch.autograd.gradcheck(
        lambda x: dldl_loss(x.log_softmax(dim=1), AGES, 2.0), normal(4, 7, grad=True)
    )
