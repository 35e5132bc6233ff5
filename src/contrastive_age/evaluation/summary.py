"""All that is measured of a setting's predictions, put together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.evaluation import metrics
from contrastive_age.evaluation.bootstrap import mae_interval
from contrastive_age.evaluation.conformal import coverage, cross_conformal
from contrastive_age.evaluation.groups import age_thresholds, group_report
from contrastive_age.evaluation.identity import measure_fold, pool

Arrays = dict[str, npt.NDArray[Any]]


def measure(
    predictions: pd.DataFrame, samples: pd.DataFrame, mae_constant: float, *, calibrate: bool
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure predictions: errors with intervals, by group, at legal ages; predictive intervals.

    Args:
        predictions: Of all folds.
        samples: The source's samples, which say who is of which sex and race.
        mae_constant: MAE in years of a constant fitted to each fold's training part.
        calibrate: Whether predictive intervals are made. Not on validation parts, where a sample
            can be predicted in several folds, so that no fold calibrates another, nor where copies
            are trained on and tested.

    Returns:
        What `metrics.json` holds of them, and the intervals (no rows where there are none).
    """
    interval = mae_interval(predictions)
    intervals = cross_conformal(predictions) if calibrate else predictions[["sample_id"]].iloc[:0]
    found = metrics.summarise(predictions, mae_constant=mae_constant) | {
        "mae_interval": None if interval is None else [interval.low, interval.high],
        "groups": group_report(predictions, samples),
        "thresholds": age_thresholds(predictions),
        "conformal": coverage(predictions, intervals) if calibrate else None,
    }
    return found, intervals


def measure_identity(
    predictions: pd.DataFrame, outputs: Sequence[Arrays], ages: npt.NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Measure how much of the identity is left in what the networks give.

    Args:
        predictions: Of all folds.
        outputs: `sample_id`, `features` and `logits` of each fold, from the first.
        ages: The age of each class in years, (A,).
        seed: Of the probes.

    Returns:
        What `identity.json` holds.
    """
    parts = (of_outputs(predictions, fold, own) for fold, own in enumerate(outputs))
    return pool(
        [
            measure_fold(
                part["identity"].to_numpy(),
                part["age"].to_numpy(),
                own["features"],
                own["logits"],
                ages,
                seed=seed,
            )
            for part, own in zip(parts, outputs, strict=True)
        ]
    )


def of_outputs(predictions: pd.DataFrame, fold: int, outputs: Arrays) -> pd.DataFrame:
    """The predictions of a fold in the order of its outputs.

    Args:
        predictions: Of all folds.
        fold: The fold.
        outputs: With `sample_id`.
    """
    own = predictions[predictions["fold"] == fold].set_index("sample_id")
    return own.loc[outputs["sample_id"]].reset_index()
