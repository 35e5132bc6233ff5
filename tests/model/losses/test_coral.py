"""Tests of CORAL: one direction of the features, a bias of each question, and their loss.

That of any scores is OR-CNN's, see `test_or_cnn`.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.func import functional_call

from contrastive_age.model.heads import Coral
from contrastive_age.model.losses.coral import TERM
from model.losses.batches import dot

AGES = torch.tensor([0, 6, 3, 3])


def coral_loss(features, direction, biases, ages=AGES):
    """Give the loss (n,) of features (n, D) with w (D,) and b (A - 1,)."""
    head = Coral(len(direction), len(biases) + 1)
    state = {"direction.weight": direction[None], "biases": biases}
    _, scores = functional_call(head, state, (features,))
    return TERM.values(SimpleNamespace(scores=scores, ages=ages))


def test_equals_a_loop_over_every_question(normal, dtype):
    features, direction, biases = (normal(*shape, dtype=dtype) for shape in [(4, 5), (5,), (6,)])
    found = coral_loss(features, direction, biases)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        expected = 0.0
        for k, bias in enumerate(biases.tolist()):
            score = dot(direction.tolist(), features[row].tolist()) + bias
            older = 1 / (1 + math.exp(-score))
            expected -= math.log(older if age > k else 1 - older)
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """Class 2 of 3, of features (2, -1) along w = (ln 2, ln 3), with biases ln 9/4 and ln 3/16.

    w f = 2 ln 2 - ln 3 = ln 4/3, so that z = (ln 3, ln 1/4): older than 0 with 3/4, than 1 with
    1/5. The loss is -ln 3/4 - ln 1/5 = ln 20/3. A bias has the gradient of its own question,
    3/4 - 1 and 1/5 - 1; w has the features times their sum, -21/20.
    """
    direction = torch.tensor([2.0, 3.0]).log().requires_grad_()
    biases = torch.tensor([9 / 4, 3 / 16]).log().requires_grad_()
    loss = coral_loss(torch.tensor([[2.0, -1.0]]), direction, biases, torch.tensor([2]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(20 / 3))
    assert biases.grad.tolist() == pytest.approx([-1 / 4, -4 / 5])
    assert direction.grad.tolist() == pytest.approx([-2 * 21 / 20, 21 / 20])


def test_without_a_direction_the_best_biases_are_log_odds_of_the_older_and_so_in_order():
    """Of classes 0, 0, 1, 2 a half is older than 0, a quarter older than 1: ln 1 and ln 1/3."""
    biases = torch.tensor([1, 1 / 3]).log().requires_grad_()
    coral_loss(
        torch.ones(4, 2), torch.zeros(2), biases, torch.tensor([0, 0, 1, 2])
    ).sum().backward()
    assert biases.grad.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_gradient(normal):
    inputs = [normal(*shape, grad=True) for shape in [(4, 5), (5,), (6,)]]
    assert torch.autograd.gradcheck(coral_loss, inputs)
