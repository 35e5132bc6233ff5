"""Tests of the prediction over a test part."""

import numpy as np
import pytest
import torch

from contrastive_age.evaluation.outputs import predict
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training.augmentation import centre_crop


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AgeNetwork(AgeClasses(0, 9))


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (7, 3, 37, 37), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_equals_one_image_after_the_other(network, images, batch_size):
    features, logits, _ = predict(network, images, 32, batch_size)
    assert (features.dtype, logits.dtype) == (np.float32, np.float32)
    assert (features.shape, logits.shape) == ((7, 512), (7, 10))
    network.eval()
    for row in range(7):
        with torch.no_grad():
            expected = network(centre_crop(images[row : row + 1], 32))
        np.testing.assert_allclose(features[row], expected.features[0], atol=1e-5)
        np.testing.assert_allclose(logits[row], expected.logits[0], atol=1e-5)


def test_neither_weights_nor_statistics_change(network, images):
    before = {name: tensor.clone() for name, tensor in network.train().state_dict().items()}
    first = predict(network, images, 32)
    second = predict(network, images, 32)
    assert all(torch.equal(before[name], x) for name, x in network.state_dict().items())
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
