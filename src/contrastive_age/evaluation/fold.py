"""What the network of one fold says of the faces that it is tested on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from contrastive_age.evaluation.outputs import predict
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import Architecture
from contrastive_age.model.network import AgeNetwork, expected_age
from contrastive_age.training.recipe import Testing

Arrays = dict[str, npt.NDArray[Any]]


def evaluate_fold(
    tested: pd.DataFrame,
    images: Tensor,
    model: Mapping[str, Tensor],
    classes: AgeClasses,
    architecture: Architecture,
    *,
    fold: int,
    explained: npt.NDArray[np.int64],
    image_size: int,
    batch_size: int,
    device: torch.device,
    testing: Testing,
) -> tuple[pd.DataFrame, Arrays, Arrays]:
    """Predict the tested samples of a fold, and explain some of them.

    Args:
        tested: `sample_id, identity, age` of the n samples.
        images: Their faces from `augmentation.prepare`, uint8 (n, 3, S, S).
        model: State dict of the fold's network.
        classes: The network's age classes.
        architecture: What it is made of.
        fold: The fold's number.
        explained: Rows that Grad-CAM explains, (m,).
        image_size: Side in pixels of what the network sees.
        batch_size: Faces at a time.
        device: Where to compute.
        testing: How ages are predicted.

    Returns:
        `sample_id, identity, fold, age, predicted_age, predicted_std`, in years; `sample_id`,
        `features` (n, D) and `logits` (n, A); and `sample_id` and Grad-CAM `maps` (m, h, w) of
        those that are explained.
    """
    network = AgeNetwork.of_state(classes, model, architecture)
    features, logits, maps = predict(
        network, images, image_size, batch_size, device, mirrored=testing.mirrored
    )
    mean, std = expected_age(torch.from_numpy(logits), classes.values, rounded=testing.rounded)
    predictions = tested[["sample_id", "identity", "age"]].assign(
        predicted_age=mean.numpy().astype(np.float64),
        predicted_std=std.numpy().astype(np.float64),
    )
    predictions.insert(2, "fold", fold)
    sample_id = tested["sample_id"].to_numpy().astype(np.str_)
    return (
        predictions.reset_index(drop=True),
        {"sample_id": sample_id, "features": features, "logits": logits},
        {"sample_id": sample_id[explained], "maps": maps[explained]},
    )
