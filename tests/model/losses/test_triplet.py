"""Tests of the triplet margin loss."""

import pytest
import torch

from contrastive_age.model.losses.triplet import triplet_loss


def softmax_vectors(normal, dtype):
    return [normal(6, 7, dtype=dtype).softmax(dim=1) for _ in range(3)]


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.2])
def test_equals_a_loop_over_every_triplet(normal, dtype, margin):
    anchor, positive, negative = softmax_vectors(normal, dtype)
    values = triplet_loss(anchor, positive, negative, margin)
    for row, value in enumerate(values):
        a, p, n = (x[row].tolist() for x in (anchor, positive, negative))
        nearer = sum((a[j] - p[j]) ** 2 for j in range(7))
        farther = sum((a[j] - n[j]) ** 2 for j in range(7))
        assert value.item() == pytest.approx(max(nearer - farther + margin, 0), abs=1e-6)
    assert values.dtype == dtype


def test_is_zero_beyond_the_margin_and_without_gradient_there():
    anchor = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = triplet_loss(anchor, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.2).sum()
    assert loss.item() == 0
    assert torch.autograd.grad(loss, anchor)[0].abs().sum().item() == 0


def test_of_nothing_is_empty(normal):
    assert triplet_loss(normal(0, 7), normal(0, 7), normal(0, 7), 0.2).shape == (0,)


def test_gradient(normal):
    def loss(*logits):
        return triplet_loss(*(x.softmax(dim=1) for x in logits), margin=0.2)

    logits = [normal(4, 5, grad=True) for _ in range(3)]
    values = loss(*logits)
    assert (values > 0).any()
    assert torch.autograd.gradcheck(loss, logits)
