"""The average of weights, against a loop over its definition."""

import copy

import numpy as np
import pytest
import torch

from contrastive_age.training import kept
from contrastive_age.training.averaging import Average
from training.recipes import varied
from training.small import RECIPE, people, run, same, start


def numbers(state):
    return {name: tensor.double().numpy().copy() for name, tensor in state.items()}


def averaged(first, steps, decay):
    """The average of states after each step, in double precision."""
    mean = dict(first)
    for number, live in enumerate(steps):
        share = 1 - min(decay, (1 + number) / (10 + number))
        mean = {
            name: value
            if name.endswith("num_batches_tracked")
            else before + share * (value - before)
            for (name, before), value in zip(mean.items(), live.values(), strict=True)
        }
    return mean


@pytest.mark.parametrize("decay", [0.3, 0.5, 0.999])
def test_a_training_ends_with_the_average_of_its_steps(monkeypatch, decay):
    network, steps = start(), []
    first, real = numbers(network.state_dict()), kept.Average.update

    def observed(average):
        real(average)
        steps.append(numbers(network.state_dict()))

    monkeypatch.setattr(kept.Average, "update", observed)
    run(people(), network, varied(RECIPE, average=decay))
    assert len(steps) == 3 * 3
    for name, expected in averaged(first, steps, decay).items():
        found = network.state_dict()[name].double().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_it_changes_nothing_but_the_end():
    live, mean = start(), start()
    plain = run(people(), live)
    average = run(people(), mean, varied(RECIPE, average=0.9))
    assert plain.drop(columns="seconds").equals(average.drop(columns="seconds"))
    assert not same(live, mean)


def test_its_tensors_stay_where_they_are():
    """So that what was recorded with a step writes to them ever after."""
    network = start()
    average = Average(network, 0.9)
    places = {name: tensor.data_ptr() for name, tensor in average.weights.items()}
    saved = copy.deepcopy(average.state_dict())
    for parameter in network.parameters():
        parameter.data += 1
    average.update()
    changed = {name: tensor.clone() for name, tensor in average.weights.items()}
    average.load_state_dict(saved)
    average.update()
    assert {name: tensor.data_ptr() for name, tensor in average.weights.items()} == places
    assert all(torch.equal(changed[name], tensor) for name, tensor in average.weights.items())
