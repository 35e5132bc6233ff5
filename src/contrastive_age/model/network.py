"""The network: a backbone and a head over age classes, and its age prediction."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, Architecture
from contrastive_age.model.backbone import Normalisation
from contrastive_age.model.backbones import make_backbone, normalisation_of
from contrastive_age.model.heads import HEADS, draw


class Outputs(NamedTuple):
    """What the network gives for n images.

    Attributes:
        features: (n, D); a ResNet-18 has 512.
        logits: Over the age classes, (n, A).
        scores: What the head's own loss needs; None for heads without one.
    """

    features: Tensor
    logits: Tensor
    scores: Tensor | None = None


class _Undrawn(TorchFunctionMode):
    """Leaves weights as they are where torch draws them, only to be replaced: 11 million numbers.

    Torch's own way, the device `meta`, imports 900 modules when it is first used.
    """

    drawing: ClassVar[set[Any]] = {Tensor.normal_, nn.init.kaiming_uniform_, nn.init.uniform_}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, unless it draws."""
        return None if func in self.drawing else func(*args, **(kwargs or {}))


class AgeNetwork(nn.Module):
    """A backbone, whose pooled features feed a head over the age classes.

    A ResNet-18 has torchvision's names below `backbone.`; the head is `fc`, and one linear layer
    has torchvision's names, too.

    Attributes:
        normalisation: What its views are brought to.
    """

    def __init__(self, classes: AgeClasses, architecture: Architecture = DEFAULT) -> None:
        super().__init__()
        self.normalisation: Normalisation = normalisation_of(architecture.backbone)
        self.backbone = make_backbone(architecture.backbone)
        self.fc = HEADS[architecture.head](self.backbone.width, classes.number)

    @classmethod
    def undrawn(cls, classes: AgeClasses, architecture: Architecture = DEFAULT) -> Self:
        """Make a network all of whose weights are still to be set: what they are is undefined."""
        with _Undrawn(), torch.random.fork_rng(devices=[]):
            return cls(classes, architecture)

    @classmethod
    def of_state(
        cls,
        classes: AgeClasses,
        state: Mapping[str, Tensor],
        architecture: Architecture = DEFAULT,
    ) -> Self:
        """Make a network with the weights of a whole state dict, which stays as it is."""
        network = cls.undrawn(classes, architecture)
        network.load_state_dict(dict(state))
        return network

    def draw(self, seed: int) -> None:
        """Draw all weights anew, as the libraries do that they come from."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.backbone.draw()
            draw(self.fc)

    def forward(self, images: Tensor) -> Outputs:
        """Map normalised images, float (n, 3, s, s), to features, logits and scores."""
        return self.judged(self.backbone(images))

    def judged(self, features: Tensor) -> Outputs:
        """Give the outputs of features, (n, D)."""
        return Outputs(features, *self.fc(features))


def expected_age(logits: Tensor, ages: Tensor, *, rounded: bool = False) -> tuple[Tensor, Tensor]:
    """Predict the age as the expectation of the softmax, with the softmax's standard deviation.

    Args:
        logits: (n, A).
        ages: The age of each class in years, (A,).
        rounded: Whether the age is rounded to whole years.

    Returns:
        Mean and standard deviation in years, (n,) each.
    """
    probabilities = logits.softmax(dim=1)
    mean = probabilities @ ages
    variance = (probabilities * (ages - mean[:, None]).square()).sum(dim=1)
    return mean.round() if rounded else mean, variance.sqrt()


def of_both_views(logits: Tensor, mirrored: Tensor) -> Tensor:
    """Give logits whose softmax is the mean of the softmax of a view and of its mirror image.

    So the expected age is the mean of both ages, and the spread holds what they differ by.

    Args:
        logits: Of n views, (n, A).
        mirrored: Of their mirror images, (n, A).

    Returns:
        Logarithms of probabilities, (n, A).
    """
    both = torch.logaddexp(logits.log_softmax(dim=1), mirrored.log_softmax(dim=1))
    return both - math.log(2)
