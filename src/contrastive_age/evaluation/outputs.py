"""What a trained network says about the faces of a fold's test part."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contrastive_age.float32 import exact
from contrastive_age.model.network import Outputs
from contrastive_age.training.acceleration import send
from contrastive_age.training.augmentation import centre_crop


def predict(
    network: nn.Module,
    images: Tensor,
    image_size: int,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Give features and logits of the centre of each face.

    Always in plain float32: it is little work, and the outputs then depend on the weights alone.

    Args:
        network: An `AgeNetwork` (or another module that gives `Outputs`); set to evaluation mode
            and left on `device`.
        images: From `augmentation.prepare`, uint8 (n, 3, S, S) with n >= 1.
        image_size: Side in pixels of what the network sees.
        batch_size: Faces at a time.
        device: Where to compute; the network's own when None.

    Returns:
        Features, float32 (n, 512), and logits over the age classes, float32 (n, A).
    """
    device = device or next(network.parameters()).device
    network.to(device).eval()
    with torch.inference_mode(), exact(device):
        parts: list[Outputs] = [
            network(centre_crop(send(chunk, device), image_size))
            for chunk in torch.split(images, batch_size)
        ]
        features = torch.cat([part.features for part in parts])
        logits = torch.cat([part.logits for part in parts])
    return features.cpu().numpy(), logits.cpu().numpy()
