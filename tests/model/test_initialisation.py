"""Tests of the weights a network starts from."""

import logging
import urllib.error

import pytest
import torch
from torchvision.models import resnet18

from contrastive_age.errors import DataError
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeClasses, AgeNetwork


@pytest.fixture
def network():
    return AgeNetwork(AgeClasses(0, 9))


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_random_weights_follow_from_the_seed_alone(network):
    load_initial_weights(network, "none", seed=1)
    first = state_of(network)
    torch.manual_seed(99)
    other = AgeNetwork(AgeClasses(0, 9))
    other.backbone.bn1.running_mean += 1
    report = load_initial_weights(other, "none", seed=1)
    assert equal(first, state_of(other))
    assert report.loaded == ()
    load_initial_weights(other, "none", seed=2)
    assert not equal(first, state_of(other))


def test_random_weights_are_distributed_as_torchvisions(network):
    load_initial_weights(network, "none", seed=1)
    original = resnet18(num_classes=10).state_dict()
    for name, tensor in network.state_dict().items():
        expected = original[name.removeprefix("backbone.")]
        if tensor.numel() > 500:
            assert tensor.std().item() == pytest.approx(expected.std().item(), rel=0.1), name
        if "bn" in name or "downsample.1" in name:
            assert torch.equal(tensor, expected), name


def test_the_global_generator_is_left_alone(network):
    before = torch.get_rng_state()
    load_initial_weights(network, "none", seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_torchvisions_names_with_another_fc_and_a_foreign_tensor(network, tmp_path, caplog):
    given = resnet18(num_classes=1000).state_dict()
    given["extra.weight"] = torch.zeros(1)
    torch.save(given, tmp_path / "weights.pth")
    with caplog.at_level(logging.INFO):
        report = load_initial_weights(network, str(tmp_path / "weights.pth"), seed=1)
    state = network.state_dict()
    for name in report.loaded:
        assert torch.equal(state[name], given[name.removeprefix("backbone.")])
    assert len(report.loaded) == len(state) - 2
    assert report.missing == ()
    assert report.resized == ("fc.weight", "fc.bias")
    assert report.unused == ("extra.weight",)
    assert "extra.weight" in caplog.text
    assert "fc.bias" in caplog.text


def test_a_partial_file_leaves_the_rest_as_drawn_from_the_seed(network, tmp_path):
    drawn = AgeNetwork(AgeClasses(0, 9))
    load_initial_weights(drawn, "none", seed=4)
    given = resnet18().state_dict()
    partial = {name: given[name] for name in ("conv1.weight", "layer1.0.conv1.weight")}
    torch.save(partial, tmp_path / "partial.pth")
    report = load_initial_weights(network, str(tmp_path / "partial.pth"), seed=4)
    assert set(report.loaded) == {"backbone.conv1.weight", "backbone.layer1.0.conv1.weight"}
    state, rest = network.state_dict(), drawn.state_dict()
    assert set(report.missing) == set(state) - set(report.loaded)
    assert all(torch.equal(state[name], rest[name]) for name in report.missing)
    assert torch.equal(state["backbone.conv1.weight"], given["conv1.weight"])


def test_our_own_state_dict_comes_back(network, tmp_path):
    trained = AgeNetwork(AgeClasses(0, 9))
    torch.save(trained.state_dict(), tmp_path / "model.pth")
    report = load_initial_weights(network, str(tmp_path / "model.pth"), seed=1)
    assert equal(network.state_dict(), trained.state_dict())
    assert (report.missing, report.resized, report.unused) == ((), (), ())


def test_a_missing_file_is_named(network, tmp_path):
    with pytest.raises(DataError, match=r"absent\.pth: no such file"):
        load_initial_weights(network, str(tmp_path / "absent.pth"), seed=1)


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off", b"\x80"]
)
def test_a_file_that_is_no_state_dict_is_named(network, tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.pth: cannot be read"):
        load_initial_weights(network, str(tmp_path / "bad.pth"), seed=1)


def test_a_truncated_file_is_named(network, tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.pth: cannot be read"):
        load_initial_weights(network, str(tmp_path / "cut.pth"), seed=1)


class Exploding:
    """What a hostile file holds: unpickled carelessly, it calls a function of its choice."""

    def __reduce__(self):
        return (pytest.fail, ("code of a file was run",))


def test_code_in_a_file_is_not_run(network, tmp_path):
    torch.save({"conv1.weight": Exploding()}, tmp_path / "hostile.pth")
    with pytest.raises(DataError, match=r"hostile\.pth: cannot be read"):
        load_initial_weights(network, str(tmp_path / "hostile.pth"), seed=1)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
def test_something_else_saved_by_torch_is_named(network, tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth: holds no state dict"):
        load_initial_weights(network, str(tmp_path / "other.pth"), seed=1)


@pytest.mark.parametrize("content", [{}, {"encoder.0.weight": torch.zeros(3)}])
def test_a_file_with_nothing_for_the_network_is_named(network, tmp_path, content):
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(DataError, match=r"foreign\.pth: none of its"):
        load_initial_weights(network, str(tmp_path / "foreign.pth"), seed=1)


def test_imagenet_is_read_from_torchs_cache(network, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    given = resnet18().state_dict()
    torch.save(given, tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    report = load_initial_weights(network, "imagenet", seed=1)
    assert report.source == "imagenet"
    assert torch.equal(network.state_dict()["backbone.conv1.weight"], given["conv1.weight"])


def test_imagenet_offline_says_which_file_goes_where(network, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    with pytest.raises(DataError) as caught:
        load_initial_weights(network, "imagenet", seed=1)
    assert "resnet18-f37072fd.pth" in str(caught.value)
    assert str(tmp_path / "checkpoints") in str(caught.value)


@pytest.mark.real_data
def test_the_partial_imagenet_weights(shared_data):
    network = AgeNetwork(AgeClasses(0, 69))
    path = shared_data / "weights" / "resnet18_imagenet_partial.pth"
    report = load_initial_weights(network, str(path), seed=1)
    assert len(report.loaded) == 96
    assert report.unused == ()
    assert {name.split(".")[1] for name in report.missing if name.startswith("backbone")} == {
        "layer4"
    }
    assert {"fc.weight", "fc.bias"} < set(report.missing)
