"""Tests of the weights a network starts from."""

import logging
import urllib.error

import numpy as np
import pytest
import torch
from torchvision.models import resnet18, resnet34, resnet50, wide_resnet50_2

from contrastive_age.errors import DataError
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import Architecture
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.seen import Seen
from contrastive_age.model.weights import Weights, initial_weights, read_weights
from contrastive_age.protocols.copies import Photos
from inference.models import untrained_model

CLASSES = AgeClasses(0, 9)


@pytest.fixture
def network():
    return AgeNetwork(CLASSES)


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def weights(state, ages=None):
    """As read from a file; with ages, the card says that its linear layer is over them."""
    known = None
    if ages:
        none = np.empty((0, 32), np.uint8)
        card = {"age_min": ages[0], "age_max": ages[1]}
        known = Seen((card,), Photos(none, none, none, np.empty(0, bool)))
    return Weights("w.pth", state, "0" * 64, (), known)


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_random_weights_follow_from_the_seed_alone(network):
    load_initial_weights(network, CLASSES, None, seed=1)
    first = state_of(network)
    torch.manual_seed(99)
    other = AgeNetwork(CLASSES)
    other.backbone.bn1.running_mean += 1
    report = load_initial_weights(other, CLASSES, None, seed=1)
    assert equal(first, state_of(other))
    assert report.loaded == ()
    load_initial_weights(other, CLASSES, None, seed=2)
    assert not equal(first, state_of(other))


def test_random_weights_are_distributed_as_torchvisions(network):
    load_initial_weights(network, CLASSES, None, seed=1)
    original = resnet18(num_classes=10).state_dict()
    for name, tensor in network.state_dict().items():
        expected = original[name.removeprefix("backbone.")]
        if tensor.numel() > 500:
            assert tensor.std().item() == pytest.approx(expected.std().item(), rel=0.1), name
        if "bn" in name or "downsample.1" in name:
            assert torch.equal(tensor, expected), name


def test_the_global_generator_is_left_alone(network):
    before = torch.get_rng_state()
    load_initial_weights(network, CLASSES, None, seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_torchvisions_names_with_another_fc(network, caplog):
    given = resnet18(num_classes=1000).state_dict()
    with caplog.at_level(logging.DEBUG, logger="contrastive_age"):
        report = load_initial_weights(network, CLASSES, weights(given), seed=1)
    state = network.state_dict()
    for name in report.loaded:
        assert torch.equal(state[name], given[name.removeprefix("backbone.")])
    assert len(report.loaded) == len(state) - 2
    assert report.missing == ()
    assert report.resized == ("fc.weight", "fc.bias")
    assert "fc.bias" in caplog.text


def test_a_partial_file_leaves_the_rest_as_drawn_from_the_seed(network, tmp_path):
    drawn = AgeNetwork(CLASSES)
    load_initial_weights(drawn, CLASSES, None, seed=4)
    given = resnet18().state_dict()
    partial = {name: given[name] for name in ("conv1.weight", "layer1.0.conv1.weight")}
    torch.save(partial, tmp_path / "partial.pth")
    report = load_initial_weights(network, CLASSES, read_weights(tmp_path / "partial.pth"), seed=4)
    assert set(report.loaded) == {"backbone.conv1.weight", "backbone.layer1.0.conv1.weight"}
    state, rest = network.state_dict(), drawn.state_dict()
    assert set(report.missing) == set(state) - set(report.loaded)
    assert all(torch.equal(state[name], rest[name]) for name in report.missing)
    assert torch.equal(state["backbone.conv1.weight"], given["conv1.weight"])


def test_our_own_state_dict_comes_back(network, tmp_path):
    trained = AgeNetwork(CLASSES)
    torch.save(trained.state_dict(), tmp_path / "model.pth")
    report = load_initial_weights(network, CLASSES, read_weights(tmp_path / "model.pth"), seed=1)
    assert equal(network.state_dict(), trained.state_dict())
    assert (report.missing, report.resized, report.ages) == ((), (), CLASSES.number)


FEW = {"layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.conv3.weight"}


@pytest.mark.parametrize(
    ("make", "named", "words"),
    [
        (resnet34, None, r"layer1\.2\.conv1\.weight .*look like those of a ResNet-34"),
        (resnet50, None, r"\(64, 64, 1, 1\).*look like those of a ResNet-50"),
        (wide_resnet50_2, None, "names or shapes that a ResNet-18 does not have"),
        (resnet50, {"conv1.weight", "fc.weight"}, r"1 of its 2 tensors .*\(fc\.weight .*2048\)"),
        (resnet50, FEW, r"2 of its 3 tensors .*conv3"),
    ],
)
def test_weights_of_another_network_are_refused(make, named, words):
    given = make().state_dict()
    state = {name: own for name, own in given.items() if named is None or name in named}
    network = AgeNetwork(CLASSES)
    with pytest.raises(DataError, match=r"(?s)w\.pth: .*" + words):
        load_initial_weights(network, CLASSES, weights(state), seed=1)


@pytest.mark.parametrize("name", ["extra.weight", "backbone.extra.weight", "module.conv1.weight"])
def test_a_foreign_tensor_is_refused(network, name):
    given = resnet18().state_dict() | {name: torch.zeros(1)}
    with pytest.raises(DataError, match=r"1 of its 123 tensors .* ResNet-18 does not have \("):
        load_initial_weights(network, CLASSES, weights(given), seed=1)


def test_another_shape_is_refused(network):
    given = {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    with pytest.raises(DataError, match=r"conv1\.weight \(64, 1, 7, 7\)"):
        load_initial_weights(network, CLASSES, weights(given), seed=1)


@pytest.mark.parametrize("ages", [(0, 69), (16, 77), (3, 40), (80, 90), (10, 79)])
def test_the_classifier_keeps_the_ages_that_both_know(ages):
    classes = AgeClasses(*ages)
    network, drawn = AgeNetwork(classes), AgeNetwork(classes)
    load_initial_weights(drawn, classes, None, seed=5)
    state = untrained_model().state
    report = load_initial_weights(network, classes, weights(state, (0, 69)), seed=5)
    kept = [age for age in classes.values.int().tolist() if age <= 69]
    assert report.ages == len(kept)
    assert report.resized == (() if ages == (0, 69) else ("fc.weight", "fc.bias"))
    for place, age in enumerate(range(ages[0], ages[1] + 1)):
        for own, known, random in (
            (network.fc.weight, state["fc.weight"], drawn.fc.weight),
            (network.fc.bias, state["fc.bias"], drawn.fc.bias),
        ):
            assert torch.equal(own[place], known[age] if age in kept else random[place])
    backbone = {name: own for name, own in state.items() if not name.startswith("fc.")}
    assert equal(backbone, network.state_dict())


@pytest.mark.parametrize(("given", "wanted"), [("linear", "dropout"), ("dropout", "linear")])
def test_of_weights_with_another_head_the_backbone_is_taken(given, wanted):
    other = AgeNetwork(CLASSES, Architecture(head=given)).state_dict()
    network, drawn = (AgeNetwork(CLASSES, Architecture(head=wanted)) for _ in range(2))
    load_initial_weights(drawn, CLASSES, None, seed=1)
    known = (CLASSES.age_min, CLASSES.age_max)
    report = load_initial_weights(network, CLASSES, weights(other, known), seed=1)
    assert report.ages == 0
    assert set(report.resized) == {name for name in other if name.startswith("fc.")}
    for name, own in network.state_dict().items():
        assert torch.equal(own, drawn.state_dict()[name] if name.startswith("fc.") else other[name])


@pytest.mark.parametrize(("ages", "kept"), [((20, 24), True), ((20, 25), False)])
def test_a_head_of_another_kind_is_kept_where_it_is_over_the_same_ages(ages, kept):
    classes, dropout = AgeClasses(20, 24), Architecture(head="dropout")
    other = AgeNetwork(AgeClasses(*ages), dropout).state_dict()
    network = AgeNetwork(classes, dropout)
    report = load_initial_weights(network, classes, weights(other, ages), seed=1)
    assert equal(network.state_dict(), other) == kept
    assert bool(report.resized) != kept


def test_weights_without_a_classifier_have_no_ages_to_keep(network):
    state = {"conv1.weight": resnet18().state_dict()["conv1.weight"]}
    report = load_initial_weights(network, CLASSES, weights(state, (0, 69)), seed=5)
    assert (report.ages, report.resized) == (0, ())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.pth: no such file"):
        read_weights(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off", b"\x80"]
)
def test_a_file_that_is_no_state_dict_is_named(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.pth: cannot be read"):
        read_weights(tmp_path / "bad.pth")


def test_a_truncated_file_is_named(tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.pth: cannot be read"):
        read_weights(tmp_path / "cut.pth")


class Exploding:
    """What a hostile file holds: unpickled carelessly, it calls a function of its choice."""

    def __reduce__(self):
        return (pytest.fail, ("code of a file was run",))


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"conv1.weight": Exploding()}, tmp_path / "hostile.pth")
    with pytest.raises(DataError, match=r"hostile\.pth: cannot be read"):
        read_weights(tmp_path / "hostile.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
def test_something_else_saved_by_torch_is_named(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth: holds no state dict"):
        read_weights(tmp_path / "other.pth")


@pytest.mark.parametrize("content", [{}, {"encoder.0.weight": torch.zeros(3)}])
def test_a_file_with_nothing_for_the_network_is_named(network, tmp_path, content):
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(DataError, match=r"foreign\.pth: none of its"):
        load_initial_weights(network, CLASSES, read_weights(tmp_path / "foreign.pth"), seed=1)


def test_imagenet_offline_says_which_file_goes_where(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    with pytest.raises(DataError) as caught:
        initial_weights("imagenet", None)
    assert "resnet18-f37072fd.pth" in str(caught.value)
    assert str(tmp_path / "checkpoints") in str(caught.value)


@pytest.mark.real_data
def test_the_partial_imagenet_weights(shared_data):
    network = AgeNetwork(CLASSES)
    path = shared_data / "weights" / "resnet18_imagenet_partial.pth"
    report = load_initial_weights(network, CLASSES, read_weights(path), seed=1)
    assert len(report.loaded) == 96
    assert {name.split(".")[1] for name in report.missing if name.startswith("backbone")} == {
        "layer4"
    }
    assert {"fc.weight", "fc.bias"} < set(report.missing)
