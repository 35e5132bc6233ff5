"""Tests of the unimodal loss."""

import pytest
import torch

from contrastive_age.model.losses.unimodal import unimodal_loss

AGES = torch.tensor([0, 6, 3, 3])


def test_equals_a_loop_over_every_class(normal, dtype):
    s = normal(4, 7, dtype=dtype).softmax(dim=1)
    found = unimodal_loss(s, AGES)
    assert found.dtype == dtype
    for row, age in enumerate(AGES.tolist()):
        expected = 0.0
        for j in range(6):
            fall = (s[row, j] - s[row, j + 1]).item()
            expected += max(fall if j < age else -fall, 0)
        assert found[row].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("probabilities", "age", "loss"),
    [
        ([0.1, 0.2, 0.4, 0.2, 0.1], 2, 0),
        ([0.4, 0.3, 0.2, 0.1, 0.0], 0, 0),
        ([0.1, 0.2, 0.4, 0.2, 0.1], 3, 0.2),
        ([0.3, 0.1, 0.3, 0.1, 0.2], 2, 0.3),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 4, 0),
    ],
    ids=["rises and falls", "falls", "a year too early", "three tops", "flat"],
)
def test_by_hand(probabilities, age, loss):
    found = unimodal_loss(torch.tensor([probabilities]), torch.tensor([age]))
    assert found.item() == pytest.approx(loss, abs=1e-6)


def test_gradient(normal):
    assert torch.autograd.gradcheck(
        lambda x: unimodal_loss(x.softmax(dim=1), AGES), normal(4, 7, grad=True)
    )
