"""Tests of ordinal entropy."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given

from contrastive_age.model.losses.ordinal_entropy import ordinal_entropy_loss
from model.losses.batches import check_gradients, dot, drawn, labels


def by_loop(features, ages):
    directions = [[x / math.sqrt(dot(row, row)) for x in row] for row in features.tolist()]
    centres = {}
    for age in sorted(set(ages)):
        own = [row for row, other in zip(directions, ages, strict=True) if other == age]
        centres[age] = [sum(column) / len(own) for column in zip(*own, strict=True)]
    near = [math.dist(row, centres[age]) for row, age in zip(directions, ages, strict=True)]
    largest = max(ages) - min(ages)
    far = [
        (b - a) / largest * math.dist(centres[a], centres[b]) for a, b in combinations(centres, 2)
    ]
    return sum(near) / len(near) - (sum(far) / len(far) if far else 0)


@given(ages=labels)
def test_equals_a_loop_over_every_image_and_pair_of_ages(ages):
    features = drawn(len(ages))
    found = ordinal_entropy_loss(features, torch.tensor(ages)).item()
    assert found == pytest.approx(by_loop(features, ages), rel=1e-6, abs=1e-7)


def test_by_hand():
    """Images of 10, 10, 20 and 50 years at 0, 90, 180 and 270 degrees of the circle.

    The centre of age 10 is (1/2, 1/2), and both of its images are 1 / sqrt 2 away from it: the
    first part is (1 / sqrt 2 + 1 / sqrt 2 + 0 + 0) / 4 = 0.353553.
    From it to age 20 at (-1, 0) and to 50 at (0, -1) it is sqrt(5 / 2) each; from 20 to 50 it is
    sqrt 2. The weights are 1/4, 1 and 3/4: (5/4 sqrt(5/2) + 3/4 sqrt 2) / 3 = 1.012361.
    """
    features = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0], [0.0, -0.1]])
    found = ordinal_entropy_loss(features, torch.tensor([10, 10, 20, 50])).item()
    assert found == pytest.approx(0.353553 - 1.012361, abs=2e-6)


def test_of_one_image_is_zero():
    features = drawn(1).requires_grad_()
    loss = ordinal_entropy_loss(features, torch.tensor([3]))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, features)[0].abs().max().item() == 0


def test_of_one_age_is_how_far_it_spreads():
    features = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    assert ordinal_entropy_loss(features, torch.tensor([3, 3])).item() == pytest.approx(1)


@pytest.mark.parametrize("ages", [[0, 1], [0, 5, 0, 60, 5], [3, 3, 3]])
def test_gradient_is_finite_and_exact_in_float32(ages):
    check_gradients(lambda x: ordinal_entropy_loss(x, torch.tensor(ages)), drawn(len(ages), 8))


@pytest.mark.parametrize("features", [torch.ones(5, 4), torch.zeros(5, 4)])
def test_of_equal_images_has_a_finite_gradient(features):
    features.requires_grad_()
    loss = ordinal_entropy_loss(features, torch.tensor([0, 1, 1, 5, 9]))
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert torch.isfinite(torch.autograd.grad(loss, features)[0]).all()


def test_gradient():
    ages = torch.tensor([4, 0, 4, 0, 2, 4])
    features = drawn(6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ordinal_entropy_loss(x, ages), features)
