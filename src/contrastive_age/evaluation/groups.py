"""For whom predictions are better or worse: by age, by sex, by race, and at the ages laws name.

Errors are in years, shares in percent. Several seeds of one setting may be given at once: each
number is then the mean over them, and an interval that of this mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import LEVEL, mean_interval, share_interval
from contrastive_age.evaluation.metrics import Floats, Mask, first_few
from contrastive_age.evaluation.seeds import Tables, align_seeds, average_over_seeds
from contrastive_age.provenance import table_digest
from contrastive_age.sources.ages import age_bin, decade

UNKNOWN = "unknown"
"""The group of images of which the data set does not tell one."""

AGE_THRESHOLDS = (18, 21, 25)
"""Ages in years at which the law or its margin of error begins to matter."""

_OLDER_SHARE = 100
_OLDER_YEARS = 5.0


def by_group(
    predictions: Tables,
    groups: pd.Series | pd.Categorical | npt.ArrayLike,
    level: float = LEVEL,
) -> list[dict[str, Any]]:
    """Measure the error of each group of images, with intervals over the group's subjects.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image, n rows.
        groups: The group of each row of the (first) predictions, by position, shape (n,); missing
            values make the group "unknown". Categories that no image has are listed as well.
        level: Confidence of the intervals, between 0 and 1.

    Returns:
        A row a group, categories in their order and other groups by name, "unknown" last: `group`
        (str), `n` images, `subjects`, `mae`, `mae_low`, `mae_high` and `bias` (mean of predicted
        minus true age). The ends are None for fewer than
        `FEWEST_SUBJECTS`, and without an image `mae` and `bias`, too.

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
        interval = mean_interval(part["identity"], part["absolute_error"], level, least=0.0)
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
    predictions: Tables, samples: pd.DataFrame | None = None, level: float = LEVEL
) -> dict[str, list[dict[str, Any]]]:
    """Measure the error by everything that is known of the people.

    Args:
        predictions: As for `by_group`.
        samples: `sample_id` and, where the source tells, `sex` and `race`; it may hold more
            samples than were predicted. None where nothing is known but the ages.
        level: Confidence of the intervals, between 0 and 1.

    Returns:
        What `by_group` gives for "age_bin" (the paper's four, also the empty ones), for "decade"
        (0-9 to 60-69 at least), and for "sex" and "race" where at least one predicted sample has
        one.

    Raises:
        DataError: As for `by_group`, or `samples` lacks a predicted sample.
        ValueError: A prediction or an age is not finite.
    """
    tables = align_seeds(predictions)
    ages = tables[0]["age"]
    groups = {"age_bin": pd.Series(age_bin(ages)), "decade": pd.Series(decade(ages))}
    if samples is not None:
        known = _labels_of(tables[0], samples)
        groups |= {
            column: known[column]
            for column in ("sex", "race")
            if column in known and known[column].notna().any()
        }
    return {name: by_group(tables, values, level) for name, values in groups.items()}


def labels_digest(samples: pd.DataFrame, tested: pd.Series) -> str:
    """Name what is known of the sex and race of tested samples, in 16 hexadecimal digits.

    Args:
        samples: As for `group_report`.
        tested: `sample_id` of those that count.
    """
    labels = [name for name in ("sample_id", "sex", "race") if name in samples]
    known = samples.loc[samples["sample_id"].isin(tested), labels]
    return table_digest(known.astype(object).fillna(""))


def age_thresholds(
    predictions: Tables, thresholds: Sequence[int] = AGE_THRESHOLDS, level: float = LEVEL
) -> list[dict[str, Any]]:
    """Count who is taken for old enough and is not, and the reverse.

    A prediction is not rounded: 17.9 years is under 18.

    Args:
        predictions: `sample_id, identity, age, predicted_age`, a row an image.
        thresholds: Ages T in years.
        level: Confidence of the intervals, between 0 and 1.

    Returns:
        A row a threshold: `age` (T), `under_n` images of true age < T of `under_subjects`,
        `under_predicted_over` (percent of them that are predicted >= T), `under_low` and
        `under_high` (the ends of its interval); in the same way `over_n`, `over_subjects`,
        `over_predicted_under` (percent of those of true age >= T that are predicted < T),
        `over_low` and `over_high`. A share of no image is None, and so are the ends for fewer than
        `FEWEST_SUBJECTS`.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite.
    """
    tables = align_seeds(predictions)
    age = tables[0]["age"].to_numpy(np.float64)
    predicted = np.stack([table["predicted_age"].to_numpy(np.float64) for table in tables])
    if not (np.isfinite(age).all() and np.isfinite(predicted).all()):
        raise ValueError("a prediction or an age is NaN or infinite")

    def shares(side: str, share: str, chosen: Mask, wrong: Mask) -> dict[str, Any]:
        identity, held = tables[0]["identity"][chosen], wrong[:, chosen].mean(axis=0)
        interval = share_interval(identity, held, level)
        return {
            f"{side}_n": len(held),
            f"{side}_subjects": int(identity.nunique()),
            share: _mean(held, 100.0),
            f"{side}_low": interval.low if interval else None,
            f"{side}_high": interval.high if interval else None,
        }

    return [
        {"age": years}
        | shares("under", "under_predicted_over", age < years, predicted >= years)
        | shares("over", "over_predicted_under", age >= years, predicted < years)
        for years in thresholds
    ]


def predicted_range(predictions: Tables) -> dict[str, Any]:
    """Say how far the predicted ages reach, and how many people are older than any of them.

    Args:
        predictions: `sample_id, identity, age, predicted_age`, a row an image; of several seeds the
            lowest and the highest of all.

    Returns:
        `lowest` and `highest` predicted age, `oldest` true age (years), `n` images, and of how many
        of them (`older_n`) the true age is above the highest prediction.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
    """
    tables = align_seeds(predictions)
    age = tables[0]["age"]
    predicted = np.stack([table["predicted_age"] for table in tables])
    return {
        "lowest": float(predicted.min()),
        "highest": float(predicted.max()),
        "oldest": float(age.max()),
        "n": len(age),
        "older_n": int((age > predicted.max()).sum()),
    }


def tail_words(reached: Mapping[str, Any] | None) -> str:
    """Say which ages are never predicted, where predictions end clearly short of the true ages.

    They do where at least one image in `_OLDER_SHARE` is of someone older than all predictions, and
    the oldest is so by `_OLDER_YEARS`: a mean over ages never reaches the very oldest.

    Args:
        reached: As `predicted_range` gives it; None where it was not measured.

    Returns:
        A sentence; empty where predictions do not end short.
    """
    if not reached:
        return ""
    older, n, highest = reached["older_n"], reached["n"], reached["highest"]
    if older * _OLDER_SHARE < n or reached["oldest"] - highest < _OLDER_YEARS:
        return ""
    return (
        f"No one is predicted above {highest:.1f} years, though the people on {older:,} of {n:,} "
        f"images are older, up to {reached['oldest']:.0f} years."
    )


def _mean(values: pd.Series | Floats, unit: float = 1.0) -> float | None:
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
