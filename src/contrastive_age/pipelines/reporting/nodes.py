"""Metrics, tables and figures of one setting."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces.store import rows_of
from contrastive_age.parameters.origins import result_record, start_of, tables_made_with
from contrastive_age.parameters.setting import Explanation, Setting
from contrastive_age.pipelines.splitting.nodes import check_leakage, fold_parts
from contrastive_age.protocols.parts import constant_mae
from contrastive_age.provenance import Record, table_digest
from contrastive_age.tracking.tracker import active_run_id

Faces = npt.NDArray[np.uint8]


def summarise(
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    predictions: pd.DataFrame,
    leakage: dict[str, Any],
    audit: dict[str, Any],
    setting: Setting,
    explanation: Explanation,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Measure the predictions and lay them beside what needs no network.

    Args:
        samples: The source's samples.
        faces: The source's faces, as mapped from their file.
        folds: The protocol's folds.
        predictions: All folds' predictions.
        leakage: The protocol's leakage report, with the baselines.
        audit: The source's audit.
        setting: The protocol's effective values.
        explanation: Which faces are explained.

    Returns:
        metrics.json, the same as a table of quantities and values, and the predictive intervals.
    """
    from contrastive_age.evaluation.bootstrap import without_leaks
    from contrastive_age.evaluation.summary import measure
    from contrastive_age.model.weights import external_faces
    from contrastive_age.reporting.tables import preview_table

    record = _checked(
        predictions, setting, result_record(setting, explanation, samples, faces, folds)
    )
    tested = setting.part == "test"
    check_leakage(folds, leakage)
    constant = leakage["mae_constant"] if tested else _constant(folds, samples, setting)
    # Where copies are trained on and tested, errors say nothing of other photos.
    calibrate = tested and not leakage["leaked_copies"]
    found, intervals = measure(predictions, samples, constant, calibrate=calibrate)
    leaking = leakage.get("leaking_samples") if tested else None
    found |= {
        "protocol": setting.protocol,
        "setting": setting.setting,
        "key": setting.key,
        "part": setting.part,
        "mae_lookup": leakage["mae_lookup"] if tested else None,
        "leaked_share": leakage["leaked_share"] if tested else 0.0,
        "leaked_copies_share": leakage["leaked_copies_share"] if tested else 0.0,
        "without_leaks": without_leaks(predictions, leaking) if leaking else None,
        "manifest_hash": audit["manifest_hash"],
        "parameters": setting.model_dump(mode="json"),
        "made_from": record.document,
        "computed": predictions.attrs["computed"],
        "external": external_faces(start_of(setting)),
        "predictions": table_digest(predictions),
        "run_id": active_run_id(),
    }
    return found, preview_table(found, leakage if tested else None), intervals


def _checked(predictions: pd.DataFrame, setting: Setting, now: Record) -> Record:
    """The record of predictions, after making sure that they are those that would be made now."""
    record = Record.read(predictions.attrs.get("record"))
    differences = record.differences(now.decided_by)
    if differences:
        raise DataError(
            f"The predictions of {setting.protocol} {setting.key} are others than would be made "
            f"now: {'; '.join(differences)}; run all of {setting.protocol}"
        )
    record.say_where(f"the predictions of {setting.key}", tables_made_with())
    return record


def _constant(folds: pd.DataFrame, samples: pd.DataFrame, setting: Setting) -> float:
    """The error of each fold's training median on its validation part."""
    return constant_mae(
        [fold_parts(folds, samples, setting, fold) for fold in range(setting.folds)]
    )


def identify(
    predictions: pd.DataFrame, setting: Setting, *outputs: dict[str, npt.NDArray[Any]]
) -> dict[str, Any]:
    """Measure how much of the identity is left in what the networks give.

    Args:
        predictions: All folds' predictions.
        setting: The protocol's effective values.
        outputs: `sample_id`, `features` and `logits` of each fold, from the first.

    Returns:
        identity.json.
    """
    from contrastive_age.evaluation.summary import measure_identity

    ages = np.arange(setting.age_min, setting.age_max + 1)
    found = measure_identity(predictions, outputs, ages, setting.seed)
    return found | {"made_from": predictions.attrs["record"]}


def explain(
    samples: pd.DataFrame,
    faces: Faces,
    predictions: pd.DataFrame,
    setting: Setting,
    *maps: dict[str, npt.NDArray[Any]],
) -> tuple[dict[str, Any], Any]:
    """Say and draw where on the face the networks look, by age.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        predictions: All folds' predictions.
        setting: The protocol's effective values.
        maps: `sample_id` and `maps` of each fold, from the first.

    Returns:
        gradcam.json, and the figure of the mean maps.
    """
    from contrastive_age.evaluation import gradcam
    from contrastive_age.evaluation.summary import of_outputs
    from contrastive_age.reporting.heatmaps import mean_maps

    parts = [of_outputs(predictions, fold, own) for fold, own in enumerate(maps)]
    explained = pd.concat(parts, ignore_index=True)
    all_maps = np.concatenate([own["maps"] for own in maps])
    ages = explained["age"].to_numpy()
    rows = rows_of(samples, faces, explained, setting.faces)
    found = gradcam.summarise(all_maps, ages, setting.alignment.coverage)
    return (
        found | {"made_from": predictions.attrs["record"]},
        mean_maps(all_maps, ages, faces[rows], setting.alignment.coverage),
    )


def draw(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    setting: Setting,
    *histories: pd.DataFrame,
) -> dict[str, Any]:
    """Draw the figures of a setting.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        predictions: All folds' predictions.
        metrics: metrics.json.
        setting: The protocol's effective values.
        histories: Each fold's history.

    Returns:
        Matplotlib figures by name.
    """
    from contrastive_age.reporting import figures

    history = pd.concat(
        [part.assign(fold=fold) for fold, part in enumerate(histories)], ignore_index=True
    )
    best, worst = figures.choose_best_and_worst(predictions)
    shown = pd.concat([best, worst])
    sheet = figures.face_sheet(
        faces[rows_of(samples, faces, shown, setting.faces)],
        shown["age"].to_numpy(),
        shown["predicted_age"].to_numpy(),
        n_worst=len(worst),
    )
    return {
        "scatter": figures.scatter(predictions),
        "cs_curve": figures.cs_curve(metrics),
        "error_by_age": figures.error_by_age(predictions),
        "losses": figures.history_curves(history),
        "faces_sheet": sheet,
    }
