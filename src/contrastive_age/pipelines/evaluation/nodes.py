"""Predicting one fold, and putting all folds together."""

from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.faces.store import Faces, rows_of, sound
from contrastive_age.io.arrays import Arrays
from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.namespaces import fold_name
from contrastive_age.provenance import Record
from contrastive_age.training.recipe import Computing


def evaluate(
    samples: pd.DataFrame,
    faces: Faces,
    training_faces: Faces,
    folds: pd.DataFrame,
    model: dict[str, Any],
    photos: Arrays,
    setting: Setting,
    computing: Computing,
    explanation: Explanation,
    training_folder: Path,
    fold: int,
) -> tuple[pd.DataFrame, Arrays, Arrays]:
    """Predict and explain the test part of one fold, or its validation part where one is asked for.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        training_faces: Those of the source that trains, in a transfer another one.
        folds: The protocol's folds.
        model: State dict of the trained network.
        photos: The setting's list of what its networks have seen.
        setting: The protocol's effective values.
        computing: Where to compute.
        explanation: Which faces to explain.
        training_folder: In the fold's folder there lies its checkpoint: its model is stored by now,
            so it goes.
        fold: The fold to predict.

    Returns:
        The predictions, whose `attrs` hold their record and how the network was computed;
        `sample_id`, `features` (n, D) and `logits` (n, A); and `sample_id` and
        `maps` (m, h, w) of the faces that are explained.

    Raises:
        DataError: The faces, the folds, the network or the list are others than are asked for.
    """
    from contrastive_age.evaluation import gradcam, summary
    from contrastive_age.evaluation.fold import evaluate_fold
    from contrastive_age.model import weights
    from contrastive_age.parameters.origins import network_of_fold, tables_of
    from contrastive_age.training import augmentation, checkpoint, loop
    from contrastive_age.training.fold import require_network

    parts = setting.plan.parts(folds, samples, fold)
    part = parts.tested
    name = f"{setting.protocol} {setting.key}, fold {fold}"
    require_network(model, network_of_fold(setting, parts, training_faces, faces), name)
    weights.require_list(model, photos, name)
    checkpoint.discard(training_folder / fold_name(fold))
    size = setting.training.image_size
    rows = rows_of(samples, faces, part, setting.faces)
    predictions, outputs, maps = evaluate_fold(
        part,
        augmentation.prepare(faces, sound(faces, rows), size),
        model,
        setting.classes,
        setting.architecture,
        fold=fold,
        explained=gradcam.choose_samples(
            part["sample_id"],
            part["age"],
            explanation.at_most,
            setting.seed,
            explanation.samples,
        ),
        image_size=size,
        batch_size=setting.training.batch_size,
        device=loop.choose_device(computing.device),
        testing=setting.testing,
    )
    wanted = tables_of(setting, explanation, samples, faces, folds)
    predictions.attrs |= {
        "record": Record(wanted, summary.tables_made_with()).document,
        "computed": weights.about(model)["computed"],
    }
    return predictions, outputs, maps


def collect(
    samples: pd.DataFrame, folds: pd.DataFrame, setting: Setting, *predictions: pd.DataFrame
) -> pd.DataFrame:
    """Put the predictions of all folds into one table, see `summary.collect`.

    Args:
        samples: The source's samples.
        folds: The protocol's folds.
        setting: The protocol's effective values.
        predictions: Of each fold, from the first.
    """
    from contrastive_age.evaluation import summary

    parts = [setting.plan.parts(folds, samples, fold) for fold in range(len(predictions))]
    return summary.collect(predictions, parts, f"{setting.protocol} {setting.key}")
