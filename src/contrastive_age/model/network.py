"""The network: a ResNet-18 with one linear layer over age classes, and its age prediction."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contrastive_age.errors import DataError
from contrastive_age.model.resnet import FEATURES, ResNet18


@dataclass(frozen=True)
class AgeClasses:
    """The ages a network tells apart: every full year from `age_min` to `age_max`, both included.

    They are constants of a protocol, never taken from data, so that no test age leaks into a model.

    Raises:
        DataError: There are fewer than two classes.
    """

    age_min: int
    age_max: int

    def __post_init__(self) -> None:
        """Refuse what is no range of ages."""
        if self.age_max <= self.age_min:
            raise DataError(
                f"age classes {self.age_min}..{self.age_max}: the largest age must be above the "
                "smallest; correct age_min and age_max"
            )

    @property
    def number(self) -> int:
        """The number of classes A."""
        return self.age_max - self.age_min + 1

    @property
    def values(self) -> Tensor:
        """The age of each class in years, float32 (A,)."""
        return torch.arange(self.age_min, self.age_max + 1, dtype=torch.float32)

    def index(self, ages: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the class number (0..A-1) of each age.

        Args:
            ages: Ages in years, (n,).

        Returns:
            Class numbers, int64 (n,).

        Raises:
            DataError: An age has no class.
        """
        outside = ages[(ages < self.age_min) | (ages > self.age_max)]
        if len(outside):
            raise DataError(
                f"{len(outside)} of {len(ages)} training ages lie outside the age classes "
                f"{self.age_min}..{self.age_max}, for example {outside[0]}: correct these labels "
                "in the source or widen the classes"
            )
        return ages.astype(np.int64) - self.age_min


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
