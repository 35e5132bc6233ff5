"""How often intervals over subjects hold what they are meant to, by simulation and on real errors.

python -m benchmarks.intervals                              made-up subjects
python -m benchmarks.intervals --predictions FILE.parquet   and subjects drawn from a real result

Prints Markdown tables of the share of 95% intervals that hold the true value, and of their median
widths: the project's beside simpler ones.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from contrastive_age.evaluation.confidence import FEWEST_SUBJECTS, mean_ends, share_ends
from contrastive_age.evaluation.groups import group_report
from contrastive_age.evaluation.metrics import Floats, Ints
from contrastive_age.sources.ages import decade

SUBJECTS = (2, 4, 8, 16, 30, 82)
MEAN = 5.0
SHARES = (0.02, 0.25, 0.95)
WITHIN = 5.0
"""Years of the cumulative score."""

METHODS = "bootstrap holds | width | M - 1 holds | width | ours holds | width"

Ends = tuple[Floats, Floats]

IMAGES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Ints]] = {
    "6 to 18 images": lambda rng, shape: rng.integers(6, 19, shape),
    "1 to hundreds": lambda rng, shape: np.ceil(rng.lognormal(1.5, 1.1, shape)).astype(np.int64),
    "1 image": lambda _, shape: np.ones(shape, np.int64),
}
"""Numbers of images of subjects: FG-NET's, very unequal ones (median 5, the largest of 82 about 70)
and one each."""


def absolute_errors(counts: Ints, rng: np.random.Generator) -> Floats:
    """Draw the sums of subjects' absolute errors, whose mean is `MEAN` years.

    Errors are exponential, as skewed as real ones, about a mean of the subject's own, which is
    lognormal with a spread of 0.5: 18% of the errors' variance is between subjects.

    Args:
        counts: Numbers of images, shape (..., M).
        rng: What draws.
    """
    own: Floats = MEAN * rng.lognormal(-(0.5**2) / 2, 0.5, counts.shape)
    return own * rng.gamma(counts)


def images_held(counts: Ints, share: float, rng: np.random.Generator) -> Floats:
    """Draw of how many images of each subject something holds, with a share of the subject's own.

    The subjects' shares are beta distributed; a fifth of the variance is between them.

    Args:
        counts: Numbers of images, shape (..., M).
        share: Of all images, 0 to 1.
        rng: What draws.
    """
    own = rng.beta(4.0 * share, 4.0 * (1.0 - share), counts.shape)
    return rng.binomial(counts, own).astype(np.float64)


def bootstrap_ends(sums: Floats, counts: Ints, rng: np.random.Generator) -> Ends:
    """The percentile bootstrap over subjects, the same 1,000 draws for all repetitions.

    Args:
        sums: Of the subjects' values, shape (repetitions, M).
        counts: Numbers of images, of the same shape.
        rng: What draws.
    """
    subjects = counts.shape[-1]
    drawn = rng.multinomial(subjects, np.full(subjects, 1.0 / subjects), 1000).astype(np.float64).T
    low, high = np.quantile((sums @ drawn) / (counts @ drawn), (0.025, 0.975), axis=-1)
    return low, high


def simple_ends(sums: Floats, counts: Ints) -> Ends:
    """The t interval with M / (M - 1) and M - 1 degrees of freedom for M subjects.

    Args:
        sums: Of the subjects' values, shape (repetitions, M).
        counts: Numbers of images, of the same shape.
    """
    subjects, images = counts.shape[-1], counts.sum(axis=-1)
    mean = sums.sum(axis=-1) / images
    squares = ((sums - mean[:, None] * counts) ** 2).sum(axis=-1)
    error = np.sqrt(squares * subjects / (subjects - 1)) / images
    half = stats.t.ppf(0.975, subjects - 1) * error
    return mean - half, mean + half


def held(ends: Ends, true: float) -> float:
    """In which share of repetitions an interval holds the true value."""
    low, high = ends
    return float(((low <= true) & (true <= high)).mean())


def width(ends: Ends) -> float:
    """The median width of the repetitions' intervals."""
    return float(np.median(ends[1] - ends[0]))


def means(repetitions: int) -> Iterator[str]:
    """Lines on intervals of a mean of made-up errors."""
    rng = np.random.default_rng(0)
    for images, draw in IMAGES.items():
        for subjects in SUBJECTS:
            counts = draw(rng, (repetitions, subjects))
            sums = absolute_errors(counts, rng)
            yield f"| {images} | {subjects} {_side_by_side(sums, counts, MEAN, rng)}"


def shares(repetitions: int) -> Iterator[str]:
    """Lines on intervals of made-up shares."""
    rng = np.random.default_rng(1)
    for images, draw in IMAGES.items():
        for subjects in SUBJECTS[1:]:
            cells = []
            for share in SHARES:
                counts = draw(rng, (repetitions, subjects))
                sums = images_held(counts, share, rng)
                plain, ours = mean_ends(sums, counts), share_ends(sums, counts)
                cells.append(f"{held(plain, share):.1%} | {held(ours, share):.1%}")
            yield f"| {images} | {subjects} | {' | '.join(cells)} |"


def real(predictions: pd.DataFrame, repetitions: int) -> Iterator[str]:
    """Lines on subjects that are drawn, each independently, from those of a result.

    Args:
        predictions: `identity, age, predicted_age`, a row an image.
        repetitions: How often subjects are drawn.
    """
    rng = np.random.default_rng(2)
    errors = (predictions["predicted_age"] - predictions["age"]).abs()
    sums, counts = _by_subject(errors, predictions["identity"])
    within, _ = _by_subject(errors <= WITHIN, predictions["identity"])
    for subjects in (4, 8, 16):
        chosen = rng.integers(0, len(counts), (repetitions, subjects))
        score = share_ends(within[chosen], counts[chosen])
        yield (
            f"| {subjects} {_side_by_side(sums[chosen], counts[chosen], errors.mean(), rng)}"
            f" {held(score, (errors <= WITHIN).mean()):.1%} |"
        )


def decades(predictions: pd.DataFrame) -> Iterator[str]:
    """Lines on the decades of a result: ours, and the bootstrap.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age`, a row an image.
    """
    rng = np.random.default_rng(3)
    errors = (predictions["predicted_age"] - predictions["age"]).abs()
    groups = np.asarray(decade(predictions["age"]))
    for row in group_report(predictions)["decade"]:
        if row["mae_low"] is None:
            continue
        part = groups == row["group"]
        sums, counts = _by_subject(errors[part], predictions["identity"][part])
        low, high = bootstrap_ends(sums[None], counts[None], rng)
        yield (
            f"| {row['group'].replace('-', '–')} | {row['n']} | {row['subjects']} "
            f"| {row['mae']:.2f} | {low[0]:.2f} to {high[0]:.2f} "
            f"| {row['mae_low']:.2f} to {row['mae_high']:.2f} |"
        )


def _by_subject(values: pd.Series, identity: pd.Series) -> tuple[Floats, Ints]:
    by_subject = values.groupby(identity)
    sums, counts = by_subject.sum(), by_subject.size()
    return np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.int64)


def _side_by_side(sums: Floats, counts: Ints, true: float, rng: np.random.Generator) -> str:
    methods = [bootstrap_ends(sums, counts, rng), simple_ends(sums, counts)]
    if enough := counts.shape[-1] >= FEWEST_SUBJECTS:
        methods.append(mean_ends(sums, counts))
    cells = [f"{held(ends, true):.1%} | {width(ends):.2f}" for ends in methods]
    return f"| {' | '.join(cells)} |" + ("" if enough else " none | |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, help="a predictions.parquet, such as FG-NET's")
    parser.add_argument("--repetitions", type=int, default=10_000)
    given = parser.parse_args()
    print(f"A mean of {MEAN:g} years:\n")
    print(f"| images a subject | subjects | {METHODS} |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(means(given.repetitions)))
    print("\nShares, by the t interval and by ours:\n")
    print(
        "| images a subject | subjects | " + " | ".join(f"{p:.0%}: t | ours" for p in SHARES), "|"
    )
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(shares(given.repetitions)))
    if given.predictions is not None:
        print("\nSubjects drawn from a result:\n")
        print(f"| subjects | {METHODS} | CS@5 holds |")
        print("|---|---|---|---|---|---|---|---|")
        predictions = pd.read_parquet(given.predictions)
        print("\n".join(real(predictions, given.repetitions)))
        print("\nBy decade of the true age:\n")
        print("| true age | images | subjects | MAE (years) | bootstrap | ours |")
        print("|---|---|---|---|---|---|")
        print("\n".join(decades(predictions)))


if __name__ == "__main__":
    main()
