"""Tests of ConR."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.model.losses.conr import conr_loss
from model.losses.batches import check_gradients, cosine, drawn, labels


def by_loop(features, ages, expected, window, temperature, e):
    rows, n = features.tolist(), len(ages)
    total = 0.0
    for i in range(n):
        s = {k: cosine(rows[i], rows[k]) / temperature for k in range(n) if k != i}
        years = [abs(ages[i] - age) for age in ages]
        positives = [k for k in s if years[k] <= window]
        negatives = [k for k in s if years[k] > window and abs(expected[i] - expected[k]) <= window]
        if not negatives:
            continue
        of_all = sum(math.exp(s[p]) for p in positives)
        of_all += sum(math.exp(e * years[k]) * math.exp(s[k]) for k in negatives)
        for p in positives:
            total -= math.log(math.exp(s[p]) / of_all) / len(positives)
    return total / n


@given(ages=labels, window=st.sampled_from([0, 1, 2]), data=st.data())
def test_equals_a_loop_over_every_pair(ages, window, data):
    # Halves make predictions that are the window apart, where < and <= differ.
    halves = st.lists(st.integers(0, 12), min_size=len(ages), max_size=len(ages))
    expected = [half / 2 for half in data.draw(halves)]
    features = drawn(len(ages))
    given_ages, predicted = torch.tensor(ages), torch.tensor(expected, dtype=torch.float64)
    found = conr_loss(features, given_ages, predicted, window, 0.2, 0.5).item()
    by_hand = by_loop(features, ages, expected, window, 0.2, 0.5)
    assert found == pytest.approx(by_hand, rel=1e-6, abs=1e-9)


def test_by_hand():
    """The window is 1, t is 1 and e is log 2 / 10, so that ten years double a negative.

    Images 0 and 1, of 20 and 21 years, point the same way; image 2, of 30 and 31 years, and the
    image 3, of 60, at a right angle to them, and the one against the other. All are taken for 25
    but 3, which is taken for 60 and is nobody's negative.
    Image 0: the positive 1 has a cosine of 1; the negative 2, ten years older, one of 0, doubled.
        -log(e / (e + 2)).
    Image 1: the negative is 9 years older. -log(e / (e + 2^0.9)).
    Image 2 has negatives but no positive, image 3 neither. Both add 0.
    """
    features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    ages, expected = torch.tensor([20, 21, 30, 60]), torch.tensor([25.0, 25.0, 25.0, 60.0])
    wanted = (math.log(1 + 2 / math.e) + math.log(1 + 2**0.9 / math.e)) / 4  # 0.266148
    found = conr_loss(features, ages, expected, 1, 1.0, math.log(2) / 10)
    assert found.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([7], [7.0]),
        ([7, 7, 8], [7.0, 30.0, 8.0]),  # all within the window
        ([7, 7, 30, 30], [7.0, 7.0, 30.0, 30.0]),  # nobody is taken for another's age
        ([7, 20, 30], [20.0, 20.0, 20.0]),  # no positive
    ],
)
def test_without_a_negative_or_a_positive_is_zero(ages, expected):
    features = drawn(len(ages)).requires_grad_()
    loss = conr_loss(features, torch.tensor(ages), torch.tensor(expected), 1, 0.2, 0.01)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, features)[0].abs().max().item() == 0


def test_predicted_ages_have_no_gradient():
    features = drawn(4).requires_grad_()
    expected = torch.full((4,), 9.0, dtype=torch.float64, requires_grad=True)
    loss = conr_loss(features, torch.tensor([0, 0, 9, 9]), expected, 1, 0.2, 0.01)
    assert loss.item() > 0
    assert torch.autograd.grad(loss, expected, allow_unused=True) == (None,)


@pytest.mark.parametrize("ages", [[0, 0, 9, 9, 50], [3, 3, 3, 3, 3]])
def test_gradient_is_finite_and_exact_in_float32(ages):
    expected = torch.full((5,), 9.0)
    check_gradients(lambda x: conr_loss(x, torch.tensor(ages), expected, 1, 0.2, 0.01), drawn(5, 8))


def test_of_vanishing_features_has_a_finite_gradient():
    features = torch.zeros(4, 3, requires_grad=True)
    loss = conr_loss(features, torch.tensor([0, 0, 9, 9]), torch.zeros(4), 1, 0.2, 0.01)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()


def test_gradient():
    ages, expected = torch.tensor([4, 0, 5, 0, 9]), torch.tensor([3.0, 2.5, 4.5, 0.0, 3.5])
    features = drawn(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: conr_loss(x, ages, expected, 1, 0.2, 0.01), features)
