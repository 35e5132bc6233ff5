"""Tests of what losses over all pairs of a batch's images share."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from contrastive_age.model.losses import conr, ordinal_entropy, rnc, supcon
from contrastive_age.model.losses.between import (
    contrast,
    distances,
    others,
    root,
    units,
    years_between,
)
from model.losses.batches import drawn


def test_distances_equal_a_loop(dtype):
    features = drawn(5, 4, dtype) + 1000  # where products are large
    found = distances(features)
    for i, a in enumerate(features.tolist()):
        for j, b in enumerate(features.tolist()):
            assert found[i, j].item() == pytest.approx(math.dist(a, b), rel=1e-5, abs=1e-3)
    assert found.dtype == dtype


@pytest.mark.parametrize("features", [torch.ones(3, 4), torch.zeros(3, 4)])
def test_equal_rows_are_no_distance_apart_with_a_finite_gradient(features):
    features.requires_grad_()
    found = distances(features)
    (gradient,) = torch.autograd.grad(found.sum(), features)
    assert found.abs().max().item() == 0
    assert gradient.abs().max().item() == 0


def test_root_of_what_rounding_left_below_zero():
    squares = torch.tensor([4.0, 0.0, -1e-9], requires_grad=True)
    found = root(squares)
    assert found.tolist() == [2, 0, 0]
    assert torch.autograd.grad(found.sum(), squares)[0].tolist() == [0.25, 0, 0]


def test_units():
    features = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    found = units(features)
    assert found.flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0])
    assert torch.isfinite(torch.autograd.grad(found.sum(), features)[0]).all()


def test_pairs_of_ages():
    ages = torch.tensor([3, 0, 3])
    assert years_between(ages).tolist() == [[0, 3, 0], [3, 0, 3], [0, 3, 0]]
    assert others(ages).int().tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_contrast_of_large_similarities_is_finite():
    """Image 0 has the positive 1 and the candidate 2; the others have no positive."""
    similarities = torch.tensor([[0.0, 1000.0, 1000.0]] * 3, requires_grad=True)
    positives = torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.bool)
    candidates = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.bool)
    losses = contrast(similarities, positives, candidates)
    assert losses.tolist() == pytest.approx([math.log(2), 0, 0], rel=1e-4)
    (gradient,) = torch.autograd.grad(losses.sum(), similarities)
    assert gradient.flatten().tolist() == pytest.approx([0, -0.5, 0.5] + [0] * 6, abs=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        lambda features, ages: rnc.rnc_loss(features, ages, 2.0),
        lambda features, ages: supcon.supcon_loss(features, ages, 0.1),
        lambda features, ages: conr.conr_loss(features, ages, features[:, 0], 1, 0.2, 0.01),
        ordinal_entropy.ordinal_entropy_loss,
    ],
    ids=["rnc", "supcon", "conr", "ordinal_entropy"],
)
def test_no_loss_over_pairs_looks_at_a_value(loss):
    """Recorded steps cannot. These tensors have none, and raise where one is asked for."""
    with FakeTensorMode():
        features = torch.ones(6, 4, requires_grad=True)
        ages = torch.ones(6, dtype=torch.int64)
        loss(features, ages).backward()
        assert features.grad.shape == features.shape
        with pytest.raises(RuntimeError):
            ages.max().item()
