r"""Intervals that hold the true age with a given probability, from the errors of other folds.

Cross-conformal prediction (Vovk, Cross-conformal predictors, 2015): the networks of all folds have
already predicted people they never saw, so that the sizes of the errors on the other folds tell
how far a prediction of this one can be off. Nothing is retrained. Images of one subject are not
independent, so a subject weighs one, shared among its images (Lee, Barber and Willett,
Distribution-free inference with hierarchical data, 2023). For a fold with calibration subjects
1..S, subject s with the absolute errors R_{s1}..R_{sn_s}, the radius is the smallest q with

    sum_s #{i : R_{si} <= q} / n_s  >=  level (S + 1)

The one added to S is the tested subject's own weight, which stands at infinity. If subjects were
exchangeable and one network, which saw none of them, had made all errors, an interval would hold
the age on a random image of a new subject with at least that probability. But each fold has its
own network, and those that made the calibration errors had the tested subjects in training: the
level is approximate, and `coverage` measures what came of it.

Where a subject has images in several folds, as under a random split, no intervals are given: the
networks knew the people whose errors would calibrate, so that these say nothing of a stranger.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import Floats, Ints, Mask, signed_errors
from contrastive_age.evaluation.seeds import match_samples
from contrastive_age.sources.ages import AGE_BINS, age_bin

LEVELS = (0.8, 0.95)

_ROUNDING = 1e-9
"""Relative: a sum of weights that should equal the weight needed can fall short by rounding."""


def subjects_apart(predictions: pd.DataFrame) -> bool:
    """Whether each subject has its images in one fold.

    Args:
        predictions: `identity, fold`, a row an image.
    """
    pairs = predictions[["identity", "fold"]].drop_duplicates()
    return len(pairs) == pairs["identity"].nunique()


def cross_conformal(predictions: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Give each image an interval of ages around its prediction.

    A fold is calibrated on the subjects of the others.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image, n rows.
        levels: Nominal coverages, between 0 and 1.

    Returns:
        `sample_id` in the order of the predictions, and for each level `low_<percent>` and
        `high_<percent>` in years, such as `low_80`. The lower end is cut at 0 years, which no age
        is below; an interval is [0, inf] where the calibration subjects are too few for the
        level (fewer than level / (1 - level)). `sample_id` alone where subjects are not apart.

    Raises:
        DataError: There are no predictions.
        ValueError: A prediction or an age is not finite, or a level is not between 0 and 1.
    """
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie between 0 and 1, not {list(levels)}")
    sizes = np.abs(signed_errors(predictions))
    if not subjects_apart(predictions):
        return predictions[["sample_id"]].reset_index(drop=True)
    subject, fold = (pd.factorize(predictions[name])[0] for name in ("identity", "fold"))
    radius = _radii(sizes, subject, fold, np.array(levels, dtype=np.float64))[fold]
    centre = predictions["predicted_age"].to_numpy(np.float64)
    columns: dict[str, Any] = {"sample_id": predictions["sample_id"].to_numpy()}
    for place, level in enumerate(levels):
        columns[f"low_{level_name(level)}"] = np.maximum(centre - radius[:, place], 0.0)
        columns[f"high_{level_name(level)}"] = centre + radius[:, place]
    return pd.DataFrame(columns)


def conformal_radii(
    predictions: pd.DataFrame, levels: Sequence[float] = LEVELS
) -> dict[str, float]:
    """Half the width of the intervals of a person who is in no fold, as of tomorrow's photo.

    The errors of all folds calibrate, as those of the other folds do in `cross_conformal`.

    Args:
        predictions: `identity, fold, age, predicted_age`, a row an image.
        levels: Nominal coverages, between 0 and 1.

    Returns:
        Years by the level in percent ("80"); infinite where the subjects are too few for it. None
        of them, so an empty mapping, where subjects are not apart.

    Raises:
        DataError: There are no predictions.
    """
    sizes = np.abs(signed_errors(predictions))
    if not subjects_apart(predictions):
        return {}
    subject, names = pd.factorize(predictions["identity"])
    # One fold more, which tests nobody of these and is calibrated on all.
    stranger = np.append(subject, len(names))
    fold = np.append(np.zeros(len(sizes), np.int64), 1)
    radii = _radii(np.append(sizes, np.inf), stranger, fold, np.array(levels, np.float64))[1]
    return {level_name(level): float(radius) for level, radius in zip(levels, radii, strict=True)}


def coverage(
    predictions: pd.DataFrame, intervals: pd.DataFrame, levels: Sequence[float] = LEVELS
) -> dict[str, dict[str, Any]] | None:
    """Measure how often the intervals hold the true age, and how wide they are.

    Args:
        predictions: `sample_id, identity, age`, a row an image.
        intervals: From `cross_conformal`, the same samples in any order.
        levels: Those to measure.

    Returns:
        For each level, keyed by its percentage ("80"), what JSON can hold: `coverage` (percent of
        images), `coverage_by_subject` (percent, each subject weighing one, which is what the
        level promises), `width` (mean, years), `infinite` (number of intervals without an upper
        end) and `by_age_bin`, for each of `AGE_BINS` its `n`, `coverage` and `width`. A width is
        None where any interval is infinite, and with the coverage where there is no image. None
        where there are no intervals, since subjects are not apart.

    Raises:
        DataError: The two tables do not hold the same samples, or none.
    """
    if predictions.empty:
        raise DataError("there are no predictions to measure the coverage of")
    rows = match_samples(
        predictions["sample_id"], intervals["sample_id"], "the predictions and the intervals"
    )
    if list(intervals) == ["sample_id"]:
        return None
    intervals = intervals.iloc[rows]
    age = predictions["age"].to_numpy(np.float64)
    bins = age_bin(age)
    parts = {name: np.asarray(bins == name) for name in AGE_BINS}
    measured = {}
    for level in levels:
        name = level_name(level)
        low = intervals[f"low_{name}"].to_numpy(np.float64)
        high = intervals[f"high_{name}"].to_numpy(np.float64)
        held = (low <= age) & (age <= high)
        by_subject = pd.Series(held).groupby(predictions["identity"].to_numpy()).mean()
        measured[name] = _summary(held, high - low) | {
            "coverage_by_subject": float(100.0 * by_subject.mean()),
            "infinite": int(np.isinf(high).sum()),
            "by_age_bin": {
                border: {"n": int(part.sum())} | _summary(held[part], (high - low)[part])
                for border, part in parts.items()
            },
        }
    return measured


def level_name(level: float) -> str:
    """A level in percent, as columns and keys name it: "80" for 0.8, "97.5" for 0.975."""
    return f"{100 * level:g}"


def _radii(sizes: Floats, subject: Ints, fold: Ints, levels: Floats) -> Floats:
    """Half the width of each fold's intervals.

    All errors are sorted once; a fold takes those of its calibration subjects out of them, still
    in order, so that K folds of n images cost n log n + K n.

    Args:
        sizes: Absolute errors in years, (n,).
        subject: Number of each row's subject, (n,).
        fold: Number of each row's fold, 0..K-1, (n,).
        levels: (m,) between 0 and 1.

    Returns:
        (K, m) years.
    """
    order = np.argsort(sizes, kind="stable")
    sizes, owner = sizes[order], subject[order]
    images = np.bincount(subject)
    # exact for what is kept, as a subject is kept with all its images or not at all
    weight = 1.0 / images[owner]
    # the subjects that each fold tests
    fold_of, member = np.divmod(np.unique(fold * len(images) + subject), len(images))
    tested = np.split(member, np.searchsorted(fold_of, np.arange(1, fold.max() + 1)))
    radii = np.empty((len(tested), len(levels)))
    for number, members in enumerate(tested):
        calibrates = np.ones(len(images), dtype=np.bool_)
        calibrates[members] = False
        kept = calibrates[owner]
        needed = levels * (calibrates.sum() + 1)
        places = np.searchsorted(np.cumsum(weight[kept]), needed * (1.0 - _ROUNDING))
        radii[number] = np.append(sizes[kept], np.inf)[places]
    return radii


def _summary(held: Mask, widths: Floats) -> dict[str, float | None]:
    if not held.size:
        return {"coverage": None, "width": None}
    width = float(widths.mean())
    return {
        "coverage": float(100.0 * held.mean()),
        "width": width if np.isfinite(width) else None,
    }
