"""The backbones: our ResNet-18, and timm's convolutional networks by their names.

timm is an extra and imported where a name asks for it alone. Weights come from files, never from a
hub.
"""

import difflib
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from contrastive_age.errors import DataError, library
from contrastive_age.model.architecture import RESNET18, TIMM
from contrastive_age.model.backbone import IMAGENET, Backbone, Normalisation
from contrastive_age.model.resnet import ResNet18

_SIDES = (96, 128)
"""Of an image in pixels by which it is seen whether a network takes any."""


def make_backbone(name: str) -> Backbone:
    """Make a backbone with random weights.

    Args:
        name: As in `Architecture`.

    Raises:
        DataError: See `require_backbone`.
    """
    return ResNet18() if name == RESNET18 else TimmBackbone(name)


def normalisation_of(name: str) -> Normalisation:
    """Give what the views of a backbone are brought to, which follows the weights made for it.

    Args:
        name: As in `Architecture`.

    Raises:
        DataError: See `require_backbone`.
    """
    if name == RESNET18:
        return IMAGENET
    known = _timm(name).get_pretrained_cfg(_own_name(name))
    return IMAGENET if known is None else Normalisation(tuple(known.mean), tuple(known.std))


def require_backbone(name: str) -> None:
    """Refuse a backbone that cannot be made here.

    Args:
        name: As in `Architecture`.

    Raises:
        DataError: timm is not installed, has no network of that name, or one that takes images of
            one size alone, or whose last features have no places that are averaged.
    """
    if name == RESNET18 or _fits(name):
        return
    raise DataError(
        f"model.backbone={name}: it takes images of one size alone, or does not average the places "
        f"of its last features, as Grad-CAM has it; choose another, such as {TIMM}resnet34"
    )


class TimmBackbone(Backbone):
    """A network of timm, whose names follow `backbone.network.`."""

    names_of = "timm"

    def __init__(self, name: str) -> None:
        """Make it with random weights.

        Args:
            name: Such as `timm/mobilenetv3_large_100`.

        Raises:
            DataError: See `require_backbone`.
        """
        super().__init__()
        self.title = name
        self.network = _created(name)
        self.width = int(self.network.head_hidden_size)
        self._classifier = f"{self.network.pretrained_cfg['classifier']}."

    def last_block(self, images: Tensor) -> Tensor:
        """Give what is pooled, (n, K, h, w)."""
        block: Tensor = self.network.forward_features(images)
        return block

    def pool(self, block: Tensor) -> Tensor:
        """Give the features of what `last_block` gave."""
        features: Tensor = self.network.forward_head(block, pre_logits=True)
        return features

    def draw(self) -> None:
        """Draw all weights anew as timm does."""
        self.network.load_state_dict(_created(self.title).state_dict())

    def name_in_network(self, name: str) -> str:
        """Give our name of a tensor by timm's."""
        if name.startswith(self._classifier):
            return f"fc.{name.removeprefix(self._classifier)}"
        return f"backbone.network.{name}"


def _own_name(name: str) -> str:
    return name.removeprefix(TIMM)


def _created(name: str) -> Any:
    return _timm(name).create_model(_own_name(name), pretrained=False, num_classes=0)


def _fits(name: str) -> bool:
    """Whether a network takes images of any size, and averages the places of its last features."""
    known = _timm(name).get_pretrained_cfg(_own_name(name))
    if known is not None and known.fixed_input_size:
        return False
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            backbone = TimmBackbone(name).eval()
            block = backbone.last_block(torch.randn(2, 3, *_SIDES))
            pooled, of_means = map(backbone.pool, (block, block.mean(dim=(2, 3), keepdim=True)))
    except Exception:  # networks fail in any way
        return False
    return pooled.shape == (2, backbone.width) and torch.allclose(pooled, of_means, atol=1e-4)


@lru_cache
def _timm(name: str) -> Any:
    """Import timm, and make sure that it has a network of that name."""
    models = library("timm", "timm").models
    own = _own_name(name)
    # Names of weights follow those of networks, with a point between.
    if own not in (known := [*models.list_models(), *models.list_pretrained()]):
        near = " or ".join(TIMM + each for each in difflib.get_close_matches(own, known, 3))
        hint = f"; did you mean {near}?" if near else ""
        raise DataError(f"model.backbone={name}: timm has no network of that name{hint}")
    return models
