"""Tests of the network and its prediction."""

import math

import pytest
import torch
from torchvision.models import resnet18

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, HEAD_NAMES, Architecture
from contrastive_age.model.heads import HEADS
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork, expected_age


def test_logits_are_one_linear_layer_over_the_pooled_features():
    network = AgeNetwork(AgeClasses(0, 69)).eval()
    images = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        features, logits, scores = network(images)
    assert scores is None
    assert features.shape == (2, 512)
    assert logits.shape == (2, 70)
    torch.testing.assert_close(logits, features @ network.fc.weight.T + network.fc.bias)


def test_is_torchvisions_resnet_18():
    network = AgeNetwork(AgeClasses(0, 9)).eval()
    original = resnet18(num_classes=10).eval()
    state = {name.removeprefix("backbone."): x for name, x in network.state_dict().items()}
    original.load_state_dict(state, strict=True)
    images = torch.randn(2, 3, 33, 33)
    with torch.no_grad():
        torch.testing.assert_close(network(images).logits, original(images))


def test_learns_as_torchvisions_resnet_18_to_the_last_bit():
    network, original = AgeNetwork(AgeClasses(0, 9)), resnet18(num_classes=10)
    state = {name.removeprefix("backbone."): x for name, x in network.state_dict().items()}
    assert list(state) == list(original.state_dict())
    original.load_state_dict(state)
    images = torch.randn(4, 3, 33, 33)
    network(images).logits.square().sum().backward()
    original(images).square().sum().backward()
    expected = dict(original.named_parameters())
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter.grad, expected[name.removeprefix("backbone.")].grad), name
    for name, buffer in network.backbone.named_buffers():
        # Batches are not counted: at a fixed momentum nothing depends on it.
        counts = name.endswith("num_batches_tracked")
        assert torch.equal(buffer, torch.tensor(0) if counts else original.state_dict()[name]), name


def test_expected_age_equals_a_loop():
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ages = torch.arange(20, 26, dtype=torch.float64)
    means, deviations = expected_age(logits, ages)
    for row in range(4):
        weights = [math.exp(x) for x in logits[row].tolist()]
        p = [x / sum(weights) for x in weights]
        mean = sum(p[j] * (20 + j) for j in range(6))
        variance = sum(p[j] * (20 + j - mean) ** 2 for j in range(6))
        assert means[row].item() == pytest.approx(mean)
        assert deviations[row].item() == pytest.approx(math.sqrt(variance))


def test_a_certain_prediction_has_no_deviation():
    logits = torch.tensor([[0.0, 1000.0, 0.0]])
    mean, deviation = expected_age(logits, torch.tensor([16.0, 17.0, 18.0]))
    assert (mean.item(), deviation.item()) == (17, 0)


def test_a_new_network_is_drawn_as_torchvisions():
    network, original = AgeNetwork(AgeClasses(0, 9)), resnet18(num_classes=10)
    for name, tensor in original.state_dict().items():
        if tensor.ndim == 4:
            own = network.backbone.state_dict()[name]
            assert own.std().item() == pytest.approx(tensor.std().item(), rel=0.05), name


def test_a_network_of_a_state_dict_draws_nothing_and_has_its_weights() -> None:
    drawn, before = AgeNetwork(AgeClasses(0, 9)), torch.get_rng_state()
    network = AgeNetwork.of_state(AgeClasses(0, 9), drawn.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    state = network.state_dict()
    assert list(state) == list(drawn.state_dict())
    for name, tensor in drawn.state_dict().items():
        assert torch.equal(state[name], tensor), name
        assert state[name].data_ptr() != tensor.data_ptr()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_all_weights_of_an_undrawn_network_are_set_where_it_starts(monkeypatch) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # memory that is not set holds NaN
    try:
        network = AgeNetwork.undrawn(AgeClasses(0, 9))
    finally:
        torch.use_deterministic_algorithms(before)
    assert network.fc.weight.isnan().all()
    load_initial_weights(network, AgeClasses(0, 9), None, seed=0)
    other = AgeNetwork(AgeClasses(0, 9))
    load_initial_weights(other, AgeClasses(0, 9), None, seed=0)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_heads_are_those_that_parameters_know() -> None:
    assert tuple(HEADS) == HEAD_NAMES
    assert DEFAULT.given == {}
    assert Architecture(head="dropout").given == {"head": "dropout"}
    for wrong in ({"head": "drop"}, {"backbone": "resnet19"}):
        with pytest.raises(ValueError, match="it must be"):
            Architecture(**wrong)


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_a_head_gives_logits_and_is_drawn_by_its_seed(head: str) -> None:
    classes, architecture = AgeClasses(0, 9), Architecture(head=head)
    before = torch.get_rng_state()
    networks = [AgeNetwork.undrawn(classes, architecture) for _ in range(2)]
    for network in networks:
        load_initial_weights(network, classes, None, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    states = [network.state_dict() for network in networks]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    again = AgeNetwork.of_state(classes, states[0], architecture).eval()
    with torch.no_grad():
        assert again(torch.zeros(3, 3, 32, 32)).logits.shape == (3, 10)


def test_the_dropout_head_is_norm_dropout_and_one_linear_layer() -> None:
    head = HEADS["dropout"](8, 5).eval()
    features = torch.randn(4, 8)
    state = {name: torch.rand_like(own) for name, own in head.state_dict().items() if own.ndim}
    head.load_state_dict(state, strict=False)
    centred = (features - state["norm.running_mean"]) / (state["norm.running_var"] + 1e-5).sqrt()
    normed = centred * state["norm.weight"] + state["norm.bias"]
    logits, scores = head(features)
    torch.testing.assert_close(logits, normed @ state["linear.weight"].T + state["linear.bias"])
    assert scores is None
    assert not torch.equal(*(head.train()(features)[0] for _ in range(2)))
