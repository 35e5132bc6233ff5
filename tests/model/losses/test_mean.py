"""Tests of the mean loss."""

import pytest
import torch

from contrastive_age.model.losses.mean import mean_loss
from contrastive_age.model.losses.term import class_numbers


def of_probabilities(probabilities, ages):
    return mean_loss(probabilities @ class_numbers(probabilities), ages)


def test_equals_a_loop_over_every_class(normal, dtype):
    probabilities = normal(5, 7, dtype=dtype).softmax(dim=1)
    ages = torch.tensor([0, 6, 3, 3, 1])
    for row, value in enumerate(of_probabilities(probabilities, ages)):
        mean = sum(j * probabilities[row, j].item() for j in range(7))
        expected = (mean - ages[row].item()) ** 2 / 2
        assert value.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert of_probabilities(probabilities, ages).dtype == dtype


def test_does_not_depend_on_the_age_of_the_first_class(normal):
    """Eq. 3 is over ages in years; counting classes from 0 gives the same."""
    probabilities = normal(4, 62).softmax(dim=1)
    index = torch.tensor([0, 61, 20, 30])
    years = torch.arange(16, 78, dtype=torch.float64)
    in_years = (probabilities @ years - (index + 16)).square() / 2
    torch.testing.assert_close(of_probabilities(probabilities, index), in_years)


def test_is_zero_where_the_expectation_is_right():
    probabilities = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    assert of_probabilities(probabilities, torch.tensor([1, 1])).tolist() == [0, 0]


def test_of_nothing_is_empty(normal):
    assert of_probabilities(normal(0, 7), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_gradient(normal):
    ages = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(
        lambda x: of_probabilities(x.softmax(dim=1), ages), normal(3, 4, grad=True)
    )
