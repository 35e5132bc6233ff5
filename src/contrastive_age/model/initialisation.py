"""The weights a network starts from: ImageNet's, those of a file, or random ones."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from contrastive_age.errors import DataError
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.backbone import Backbone
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import Weights

logger = logging.getLogger(__name__)

_LINEAR = ("fc.weight", "fc.bias")
_NAMED = 3
_BLOCKS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "ResNet-18",
    ((3, 4, 6, 3), False): "ResNet-34",
    ((3, 4, 6, 3), True): "ResNet-50",
    ((3, 4, 23, 3), True): "ResNet-101",
    ((3, 8, 36, 3), True): "ResNet-152",
}
"""By the blocks of the four layers; whether a block has three convolutions (He et al., 2016)."""


@dataclass(frozen=True)
class InitialWeights:
    """Where a network's weights came from, by parameter names of our network.

    Attributes:
        source: `none`, `imagenet` or the path of the file.
        loaded: Taken from the source as a whole.
        missing: Not in the source, so drawn at random.
        resized: Of the head, in the source another one, or over other ages or classes: drawn at
            random, but for the ages that two linear layers both know.
        ages: For how many ages of the linear layer the source's weights are kept, by their age.
    """

    source: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    ages: int = 0


def load_initial_weights(
    network: AgeNetwork, classes: AgeClasses, weights: Weights | None, seed: int
) -> InitialWeights:
    """Set all weights of a network: first drawn at random, then replaced by what the source has.

    Where the source says which ages its linear layer is over, the weights of an age stay that
    age's; else the layer is taken if it has as many classes.

    Args:
        network: Changed in place.
        classes: Of the network.
        weights: From `weights.initial_weights`; they may be partial. None for random ones.
        seed: Of the random weights.

    Returns:
        What was loaded, missing and resized; also logged.

    Raises:
        DataError: The weights are those of another network.
    """
    network.draw(seed)
    if weights is None:
        logger.debug("Initial weights: random, seed %d", seed)
        return InitialWeights("none", missing=tuple(network.state_dict()))
    backbone, ours = network.backbone, network.state_dict()
    # The names of others become ours; our own stay.
    state = {
        name if name.startswith(("backbone.", "fc.")) else backbone.name_in_network(name): tensor
        for name, tensor in weights.state.items()
    }
    _refuse_others(state, ours, weights.name, backbone)
    head = [name for name in state if name.startswith("fc.")]
    fits = all(name in ours and state[name].shape == ours[name].shape for name in head)
    known = weights.classes or (classes if fits else None)
    resized = [] if fits and known == classes else head
    fitting = {name: tensor for name, tensor in state.items() if name not in resized}
    network.load_state_dict(fitting, strict=False)
    report = InitialWeights(
        weights.name,
        loaded=tuple(fitting),
        missing=tuple(name for name in ours if name not in state),
        resized=tuple(resized),
        ages=_keep_ages(network, classes, state, known) if known and head else 0,
    )
    logger.debug(
        "Initial weights: %d tensors from %s; missing: %s; over other classes: %s; ages kept: %d",
        len(report.loaded),
        weights.name,
        ", ".join(report.missing) or "none",
        ", ".join(report.resized) or "none",
        report.ages,
    )
    return report


def _keep_ages(
    network: AgeNetwork, classes: AgeClasses, state: Mapping[str, Tensor], known: AgeClasses
) -> int:
    """Give a network another linear layer's weights of all ages that both know.

    Other classes give the layer another shape or order; but a row is an age, and what was learned
    of an age holds whatever its number is.

    Args:
        network: Changed in place.
        classes: Of the network.
        state: The other network's; it may lack the layer's bias.
        known: The ages of its linear layer.

    Returns:
        The number of ages that were kept; none where either head is no linear layer.
    """
    if not network.state_dict().keys() & state.keys() & set(_LINEAR):
        return 0
    ages = np.intersect1d(classes.values.numpy(), known.values.numpy()).astype(np.int64)
    for name in filter(state.__contains__, _LINEAR):
        network.get_parameter(name).data[classes.index(ages)] = state[name][known.index(ages)]
    return len(ages)


def _refuse_others(
    state: Mapping[str, Tensor], ours: Mapping[str, Tensor], source: str, backbone: Backbone
) -> None:
    """Refuse what is no part of a network: it may lack tensors, and have another head."""
    title = backbone.title
    if not state.keys() & ours.keys():
        raise DataError(
            f"{source}: none of its {len(state)} tensors fits {title} (its first name is "
            f"{_others_name(next(iter(state), 'missing'))!r}); give a state dict with "
            f"{backbone.names_of}'s names"
        )
    faults = [
        f"{_others_name(name)} {tuple(tensor.shape)}"
        for name, tensor in state.items()
        if not _may_be(name, tensor, ours.get(name))
    ]
    if faults:
        more = ", ..." if len(faults) > _NAMED else ""
        network = _resnet(map(_others_name, state))
        raise DataError(
            f"{source}: {len(faults)} of its {len(state)} tensors have names or shapes that "
            f"{title} does not have ({', '.join(faults[:_NAMED])}{more})"
            f"{f'; they look like those of a {network}' if network else ''}. Give weights of "
            f"{title}; they may lack some of its tensors"
        )


def _others_name(name: str) -> str:
    return name.removeprefix("backbone.").removeprefix("network.")


def _may_be(name: str, tensor: Tensor, wanted: Tensor | None) -> bool:
    """Say whether a tensor is one of ours, or of another head, which is left out.

    One linear layer may be over any number of classes.
    """
    if not name.startswith("fc."):
        return wanted is not None and tensor.shape == wanted.shape
    return wanted is None or name not in _LINEAR or tensor.shape[1:] == wanted.shape[1:]


def _resnet(names: Iterable[str]) -> str | None:
    """Say of which ResNet tensors are, by its blocks."""
    names = set(names)
    blocks = {tuple(name.split(".")[:2]) for name in names if name.startswith("layer")}
    counts = tuple(sum(layer == f"layer{i}" for layer, *_ in blocks) for i in range(1, 5))
    return _BLOCKS.get((counts, "layer1.0.conv3.weight" in names))
