"""The error on faces that are only looked at."""

import numpy as np
import pytest
import torch

from contrastive_age.training import recipe as recipes
from contrastive_age.training.augmentation import centre_crop
from contrastive_age.training.recipe import TEST
from contrastive_age.training.watching import Watched
from training.recipes import varied
from training.small import CPU, RECIPE, people, run, same, start, without_seconds

OTHERS = people()
WATCHED = Watched(OTHERS.images.flip(-1), OTHERS.ages + 1)


def ages_of(network, images):
    """Of one face after the other, in years."""
    network.eval()
    probabilities = [
        network(centre_crop(image[None], 32)).logits.softmax(1)[0].double() for image in images
    ]
    return torch.stack(probabilities) @ torch.arange(20, 25).double()


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_looking_changes_not_a_bit_of_the_training(average):
    recipe = varied(RECIPE, average=average)
    blind, looking = start(), start()
    expected = run(people(), blind, recipe)
    history = run(people(), looking, recipe, watched={TEST: WATCHED})
    assert same(blind, looking)
    assert list(history) == [*expected, TEST]
    assert without_seconds(history).drop(columns=TEST).equals(without_seconds(expected))
    assert history[TEST].nunique() == len(history)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_last_error_is_that_of_what_is_kept(average):
    network = start()
    history = run(people(), network, varied(RECIPE, average=average), watched={TEST: WATCHED})
    with torch.no_grad():
        expected = (ages_of(network, WATCHED.images) - torch.tensor(WATCHED.ages)).abs().mean()
    assert history[TEST].iloc[-1] == pytest.approx(expected.item(), abs=1e-4)


def test_mirror_images_and_whole_years_as_they_are_tested():
    network = start()
    run(people(), network)
    with torch.no_grad():
        one, other = (ages_of(network, images) for images in (OTHERS.images, OTHERS.images.flip(3)))
    assert not torch.allclose(one, other)
    for mirrored in (False, True):
        for rounded in (False, True):
            predicted = ((one + other) / 2 if mirrored else one).numpy()
            expected = np.abs((np.round(predicted) if rounded else predicted) - OTHERS.ages).mean()
            watched = Watched(OTHERS.images, OTHERS.ages, recipes.Testing(mirrored, rounded))
            found = watched.error(network, network.state_dict(), RECIPE, CPU)
            assert found == pytest.approx(expected, abs=1e-5)


def test_parts_that_were_evaluating_still_are():
    network = start().train()
    network.body.eval()
    WATCHED.error(network, network.state_dict(), RECIPE, CPU)
    assert (network.training, network.fc.training) == (True, True)
    assert not any(module.training for module in network.body.modules())
