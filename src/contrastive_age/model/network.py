"""The network: a ResNet-18 with one linear layer over age classes, and its age prediction."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.resnet import FEATURES, ResNet18


class Outputs(NamedTuple):
    """What the network gives for n images: features (n, 512) and logits over the classes (n, A)."""

    features: Tensor
    logits: Tensor


class AgeNetwork(nn.Module):
    """ResNet-18 whose 512 pooled features feed one linear layer over the age classes.

    The backbone has torchvision's names below `backbone.`; the linear layer is `fc`.
    """

    def __init__(self, classes: AgeClasses) -> None:
        super().__init__()
        self.backbone = ResNet18()
        self.fc = nn.Linear(FEATURES, classes.number)

    @classmethod
    def undrawn(cls, classes: AgeClasses) -> Self:
        """Make a network whose weights are still to be set: none is drawn only to be replaced."""
        with torch.device("meta"):
            network = cls(classes)
        return network.to_empty(device="cpu")

    @classmethod
    def of_state(cls, classes: AgeClasses, state: Mapping[str, Tensor]) -> Self:
        """Make a network with the weights of a whole state dict, which stays as it is."""
        network = cls.undrawn(classes)
        network.load_state_dict(dict(state))
        return network

    def forward(self, images: Tensor) -> Outputs:
        """Map normalised images, float (n, 3, s, s), to features and logits."""
        features = self.backbone(images)
        return Outputs(features, self.fc(features))


def expected_age(logits: Tensor, ages: Tensor) -> tuple[Tensor, Tensor]:
    """Predict the age as the expectation of the softmax, not rounded, with its standard deviation.

    Args:
        logits: (n, A).
        ages: The age of each class in years, (A,).

    Returns:
        Mean and standard deviation in years, (n,) each.
    """
    probabilities = logits.softmax(dim=1)
    mean = probabilities @ ages
    variance = (probabilities * (ages - mean[:, None]).square()).sum(dim=1)
    return mean, variance.sqrt()
