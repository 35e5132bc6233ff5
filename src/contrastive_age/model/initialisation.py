"""The weights a network starts from: ImageNet's, those of a file, or random ones."""

import logging
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from contrastive_age.errors import DataError
from contrastive_age.model.network import AgeNetwork

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitialWeights:
    """Where a network's weights came from, by parameter names of our network.

    Attributes:
        source: `none`, `imagenet` or the path of the file.
        loaded: Taken from the source.
        missing: Not in the source, so drawn at random.
        resized: In the source with another shape (such as `fc` over other classes), so drawn at
            random.
        unused: Names in the source that our network does not have.
    """

    source: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def load_initial_weights(network: AgeNetwork, weights: str, seed: int) -> InitialWeights:
    """Set all weights of a network: first drawn at random, then replaced by what the source has.

    Args:
        network: Changed in place.
        weights: `imagenet` (torchvision's IMAGENET1K_V1, downloaded once into torch's cache),
            `none`, or the path of a state dict with torchvision's or our names. A file may be
            partial, and its `fc` may have another size.
        seed: Of the random weights.

    Returns:
        What was loaded, missing, resized and unused; also logged.

    Raises:
        DataError: The file is missing, unreadable or has nothing for this network, or ImageNet's
            weights are neither cached nor to be downloaded.
    """
    _draw(network, torch.Generator().manual_seed(seed))
    if weights == "none":
        logger.info("Initial weights: random, seed %d", seed)
        return InitialWeights("none", missing=tuple(network.state_dict()))
    found = _imagenet() if weights == "imagenet" else _read(Path(weights))
    report = _copy(found, network, weights)
    logger.info(
        "Initial weights: %d tensors from %s; missing: %s; of another shape: %s; unused: %s",
        len(report.loaded),
        weights,
        ", ".join(report.missing) or "none",
        ", ".join(report.resized) or "none",
        ", ".join(report.unused) or "none",
    )
    return report


def _draw(network: nn.Module, generator: torch.Generator) -> None:
    """Repeat torchvision's default initialisation of a new ResNet, from a generator of its own."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def _copy(found: Mapping[str, Tensor], network: AgeNetwork, source: str) -> InitialWeights:
    """Load the tensors of `found` that fit `network`, and report on all."""
    own = network.state_dict()
    named = {_own_name(name): tensor for name, tensor in found.items()}
    fitting = {
        name: tensor
        for name, tensor in named.items()
        if name in own and tensor.shape == own[name].shape
    }
    if not fitting:
        raise DataError(
            f"{source}: none of its {len(found)} tensors fits a ResNet-18 (its first name is "
            f"{next(iter(found), 'missing')!r}); give a state dict with torchvision's names"
        )
    network.load_state_dict(fitting, strict=False)
    return InitialWeights(
        source,
        loaded=tuple(fitting),
        missing=tuple(name for name in own if name not in named),
        resized=tuple(name for name in named if name in own and name not in fitting),
        unused=tuple(name for name in found if _own_name(name) not in own),
    )


def _own_name(name: str) -> str:
    """Translate torchvision's name of a tensor into ours; our own names stay."""
    return name if name.startswith(("backbone.", "fc.")) else f"backbone.{name}"


def _read(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict without running any code that the file may hold."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such file of weights; correct model.weights (imagenet, none or a path)"
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise DataError(
            f"{path}: cannot be read as weights, it is damaged or not a state dict saved by torch; "
            f"replace it ({type(error).__name__})"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(x, Tensor) for x in found.values()):
        raise DataError(
            f"{path}: holds no state dict (a mapping of names to tensors); save "
            "network.state_dict() alone"
        )
    return found


def _imagenet() -> Mapping[str, Tensor]:
    """Give torchvision's ImageNet weights from torch's cache, downloaded on first use."""
    # It takes long to import, and only these weights need it.
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.IMAGENET1K_V1
    name = PurePosixPath(urlparse(weights.url).path).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if (folder / name).is_file():
        return _read(folder / name)
    try:
        found: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"The ImageNet weights could not be downloaded from {weights.url} ({error}). Place the "
            f"file {name} into the folder {folder}, or set model.weights to a path or to none"
        ) from error
    return found
