r"""Whether a softmax over ages is spread as widely as the ages it is given for.

A network gives logits z over the age classes 0..A-1, a year each. Its softmax p with cumulative
sums F says how likely each age is, and the age y that is true says how well:

- **CRPS**, the continuous ranked probability score of Gneiting and Raftery (Strictly proper scoring
  rules, prediction, and estimation, 2007), which over whole years is the ranked probability score

      crps(F, y) = sum_j (F(j) - 1[y <= j])^2

  in years: that of a point is its absolute error.
- **NLL**, their logarithmic score, -log p(y), in nats.
- **PIT**, the probability integral transform F(y), which is uniform if the softmax is true. Ages
  are whole, so it is not randomised but spread over the step at y (Czado, Gneiting and Held,
  Predictive model assessment for count data, 2009):

      pit(u) = mean of clip((u - F(y - 1)) / (F(y) - F(y - 1)), 0, 1)

- **Central intervals** follow from it: the central share c of a softmax holds
  pit((1 + c) / 2) - pit((1 - c) / 2) of the ages. The smallest interval of whole ages that holds at
  least c would hold more than c under the truth, so that a sharp softmax would look too wide; this
  is c exactly.

A temperature T divides the logits (Guo et al., On calibration of modern neural networks, 2017):
above 1 the softmax widens, below it sharpens. The order of the ages' probabilities stays, but their
expectation moves. A fold's T minimises the NLL, which is convex in 1 / T, of what the other folds'
networks said of the people whom they tested: training people of this fold, of whom the networks
that are asked had seen none. A subject weighs one, shared among its images, as in
`evaluation.conformal`. T is approximate in the same way, too: it is for another network than
those that it was fitted to.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from contrastive_age.evaluation.metrics import Floats, Ints

LEVELS = tuple(range(5, 100, 5))
"""Shares of the softmax in percent whose central intervals are measured."""

BINS = 20
"""Of the histogram of the PIT."""

LIMITS = (0.01, 100.0)
"""Between which a temperature is looked for."""

Logits = npt.NDArray[np.floating[Any]]


def softmax(logits: Logits, temperature: npt.ArrayLike = 1.0) -> Floats:
    """Probabilities of the ages, float64 (n, A).

    Args:
        logits: (n, A).
        temperature: Of all rows, or of each, (n,); above 0.
    """
    powers = np.exp(_scaled(logits, temperature))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def negative_log_likelihood(logits: Logits, true: Ints, temperature: npt.ArrayLike = 1.0) -> Floats:
    """-log p of the true age in nats, (n,).

    Args:
        logits: (n, A).
        true: The true age's class, 0..A-1, (n,).
        temperature: As for `softmax`.
    """
    scaled = _scaled(logits, temperature)
    log_sum = np.log(np.exp(scaled).sum(axis=1))
    return np.asarray(log_sum - scaled[np.arange(len(true)), true], np.float64)


def ranked_probability_score(probabilities: Floats, true: Ints) -> Floats:
    """The CRPS in years, (n,).

    Args:
        probabilities: (n, A), of ages a year apart.
        true: The true age's class, 0..A-1, (n,).
    """
    reached = true[:, None] <= np.arange(probabilities.shape[1])
    return np.asarray(np.square(np.cumsum(probabilities, axis=1) - reached).sum(axis=1))


def pit(probabilities: Floats, true: Ints, levels: npt.ArrayLike) -> Floats:
    """The mean non-randomised PIT of n images at some levels.

    Args:
        probabilities: (n, A).
        true: The true age's class, 0..A-1, (n,).
        levels: (m,), 0..1.

    Returns:
        (m,), 0..1; equal to the levels, but for chance, where the probabilities are true.
    """
    rows = np.arange(len(true))
    # Sums of rounded numbers do not end at one.
    cumulative = np.minimum(np.cumsum(probabilities, axis=1), 1.0)
    cumulative[:, -1] = 1.0
    upper = cumulative[rows, true]
    lower = np.where(true > 0, cumulative[rows, np.maximum(true, 1) - 1], 0.0)
    # An age that is held for impossible is a step at one place, and a step at 0 lies above it.
    step = np.maximum(upper - lower, np.finfo(np.float64).tiny)
    return np.array(
        [
            np.where(level < upper, np.clip((level - lower) / step, 0.0, 1.0), level > 0.0).mean()
            for level in np.atleast_1d(levels)
        ]
    )


def measure(logits: Logits, true: Ints, temperature: npt.ArrayLike = 1.0) -> dict[str, Any]:
    """Measure how well the softmax is calibrated, pooled over images.

    Args:
        logits: (n, A), n > 0.
        true: The true age's class, 0..A-1, (n,).
        temperature: As for `softmax`.

    Returns:
        What JSON can hold: `crps` (years), `nll` (nats), `mae` (years, of the expectation),
        `curve` (for each of `LEVELS`, such as "80", the percentage of images whose age is in the
        central interval of that share), `central_80` (of the curve), and `pit` (percent of images
        in each of `BINS` equal bins).
    """
    probabilities = softmax(logits, temperature)
    shares = np.array(LEVELS) / 100.0
    below, above = (pit(probabilities, true, (1 + side * shares) / 2) for side in (-1, 1))
    held = (100.0 * (above - below)).tolist()
    curve = {str(level): share for level, share in zip(LEVELS, held, strict=True)}
    borders = pit(probabilities, true, np.linspace(0.0, 1.0, BINS + 1))
    expected = probabilities @ np.arange(probabilities.shape[1])
    return {
        "crps": float(ranked_probability_score(probabilities, true).mean()),
        "nll": float(negative_log_likelihood(logits, true, temperature).mean()),
        "mae": float(np.abs(expected - true).mean()),
        "central_80": curve["80"],
        "curve": curve,
        "pit": (100.0 * np.diff(borders)).tolist(),
    }


def fit_temperature(logits: Logits, true: Ints, subject: Ints) -> float:
    """The temperature of the smallest NLL, between `LIMITS`, each subject weighing one.

    Args:
        logits: (n, A), n > 0.
        true: The true age's class, 0..A-1, (n,).
        subject: Number of each row's subject, (n,).

    Raises:
        ValueError: A logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError("a logit is NaN or infinite")
    # scipy.optimize is not wanted by all that read a calibration
    from scipy.optimize import minimize_scalar

    weight = 1.0 / np.bincount(subject)[subject]
    shifted = _scaled(logits, 1.0)
    of_true = shifted[np.arange(len(true)), true]
    powers = np.empty_like(shifted)

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        np.exp(np.divide(shifted, temperature, out=powers), out=powers)
        log_sum = np.log(powers.sum(axis=1))
        return float(np.average(log_sum - of_true / temperature, weights=weight))

    # Convex in 1 / T, so that there is no second valley in log T.
    limits = tuple(np.log(LIMITS))
    found = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def cross_temperatures(logits: Logits, true: Ints, subject: Ints, fold: Ints) -> Floats:
    """Each fold's temperature, fitted on the images of the other folds.

    Args:
        logits: (n, A).
        true: The true age's class, 0..A-1, (n,).
        subject: Number of each row's subject, who is in one fold, (n,).
        fold: Number of each row's fold, 0..K-1 with K > 1, (n,).

    Returns:
        (K,).
    """
    others = (fold != own for own in range(int(fold.max()) + 1))
    return np.array([fit_temperature(logits[row], true[row], subject[row]) for row in others])


def report(
    logits: Logits,
    true: Ints,
    subject: Ints,
    fold: Ints,
    why_not: str | None = None,
) -> dict[str, Any]:
    """Measure the softmax as it is, and under a temperature for each fold.

    Args:
        logits: Of all folds' tested images, (n, A), n > 0.
        true: The true age's class, 0..A-1, (n,).
        subject: Number of each row's subject, (n,).
        fold: Number of each row's fold, 0..K-1, (n,).
        why_not: Why no temperature may be fitted, if so.

    Returns:
        What JSON can hold: `before` and `after`, see `measure`; `temperature` with `by_fold` ("0",
        ...), their `mean`, and that `of_all` folds together, for a network that tests none of them;
        and `reason`. The reason is None, or `after` and `temperature` are.
    """
    why_not = why_not or (None if fold.max() else "there is one fold, and no other to fit it on")
    before = measure(logits, true)
    if why_not is not None:
        return {"before": before, "after": None, "temperature": None, "reason": why_not}
    temperatures = cross_temperatures(logits, true, subject, fold)
    return {
        "before": before,
        "after": measure(logits, true, temperatures[fold]),
        "temperature": {
            "by_fold": {str(own): value for own, value in enumerate(temperatures.tolist())},
            "mean": float(temperatures.mean()),
            "of_all": fit_temperature(logits, true, subject),
        },
        "reason": None,
    }


def _scaled(logits: Logits, temperature: npt.ArrayLike) -> Floats:
    """Logits over their temperature, float64, of which the largest of a row is 0."""
    exact = np.asarray(logits, np.float64)
    exact = exact - exact.max(axis=1, keepdims=True)
    return np.asarray(exact / np.reshape(temperature, (-1, 1)), np.float64)
