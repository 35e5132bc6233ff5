"""What predictions are worth: mean absolute error, cumulative score, and their spread.

Errors are signed, predicted minus true age, in years. Shares of images are in percent (0 to 100).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_BINS, age_bin
from contrastive_age.training.recipe import TEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CS_YEARS = tuple(range(1, 11))
"""The tolerances, in years, at which the cumulative score is reported."""

_SHOWN = 5


def signed_errors(predictions: pd.DataFrame) -> Floats:
    """Predicted minus true age in years, shape (n,).

    Raises:
        DataError: There are no predictions.
        ValueError: A prediction or an age is not finite.
    """
    if predictions.empty:
        raise DataError(
            "there are no predictions to judge or to draw; train and evaluate a fold first"
        )
    errors = (predictions["predicted_age"] - predictions["age"]).to_numpy(dtype=np.float64)
    if not np.isfinite(errors).all():
        raise ValueError("a prediction or an age is NaN or infinite")
    return errors


def cumulative_score(errors: npt.ArrayLike, thresholds: npt.ArrayLike) -> Floats:
    r"""Share of images whose error is within each threshold.

    CS(t) = 100 / N * #{i : |e_i| <= t}

    Args:
        errors: Errors in years, signed or not, shape (n,), n > 0.
        thresholds: Tolerances in years, shape (m,), in any order.

    Returns:
        Percent, shape (m,).

    Raises:
        ValueError: There is no error to count.
    """
    sizes = np.sort(np.abs(np.asarray(errors, dtype=np.float64)))
    if not sizes.size:
        raise ValueError("a cumulative score needs at least one error")
    within = np.searchsorted(sizes, np.asarray(thresholds, dtype=np.float64), side="right")
    return np.asarray(100.0 * within / sizes.size, dtype=np.float64)


def summarise(predictions: pd.DataFrame, mae_constant: float) -> dict[str, Any]:
    r"""Sum up the predictions of all folds of one setting.

    The headline is the paper's Eq. 8 over all images at once, MAE = 1/N sum_i |\hat y_i - y_i|.
    Averaging over subjects first gives another number, because subjects have different numbers
    of images; it stands beside it.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age, predicted_std`, a row an image.
        mae_constant: MAE in years, over the same images, of predicting a constant that was fitted
            to each fold's training part.

    Returns:
        Values that JSON can hold, errors in years and shares in percent: `mae`, `mae_by_subject`
        (mean over subjects of the subject's MAE), `mae_by_age` (mean over the ages that occur of
        the MAE at that age, so that a rare age weighs as much as a frequent one), `mae_constant`,
        `bias` (mean signed error), `cs5`, `cs` ("1" to "10"), `n`, `folds`, `subjects`, `age_bins`
        (for each of `AGE_BINS` its `n`, `mae` and `bias`, the latter two None when it is empty) and
        `fold_mae` (`mean`, `std` with K - 1 in the denominator and None for a single fold, `values`
        by fold).

    Raises:
        DataError: There are no predictions.
        ValueError: A prediction, an age or `mae_constant` is not finite.
    """
    if not math.isfinite(mae_constant):
        raise ValueError(f"the constant predictor's MAE is {mae_constant}, not a finite number")
    errors = signed_errors(predictions)
    sizes = pd.Series(np.abs(errors), index=predictions.index)
    shares = cumulative_score(errors, CS_YEARS).tolist()
    scores = {str(years): share for years, share in zip(CS_YEARS, shares, strict=True)}
    return {
        "mae": float(sizes.mean()),
        "mae_by_subject": mean_of_means(sizes, predictions["identity"]),
        "mae_by_age": mean_of_means(sizes, predictions["age"]),
        "mae_constant": float(mae_constant),
        "bias": float(errors.mean()),
        "cs5": scores["5"],
        "cs": scores,
        "n": len(predictions),
        "folds": int(predictions["fold"].nunique()),
        "subjects": int(predictions["identity"].nunique()),
        "age_bins": _by_age_bin(predictions["age"], errors),
        "fold_mae": _by_fold(predictions["fold"], sizes),
    }


def picked_on_test(histories: Sequence[pd.DataFrame], sizes: Sequence[int]) -> float | None:
    """Say what picking each fold's best epoch on its test part would have claimed.

    It is no error of any network that was chosen honestly: the number is there to be held against
    results that were picked so.

    Args:
        histories: Of each fold; where the test part was watched, with its error (`test_mae`).
        sizes: Tested images of each fold.

    Returns:
        The smallest error of any epoch, over all images of all folds, in years; None where a fold
        was not watched.
    """
    if not all(TEST in history for history in histories):
        return None
    smallest = [float(history[TEST].min()) for history in histories]
    return float(np.average(smallest, weights=sizes))


def no_better(metrics: Mapping[str, Any]) -> str:
    """Say that networks err as a constant does, or more; empty where they err less.

    Args:
        metrics: `mae` and `mae_constant` in years, and where it is known `constant_interval`, the
            ends of the interval of their difference: one that holds 0 tells of neither.
    """
    difference = metrics["mae"] - metrics["mae_constant"]
    low, high = metrics.get("constant_interval") or (difference, difference)
    if low <= 0 <= high:
        return "cannot be told from a constant: train longer"
    return "worse than a constant: train longer" if difference > 0 else ""


def mean_of_means(values: pd.Series, parts: pd.Series) -> float:
    """Average a value over each part, such as an age, and the parts' means, each weighing one.

    Args:
        values: Of each image, shape (n,).
        parts: The part of each image, of the same index.
    """
    return float(values.groupby(parts).mean().mean())


def check_predictions(predictions: pd.DataFrame, folds: pd.DataFrame) -> None:
    """Make sure that every sample was predicted exactly once, in the fold that tests it.

    Args:
        predictions: `sample_id, fold, age, predicted_age, predicted_std`.
        folds: `sample_id, fold, age`, one row a sample.

    Raises:
        DataError: Samples are missing, unknown, repeated, in another fold, of another age, or
            predicted as a number that is not finite. All complaints are in the one message, each
            with its count and the first few samples.
    """
    ids = predictions["sample_id"]
    wanted = folds["sample_id"]
    row = pd.Index(wanted).get_indexer(pd.Index(ids))
    known = row >= 0
    assigned, listed = predictions[known], folds.iloc[row[known]]
    values = predictions[["predicted_age", "predicted_std"]].to_numpy(dtype=np.float64)
    faults = {
        "without a prediction": wanted[np.bincount(row[known], minlength=len(folds)) == 0],
        "predicted but in no fold": ids[~known],
        "predicted more than once": ids[ids.duplicated()],
        "predicted in another fold than their own": ids[known][
            assigned["fold"].to_numpy() != listed["fold"].to_numpy()
        ],
        "with another age than in the folds": ids[known][
            assigned["age"].to_numpy() != listed["age"].to_numpy()
        ],
        "with a prediction that is not finite": ids[~np.isfinite(values).all(axis=1)],
    }
    complaints = [
        f"{names.nunique()} {what} ({first_few(names.unique())})"
        for what, names in faults.items()
        if len(names)
    ]
    if complaints:
        raise DataError(
            f"the predictions do not cover the {len(folds)} samples of the folds exactly once: "
            f"{'; '.join(complaints)}. Run the folds concerned again, training and evaluation"
        )


def _by_age_bin(ages: pd.Series, errors: Floats) -> dict[str, dict[str, Any]]:
    bins = age_bin(ages)
    parts = {name: errors[np.asarray(bins == name)] for name in AGE_BINS}
    return {
        name: {
            "n": len(part),
            "mae": float(np.abs(part).mean()) if len(part) else None,
            "bias": float(part.mean()) if len(part) else None,
        }
        for name, part in parts.items()
    }


def _by_fold(folds: pd.Series, sizes: pd.Series) -> dict[str, Any]:
    values = sizes.groupby(folds).mean()
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "values": {str(fold): float(mae) for fold, mae in values.items()},
    }


def first_few(names: Sequence[str] | pd.Index) -> str:
    """A few of the names, for a message."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
