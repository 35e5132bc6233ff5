"""How often intervals over subjects hold what they are meant to, by simulation and on real errors.

python -m benchmarks.intervals                              made-up subjects
python -m benchmarks.intervals --predictions FILE.parquet   and subjects drawn from a real result

Prints Markdown tables of the share of 95% intervals that hold the true value: those of before (the
percentile bootstrap over subjects) beside those of now, with their median widths.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from contrastive_age.evaluation.confidence import FEWEST_SUBJECTS, mean_ends, share_ends
from contrastive_age.evaluation.metrics import Floats, Ints

SUBJECTS = (2, 4, 8, 16, 30, 82)
MEAN = 5.0
SHARES = (0.02, 0.25, 0.95)
WITHIN = 5.0
"""Years of the cumulative score."""

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
            yield f"| {images} | {subjects} {_both(sums, counts, MEAN, rng)}"


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
    by_subject = pd.DataFrame({"sum": errors, "within": errors <= WITHIN, "n": 1}).groupby(
        predictions["identity"].to_numpy()
    )
    sums, within, counts = by_subject.sum().to_numpy(np.float64).T
    counts = counts.astype(np.int64)
    for subjects in (4, 8, 16):
        chosen = rng.integers(0, len(counts), (repetitions, subjects))
        score = share_ends(within[chosen], counts[chosen])
        yield (
            f"| {subjects} {_both(sums[chosen], counts[chosen], float(errors.mean()), rng)}"
            f" {held(score, float((errors <= WITHIN).mean())):.1%} |"
        )


def _both(sums: Floats, counts: Ints, true: float, rng: np.random.Generator) -> str:
    before = bootstrap_ends(sums, counts, rng)
    cells = f"| {held(before, true):.1%} | {width(before):.2f} |"
    if counts.shape[-1] < FEWEST_SUBJECTS:
        return f"{cells} none | |"
    now = mean_ends(sums, counts)
    return f"{cells} {held(now, true):.1%} | {width(now):.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, help="a predictions.parquet, such as FG-NET's")
    parser.add_argument("--repetitions", type=int, default=10_000)
    given = parser.parse_args()
    print(f"A mean of {MEAN:g} years:\n")
    print("| images a subject | subjects | bootstrap holds | width | now holds | width |")
    print("|---|---|---|---|---|---|")
    print("\n".join(means(given.repetitions)))
    print("\nShares, by the t interval and by that of shares:\n")
    print("| images a subject | subjects | " + " | ".join(f"{p:.0%}: t | now" for p in SHARES), "|")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(shares(given.repetitions)))
    if given.predictions is not None:
        print("\nSubjects drawn from a result:\n")
        print("| subjects | bootstrap holds | width | now holds | width | now holds CS@5 |")
        print("|---|---|---|---|---|---|")
        print("\n".join(real(pd.read_parquet(given.predictions), given.repetitions)))


if __name__ == "__main__":
    main()
