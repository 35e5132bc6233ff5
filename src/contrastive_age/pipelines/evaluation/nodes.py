"""Predicting one fold, and putting all folds together."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import check_predictions
from contrastive_age.faces.store import rows_of
from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.origins import (
    networks_decided_by,
    require_network,
    result_record,
    tables_made_with,
)
from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.splitting.nodes import fold_parts
from contrastive_age.provenance import Record
from contrastive_age.training.recipe import Computing

Faces = npt.NDArray[np.uint8]
Arrays = dict[str, npt.NDArray[Any]]


def evaluate(
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    model: dict[str, Any],
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
        folds: The protocol's folds.
        model: State dict of the trained network.
        setting: The protocol's effective values.
        computing: Where to compute.
        explanation: Which faces to explain.
        training_folder: Where the fold's checkpoint lies: its model is stored by now, so it goes.
        fold: The fold to predict.

    Returns:
        The predictions, whose `attrs` hold their record and how the network was computed;
        `sample_id`, `features` (n, 512) and `logits` (n, A); and `sample_id` and
        `maps` (m, h, w) of the faces that are explained.

    Raises:
        DataError: The faces, the folds or the network are others than are asked for.
    """
    from contrastive_age.evaluation.fold import evaluate_fold
    from contrastive_age.model.weights import about
    from contrastive_age.training import checkpoint
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.training.loop import choose_device

    training, part = fold_parts(folds, samples, setting, fold)
    what = f"of {setting.protocol} {setting.key}, fold {fold}"
    require_network(model, networks_decided_by(setting, faces, training), what)
    checkpoint.discard(training_folder)
    size = setting.training.image_size
    found = evaluate_fold(
        part,
        prepare(faces, rows_of(samples, faces, part, setting.faces), size),
        model,
        setting.classes,
        fold=fold,
        explained=_explained(part, explanation, setting.seed),
        image_size=size,
        batch_size=setting.training.batch_size,
        device=choose_device(computing.device),
    )
    found.predictions.attrs |= {
        "record": result_record(setting, explanation, samples, faces, folds).document,
        "computed": about(model)["computed"],
    }
    return found.predictions, found.outputs, found.maps


def _explained(part: pd.DataFrame, explanation: Explanation, seed: int) -> npt.NDArray[np.int64]:
    """The rows of the tested part that Grad-CAM explains."""
    from contrastive_age.evaluation.gradcam import choose_samples

    if explanation.samples is not None:
        return np.flatnonzero(part["sample_id"].isin(explanation.samples))
    return choose_samples(part["sample_id"], part["age"], explanation.at_most, seed)


def collect(
    samples: pd.DataFrame, folds: pd.DataFrame, setting: Setting, *parts: pd.DataFrame
) -> pd.DataFrame:
    """Put the predictions of all folds into one table, sorted by sample.

    Args:
        samples: The source's samples.
        folds: The protocol's folds.
        setting: The protocol's effective values.
        parts: The predictions of each fold, from the first.

    Returns:
        The table, whose `attrs` hold the record of all, and in which ways they were computed.

    Raises:
        DataError: A sample is missing, doubled, or predicted in another fold than its own; or folds
            were evaluated by other data or code than the rest.
    """
    first = Record.read(parts[0].attrs.get("record"))
    for fold, part in enumerate(parts):
        record = Record.read(part.attrs.get("record"))
        check_predictions(part, fold_parts(folds, samples, setting, fold).tested.assign(fold=fold))
        differences = record.differences(first.decided_by)
        if differences:
            raise DataError(
                f"The predictions of fold {fold} of {setting.protocol} {setting.key} and of fold 0 "
                f"are made otherwise ({'; '.join(differences)}); run all of {setting.protocol}"
            )
        record.say_where(f"fold {fold} of {setting.key}", tables_made_with())
    # Of tables with differing attrs, pandas keeps none.
    predictions = pd.concat([part.reset_index(drop=True) for part in parts], ignore_index=True)
    computed = [part.attrs.get("computed", {}) for part in parts]
    predictions.attrs = {
        "record": first.document,
        "computed": [own for place, own in enumerate(computed) if own not in computed[:place]],
    }
    return predictions.sort_values(["sample_id", "fold"], ignore_index=True)
