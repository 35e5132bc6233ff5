"""How far a mean absolute error can be trusted: bootstrap intervals over subjects.

The images of one subject are alike, so that what varies from one data set to another is the
subjects: whole subjects are drawn, with all their images (the cluster bootstrap; Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Where each image is its own
subject this is the ordinary bootstrap over images. Errors are in years.

Several seeds of one setting are several tables of the same samples. The networks are taken as
they are: an interval tells of other subjects, their standard deviation over seeds of other
trainings.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.evaluation.seeds import Tables, average_over_seeds

LEVEL = 0.95
RESAMPLES = 2000

_DRAWN_AT_ONCE = 2**20
"""Subjects drawn in one batch of resamples: at 24 bytes each, 25 MB."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval in years, both ends included."""

    low: float
    high: float


def mae_interval(
    predictions: Tables, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Give the interval of the MAE over all images at once.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image; of several
            seeds, the interval is that of the mean of their MAEs.
        level: Confidence, between 0 and 1.
        resamples: How often as many subjects as there are get drawn with replacement.
        seed: Of the draws. Equal predictions, in any order, have equal intervals.

    Returns:
        The percentile interval; None for a single subject, whose spread nothing tells.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite, or `level` is not between 0 and 1.
    """
    errors = average_over_seeds(predictions)
    return mean_interval(errors["identity"], errors["absolute_error"], level, resamples, seed)


def without_leaks(predictions: pd.DataFrame, leaking: Collection[str]) -> dict[str, Any]:
    """Give the error over the images that do not leak, beside the one over all.

    Args:
        predictions: As for `mae_interval`, of one seed.
        leaking: `sample_id`s whose subject or copy is in training (`leaking_samples` in
            leakage.json).

    Returns:
        What JSON can hold: `n` (images that do not leak), `leaked_images`, `mae` in years, None
        where all leak, and `mae_interval`, its two ends, None for fewer than two subjects.

    Raises:
        DataError: There are no predictions.
        ValueError: A prediction or an age is not finite.
    """
    errors = average_over_seeds(predictions)
    sound = errors[~errors["sample_id"].isin(leaking)]
    interval = mean_interval(sound["identity"], sound["absolute_error"])
    return {
        "n": len(sound),
        "leaked_images": len(errors) - len(sound),
        "mae": float(sound["absolute_error"].mean()) if len(sound) else None,
        "mae_interval": None if interval is None else [interval.low, interval.high],
    }


def mean_interval(
    identity: pd.Series,
    values: pd.Series,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Give the percentile bootstrap interval of a mean over images, subjects drawn as a whole.

    A resample's mean is the sum of the drawn subjects' sums over the sum of their numbers of
    images, so that two numbers a subject are all that is drawn.

    Args:
        identity: Of each image, shape (n,).
        values: Of each image, such as absolute errors in years, shape (n,).
        level: Confidence, between 0 and 1.
        resamples: How often the subjects are drawn.
        seed: Of the draws.

    Returns:
        The interval in the values' unit, or None for fewer than two subjects.

    Raises:
        ValueError: `level` is not between 0 and 1, or `resamples` is below 1.
    """
    # scipy.stats takes most of a second to import
    from scipy.stats import bootstrap

    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"no interval of level {level} from {resamples} resamples")
    # in the order of names: the draws then do not depend on the order of rows
    subject, names = pd.factorize(identity, sort=True)
    if len(names) < 2:
        return None
    counts = np.bincount(subject)
    sums = np.bincount(subject, weights=values.to_numpy(np.float64))
    ends = bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, _DRAWN_AT_ONCE // len(names)),
        rng=seed,
    ).confidence_interval
    return Interval(float(ends.low), float(ends.high))
