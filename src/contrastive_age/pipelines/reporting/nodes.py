"""Metrics, tables and figures of one setting."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.evaluation import metrics as measures
from contrastive_age.params import Effective
from contrastive_age.pipelines.alignment.nodes import rows_of


def summarise(
    predictions: pd.DataFrame, leakage: dict[str, Any], audit: dict[str, Any], setting: Effective
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure the predictions and lay them beside what needs no network.

    Args:
        predictions: All folds' predictions.
        leakage: The protocol's leakage report, with the baselines.
        audit: The source's audit.
        setting: The protocol's effective values.

    Returns:
        metrics.json, and the same as a table of quantities and values.
    """
    from contrastive_age.reporting.tables import preview_table

    found = measures.summarise(predictions, mae_constant=leakage["mae_constant"])
    found |= {
        "protocol": setting.protocol,
        "setting": setting.setting,
        "key": setting.key,
        "mae_lookup": leakage["mae_lookup"],
        "leaked_share": leakage["leaked_share"],
        "manifest_hash": audit["manifest_hash"],
        "parameters": setting.model_dump(mode="json"),
    }
    return found, preview_table(found, leakage)


def draw(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    *histories: pd.DataFrame,
) -> dict[str, Any]:
    """Draw the figures of a setting.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        predictions: All folds' predictions.
        metrics: metrics.json.
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
        faces[rows_of(samples, faces, shown)],
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
