"""Tests of Rank-N-Contrast."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.model.losses.rnc import rnc_loss
from model.losses.batches import check_gradients, drawn, labels


def by_loop(features, ages, temperature):
    rows, n = features.tolist(), len(ages)
    total = 0.0
    for i in range(n):
        s = [-math.dist(rows[i], rows[k]) / temperature for k in range(n)]
        for j in range(n):
            if j != i:
                farther = [
                    s[k]
                    for k in range(n)
                    if k != i and abs(ages[i] - ages[k]) >= abs(ages[i] - ages[j])
                ]
                total += math.log(math.exp(s[j]) / sum(map(math.exp, farther)))
    return -total / (n * (n - 1)) if n > 1 else 0.0


@given(ages=labels, temperature=st.sampled_from([0.5, 2.0]))
def test_equals_a_loop_over_every_pair(ages, temperature):
    features = drawn(len(ages))
    found = rnc_loss(features, torch.tensor(ages), temperature).item()
    assert found == pytest.approx(by_loop(features, ages, temperature), rel=1e-6, abs=1e-9)


@given(ages=labels, data=st.data())
def test_does_not_depend_on_the_order_of_the_images(ages, data):
    order = data.draw(st.permutations(range(len(ages))))
    features, labels_given = drawn(len(ages)), torch.tensor(ages)
    torch.testing.assert_close(
        rnc_loss(features[order], labels_given[order], 2.0), rnc_loss(features, labels_given, 2.0)
    )


def test_by_hand():
    """Three images on a line, at 0, 1 and 3, of ages 20, 21 and 23; the temperature is 1.

    Image 0, with s = (., -1, -3): j = 1 is 1 year away, and both others are that or more;
        j = 2 is 3 years away, and alone. log(e^-1 / (e^-1 + e^-3)) + log 1 = -log(1 + e^-2).
    Image 1, with s = (-1, ., -2): j = 0 is 1 year away, 2 is 2. -log(1 + e^-1).
    Image 2, with s = (-3, -2, .): j = 1 is 2 years away, 0 is 3. -log(1 + e^-1).
    """
    features, ages = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([20, 21, 23])
    expected = (math.log(1 + math.exp(-2)) + 2 * math.log(1 + math.exp(-1))) / 6  # 0.125577
    assert rnc_loss(features, ages, 1.0).item() == pytest.approx(expected, rel=1e-6)


def test_of_two_images_or_one_is_zero():
    """Each has one partner, which is its whole denominator."""
    for number in (1, 2):
        features = drawn(number).requires_grad_()
        loss = rnc_loss(features, torch.arange(number), 2.0)
        assert loss.item() == 0
        assert torch.autograd.grad(loss, features)[0].abs().max().item() < 1e-12


def test_of_one_age_is_the_contrast_with_all():
    features = drawn(4)
    expected = by_loop(features, [5] * 4, 2.0)
    assert rnc_loss(features, torch.full((4,), 5), 2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("ages", [[3, 3, 3, 3, 3, 3], [0, 5, 2, 2, 60, 5]])
def test_gradient_is_finite_and_exact_in_float32(ages):
    check_gradients(lambda x: rnc_loss(x, torch.tensor(ages), 2.0), 5 * drawn(6, 8))


def test_of_equal_images_has_a_finite_gradient():
    features = torch.ones(5, 4, requires_grad=True)
    loss = rnc_loss(features, torch.tensor([0, 1, 1, 5, 9]), 2.0)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()


def test_of_distances_whose_exponentials_vanish():
    """exp(-500) is 0 in float32, and all that the farthest have."""
    features = torch.tensor([[0.0], [1.0], [1000.0], [1001.0]])
    ages = torch.tensor([0, 1, 50, 51])
    expected = by_loop(features, ages.tolist(), 2.0)
    assert rnc_loss(features, ages, 2.0).item() == pytest.approx(expected, rel=1e-4)
    check_gradients(lambda x: rnc_loss(x, ages, 2.0), features)


def test_of_a_whole_batch_equals_the_loop():
    ages = torch.randint(0, 70, (60,), generator=torch.Generator().manual_seed(1))
    features = 3 * drawn(60, 16)
    expected = by_loop(features, ages.tolist(), 2.0)
    assert rnc_loss(features.float(), ages, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_gradient():
    ages = torch.tensor([4, 0, 2, 2, 6])
    features = drawn(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rnc_loss(x, ages, 2.0), features)
