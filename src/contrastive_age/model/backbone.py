"""What a backbone is: a network from normalised views to pooled features."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

Channels = tuple[float, float, float]


class Normalisation(NamedTuple):
    """What a network's views are brought to, for each channel, in parts of the largest value.

    Attributes:
        mean: What is subtracted.
        std: What is divided by.
    """

    mean: Channels
    std: Channels


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and spread of ImageNet's photos, as torchvision's networks were trained with."""


class Backbone(nn.Module):
    """Maps normalised images, float (n, 3, s, s), to pooled features, (n, `width`).

    Attributes:
        width: Of the features, D.
        title: What messages call it.
        names_of: Whose names a file of weights for it has.
    """

    width: int
    title: str
    names_of: str

    def forward(self, images: Tensor) -> Tensor:
        """Give the pooled features."""
        return self.pool(self.last_block(images))

    @abstractmethod
    def last_block(self, images: Tensor) -> Tensor:
        """Give what is pooled, the last features that have places, (n, K, h, w)."""

    @abstractmethod
    def pool(self, block: Tensor) -> Tensor:
        """Give the features of what `last_block` gave: whatever else it does, it averages first."""

    @abstractmethod
    def draw(self) -> None:
        """Draw all weights anew from torch's random numbers."""

    @abstractmethod
    def name_in_network(self, name: str) -> str:
        """Give our name of a tensor that others have named; their classifier is our layer `fc`."""
