r"""How far a mean over images, or a share of them, can be trusted: intervals over subjects.

The images of one subject are alike, so that what varies from one data set to another is the
subjects. With their sums S_m and numbers of images n_m, a mean over N images is the ratio
R = sum_m S_m / N, and what a subject does to it is u_m = S_m - R n_m. Its variance is

    V = 1/N^2 sum_m u_m^2 / (1 - n_m/N),

which is unbiased where images are independent (CR2; Bell and McCaffrey, Survey Methodology 28(2),
2002). The interval is R -+ t sqrt(V) with Satterthwaite's degrees of freedom of V under the same
model: M - 1 for M subjects with as many images each, fewer where some have many more than others.
Where each image is its own subject this is the ordinary t interval.

Shares have intervals of their own, since near 0% and 100% their spread says nothing (Korn and
Graubard, Survey Methodology 24(2), 1998). Fewer than `FEWEST_SUBJECTS` subjects have none: an
interval from two or three holds the true value by its sheer width.

Several seeds of one setting are several tables of the same samples. The networks are taken as
they are: an interval tells of other subjects, their standard deviation over seeds of other
trainings.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.evaluation.metrics import CS_YEARS, Floats, Ints, signed_errors
from contrastive_age.evaluation.seeds import Tables, align_seeds, average_over_seeds

LEVEL = 0.95

FEWEST_SUBJECTS = 4
"""Of fewer subjects no interval is given."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in years of an error or percent of a share, both ends included."""

    low: float
    high: float


def ends(interval: Interval | None) -> list[float] | None:
    """The two ends, as JSON holds them."""
    return None if interval is None else [interval.low, interval.high]


def mae_interval(predictions: Tables, level: float = LEVEL) -> Interval | None:
    """Give the interval of the MAE over all images at once.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image; of several
            seeds, the interval is that of the mean of their MAEs.
        level: Confidence, between 0 and 1.

    Returns:
        The interval in years; None for fewer than `FEWEST_SUBJECTS`.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite, or `level` is not between 0 and 1.
    """
    errors = average_over_seeds(predictions)
    return mean_interval(errors["identity"], errors["absolute_error"], level, least=0.0)


def mae_intervals_by_fold(
    predictions: pd.DataFrame, level: float = LEVEL
) -> dict[str, list[float] | None]:
    """Give the two ends of the interval of each fold's MAE, None where `mae_interval` gives none.

    Args:
        predictions: As for `mae_interval`, of one seed.
        level: Confidence, between 0 and 1.
    """
    return {
        str(fold): ends(mae_interval(part, level)) for fold, part in predictions.groupby("fold")
    }


def cs_intervals(predictions: Tables, level: float = LEVEL) -> dict[str, list[float] | None]:
    """Give the two ends of the interval of the cumulative score at each of `CS_YEARS`.

    Args:
        predictions: As for `mae_interval`; of several seeds, the intervals are those of the means
            of their scores.
        level: Confidence, between 0 and 1.

    Returns:
        Percent, by years ("1" to "10"); None for fewer than `FEWEST_SUBJECTS`.

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite, or `level` is not between 0 and 1.
    """
    tables = align_seeds(predictions)
    sizes = np.abs([signed_errors(table) for table in tables])
    return {
        str(years): ends(
            share_interval(tables[0]["identity"], (sizes <= years).mean(axis=0), level)
        )
        for years in CS_YEARS
    }


def without_leaks(predictions: pd.DataFrame, leaking: Collection[str]) -> dict[str, Any]:
    """Give the error over the images that do not leak, beside the one over all.

    Args:
        predictions: As for `mae_interval`, of one seed.
        leaking: `sample_id`s whose subject or copy is in training (`leaking_samples` in
            leakage.json).

    Returns:
        What JSON can hold: `n` (images that do not leak), `leaked_images`, `mae` in years, None
        where all leak, and `mae_interval`, its two ends, None for fewer than `FEWEST_SUBJECTS`.

    Raises:
        DataError: There are no predictions.
        ValueError: A prediction or an age is not finite.
    """
    errors = average_over_seeds(predictions)
    sound = errors[~errors["sample_id"].isin(leaking)]
    return {
        "n": len(sound),
        "leaked_images": len(errors) - len(sound),
        "mae": float(sound["absolute_error"].mean()) if len(sound) else None,
        "mae_interval": ends(mean_interval(sound["identity"], sound["absolute_error"], least=0.0)),
    }


def mean_interval(
    identity: npt.ArrayLike,
    values: npt.ArrayLike,
    level: float = LEVEL,
    least: float = -math.inf,
) -> Interval | None:
    """Give the interval of a mean over images.

    Args:
        identity: Of each image, shape (n,).
        values: Of each image, such as absolute errors in years, shape (n,).
        level: Confidence, between 0 and 1.
        least: What no mean can be below, such as 0 of absolute errors: the lower end is cut there.

    Returns:
        The interval in the values' unit; None for fewer than `FEWEST_SUBJECTS`.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    sums, counts = _by_subject(identity, values)
    _check(level)
    if len(counts) < FEWEST_SUBJECTS:
        return None
    low, high = mean_ends(sums, counts, level)
    return Interval(max(float(low), least), float(high))


def share_interval(
    identity: npt.ArrayLike, held: npt.ArrayLike, level: float = LEVEL
) -> Interval | None:
    """Give the interval of a share of images.

    Args:
        identity: Of each image, shape (n,).
        held: Whether it is one of them, or in which share of the seeds (0 to 1), shape (n,).
        level: Confidence, between 0 and 1.

    Returns:
        The interval in percent; None for fewer than `FEWEST_SUBJECTS`.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    sums, counts = _by_subject(identity, held)
    _check(level)
    if len(counts) < FEWEST_SUBJECTS:
        return None
    low, high = share_ends(sums, counts, level)
    return Interval(100.0 * float(low), 100.0 * float(high))


def mean_ends(sums: Floats, counts: Ints, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Give the ends of the interval of a mean, from sums and numbers of images of the subjects.

    Args:
        sums: Of the values of each subject's images, shape (..., M).
        counts: Numbers of images, at least 1 each, shape (..., M), M > 1.
        level: Confidence, between 0 and 1.

    Returns:
        Lower and upper ends, shape (...).
    """
    mean, variance, freedom = _clustered(sums, counts)
    half = _quantile(freedom, level) * np.sqrt(variance)
    return mean - half, mean + half


def share_ends(sums: Floats, counts: Ints, level: float = LEVEL) -> tuple[Floats, Floats]:
    r"""Give the ends of the interval of a share, as Korn and Graubard do.

    The interval is Clopper and Pearson's for as many independent images as would leave the share p
    its variance V, p(1 - p)/V, times (t_{N-1} / t_df)^2 for the degrees of freedom, at most N. At 0
    and 100% V is 0: each subject counts as one image. Such a share bounds all others, since to have
    seen one such image tells no less of them than to have seen none.

    Args:
        sums: Of what `share_interval` takes of each subject's images, shape (..., M).
        counts: Numbers of images, at least 1 each, shape (..., M), M > 1.
        level: Confidence, between 0 and 1.

    Returns:
        Lower and upper ends between 0 and 1, shape (...).
    """
    from scipy.special import betaincinv

    share, variance, freedom = _clustered(sums, counts)
    images, subjects = counts.sum(axis=-1), counts.shape[-1]
    few = (_quantile(images - 1.0, level) / _quantile(freedom, level)) ** 2
    tail = (1.0 - level) / 2.0
    never = 1.0 - tail ** (1.0 / subjects)
    with np.errstate(divide="ignore", invalid="ignore"):
        independent = np.minimum(images, few * share * (1.0 - share) / variance)
        effective = np.where((share > 0) & (share < 1), independent, subjects)
        seen, other = share * effective, (1.0 - share) * effective
        low = np.where(seen > 0, betaincinv(seen, other + 1.0, tail), 0.0)
        high = np.where(other > 0, betaincinv(seen + 1.0, other, 1.0 - tail), 1.0)
    return np.minimum(low, 1.0 - never), np.maximum(high, never)


def _clustered(sums: Floats, counts: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean over images, its variance over subjects, and the degrees of freedom of that."""
    images = counts.sum(axis=-1, keepdims=True)
    mean = sums.sum(axis=-1, keepdims=True) / images
    part = counts / images
    variance = (((sums - mean * counts) / images) ** 2 / (1.0 - part)).sum(axis=-1)
    return mean[..., 0], variance, degrees_of_freedom(part)


def degrees_of_freedom(part: Floats) -> Floats:
    """Satterthwaite's of the variance over clusters, see the module.

    Args:
        part: Of all images in each cluster, with the sum 1, shape (..., M), M > 1.

    Returns:
        Shape (...): M - 1 where all are equal, fewer where some are much larger than others.
    """
    # tr(G)^2 / tr(G^2), where G is the covariance of u_m / sqrt(1 - n_m/N) for independent images
    # of equal variance: n_m within a subject, between two the product of -n_m / sqrt(N - n_m) of
    # each, so that the sum over pairs is one of products
    scaled = part**2 / (1.0 - part)
    between = scaled.sum(axis=-1) ** 2 - (scaled**2).sum(axis=-1)
    return np.asarray(1.0 / ((part**2).sum(axis=-1) + between), dtype=np.float64)


def _quantile(freedom: Floats, level: float) -> Floats:
    """Of Student's t: what its size stays below with this probability."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, (1.0 + level) / 2.0), dtype=np.float64)


def _by_subject(identity: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Each subject's sum and number of images, by name: sums do not depend on subjects' order."""
    # no image is dropped without a word: those without an identity are one subject
    table = pd.Series(np.asarray(values, dtype=np.float64))
    by_subject = table.groupby(np.asarray(identity), dropna=False)
    sums, counts = by_subject.sum(), by_subject.size()
    return np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.int64)


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"no interval of level {level}")
