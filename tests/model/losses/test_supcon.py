"""Tests of the supervised contrast."""

import math

import pytest
import torch
from hypothesis import given

from contrastive_age.model.losses.supcon import supcon_loss
from model.losses.batches import check_gradients, cosine, drawn, labels


def by_loop(features, ages, temperature):
    rows, n = features.tolist(), len(ages)
    total = 0.0
    for i in range(n):
        s = {k: cosine(rows[i], rows[k]) / temperature for k in range(n) if k != i}
        positives = [k for k in s if ages[k] == ages[i]]
        of_all = sum(map(math.exp, s.values()))
        for p in positives:
            total -= math.log(math.exp(s[p]) / of_all) / len(positives)
    return total / n


@given(ages=labels)
def test_equals_a_loop_over_every_pair(ages):
    features = drawn(len(ages))
    found = supcon_loss(features, torch.tensor(ages), 0.1).item()
    assert found == pytest.approx(by_loop(features, ages, 0.1), rel=1e-6, abs=1e-9)


def test_by_hand():
    """Images 0 and 1 of one age point the same way, 2 of another at a right angle; tau is 1.

    Images 0 and 1: the positive has a cosine of 1, the other of 0. -log(e / (e + 1)).
    Image 2 has no positive, and adds 0.
    """
    features = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    expected = 2 * math.log(1 + math.exp(-1)) / 3  # 0.208841
    assert supcon_loss(features, torch.tensor([30, 30, 31]), 1.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("ages", [[0], [0, 1], [4, 5, 6, 7]])
def test_without_any_pair_of_one_age_is_zero(ages):
    features = drawn(len(ages)).requires_grad_()
    loss = supcon_loss(features, torch.tensor(ages), 0.1)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, features)[0].abs().max().item() == 0


def test_of_equal_images_of_one_age_chooses_among_all():
    found = supcon_loss(torch.ones(5, 4), torch.zeros(5, dtype=torch.int64), 0.1).item()
    assert found == pytest.approx(math.log(4), rel=1e-5)


@pytest.mark.parametrize("ages", [[3, 3, 3, 3], [0, 5, 0, 5]])
def test_gradient_is_finite_and_exact_in_float32(ages):
    check_gradients(lambda x: supcon_loss(x, torch.tensor(ages), 0.1), drawn(4, 8))


def test_of_vanishing_features_has_a_finite_gradient():
    features = torch.zeros(4, 3, requires_grad=True)
    loss = supcon_loss(features, torch.tensor([0, 0, 1, 1]), 0.1)
    assert loss.item() == pytest.approx(math.log(3), rel=1e-5)
    assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()


def test_gradient():
    ages = torch.tensor([4, 0, 4, 0, 2])
    features = drawn(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: supcon_loss(x, ages, 0.1), features)
