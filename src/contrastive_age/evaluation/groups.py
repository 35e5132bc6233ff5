"""For whom predictions are better or worse: by age, by sex, by race, and at the ages laws name.

Errors are in years, shares in percent. Several seeds of one setting may be given at once: each
number is then the mean over them, and an interval that of this mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import LEVEL, RESAMPLES, mean_interval
from contrastive_age.evaluation.metrics import first_few
from contrastive_age.evaluation.seeds import Tables, align_seeds, average_over_seeds
from contrastive_age.sources.ages import age_bin

UNKNOWN = "unknown"
"""The group of images of which the data set does not tell one."""

AGE_THRESHOLDS = (18, 21, 25)
"""Ages in years at which the law or its margin of error begins to matter."""


def by_group(
    predictions: Tables,
    groups: pd.Series | pd.Categorical | npt.ArrayLike,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure the error of each group of images, with intervals over the group's subjects.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image, n rows.
        groups: The group of each row of the (first) predictions, by position, shape (n,); missing
            values make the group "unknown". Categories that no image has are listed as well.
        level: Confidence of the intervals, between 0 and 1.
        resamples: How often the subjects are drawn.
        seed: Of the draws.

    Returns:
        A row a group, categories in their order and other groups by name, "unknown" last: `group`
        (str), `n` images, `subjects`, `mae`, `mae_low`, `mae_high` and `bias` (mean of predicted
        minus true age). The ends are None for a single subject, all four without an image.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: There is not one group a row, or a prediction or an age is not finite.
    """
    errors = average_over_seeds(predictions)
    labels, names = _labels(groups)
    if len(labels) != len(errors):
        raise ValueError(f"{len(labels)} groups for {len(errors)} predictions")
    rows = []
    for name in names:
        part = errors[labels == name]
        interval = mean_interval(part["identity"], part["absolute_error"], level, resamples, seed)
        rows.append(
            {
                "group": name,
                "n": len(part),
                "subjects": int(part["identity"].nunique()),
                "mae": _mean(part["absolute_error"]),
                "mae_low": interval.low if interval else None,
                "mae_high": interval.high if interval else None,
                "bias": _mean(part["error"]),
            }
        )
    return rows


def group_report(
    predictions: Tables,
    samples: pd.DataFrame,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """Measure the error by everything that is known of the people.

    Args:
        predictions: As for `by_group`.
        samples: `sample_id` and, where the source tells, `sex` and `race`; it may hold more
            samples than were predicted.
        level: Confidence of the intervals, between 0 and 1.
        resamples: How often the subjects are drawn.
        seed: Of the draws.

    Returns:
        What `by_group` gives for "age_bin" (the paper's four, also the empty ones), and for "sex"
        and "race" where at least one predicted sample has one.

    Raises:
        DataError: As for `by_group`, or `samples` lacks a predicted sample.
        ValueError: A prediction or an age is not finite.
    """
    tables = align_seeds(predictions)
    known = _labels_of(tables[0], samples)
    groups = {"age_bin": pd.Series(age_bin(tables[0]["age"]))} | {
        column: known[column]
        for column in ("sex", "race")
        if column in known and known[column].notna().any()
    }
    return {
        name: by_group(tables, values, level, resamples, seed) for name, values in groups.items()
    }


def age_thresholds(
    predictions: Tables, thresholds: Sequence[int] = AGE_THRESHOLDS
) -> list[dict[str, Any]]:
    """Count who is taken for old enough and is not, and the reverse.

    A prediction is not rounded: 17.9 years is under 18.

    Args:
        predictions: `sample_id, identity, age, predicted_age`, a row an image.
        thresholds: Ages T in years.

    Returns:
        A row a threshold: `age` (T), `under_n` (images of true age < T), `under_predicted_over`
        (percent of them that are predicted >= T), `over_n` and `over_predicted_under` (percent of
        those of true age >= T that are predicted < T). A share of no image is None.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite.
    """
    tables = align_seeds(predictions)
    age = tables[0]["age"].to_numpy(np.float64)
    predicted = np.stack([table["predicted_age"].to_numpy(np.float64) for table in tables])
    if not (np.isfinite(age).all() and np.isfinite(predicted).all()):
        raise ValueError("a prediction or an age is NaN or infinite")
    return [
        {
            "age": years,
            "under_n": int((age < years).sum()),
            "under_predicted_over": _mean(predicted[:, age < years] >= years, 100.0),
            "over_n": int((age >= years).sum()),
            "over_predicted_under": _mean(predicted[:, age >= years] < years, 100.0),
        }
        for years in thresholds
    ]


def _mean(values: pd.Series | npt.NDArray[np.bool_], unit: float = 1.0) -> float | None:
    return float(unit * values.mean()) if values.size else None


def _labels(
    groups: pd.Series | pd.Categorical | npt.ArrayLike,
) -> tuple[npt.NDArray[np.object_], list[str]]:
    """Groups as text, and their names in the order of the report."""
    values = pd.Series(groups).reset_index(drop=True)
    labels = values.astype(object).where(values.notna(), UNKNOWN).map(str).to_numpy(object)
    present = set(labels)
    if isinstance(values.dtype, pd.CategoricalDtype):
        names = [str(name) for name in values.cat.categories]
    else:
        names = sorted(present - {UNKNOWN})
    return labels, names + ([UNKNOWN] if UNKNOWN in present - set(names) else [])


def _labels_of(predictions: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    ids = predictions["sample_id"]
    missing = ids[~ids.isin(samples["sample_id"])].tolist()
    if missing:
        raise DataError(
            f"{len(missing)} predicted samples are not in the samples table "
            f"({first_few(missing)}): both must come from the same source"
        )
    return samples.set_index("sample_id").loc[ids].reset_index()
