"""The error on faces that a network does not learn from, looked at after each epoch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call

from contrastive_age.float32 import exact
from contrastive_age.model.backbones import normalisation_of
from contrastive_age.model.network import Outputs, expected_age, of_both_views
from contrastive_age.training.acceleration import send
from contrastive_age.training.augmentation import centre_crop
from contrastive_age.training.recipe import Recipe, Testing

PLAIN = Testing()
"""One view, and ages unrounded."""


@dataclass(frozen=True)
class Watched:
    """Faces that are only looked at.

    Attributes:
        images: From `augmentation.prepare`, uint8 (n, 3, S, S), n > 0.
        ages: In years, (n,).
        testing: How they are predicted.
    """

    images: Tensor
    ages: npt.NDArray[np.int64]
    testing: Testing = PLAIN

    def error(
        self,
        network: nn.Module,
        weights: Mapping[str, Tensor],
        recipe: Recipe,
        device: torch.device,
    ) -> float:
        """Give the mean absolute error in years, and leave the network as it was.

        As the evaluation does, in plain float32 on the centre of each face.

        Args:
            network: Gives `Outputs`.
            weights: Its state, or another that is put in its place.
            recipe: Whose classes, size and batches are used.
            device: Of the network.
        """
        size = recipe.training.image_size
        normalisation = normalisation_of(recipe.architecture.backbone)
        ages = recipe.classes.values.to(device)
        with _evaluating(network), torch.inference_mode(), exact(device):
            parts = []
            for chunk in torch.split(self.images, recipe.training.batch_size):
                views = centre_crop(send(chunk, device), size, normalisation)
                logits = _logits(network, weights, views)
                if self.testing.mirrored:
                    logits = of_both_views(logits, _logits(network, weights, views.flip(-1)))
                parts.append(expected_age(logits, ages, rounded=self.testing.rounded)[0])
            predicted = torch.cat(parts).cpu().numpy()
        return float(np.abs(predicted.astype(np.float64) - self.ages).mean())


def _logits(network: nn.Module, weights: Mapping[str, Tensor], views: Tensor) -> Tensor:
    return cast(Outputs, functional_call(network, dict(weights), (views,))).logits


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode for as long as the block lasts; parts may have had modes of their own."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
