"""What a trained network says about the faces of a fold's test part."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from contrastive_age.evaluation.gradcam import Maps, grad_cam
from contrastive_age.float32 import exact
from contrastive_age.model.network import AgeNetwork, of_both_views
from contrastive_age.training.acceleration import send
from contrastive_age.training.augmentation import centre_crop


class Predicted(NamedTuple):
    """What a network says about n faces.

    Attributes:
        features: float32 (n, D).
        logits: Over the age classes, float32 (n, A).
        maps: Where each face speaks for its predicted age, see `grad_cam`, float32 (n, h, w) with
            h = w = ceil(image_size / 32) for a ResNet-18.
    """

    features: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    maps: Maps


def predict(
    network: AgeNetwork,
    images: Tensor,
    image_size: int,
    batch_size: int = 64,
    device: torch.device | None = None,
    *,
    mirrored: bool = False,
) -> Predicted:
    """Give features, logits and Grad-CAM maps of the centre of each face.

    Always in plain float32: it is little work, and the outputs then depend on the weights alone.

    Args:
        network: Set to evaluation mode and left on `device`.
        images: From `augmentation.prepare`, uint8 (n, 3, S, S) with n >= 1.
        image_size: Side in pixels of what the network sees.
        batch_size: Faces at a time.
        device: Where to compute; the network's own when None.
        mirrored: Whether the logits are those of the mean softmax of each view and its mirror
            image, see `of_both_views`; features and maps are the view's own.
    """
    device = device or next(network.parameters()).device
    network.to(device).eval()
    with torch.inference_mode(), exact(device):
        parts = [
            _shown(
                network,
                centre_crop(send(chunk, device), image_size, network.normalisation),
                mirrored=mirrored,
            )
            for chunk in torch.split(images, batch_size)
        ]
    return Predicted(*(torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True)))


def _shown(network: AgeNetwork, views: Tensor, *, mirrored: bool) -> tuple[Tensor, Tensor, Tensor]:
    block = network.backbone.last_block(views)
    outputs = network.judged(network.backbone.pool(block))
    maps = grad_cam(block, outputs.logits, lambda means: logits_of(network, means))
    logits = outputs.logits
    if mirrored:
        logits = of_both_views(logits, network(views.flip(-1)).logits)
    return outputs.features, logits, maps


def logits_of(network: AgeNetwork, means: Tensor) -> Tensor:
    """Give the logits (n, A) of a last block's means over its places, (n, K)."""
    return network.judged(network.backbone.pool(means[:, :, None, None])).logits
