"""How much a network's outputs tell of whose face they saw.

The paper's Table 5 gives the variance of features and logits within an identity, and reads a large
one as independence of identity. But variance also grows with the scale of the outputs, which no
prediction depends on, and with the ages that an identity spans. So three groups of measures stand
side by side:

* Table 5's variance, with that of the true age beside it;
* how much the features tell of the identity, at any scale: the share of the spread that lies within
  identities, and how often the identity is found again by nearest neighbour or by a linear probe;
* how much they tell of age alone: what a ridge regression still reads once each identity's mean is
  taken away.

Identity and age go together in a face: an identity spans few of the ages. Features of age alone
therefore also tell something of identity, and the references beside the measures say how much.

All of it is measured within one fold's test part, since each fold has a network of its own, and
then pooled over folds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from threadpoolctl import threadpool_limits

from contrastive_age.evaluation.metrics import Floats, Ints, Mask

Array = npt.NDArray[Any]
Measures = dict[str, Any]

DDOF = 1
"""Variances have n - 1 in the denominator: identities with few images then weigh in unbiased."""

SIMILAR_AGE = 5.0
"""Years: faces of a similar age are at most so far apart."""

PROBE_IDENTITIES = 100
PROBE_IMAGES = 4
PROBE_PARTS = 4
"""The probe learns at most so many identities, of at least so many images, in so many parts."""

AGE_PARTS = 5
PENALTY_PARTS = 3
PENALTIES = np.logspace(0, 5, 6)
"""The regression predicts one part of the identities from the others, and chooses its penalty in
parts of these."""

# Part of the variance of all ages that is added to that of each identity's few.
_SMOOTHING = 0.01
_QUERIES_AT_A_TIME = 512
_WEIGHTS = {
    "variance": "identities",
    "variance_ratio": "images",
    "retrieval": "queries",
    "probe": "images",
    "age_without_identity": "images",
}
_COUNTS = frozenset({"images", "identities", "queries"})
_SETTINGS = frozenset({"ddof", "similar_age"})


def measure_fold(
    identity: Array,
    age: Array,
    features: Array,
    logits: Array,
    age_values: Array,
    *,
    seed: int = 0,
    similar_age: float = SIMILAR_AGE,
    probe_identities: int = PROBE_IDENTITIES,
) -> dict[str, Measures]:
    """Take all measures over the test part of one fold.

    Args:
        identity: Whose face it is, (n,).
        age: True ages in years, (n,).
        features: float (n, d).
        logits: float (n, A).
        age_values: The age of each class in years, (A,).
        seed: Chooses the probe's identities where there are too many, and parts its images.
        similar_age: See `retrieval`, years.
        probe_identities: See `identity_probe`.

    Returns:
        For each measure what its own function gives: `variance, variance_ratio, retrieval, probe,
        age_without_identity`. All values can be held by JSON. Where a measure cannot be taken its
        values are None, and `reason` says why.

    Raises:
        ValueError: The shapes do not go together, there is no image, or a value is not finite.
    """
    codes = _renumbered(np.asarray(identity))
    years = np.asarray(age, dtype=np.float64)
    feats, scores, values = (np.asarray(x, np.float64) for x in (features, logits, age_values))
    _check(codes, years, feats, scores, values)
    probabilities = softmax(scores, axis=1)
    outputs = {
        "features": feats,
        "logits": scores,
        "probabilities": probabilities,
        "predicted_age": probabilities @ values,
        "true_age": years,
    }
    # On a few hundred rows BLAS's threads mostly wait for each other, on a busy machine for ever.
    with threadpool_limits(limits=1):
        return {
            "variance": variance_within(codes, outputs),
            "variance_ratio": variance_ratio(codes, years, feats),
            "retrieval": retrieval(codes, years, feats, similar_age),
            "probe": identity_probe(codes, years, feats, seed, probe_identities),
            "age_without_identity": age_without_identity(codes, years, feats),
        }


def pool(folds: Sequence[Mapping[str, Measures]]) -> dict[str, Any]:
    """Pool the measures of all folds of one setting.

    Each value is the mean over the folds that have it, weighted by what its measure counts:
    identities for the variance, queries for the retrieval, images for the others. `r2` is worked
    out anew from the pooled errors. A fold that cannot take a measure does not weigh in.

    Args:
        folds: What `measure_fold` gave, one a fold.

    Returns:
        What `identity.json` holds: the same measures as a fold's, with counts summed and `folds`,
        the number of folds that were pooled. Where no fold has a measure its values are None, with
        the folds' reasons in `reason`. `folds` in all.

    Raises:
        ValueError: There is no fold.
    """
    if not folds:
        raise ValueError("there are no folds to pool")
    pooled = {
        name: _pool_measure([fold[name] for fold in folds], weight)
        for name, weight in _WEIGHTS.items()
    }
    return {"folds": len(folds), **pooled}


def variance_within(codes: Ints, outputs: Mapping[str, Floats]) -> Measures:
    """Table 5: the mean over identities of the mean over dimensions of the variance within one.

    Its scale is that of the outputs, so two networks can be compared by their predicted age, in
    years squared, but by features and logits only with care.

    Args:
        codes: Identity number of each image, (n,).
        outputs: Values of each image by name, (n,) or (n, d).

    Returns:
        `identities` (of two images or more; the others have no variance), `images` of these, `ddof`
        and for each of the outputs its variance.
    """
    images, group = _with_another(codes)
    if not images.any():
        return _not_measured(list(outputs), "no identity has two images", ddof=DDOF)
    counts = {"identities": int(group.max()) + 1, "images": len(group), "ddof": DDOF}
    parts = {
        name: pd.DataFrame(values[images].reshape(len(group), -1)).groupby(group)
        for name, values in outputs.items()
    }
    return counts | {name: float(part.var(DDOF).to_numpy().mean()) for name, part in parts.items()}


def variance_ratio(codes: Ints, age: Floats, features: Floats) -> Measures:
    r"""Share of the spread of unit-length features that lies within identities.

    With u the features scaled to length 1, n images, G identities and \bar u_g the mean of one,

        ratio = sum_i |u_i - \bar u_{g(i)}|^2 / (n - G)  /  ( sum_i |u_i - \bar u|^2 / (n - 1) ).

    The ratio is 0 when an identity's faces all look the same to the network and about 1 when the
    identity does not matter: low means that identity is encoded. It can pass 1 a little, by chance.

    Args:
        codes: Identity number of each image, (n,); those of a single image are left out.
        age: Years, (n,).
        features: (n, d).

    Returns:
        `images`, `identities`, `features` (the ratio) and `true_age`, the same of the age itself:
        what features of age alone may come to, since an identity spans few of the ages.
    """
    names = ["features", "true_age"]
    images, group = _with_another(codes)
    if not images.any() or group.max() == 0:
        return _not_measured(names, "fewer than two identities have two images")
    ratio = _ratio(group, normalize(features[images]))
    if ratio is None:
        return _not_measured(names, "the features of all images are equal")
    return {
        "images": len(group),
        "identities": int(group.max()) + 1,
        "features": ratio,
        "true_age": _ratio(group, age[images, None]),
    }


def retrieval(
    codes: Ints, age: Floats, features: Floats, similar_age: float = SIMILAR_AGE
) -> Measures:
    """How often the most similar face of a similar age is of the same identity.

    Each image asks once. It is compared, by the cosine between features, with all others at most
    `similar_age` years from it, so that age alone does not give the identity away. An image asks
    only if at least one of these is of its identity and one is not. Among equally similar faces
    the share of the same identity counts.

    Args:
        codes: Identity number of each image, (n,).
        age: Years, (n,).
        features: (n, d).
        similar_age: Years, the limit included.

    Returns:
        `queries`, `similar_age`, `accuracy` (share of queries, 0 to 1) and `chance`: the mean over
        queries of the share of the same identity among the faces compared.
    """
    order = np.argsort(age, kind="stable")
    codes, age, unit = codes[order], age[order], normalize(features[order]).astype(np.float32)
    first = np.searchsorted(age, age - similar_age, side="left")
    last = np.searchsorted(age, age + similar_age, side="right")
    hits, shares = [], []
    for start in range(0, len(age), _QUERIES_AT_A_TIME):
        rows = np.arange(start, min(start + _QUERIES_AT_A_TIME, len(age)))
        # In order of age, the faces compared with a few neighbours lie in one stretch.
        others = np.arange(first[rows[0]], last[rows[-1]])
        near = (others >= first[rows, None]) & (others < last[rows, None])
        near &= others != rows[:, None]
        same = near & (codes[others] == codes[rows, None])
        number, relatives = near.sum(axis=1), same.sum(axis=1)
        asks = (relatives > 0) & (relatives < number)
        likeness = np.where(near, unit[rows] @ unit[others].T, -np.inf)[asks]
        best = likeness == likeness.max(axis=1, keepdims=True, initial=-np.inf)
        hits.append((best & same[asks]).sum(axis=1) / best.sum(axis=1))
        shares.append(relatives[asks] / number[asks])
    right, chance = np.concatenate(hits), np.concatenate(shares)
    if not right.size:
        reason = "no image has, within the years, faces of its own identity and of another"
        return _not_measured(["accuracy", "chance"], reason, similar_age=similar_age)
    return {
        "queries": len(right),
        "similar_age": similar_age,
        "accuracy": float(right.mean()),
        "chance": float(chance.mean()),
    }


def identity_probe(
    codes: Ints,
    age: Floats,
    features: Floats,
    seed: int = 0,
    at_most: int = PROBE_IDENTITIES,
) -> Measures:
    """How well a linear classifier tells the identities apart by the features.

    A logistic regression on standardised features, cross-validated over the images of the same
    identities in `PROBE_PARTS` parts. Only identities of at least `PROBE_IMAGES` images take part.

    Args:
        codes: Identity number of each image, (n,).
        age: Years, (n,).
        features: (n, d).
        seed: Chooses the identities and the parts.
        at_most: Number of identities, to bound the cost; fewer make the task easier.

    Returns:
        `identities`, `images`, `accuracy` (share of images, 0 to 1), `chance` (of always naming
        the identity with the most images) and `accuracy_from_age`, of a Gaussian classifier that
        sees the true age alone.
    """
    enough = np.flatnonzero(np.bincount(codes) >= PROBE_IMAGES)
    if len(enough) < 2:
        names = ["accuracy", "chance", "accuracy_from_age"]
        return _not_measured(names, f"fewer than two identities have {PROBE_IMAGES} images")
    if len(enough) > at_most:
        enough = np.random.default_rng(seed).choice(enough, at_most, replace=False)
    images = np.isin(codes, enough)
    group = _renumbered(codes[images])
    # It reaches the optimum in a third of the time in which L-BFGS, by its tolerance, stops short.
    probe = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cg", max_iter=1000))
    by_age = GaussianNB(var_smoothing=_SMOOTHING)
    chance = float(np.bincount(group).max() / len(group))
    years = age[images, None]
    return {
        "identities": len(enough),
        "images": len(group),
        "accuracy": _accuracy(probe, features[images], group, seed),
        "chance": chance,
        "accuracy_from_age": _accuracy(by_age, years, group, seed) if np.ptp(years) else chance,
    }


def age_without_identity(codes: Ints, age: Floats, features: Floats) -> Measures:
    r"""How much of age the features tell apart from whose face it is.

    A ridge regression predicts how much older a face is than the mean of its identity, from how its
    features differ from the mean of its identity. It is fitted to the images of some identities and
    measured on those of others (`AGE_PARTS` parts, or as many as there are identities), so nothing
    is learned of the identities measured. Its penalty is chosen within the fitted part. Predicting
    0 for each face is what can be said without features.

    Args:
        codes: Identity number of each image, (n,); those of a single image are left out.
        age: Years, (n,).
        features: (n, d).

    Returns:
        `images`, `identities`, `mae` and `mae_zero` (of predicting 0) in years, `mse` and
        `mse_zero` in years squared, and `r2 = 1 - mse / mse_zero`: high means that age is encoded
        apart from identity; below 0 it was predicted worse than by 0.
    """
    names = ["mae", "mae_zero", "mse", "mse_zero", "r2"]
    images, group = _with_another(codes)
    if not images.any() or group.max() < 2:
        return _not_measured(names, "fewer than three identities have two images")
    target = _centred(group, age[images, None])[:, 0]
    if not target.any():
        return _not_measured(names, "each identity has a single age")
    predicted = _ridge_predictions(_centred(group, features[images]), target, group)
    errors = predicted - target
    mse, mse_zero = float((errors**2).mean()), float((target**2).mean())
    return {
        "images": len(group),
        "identities": int(group.max()) + 1,
        "mae": float(np.abs(errors).mean()),
        "mae_zero": float(np.abs(target).mean()),
        "mse": mse,
        "mse_zero": mse_zero,
        "r2": 1 - mse / mse_zero,
    }


def _check(codes: Ints, age: Floats, features: Floats, logits: Floats, values: Floats) -> None:
    n = len(codes)
    if not (
        n > 0
        and age.shape == (n,)
        and features.ndim == logits.ndim == 2
        and len(features) == len(logits) == n
        and values.shape == logits.shape[1:]
    ):
        raise ValueError(
            f"identity of {n} images, age {age.shape}, features {features.shape}, logits "
            f"{logits.shape} and age_values {values.shape} do not go together"
        )
    if not all(np.isfinite(x).all() for x in (age, features, logits)):
        raise ValueError("an age, a feature or a logit is NaN or infinite")


def _renumbered(codes: Array) -> Ints:
    """Number the groups that occur 0, 1, ..., without gaps."""
    return np.unique(codes, return_inverse=True)[1].ravel()


def _with_another(codes: Ints) -> tuple[Mask, Ints]:
    """Tell which images are of an identity that has two at least, (n,), and number theirs anew."""
    images = np.bincount(codes)[codes] >= 2
    return images, _renumbered(codes[images])


def _centred(group: Ints, values: Floats) -> Floats:
    """Take from each row, (n, d), the mean row of its group."""
    means = pd.DataFrame(values).groupby(group).transform("mean")
    return np.asarray(values - means.to_numpy(), dtype=np.float64)


def _ratio(group: Ints, values: Floats) -> float | None:
    """Variance within groups over total variance; None where nothing varies."""
    total = ((values - values.mean(axis=0)) ** 2).sum() / (len(group) - 1)
    # Equal values leave rounding behind: their variance is zero beside their size.
    if total <= 1e-12 * (values**2).mean():
        return None
    within = (_centred(group, values) ** 2).sum() / (len(group) - group.max() - 1)
    return float(within / total)


def _accuracy(classifier: Any, values: Floats, group: Ints, seed: int) -> float:
    """Share of rows that a classifier fitted to other rows puts into the right group."""
    parts = StratifiedKFold(PROBE_PARTS, shuffle=True, random_state=seed)
    return float((cross_val_predict(classifier, values, group, cv=parts) == group).mean())


def _ridge_predictions(features: Floats, target: Floats, group: Ints) -> Floats:
    """Predict each row by a regression fitted to the rows of other groups."""

    def parts(group: Ints, at_most: int) -> list[tuple[Ints, Ints]]:
        number = min(at_most, len(np.unique(group)))
        return list(GroupKFold(number).split(group, groups=group))

    predicted = np.empty_like(target)
    for fitted, measured in parts(group, AGE_PARTS):
        # Rows of one identity sum to 0 and so give one another away: they stay together here too.
        # With mean 0 in each identity, no intercept is needed.
        inner = parts(group[fitted], PENALTY_PARTS)
        ridge = RidgeCV(PENALTIES, fit_intercept=False, cv=inner, scoring="neg_mean_squared_error")
        model = make_pipeline(StandardScaler(), ridge).fit(features[fitted], target[fitted])
        predicted[measured] = model.predict(features[measured])
    return predicted


def _not_measured(names: Sequence[str], reason: str, **settings: float) -> Measures:
    return {**settings, **dict.fromkeys(names), "reason": reason}


def _pool_measure(folds: Sequence[Measures], weight: str) -> Measures:
    taken = [fold for fold in folds if "reason" not in fold]
    if not taken:
        reasons = "; ".join(dict.fromkeys(fold["reason"] for fold in folds))
        return {**folds[0], "folds": 0, "reason": reasons}
    pooled: Measures = {"folds": len(taken)}
    for name in taken[0]:
        if name in _COUNTS:
            pooled[name] = sum(fold[name] for fold in taken)
        elif name in _SETTINGS:
            pooled[name] = taken[0][name]
        else:
            known = [fold for fold in taken if fold[name] is not None]
            weights = [fold[weight] for fold in known]
            values = [fold[name] for fold in known]
            pooled[name] = float(np.average(values, weights=weights)) if known else None
    if "r2" in pooled:
        pooled["r2"] = 1 - pooled["mse"] / pooled["mse_zero"]
    return pooled
