"""How far a mean absolute error can be trusted: bootstrap intervals over subjects.

The images of one subject are alike, so that what varies from one data set to another is the
subjects: whole subjects are drawn, with all their images (the cluster bootstrap; Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Where each image is its own
subject this is the ordinary bootstrap over images. Errors are in years.

Several seeds of one setting are several tables of the same samples. The networks are taken as
they are: an interval tells of other subjects, their standard deviation over seeds of other
trainings.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import Ints, first_few, signed_errors

Tables = pd.DataFrame | Sequence[pd.DataFrame]
"""The predictions of one seed, or those of several seeds of one setting."""

LEVEL = 0.95
RESAMPLES = 2000

_DRAWN_AT_ONCE = 2**20
"""Subjects drawn in one batch of resamples: at 24 bytes each, 25 MB."""

_EQUAL_YEARS = 1e-9
"""Means that differ by less are equal: sums over seeds are rounded."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval in years, both ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One setting against another on the same test images.

    Attributes:
        difference: Pooled MAE in years minus the reference's; negative is better than it.
        interval: Of the difference, by bootstrap over subjects; None for a single subject.
        subjects: Number of subjects.
        improved: Subjects whose own MAE is smaller than with the reference.
        worsened: Subjects whose own MAE is larger. The rest are equal.
        n: Number of images.
    """

    difference: float
    interval: Interval | None
    subjects: int
    improved: int
    worsened: int
    n: int


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


def compare(
    predictions: Tables,
    reference: Tables,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two settings image by image, paired by subject.

    Of several seeds an image's absolute errors are averaged first; the two sides may have
    different numbers of seeds.

    Args:
        predictions: As for `mae_interval`.
        reference: The same samples, predicted by the other setting.
        level: Confidence of the interval, between 0 and 1.
        resamples: How often the subjects are drawn.
        seed: Of the draws.

    Raises:
        DataError: The two sides, or seeds of one, hold other samples, or there are none.
        ValueError: As for `mae_interval`.
    """
    ours, theirs = average_over_seeds(predictions), average_over_seeds(reference)
    theirs = _in_order_of(ours, theirs, "the setting and its reference")
    gain = ours["absolute_error"] - theirs["absolute_error"]
    by_subject = gain.groupby(ours["identity"]).mean()
    return Comparison(
        difference=float(gain.mean()),
        interval=mean_interval(ours["identity"], gain, level, resamples, seed),
        subjects=len(by_subject),
        improved=int((by_subject < -_EQUAL_YEARS).sum()),
        worsened=int((by_subject > _EQUAL_YEARS).sum()),
        n=len(ours),
    )


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


def average_over_seeds(tables: Tables) -> pd.DataFrame:
    """Average the errors of each image over the seeds of a setting.

    The errors are averaged and not the predictions: a mean prediction would be another model, an
    ensemble, whose error is smaller than that of any one network.

    Args:
        tables: The predictions of each seed, in any order of rows.

    Returns:
        `sample_id, identity, fold, age` of the first table, in its order, and in years `error`
        (mean of predicted minus true age) and `absolute_error` (mean of its size).

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite.
    """
    aligned = align_seeds(tables)
    errors = np.stack([signed_errors(table) for table in aligned])
    return aligned[0][["sample_id", "identity", "fold", "age"]].assign(
        error=errors.mean(axis=0), absolute_error=np.abs(errors).mean(axis=0)
    )


def align_seeds(tables: Tables) -> list[pd.DataFrame]:
    """Bring the predictions of all seeds into the order of the first, with rows numbered from 0.

    Raises:
        DataError: There are no predictions, or the tables hold other samples.
    """
    listed = [tables] if isinstance(tables, pd.DataFrame) else list(tables)
    if not listed or listed[0].empty:
        raise DataError("there are no predictions to judge; train and evaluate a fold first")
    first = listed[0].reset_index(drop=True)
    others = [_in_order_of(first, table, "two seeds") for table in listed[1:]]
    return [first, *others]


def match_samples(first: pd.Series, second: pd.Series, what: str) -> Ints:
    """Find the samples of one table in another that must hold the same ones.

    Args:
        first: `sample_id` of one table, shape (n,).
        second: `sample_id` of the other.
        what: The two tables, for the message.

    Returns:
        For each row of the first its row in the second, int64 (n,).

    Raises:
        DataError: A sample is in one table only, or twice in one.
    """
    ours, theirs = pd.Index(first), pd.Index(second)
    for ids in (ours, theirs):
        if not ids.is_unique:
            twice = ids[ids.duplicated()].unique()
            raise DataError(
                f"{what} cannot be laid side by side: {len(twice)} samples stand in one of them "
                f"more than once ({first_few(twice)}); give each sample's prediction once"
            )
    rows: Ints = theirs.get_indexer(ours)
    if len(ours) != len(theirs) or (rows < 0).any():
        differing = ours.symmetric_difference(theirs, sort=False)
        raise DataError(
            f"{what} do not hold the same samples: {len(differing)} are in one of them only "
            f"({first_few(differing)}); compare runs of the same protocol, folds and max_samples"
        )
    return rows


def _in_order_of(first: pd.DataFrame, other: pd.DataFrame, what: str) -> pd.DataFrame:
    rows = match_samples(first["sample_id"], other["sample_id"], what)
    ordered = other.iloc[rows].reset_index(drop=True)
    for column in ("identity", "age"):
        wrong = ordered[column].to_numpy() != first[column].to_numpy()
        if wrong.any():
            raise DataError(
                f"{what} disagree about the {column} of {wrong.sum()} samples "
                f"({first_few(first['sample_id'][wrong].tolist())}); "
                "both must come from the same labels"
            )
    return ordered
