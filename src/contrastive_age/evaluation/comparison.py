"""Settings compared on the same test images, for other subjects and other networks.

A setting's error depends on who is photographed and on the networks that happened to be trained,
one for each fold and seed: two seeds of one setting differ, and an interval over subjects alone
takes that for a difference of settings. Here the absolute error of subject m, whom fold k tests,
by the network of seed s is taken as

    base_m + setting + (subject and setting)_m + network_ks + (subject and network)_ms

for each of the two settings. Networks are independent but for those of the same seed and fold in
both, which have seen the same batches in the same order: these are paired. That a seed shifts the
errors of all folds together is not part of it. Training sets are taken as they are. Errors are in
years.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from contrastive_age.evaluation.confidence import (
    FEWEST_SUBJECTS,
    LEVEL,
    Interval,
    degrees_of_freedom,
)
from contrastive_age.evaluation.metrics import Floats, Ints, signed_errors
from contrastive_age.evaluation.seeds import align_seeds, in_order_of

FEWEST_FOLDS = 10
"""From so many on, the networks of a single seed tell how much networks differ."""

FEWEST_DEGREES = 3
"""With fewer, what networks add is hardly known, and Satterthwaite's claims too often."""

POWER = 0.8
"""Share of cases in which the detectable difference is found."""

_EQUAL_YEARS = 1e-9
"""Means that differ by less are equal: sums over seeds are rounded."""


class Untold(StrEnum):
    """Why a comparison has neither an interval nor a verdict."""

    ONE_SEED = "cannot be told from one seed"
    FEW_SUBJECTS = "cannot be told from so few subjects"
    OTHER_FOLDS = "cannot be told from other folds"


@dataclass(frozen=True)
class Estimate:
    """A difference with its standard error, both in years, and that error's degrees of freedom."""

    difference: float
    standard_error: float
    degrees: float

    @property
    def interval(self) -> Interval:
        """Student's interval of the level `LEVEL`."""
        half = self._quantile((1 + LEVEL) / 2) * self.standard_error
        return Interval(self.difference - half, self.difference + half)

    @property
    def p(self) -> float:
        """The probability of a difference of at least this size where there is none."""
        # scipy takes long to import
        from scipy.special import stdtr

        if self.standard_error < _EQUAL_YEARS:
            return float(abs(self.difference) < _EQUAL_YEARS)
        return float(2 * stdtr(self.degrees, -abs(self.difference) / self.standard_error))

    @property
    def detectable(self) -> float:
        """The true difference that has p < 1 - `LEVEL` in the share `POWER` of cases, in years.

        (t_0.975 + t_0.8) standard errors, divided by the median of a standard error of so few
        degrees of freedom in units of the true one (Wilson and Hilferty, 1931).
        """
        quantiles = self._quantile((1 + LEVEL) / 2) + self._quantile(POWER)
        return float(quantiles * self.standard_error / (1 - 2 / (9 * self.degrees)) ** 1.5)

    def _quantile(self, probability: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, probability))


@dataclass(frozen=True)
class Comparison:
    """One setting against another on the same test images.

    Attributes:
        difference: Pooled MAE in years minus the reference's; negative is better than it.
        untold: Why there is no verdict; None where the next three are given.
        interval: Of the difference, 95%, over subjects and networks.
        p: The probability of so large a difference between settings that are equal.
        detectable: The true difference in years that p < 0.05 finds in 80% of cases.
        subjects: Number of subjects.
        improved: Subjects whose own MAE is smaller than with the reference.
        worsened: Subjects whose own MAE is larger. The rest are equal.
        networks: Number of networks, folds times seeds, of the side that has fewer.
        seeds: Those that were compared.
        reference_seeds: Those of the reference.
        n: Number of images.
    """

    difference: float
    untold: Untold | None
    interval: Interval | None
    p: float | None
    detectable: float | None
    subjects: int
    improved: int
    worsened: int
    networks: int
    seeds: tuple[int, ...]
    reference_seeds: tuple[int, ...]
    n: int


def compare(
    predictions: Mapping[int, pd.DataFrame], reference: Mapping[int, pd.DataFrame]
) -> Comparison:
    """Compare two settings image by image, paired by subject and by seed.

    Of several seeds an image's absolute errors are averaged; where one side has all seeds of the
    other and more, the further ones are left out (see `comparable`). Below `FEWEST_SUBJECTS`
    subjects, where a side has one seed in fewer than `FEWEST_FOLDS` folds, and where two tables
    were split otherwise, there is no verdict.

    Args:
        predictions: By seed `sample_id, identity, fold, age, predicted_age`, a row an image.
        reference: The same samples, predicted by the other setting; it may have other seeds, and
            another number of them.

    Raises:
        DataError: Two tables hold other samples, or a side has none.
        ValueError: A prediction or an age is not finite.
    """
    ours, theirs = (align_seeds(list(side.values())) for side in (predictions, reference))
    first = ours[0]
    theirs = [in_order_of(first, table, "the setting and its reference") for table in theirs]
    alike = all((table["fold"] == first["fold"]).all() for table in (*ours, *theirs))
    errors, others = (
        {seed: np.abs(signed_errors(table)) for seed, table in zip(side, tables, strict=True)}
        for side, tables in ((predictions, ours), (reference, theirs))
    )
    errors, others = comparable(errors, others)
    gain = pd.Series(_mean(errors) - _mean(others))
    by_subject = gain.groupby(first["identity"]).mean()
    folds, seeds = first["fold"].nunique(), min(len(errors), len(others))
    untold, found = None, None
    if not alike:
        untold = Untold.OTHER_FOLDS
    elif len(by_subject) < FEWEST_SUBJECTS:
        untold = Untold.FEW_SUBJECTS
    elif seeds == 1 and folds < FEWEST_FOLDS:
        untold = Untold.ONE_SEED
    else:
        subject, fold = (pd.factorize(first[name])[0] for name in ("identity", "fold"))
        found = estimate(errors, others, np.full(len(first), 1 / len(first)), subject, fold)
    return Comparison(
        difference=float(gain.mean()),
        untold=untold,
        interval=found.interval if found else None,
        p=found.p if found else None,
        detectable=found.detectable if found else None,
        subjects=len(by_subject),
        improved=int((by_subject < -_EQUAL_YEARS).sum()),
        worsened=int((by_subject > _EQUAL_YEARS).sum()),
        networks=folds * seeds,
        seeds=tuple(errors),
        reference_seeds=tuple(others),
        n=len(first),
    )


def comparable(
    errors: Mapping[int, Floats], others: Mapping[int, Floats]
) -> tuple[dict[int, Floats], dict[int, Floats]]:
    """Keep the common seeds alone, where these are all that one side has.

    What a seed does to both settings then cancels in the difference; with a further seed on one
    side it would stand there as a difference of settings.

    Args:
        errors: By seed.
        others: Those of the reference.
    """
    common = errors.keys() & others.keys()
    if len(common) < min(len(errors), len(others)):
        return dict(errors), dict(others)
    kept = [{s: values for s, values in side.items() if s in common} for side in (errors, others)]
    return kept[0], kept[1]


def estimate(
    errors: Mapping[int, Floats],
    others: Mapping[int, Floats],
    weight: Floats,
    subject: Ints,
    fold: Ints,
) -> Estimate:
    """Estimate a difference of mean absolute errors and how far it varies.

    Its variance is that over networks, which holds what subjects and networks have together, and
    what the one over subjects has beyond that:

        V = V_networks + max(V_subjects - V_both, 0).

    Each is a sum of squares over clusters. With several seeds on both sides, V_networks and V_both
    come from how seeds differ within a fold, over (fold, seed) and over (subject, fold, seed). Else
    networks differ from fold to fold, and V is the variance of Cameron, Gelbach and Miller (Robust
    inference with multiway clustering, 2011), over subjects and folds. Sums over all are made up
    for as in `confidence` (CR2). Degrees of freedom are Satterthwaite's, at most those of the
    subjects, and at most those of the networks where these are below `FEWEST_DEGREES`.

    Args:
        errors: Absolute errors in years by seed, each of shape (n,).
        others: Those of the reference, of the same rows.
        weight: Of each row in the mean, shape (n,), with the sum 1.
        subject: Number of the subject of each row, shape (n,).
        fold: Number of the fold that tests it, shape (n,).
    """
    gain = _mean(errors) - _mean(others)
    difference = float(weight @ gain)
    rest = weight * (gain - difference)
    cell = np.unique(np.stack([subject, fold]), axis=1, return_inverse=True)[1].reshape(-1)
    of_subject, of_fold = _parts(subject, weight), _parts(fold, weight)
    most = float(degrees_of_freedom(of_subject))
    v_subjects = _squares(rest, subject, 1 - of_subject)
    if min(len(errors), len(others)) > 1:
        apart = weight * _apart(errors, others)
        v_networks, v_both = _squares(apart, fold), _squares(apart, cell)
        # of as many folds of one size
        folds = (of_fold**2).sum() ** 2 / (of_fold**4).sum()
        degrees = float(folds * _degrees(errors.keys(), others.keys()))
    else:
        v_networks = _squares(rest, fold, 1 - of_fold)
        v_both = _squares(rest, cell, 1 - _parts(cell, weight))
        degrees = float(degrees_of_freedom(of_fold))
    beyond = max(v_subjects - v_both, 0.0)
    variance = v_networks + beyond
    spread = beyond**2 / most + v_networks**2 / degrees
    found = min(variance**2 / spread, most) if spread > 0 else most
    if degrees < FEWEST_DEGREES:
        found = min(found, degrees)
    return Estimate(difference, float(np.sqrt(variance)), found)


def holm(p: Sequence[float]) -> Floats:
    """Adjust p-values of a family: at most about one in twenty then claims anything by chance.

    Args:
        p: Of each test, shape (n,).

    Returns:
        Adjusted values in the same order (Holm, A simple sequentially rejective multiple test
        procedure, 1979).
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _mean(errors: Mapping[int, Floats]) -> Floats:
    mean: Floats = np.mean(list(errors.values()), axis=0)
    return mean


def _apart(errors: Mapping[int, Floats], others: Mapping[int, Floats]) -> Floats:
    """What each seed adds to the variance of a row's difference, by networks that it has in both.

    The squares' sum over seeds is s²/S for S seeds that both sides have, s² the variance of their
    differences, and the sum of both sides' s²/S where they have none in common.

    Returns:
        Shape (seeds of either side, n).
    """
    scaled: dict[int, Floats] = {}
    for side, sign in ((errors, 1), (others, -1)):
        mean, seeds = _mean(side), len(side)
        for seed, values in side.items():
            part = sign * (values - mean) / np.sqrt(seeds * (seeds - 1))
            scaled[seed] = scaled.get(seed, 0) + part
    return np.stack(list(scaled.values()))


def _degrees(seeds: Set[int], others: Set[int]) -> float:
    """Degrees of freedom of a fold; with no seed in common Welch's, of equal variances."""
    a, b = len(seeds), len(others)
    if seeds & others:
        return min(a, b) - 1.0
    return (1 / a + 1 / b) ** 2 / (1 / (a**2 * (a - 1)) + 1 / (b**2 * (b - 1)))


def _parts(cluster: Ints, weight: Floats) -> Floats:
    """The weight of each cluster."""
    return np.bincount(cluster, weight).astype(np.float64)


def _squares(values: Floats, cluster: Ints, beside: Floats | float = 1.0) -> float:
    """Sum of the squares of clusters' sums, over all rows of values of shape (n,) or (seeds, n).

    Args:
        values: Shape (n,) or (seeds, n).
        cluster: Number of the cluster of each of the n.
        beside: What each cluster's square is divided by: the weight of all others, where values are
            differences from the mean, which the cluster has pulled to itself.
    """
    rows = np.atleast_2d(values)
    return float(sum((np.bincount(cluster, row) ** 2 / beside).sum() for row in rows))
