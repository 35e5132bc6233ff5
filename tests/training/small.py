"""A training that takes a moment: what the tests of the loop and of its parts share."""

import dataclasses

import numpy as np
import torch
from torch import nn

from contrastive_age.model.heads import HEADS
from contrastive_age.model.network import Outputs
from contrastive_age.training.augmentation import frame_size
from contrastive_age.training.loop import train
from contrastive_age.triplets.index import build_index
from training.recipes import varied

RECIPE = varied(epochs=3, schedule="cosine")
CPU = torch.device("cpu")


@dataclasses.dataclass
class Fold:
    """A small training part whose images show their age by brightness."""

    images: torch.Tensor
    ages: np.ndarray
    identities: np.ndarray

    @property
    def index(self):
        return build_index(self.ages, self.identities)


def people():
    """A training part of 22 images of 7 people."""
    rng = np.random.default_rng(1)
    ages = rng.integers(20, 24, size=22)
    ages[0] = 24  # an age that one identity alone has
    identities = np.arange(22) % 7
    size = frame_size(32)
    images = rng.integers(0, 60, size=(22, 3, size, size)) + (ages - 20)[:, None, None, None] * 45
    return Fold(torch.from_numpy(images.astype(np.uint8)), ages, identities)


class SmallNetwork(nn.Module):
    """What the loop needs of a network (features, logits, batch norm), a thousand times faster."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.fc = HEADS["linear"](8, RECIPE.classes.number)

    def forward(self, images):
        features = self.body(images).flatten(1)
        return Outputs(features, *self.fc(features))


def start():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return SmallNetwork()


def run(fold, network, recipe=RECIPE, **options):
    return train(
        fold.images,
        fold.ages,
        fold.index,
        network,
        recipe,
        device=CPU,
        **options,
    )


def same(one, other):
    state = other.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


def without_seconds(history):
    return history.drop(columns="seconds")


class KilledError(Exception):
    """Stands for the kill of a process."""
