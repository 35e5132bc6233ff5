"""Predicting one fold, and putting all folds together."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.evaluation.metrics import check_predictions
from contrastive_age.params import Computing, Effective
from contrastive_age.pipelines.alignment.nodes import rows_of

Faces = npt.NDArray[np.uint8]


def evaluate(
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    model: dict[str, Any],
    setting: Effective,
    computing: Computing,
    training_folder: Path,
    fold: int,
) -> tuple[pd.DataFrame, dict[str, npt.NDArray[Any]]]:
    """Predict the test part of one fold.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        model: State dict of the trained network.
        setting: The protocol's effective values.
        computing: Where to compute.
        training_folder: Where the fold's checkpoint lies: its model is stored by now, so it goes.
        fold: The fold to predict.

    Returns:
        The predictions, and `sample_id`, `features` (n, 512) and `logits` (n, A).
    """
    import torch

    from contrastive_age.evaluation.prediction import predict
    from contrastive_age.model.network import AgeClasses, AgeNetwork, expected_age
    from contrastive_age.training import checkpoint
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.training.loop import choose_device

    checkpoint.discard(training_folder)
    part = folds[folds["fold"] == fold]
    classes = AgeClasses(setting.age_min, setting.age_max)
    network = AgeNetwork(classes)
    network.load_state_dict(model)
    size = setting.training.image_size
    images = prepare(faces, rows_of(samples, faces, part), size)
    features, logits = predict(
        network, images, size, setting.training.batch_size, choose_device(computing.device)
    )
    mean, std = expected_age(torch.from_numpy(logits), classes.values)
    predictions = part[["sample_id", "identity", "fold", "age"]].assign(
        predicted_age=mean.numpy().astype(np.float64), predicted_std=std.numpy().astype(np.float64)
    )
    sample_id = part["sample_id"].to_numpy().astype(np.str_)
    outputs = {"sample_id": sample_id, "features": features, "logits": logits}
    return predictions.reset_index(drop=True), outputs


def collect(folds: pd.DataFrame, *parts: pd.DataFrame) -> pd.DataFrame:
    """Put the predictions of all folds into one table, sorted by sample.

    Args:
        folds: The protocol's folds.
        parts: The predictions of each fold.

    Raises:
        DataError: A sample is missing, doubled, or predicted in another fold than its own.
    """
    predictions = pd.concat(parts, ignore_index=True).sort_values("sample_id", ignore_index=True)
    check_predictions(predictions, folds)
    return predictions
