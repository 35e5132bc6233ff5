r"""Intervals that hold the true age with a given probability, from the errors of other folds.

Cross-conformal prediction (Vovk, Cross-conformal predictors, 2015): the networks of all folds have
already predicted people they never saw, so that the sizes of the errors on the other folds tell
how far a prediction of this one can be off. Nothing is retrained. Images of one subject are not
independent, so a subject weighs one, shared among its images (Lee, Barber and Willett,
Distribution-free inference with hierarchical data, 2023).

The older a face is taken to be, the further the age can be off: on FG-NET one width for all held
nearly every child and hardly half of those predicted above 30. Errors are therefore counted in
multiples of a scale \(\sigma\), the mean size of the errors at that predicted age (normalised
conformal prediction: Papadopoulos, Vovk and Gammerman, Regression conformal prediction with nearest
neighbours, 2011; Lei et al., Distribution-free predictive inference for regression, 2018, section
5.2). It is fitted by isotonic regression, see `fit_scale`. For a fold with calibration subjects
1..S, subject s with the scores \(R_{si} = |e_{si}| / \sigma_{-s}(\hat y_{si})\), the radius at
the predicted age x is \(q\,\sigma(x)\), where q is the smallest such that

    sum_s #{i : R_{si} <= q} / n_s  >=  level (S + 1)

\(\sigma\) is fitted on all calibration subjects, \(\sigma_{-s}\) on four fifths of them without s:
on its own errors a scale would fit too well. The one added to S is the tested subject's own weight,
which stands at infinity.

If subjects were exchangeable, one network, which saw none of them, had made all errors, and one
scale, which knew none of them, had divided all, an interval would hold the age on a random image of
a new subject with at least that probability. But each fold has its own network, those that made the
calibration errors had the tested subjects in training, and each fifth has its own scale: the level
is approximate, and `coverage` measures what came of it. It is meant on average over predictions,
and, as far as the scale fits, at every predicted age. At a true age no such interval can promise
it: who is predicted far too young gets the interval of those who are that young.

Where a subject has images in several folds, as under a random split, no intervals are given: the
networks knew the people whose errors would calibrate, so that these say nothing of a stranger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import Floats, Ints, Mask, signed_errors
from contrastive_age.evaluation.seeds import match_samples
from contrastive_age.sources.ages import AGE_BINS, age_bin

LEVELS = (0.8, 0.95)

DECADES = (*(f"{first}-{first + 9}" for first in range(0, 70, 10)), "70+")
"""Of predicted ages in years, by which coverage is told."""

LEAST_SUBJECTS = 10
"""Of fewer calibration subjects no scale is fitted: their intervals have one width."""

PARTS = 5
"""Of the calibration subjects, each scored by the scale of the others."""

LEAST_SCALE = 0.1
"""Of the mean error. A tenth of it is what chance makes of a few images, not what networks can."""

_ROUNDING = 1e-9
"""Relative: a sum of weights that should equal the weight needed can fall short by rounding."""


@dataclass(frozen=True)
class Radii:
    """Half the width of intervals as it follows the predicted age.

    Attributes:
        ages: Knots, predicted ages in years, increasing. Radii between two lie on a line, those
            beyond the last are the last's, as the first's are before it.
        by_level: By level in percent ("80") the radius in years at each knot; infinite at all of
            them where the subjects are too few for the level. None where subjects are not apart.
    """

    ages: tuple[float, ...] = ()
    by_level: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of_one_width(cls, radii: Mapping[str, float]) -> Self:
        """Make radii that are the same at all ages, given by level."""
        return cls((0.0,), {level: (float(radius),) for level, radius in radii.items()})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `as_json` gave.

        Raises:
            KeyError: It is something else.
            TypeError: It is something else.
            ValueError: It is something else, knots and radii are not as many, knots do not
                increase, or a radius is negative.
        """
        ages = tuple(float(age) for age in document["ages"])
        by_level = {
            str(level): tuple(map(float, radii)) if radii is not None else (np.inf,) * len(ages)
            for level, radii in document["by_level"].items()
        }
        if any(len(radii) != len(ages) for radii in by_level.values()) or (by_level and not ages):
            raise ValueError("radii need one value for each of their ages, and at least one")
        radii = np.array(list(by_level.values()))
        if not (np.diff(ages) > 0).all() or not (radii >= 0).all():
            raise ValueError("radii need ages that increase, and none may be negative")
        return cls(ages, by_level)

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can hold: `ages`, and `by_level` with None where radii are infinite."""
        return {
            "ages": list(self.ages),
            "by_level": {
                level: list(radii) if np.isfinite(radii).all() else None
                for level, radii in self.by_level.items()
            },
        }

    def at(self, ages: npt.ArrayLike) -> dict[str, Floats]:
        """Give the radii in years by level, each of the shape of these predicted ages."""
        years = np.asarray(ages, dtype=np.float64)
        return {level: np.interp(years, self.ages, radii) for level, radii in self.by_level.items()}

    def around(self, age: float) -> dict[str, tuple[float, float]]:
        """Give both ends of the interval around a predicted age by level; the lower is cut at 0."""
        return {
            level: (max(0.0, age - float(radius)), age + float(radius))
            for level, radius in self.at(age).items()
        }


@dataclass(frozen=True, eq=False)
class Scale:
    """How large errors are at a predicted age: a line between knots, constant beyond them.

    Attributes:
        ages: Predicted ages in years, increasing, shape (k,).
        sizes: Of errors, in years, above 0, shape (k,).
    """

    ages: Floats
    sizes: Floats

    def __call__(self, predicted: Floats) -> Floats:
        """Give the scale at predicted ages."""
        return np.interp(predicted, self.ages, self.sizes)


ONE_WIDTH = Scale(np.zeros(1), np.ones(1))
"""Of errors that are taken as they are."""


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
    centre = predictions["predicted_age"].to_numpy(np.float64)
    fold = predictions["fold"].to_numpy()
    radius = {level_name(level): np.empty(len(predictions)) for level in levels}
    for number in np.unique(fold):
        tested = fold == number
        radii = _radii(predictions[~tested], sizes[~tested], levels).at(centre[tested])
        for name, values in radii.items():
            radius[name][tested] = values
    columns: dict[str, Any] = {"sample_id": predictions["sample_id"].to_numpy()}
    for name, values in radius.items():
        columns[f"low_{name}"] = np.maximum(centre - values, 0.0)
        columns[f"high_{name}"] = centre + values
    return pd.DataFrame(columns)


def conformal_radii(predictions: pd.DataFrame, levels: Sequence[float] = LEVELS) -> Radii:
    """Half the width of the intervals of a person who is in no fold, as of tomorrow's photo.

    The errors of all folds calibrate, as those of the other folds do in `cross_conformal`.

    Args:
        predictions: `identity, fold, age, predicted_age`, a row an image.
        levels: Nominal coverages, between 0 and 1.

    Returns:
        The radii by predicted age; of no level where subjects are not apart.

    Raises:
        DataError: There are no predictions.
    """
    sizes = np.abs(signed_errors(predictions))
    return _radii(predictions, sizes, levels) if subjects_apart(predictions) else Radii()


def fit_scale(predicted: Floats, sizes: Floats, weight: Floats) -> Scale:
    """Fit how the size of errors grows with the predicted age, by isotonic regression.

    The images in the order of their predicted ages are cut into blocks that weigh one subject each,
    so that no knot rests on less: on a single image at either end an isotonic fit can be anything.
    Where errors get smaller with the predicted age the fit is level.

    Args:
        predicted: Ages in years, shape (n,), n > 0.
        sizes: Absolute errors in years, shape (n,).
        weight: A subject's images weigh one together, shape (n,).

    Returns:
        The scale, nowhere below `LEAST_SCALE` of the mean error, so that no width vanishes; 1 where
        there is no error at all.
    """
    # scikit-learn takes a second to import
    from sklearn.isotonic import IsotonicRegression

    mean = np.average(sizes, weights=weight)
    if not mean:
        return ONE_WIDTH
    ages, place = np.unique(predicted, return_inverse=True)
    mass = np.bincount(place, weight)
    middle = np.cumsum(mass) - mass / 2
    _, block = np.unique(middle.astype(np.int64), return_inverse=True)
    masses = np.bincount(block, mass)
    fitted = IsotonicRegression(y_min=LEAST_SCALE * mean).fit(
        np.bincount(block, mass * ages) / masses,
        np.bincount(block[place], weight * sizes) / masses,
        sample_weight=masses,
    )
    return Scale(fitted.X_thresholds_, fitted.y_thresholds_)


def scores(
    predicted: Floats,
    sizes: Floats,
    subject: Ints,
    fit: Callable[[Floats, Floats, Floats], Callable[[Floats], Floats]] = fit_scale,
) -> Floats:
    """Divide errors by a scale that was fitted on other subjects.

    Args:
        predicted: What the scale follows, ages in years, shape (n,) (or more columns for a `fit`
            that takes them).
        sizes: Absolute errors in years, shape (n,).
        subject: Number of each row's subject, 0..S-1 in the order of their names, of which every
            fifth is in the same part, shape (n,); S > 1.
        fit: Makes a scale of the other parts' rows of `predicted`, `sizes` and weights.

    Returns:
        Multiples of the scale, shape (n,).
    """
    weight = _weights(subject)
    part = subject % PARTS
    divided = np.empty(len(sizes))
    for number in np.unique(part):
        own, others = part == number, part != number
        scale = fit(predicted[others], sizes[others], weight[others])
        divided[own] = sizes[own] / scale(predicted[own])
    return divided


def quantiles(values: Floats, subject: Ints, levels: Sequence[float]) -> Floats:
    """Give the values below which enough of the subjects' weight lies, as the module says.

    Args:
        values: Such as errors in multiples of their scale, shape (n,).
        subject: Number of each row's subject, 0..S-1, shape (n,).
        levels: m of them, between 0 and 1.

    Returns:
        Shape (m,), infinite where S subjects are too few for the level.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(_weights(subject)[order])
    subjects = subject.max(initial=-1) + 1
    needed = np.array(levels) * (subjects + 1) * (1.0 - _ROUNDING)
    found: Floats = np.append(values[order], np.inf)[np.searchsorted(reached, needed)]
    return found


def coverage(
    predictions: pd.DataFrame, intervals: pd.DataFrame, levels: Sequence[float] = LEVELS
) -> dict[str, dict[str, Any]] | None:
    """Measure how often the intervals hold the true age, and how wide they are.

    Args:
        predictions: `sample_id, identity, age, predicted_age`, a row an image.
        intervals: From `cross_conformal`, the same samples in any order.
        levels: Those to measure.

    Returns:
        For each level, keyed by its percentage ("80"), what JSON can hold: `coverage` (percent of
        images), `coverage_by_subject` (percent, each subject weighing one, which is what the
        level promises), `width` (mean, years), `infinite` (number of intervals without an upper
        end), `by_predicted`, for each of `DECADES` its `n`, `coverage` and `width`, and
        `by_age_bin`, the same for each of `AGE_BINS` of true ages, at which no interval can promise
        anything. A width is None where any interval is infinite, and with the coverage where there
        is no image. None where there are no intervals, since subjects are not apart.

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
    decade = np.clip(predictions["predicted_age"].to_numpy() // 10, 0, len(DECADES) - 1)
    parts = {
        "by_predicted": {name: decade == place for place, name in enumerate(DECADES)},
        "by_age_bin": {name: np.asarray(bins == name) for name in AGE_BINS},
    }
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
            **{
                by: {
                    border: {"n": int(part.sum())} | _summary(held[part], (high - low)[part])
                    for border, part in some.items()
                }
                for by, some in parts.items()
            },
        }
    return measured


def level_name(level: float) -> str:
    """A level in percent, as columns and keys name it: "80" for 0.8, "97.5" for 0.975."""
    return f"{100 * level:g}"


def _radii(predictions: pd.DataFrame, sizes: Floats, levels: Sequence[float]) -> Radii:
    """Calibrate the intervals of others on these predictions, whose absolute errors are `sizes`."""
    subject, names = pd.factorize(predictions["identity"], sort=True)
    predicted = predictions["predicted_age"].to_numpy(np.float64)
    # Sums of the same numbers in another order differ in their last digits.
    order = np.lexsort((sizes, predicted, subject))
    subject, predicted, sizes = subject[order], predicted[order], sizes[order]
    if len(names) < LEAST_SUBJECTS:
        scale, divided = ONE_WIDTH, sizes
    else:
        scale = fit_scale(predicted, sizes, _weights(subject))
        divided = scores(predicted, sizes, subject)
    multiples = quantiles(divided, subject, levels)
    return Radii(
        tuple(scale.ages.tolist()),
        {
            level_name(level): tuple((multiple * scale.sizes).tolist())
            for level, multiple in zip(levels, multiples, strict=True)
        },
    )


def _weights(subject: Ints) -> Floats:
    """One a subject, shared among its images."""
    weight: Floats = 1.0 / np.bincount(subject)[subject]
    return weight


def _summary(held: Mask, widths: Floats) -> dict[str, float | None]:
    if not held.size:
        return {"coverage": None, "width": None}
    width = float(widths.mean())
    return {
        "coverage": float(100.0 * held.mean()),
        "width": width if np.isfinite(width) else None,
    }
