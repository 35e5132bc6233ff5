"""Predicting one fold, and putting all folds together."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.evaluation.metrics import check_predictions
from contrastive_age.params import Computing, Effective, Explanation
from contrastive_age.pipelines.alignment.nodes import rows_of
from contrastive_age.pipelines.splitting.nodes import fold_parts

Faces = npt.NDArray[np.uint8]
Arrays = dict[str, npt.NDArray[Any]]


def evaluate(
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    model: dict[str, Any],
    setting: Effective,
    computing: Computing,
    explanation: Explanation,
    training_folder: Path,
    fold: int,
) -> tuple[pd.DataFrame, Arrays, Arrays]:
    """Predict and explain the test part of one fold, or its validation part where one is asked for.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        model: State dict of the trained network.
        setting: The protocol's effective values.
        computing: Where to compute.
        explanation: Which faces to explain.
        training_folder: Where the fold's checkpoint lies: its model is stored by now, so it goes.
        fold: The fold to predict.

    Returns:
        The predictions; `sample_id`, `features` (n, 512) and `logits` (n, A); and `sample_id` and
        `maps` (m, h, w) of the faces that are explained.
    """
    import torch

    from contrastive_age.evaluation.gradcam import grad_cam
    from contrastive_age.evaluation.prediction import predict
    from contrastive_age.model.network import AgeClasses, AgeNetwork, expected_age
    from contrastive_age.training import checkpoint
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.training.loop import choose_device

    checkpoint.discard(training_folder)
    part = fold_parts(folds, setting, fold).tested
    classes = AgeClasses(setting.age_min, setting.age_max)
    network = AgeNetwork(classes)
    network.load_state_dict(model)
    size = setting.training.image_size
    images = prepare(faces, rows_of(samples, faces, part), size)
    device = choose_device(computing.device)
    features, logits = predict(network, images, size, setting.training.batch_size, device)
    mean, std = expected_age(torch.from_numpy(logits), classes.values)
    predictions = part[["sample_id", "identity", "fold", "age"]].assign(
        fold=fold,
        predicted_age=mean.numpy().astype(np.float64),
        predicted_std=std.numpy().astype(np.float64),
    )
    sample_id = part["sample_id"].to_numpy().astype(np.str_)
    outputs = {"sample_id": sample_id, "features": features, "logits": logits}
    rows = _explained(part, explanation, setting.seed)
    maps = grad_cam(network, images[rows], size, setting.training.batch_size, device)
    return predictions.reset_index(drop=True), outputs, {"sample_id": sample_id[rows], "maps": maps}


def _explained(part: pd.DataFrame, explanation: Explanation, seed: int) -> npt.NDArray[np.int64]:
    """The rows of the tested part that Grad-CAM explains."""
    from contrastive_age.evaluation.gradcam import choose_samples

    if explanation.samples is not None:
        return np.flatnonzero(part["sample_id"].isin(explanation.samples))
    return choose_samples(part["sample_id"], part["age"], explanation.at_most, seed)


def collect(folds: pd.DataFrame, setting: Effective, *parts: pd.DataFrame) -> pd.DataFrame:
    """Put the predictions of all folds into one table, sorted by sample.

    Args:
        folds: The protocol's folds.
        setting: The protocol's effective values.
        parts: The predictions of each fold, from the first.

    Raises:
        DataError: A sample is missing, doubled, or predicted in another fold than its own.
    """
    for fold, part in enumerate(parts):
        check_predictions(part, fold_parts(folds, setting, fold).tested.assign(fold=fold))
    predictions = pd.concat(parts, ignore_index=True)
    return predictions.sort_values(["sample_id", "fold"], ignore_index=True)
