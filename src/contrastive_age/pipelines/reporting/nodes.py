"""Metrics, tables and figures of one setting."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.faces.store import Faces, rows_of
from contrastive_age.io.arrays import Arrays
from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols import parts
from contrastive_age.protocols.folds import check_leakage
from contrastive_age.protocols.leakage import constant_ages
from contrastive_age.provenance import Record, table_digest
from contrastive_age.tracking.tracker import active_run_id


def summarise(
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    predictions: pd.DataFrame,
    leakage: dict[str, Any],
    audit: dict[str, Any],
    setting: Setting,
    explanation: Explanation,
    *of_each: Any,
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
        of_each: `sample_id`, `features` and `logits` of each fold, from the first, then the
            history of each.

    Returns:
        metrics.json, the same as a table of quantities and values, and the predictive intervals.
    """
    from contrastive_age.evaluation.metrics import picked_on_test
    from contrastive_age.evaluation.summary import measure, measure_calibration, tables_made_with
    from contrastive_age.model.weights import external_faces
    from contrastive_age.parameters.origins import start_of, tables_of
    from contrastive_age.reporting.tables import preview_table

    record, name = Record.of(predictions), f"{setting.protocol} {setting.key}"
    record.require(
        tables_of(setting, explanation, samples, faces, folds),
        f"The predictions of {name} are others than would be made now",
        f"run all of {setting.protocol}",
    )
    record.say_where(f"the predictions of {name}", tables_made_with())
    check_leakage(folds, leakage)
    if setting.part == "test":
        known, constants = leakage, constant_ages(folds)
    else:
        plan = setting.plan
        of_folds = (plan.parts(folds, samples, fold) for fold in range(setting.folds))
        known, constants = None, parts.constant_ages(of_folds)
    outputs, histories = of_each[: len(of_each) // 2], of_each[len(of_each) // 2 :]
    metrics, intervals = measure(predictions, samples, constants, known)
    picked = picked_on_test(histories, [len(arrays["sample_id"]) for arrays in outputs])
    if picked is not None:
        metrics["picked_on_test"] = picked
    metrics |= {
        "calibration": measure_calibration(predictions, outputs, setting.classes, known),
        "protocol": setting.protocol,
        "setting": setting.setting,
        "key": setting.key,
        "part": setting.part,
        "manifest_hash": audit["manifest_hash"],
        "parameters": setting.model_dump(mode="json"),
        "made_from": record.document,
        "computed": predictions.attrs["computed"],
        "external": external_faces(start_of(setting)),
        "predictions": table_digest(predictions),
        "run_id": active_run_id(),
    }
    return metrics, preview_table(metrics, known), intervals


def identify(predictions: pd.DataFrame, setting: Setting, *outputs: Arrays) -> dict[str, Any]:
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
    measured = measure_identity(predictions, outputs, ages, setting.seed)
    return measured | {"made_from": predictions.attrs["record"]}


def explain(
    samples: pd.DataFrame,
    faces: Faces,
    predictions: pd.DataFrame,
    setting: Setting,
    *maps: Arrays,
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
    from contrastive_age.evaluation import gradcam, summary
    from contrastive_age.reporting.heatmaps import mean_maps

    explained = pd.concat(
        [summary.of_outputs(predictions, fold, arrays) for fold, arrays in enumerate(maps)],
        ignore_index=True,
    )
    all_maps = np.concatenate([arrays["maps"] for arrays in maps])
    ages = explained["age"].to_numpy()
    rows = rows_of(samples, faces, explained, setting.faces)
    attention = gradcam.summarise(all_maps, ages, setting.alignment.coverage)
    return (
        attention | {"made_from": predictions.attrs["record"]},
        mean_maps(all_maps, ages, faces[rows], setting.alignment.coverage),
    )


def draw(
    samples: pd.DataFrame,
    faces: Faces,
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
        "calibration": figures.calibration(metrics["calibration"]),
        "losses": figures.history_curves(history, asdict(setting.loss)),
        "faces_sheet": sheet,
    }
