"""Tests of the balanced squared error."""

import math
from functools import partial

import pytest
import torch

from contrastive_age.model.losses import LossWeights, TripletPositions, total_loss
from contrastive_age.model.losses.bmse import bmse_loss
from contrastive_age.model.network import Outputs

AGES = torch.tensor([0, 6, 3, 3])
ALL = torch.tensor([True, True, True, True])


def by_loop(values, variance, ages, supervised):
    """Recompute the losses of the supervised images, pair by pair."""
    losses = []
    for i in supervised:
        densities = {j: math.exp(-((values[i] - ages[j]) ** 2) / 2 / variance) for j in supervised}
        losses.append(-2 * variance * math.log(densities[i] / sum(densities.values())))
    return losses


@pytest.mark.parametrize("supervised", [[0, 1, 2, 3], [0, 2], [3]])
def test_equals_a_loop_over_every_pair_of_supervised_images(normal, dtype, supervised):
    value, log_sigma = normal(4, dtype=dtype) + 3, torch.full((4,), 0.4, dtype=dtype)
    mask = torch.tensor([i in supervised for i in range(4)])
    found = bmse_loss(value, log_sigma, AGES, mask)
    assert found.shape == (4,)
    assert found.dtype == dtype
    expected = by_loop(value.tolist(), math.exp(0.8), AGES.tolist(), supervised)
    assert found[supervised].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("supervise", ["anchor", "all"])
@pytest.mark.parametrize("weighed", [False, True])
def test_in_the_total_supervised_images_count_by_their_importance(normal, supervise, weighed):
    """Of all images without importance it is the mean, as the authors' is of a batch."""
    scores = torch.stack([normal(4) + 3, torch.full((4,), 0.4, dtype=torch.float64)], dim=1)
    importance = torch.tensor([0.5, 2, 1, 0.25], dtype=torch.float64)
    rows, flags = torch.tensor([1, 3]), torch.tensor([False, False])
    terms = total_loss(
        Outputs(normal(4, 2), normal(4, 7), scores),
        AGES,
        TripletPositions(rows, rows, rows, flags, flags),
        LossWeights(lambda_s=0, lambda_bmse=0.5, margin=0),
        supervise,
        importance=importance if weighed else None,
    )
    supervised = [1, 3] if supervise == "anchor" else [0, 1, 2, 3]
    losses = by_loop(scores[:, 0].tolist(), math.exp(0.8), AGES.tolist(), supervised)
    weights = importance[supervised].tolist() if weighed else [1] * len(losses)
    expected = sum(w * x for w, x in zip(weights, losses, strict=True)) / len(losses)
    assert terms["bmse"].item() == pytest.approx(expected)
    assert terms["total"].item() == pytest.approx(0.5 * expected)


def test_of_an_image_that_is_not_supervised_nothing_is_learned(normal):
    """Neither by its value nor, as one that others are held against, by its age."""
    value, log_sigma = normal(4, grad=True), torch.full((4,), 0.4, dtype=torch.float64)
    mask = torch.tensor([True, False, True, False])
    losses = bmse_loss(value, log_sigma, AGES, mask)
    (gradient,) = torch.autograd.grad(losses[mask].mean(), value)
    assert (gradient != 0).tolist() == mask.tolist()
    others = AGES + torch.tensor([0, 1, 0, 2])
    torch.testing.assert_close(bmse_loss(value, log_sigma, others, mask)[mask], losses[mask])


def test_by_hand():
    """Two images two years apart, met exactly, with a variance of 2: 4 log(1 + e^-1)."""
    ages = torch.tensor([1, 3])
    log_sigma = torch.full((2,), math.log(2) / 2)
    found = bmse_loss(ages.float(), log_sigma, ages, ALL[:2])
    assert found.tolist() == pytest.approx([4 * math.log(1 + math.exp(-1))] * 2)


def test_with_little_noise_a_value_need_only_be_nearest_to_its_own_age():
    """It asks which age of the batch a value belongs to, and no more."""
    value = torch.tensor([0.4, 2.9])
    log_sigma = torch.full((2,), math.log(0.05))
    found = bmse_loss(value, log_sigma, torch.tensor([0, 3]), ALL[:2])
    assert found.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_far_away_it_stays_finite():
    value = torch.tensor([900.0, -900.0], requires_grad=True)
    log_sigma = torch.full((2,), -2.0, requires_grad=True)
    bmse_loss(value, log_sigma, torch.tensor([0, 3]), ALL[:2]).sum().backward()
    assert torch.isfinite(value.grad).all()
    assert torch.isfinite(log_sigma.grad).all()


def test_of_nothing_is_nothing():
    empty = torch.zeros(0)
    assert bmse_loss(empty, empty, torch.zeros(0, dtype=torch.int64), ALL[:0]).shape == (0,)


def test_gradient_by_the_values(normal):
    log_sigma = torch.full((4,), 0.4, dtype=torch.float64)
    for mask in (ALL, torch.tensor([True, False, True, False])):
        loss = partial(bmse_loss, log_sigma=log_sigma, age_index=AGES, supervised=mask)
        assert torch.autograd.gradcheck(loss, normal(4, grad=True))


def test_gradient_by_the_noise_leaves_out_the_factor(normal):
    """That of the cross entropy times the variance, as it is at this noise."""
    value = normal(4)

    def cross_entropy(log_sigma):
        factor = 2 * torch.exp(2 * log_sigma)
        return (bmse_loss(value, log_sigma, AGES, ALL) / factor).mean()

    at = torch.full((4,), 0.4, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(bmse_loss(value, at, AGES, ALL).mean(), at)
    step = 1e-6
    ends = [cross_entropy(at.detach() + sign * step) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step) * 2 * math.exp(0.8)
    assert found.sum().item() == pytest.approx(expected.item(), rel=1e-6)
