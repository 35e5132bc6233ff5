"""Tests of the variance loss."""

import pytest
import torch

from contrastive_age.model.losses.term import class_numbers
from contrastive_age.model.losses.variance import variance_loss


def of_probabilities(probabilities):
    return variance_loss(probabilities, probabilities @ class_numbers(probabilities))


def test_equals_a_loop_over_every_class(normal, dtype):
    probabilities = normal(5, 7, dtype=dtype).softmax(dim=1)
    for row, value in enumerate(of_probabilities(probabilities)):
        vector = probabilities[row].tolist()
        mean = sum(k * vector[k] for k in range(7))
        expected = sum(vector[j] * (j - mean) ** 2 for j in range(7))
        assert value.item() == pytest.approx(expected, rel=1e-5)
    assert of_probabilities(probabilities).dtype == dtype


def test_of_a_certain_and_of_a_split_prediction():
    probabilities = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])
    assert of_probabilities(probabilities).tolist() == [0, 1]


def test_of_nothing_is_empty(normal):
    assert of_probabilities(normal(0, 7)).shape == (0,)


def test_gradient(normal):
    assert torch.autograd.gradcheck(
        lambda x: of_probabilities(x.softmax(dim=1)), normal(3, 4, grad=True)
    )
