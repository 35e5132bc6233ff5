"""Whether predictive intervals hold at every predicted age: on made-up people, on real predictions.

python -m benchmarks.predictive_intervals                      candidates on made-up people
python -m benchmarks.predictive_intervals --predictions FILE   one width and ours on real ones

Made-up people say which way of giving intervals a width is to be used: what they hold is known
exactly, and nothing is chosen on a real test set. Each candidate is calibrated on a sample of
people, and its intervals are tried on `STRANGERS` others. `FILE` is the predictions.parquet of a
protocol with people apart; of several runs in one file each is calibrated alone.
"""

import argparse
import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.evaluation import conformal
from contrastive_age.evaluation.conformal import LEVELS, ONE_WIDTH
from contrastive_age.evaluation.metrics import Floats, Ints, Mask

STRANGERS = 4000
REPEATS = 100
DECADES = (10.0, 20.0, 30.0, 40.0)
"""Where the decades of predicted ages begin that the tables show; the last is 40 and more."""

DECADE_NAMES = ("0–9", "10–19", "20–29", "30–39", "40+")
FEWEST_IMAGES = 40
"""Of a decade that is judged on real predictions."""

POINTS = 5.0
"""By which the coverage of a decade may differ from nominal; two standard errors where more."""

WIDEST = 1.1
"""Mean width against that of one width."""

Scale = Callable[[Floats], Floats]
"""Gives the scale at rows of `People.seen`."""

Fit = Callable[[Floats, Floats, Floats], Scale]
"""Makes a scale of rows of `People.seen`, the sizes of their errors, and weights."""


@dataclass(frozen=True)
class People:
    """Images of people, and what a network said of them.

    Attributes:
        subject: Number of each image's subject, 0..S-1, shape (n,).
        seen: What the network says: predicted age and its standard deviation in years, (n, 2).
        sizes: Absolute errors in years, (n,).
    """

    subject: Ints
    seen: Floats
    sizes: Floats

    @property
    def weight(self) -> Floats:
        """One a subject, shared among its images."""
        weight: Floats = 1.0 / np.bincount(self.subject)[self.subject]
        return weight


SPREADS: dict[str, Callable[[Floats], Floats]] = {
    "grows": lambda age: 1.0 + 0.16 * age,
    "constant": lambda age: np.full(len(age), 4.0),
    "falls": lambda age: np.maximum(8.0 - 0.12 * age, 1.0),
    "hump at 25": lambda age: 2.0 + 6.0 * np.exp(-(((age - 25.0) / 10.0) ** 2)),
}
"""Standard deviation of the errors in years at true ages."""


@dataclass(frozen=True)
class Size:
    """How many people calibrate, and how many images each has."""

    subjects: int
    images: tuple[int, int]

    @property
    def words(self) -> str:
        """Such as `82 subjects with one image each`."""
        low, high = self.images
        each = f"{low} to {high} images" if high > low else "one image"
        return f"{self.subjects} subjects with {each} each"


SIZES = (Size(82, (6, 18)), Size(20, (6, 18)), Size(82, (1, 1)))


def make_up(rng: np.random.Generator, size: Size, spread: Callable[[Floats], Floats]) -> People:
    """Make people up whose images are mostly of children, as FG-NET's are, and errors on them.

    Errors have a part that a subject's images share (a third of the variance), heavy tails
    (Student's t with 6 degrees of freedom), and images that are hard or easy. The network takes
    all for nearer to 16 than they are, by a fifth, and its standard deviation knows a part of how
    hard an image is.
    """
    low, high = size.images
    images = rng.integers(low, high + 1, size.subjects)
    subject = np.repeat(np.arange(size.subjects), images)
    n = len(subject)
    oldest = np.minimum(3.0 + rng.gamma(2.2, 14.0, size.subjects), 69.0)
    age = np.floor(rng.beta(1.0, 1.3, n) * (oldest[subject] + 1.0))
    hard = 0.35 * rng.normal(size=n)
    own = rng.normal(size=size.subjects)[subject]
    noise = rng.standard_t(6, n) / np.sqrt(1.5)
    error = spread(age) * np.exp(hard) * (np.sqrt(0.35) * own + np.sqrt(0.65) * noise)
    predicted = np.clip(age - 0.2 * (age - 16.0) + error, 0.0, 69.0)
    std = 0.5 * spread(age) * np.exp(0.6 * hard + 0.3 * rng.normal(size=n))
    return People(subject, np.stack([predicted, std], axis=1), np.abs(predicted - age))


def one_width(_seen: Floats, _sizes: Floats, _weight: Floats) -> Scale:
    """Take errors as they are."""
    return lambda new: ONE_WIDTH(new[:, 0])


def isotonic(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """The scale that the project uses."""
    scale = conformal.fit_scale(seen[:, 0], sizes, weight)
    return lambda new: scale(new[:, 0])


def isotonic_by_image(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """Isotonic regression on the images, without blocks of a subject's weight."""
    from sklearn.isotonic import IsotonicRegression

    least = conformal.LEAST_SCALE * np.average(sizes, weights=weight)
    fitted = IsotonicRegression(y_min=least, out_of_bounds="clip").fit(seen[:, 0], sizes, weight)
    return lambda new: fitted.predict(new[:, 0])


def smooth(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """A local mean: Gaussian weights of 5 years, and half a subject of the mean of all."""
    grid = np.arange(0.0, 71.0)
    nearest = np.clip(np.rint(seen[:, 0]), 0, 70).astype(np.int64)
    mass = np.bincount(nearest, weight, len(grid))
    sums = np.bincount(nearest, weight * sizes, len(grid))
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / 5.0) ** 2)
    mean = sums.sum() / mass.sum()
    values = (kernel @ sums + 0.5 * mean) / (kernel @ mass + 0.5)
    return lambda new: np.interp(new[:, 0], grid, values)


def line(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """A straight line by least squares, not below a quarter of the mean."""
    slope, start = np.polyfit(seen[:, 0], sizes, 1, w=np.sqrt(weight))
    least = 0.25 * np.average(sizes, weights=weight)
    low, high = seen[:, 0].min(), seen[:, 0].max()
    return lambda new: np.maximum(start + slope * np.clip(new[:, 0], low, high), least)


def isotonic_on_std(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """Isotonic in the predicted standard deviation alone."""
    scale = conformal.fit_scale(seen[:, 1], sizes, weight)
    return lambda new: scale(new[:, 1])


def isotonic_times_std(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """Isotonic in the predicted age, and what is left isotonic in the standard deviation."""
    by_age = isotonic(seen, sizes, weight)
    by_std = conformal.fit_scale(seen[:, 1], sizes / by_age(seen), weight)
    return lambda new: by_age(new) * by_std(new[:, 1])


def line_in_both(seen: Floats, sizes: Floats, weight: Floats) -> Scale:
    """A sum of a constant, the predicted age and its standard deviation, none of them negative."""
    from scipy.optimize import nnls

    def terms(rows: Floats) -> Floats:
        return np.column_stack([np.ones(len(rows)), rows])

    root = np.sqrt(weight)
    factors, _ = nnls(terms(seen) * root[:, None], sizes * root)
    least = 0.25 * np.average(sizes, weights=weight)
    return lambda new: np.maximum(terms(new) @ factors, least)


FITS: dict[str, Fit] = {
    "one width": one_width,
    "isotonic (ours)": isotonic,
    "isotonic by image": isotonic_by_image,
    "local mean": smooth,
    "line": line,
    "isotonic in std": isotonic_on_std,
    "isotonic, times std": isotonic_times_std,
    "line in age and std": line_in_both,
}
MONDRIAN = "Mondrian by decade"
OURS, BEFORE = "isotonic (ours)", "one width"

Radius = Callable[[Floats], Floats]
"""Gives half the width in years of the interval at each level, (n, m), at rows of `seen`."""


def calibrate(people: People, fit: Fit) -> Radius:
    """Calibrate normalised intervals as `conformal` does, with any scale."""
    seen, sizes = people.seen, people.sizes
    divided = conformal.scores(seen, sizes, people.subject, fit)
    multiples = conformal.quantiles(divided, people.subject, LEVELS)
    scale = fit(seen, sizes, people.weight)
    return lambda new: scale(new)[:, None] * multiples


def mondrian(people: People) -> Radius:
    """One width a decade of predicted ages, calibrated on the images in it alone."""
    decade = np.digitize(people.seen[:, 0], DECADES)
    radii = np.full((len(DECADE_NAMES), len(LEVELS)), np.inf)
    for number in np.unique(decade):
        inside = decade == number
        _, subject = np.unique(people.subject[inside], return_inverse=True)
        radii[number] = conformal.quantiles(people.sizes[inside], subject, LEVELS)
    return lambda new: radii[np.digitize(new[:, 0], DECADES)]


CANDIDATES: dict[str, Callable[[People], Radius]] = {
    **{name: functools.partial(calibrate, fit=fit) for name, fit in FITS.items()},
    MONDRIAN: mondrian,
}


def simulate(spread: str, size: Size, repeats: int, strangers: int = STRANGERS) -> pd.DataFrame:
    """Try the candidates on one kind of people.

    Args:
        spread: A key of `SPREADS`.
        size: Of each sample that calibrates.
        repeats: Number of samples.
        strangers: Number of people on whom each is tried.

    Returns:
        A row a candidate and level: `intervals`, `level`, `all` and each of `DECADE_NAMES` (percent
        of strangers, each weighing one, means over samples), `width` (mean over strangers and
        samples, years) and `infinite` (percent of samples with any infinite interval, which do not
        count in `width`).
    """
    rng = np.random.default_rng([zlib.crc32(spread.encode()), size.subjects, *size.images])
    tested = make_up(rng, Size(strangers, size.images), SPREADS[spread])
    decade = np.digitize(tested.seen[:, 0], DECADES)
    names: dict[str, Mask] = {"all": np.ones(len(decade), np.bool_)}
    names |= {name: decade == number for number, name in enumerate(DECADE_NAMES)}
    rows: list[dict[str, Any]] = []
    for _ in range(repeats):
        people = make_up(rng, size, SPREADS[spread])
        for candidate, method in CANDIDATES.items():
            radii = method(people)(tested.seen)
            for level, radius in zip(LEVELS, radii.T, strict=True):
                held = tested.sizes <= radius
                shares = {
                    name: 100.0 * np.average(held[part], weights=tested.weight[part])
                    for name, part in names.items()
                }
                finite = bool(np.isfinite(radius).all())
                width = 2.0 * np.average(radius, weights=tested.weight) if finite else np.nan
                rows.append(
                    {"intervals": candidate, "level": level, **shares}
                    | {"width": width, "infinite": 100.0 * (not finite)}
                )
    return pd.DataFrame(rows).groupby(["intervals", "level"], sort=False).mean().reset_index()


def simulate_all(size: Size, repeats: int, strangers: int = STRANGERS) -> pd.DataFrame:
    """Try the candidates on people of every spread.

    Returns:
        What `simulate` gives, with `spread`, and `width` as a share of that of one width.
    """
    tables = []
    for spread in SPREADS:
        table = simulate(spread, size, repeats, strangers).assign(spread=spread)
        first = table[table["intervals"] == BEFORE].set_index("level")["width"]
        tables.append(table.assign(width=table["width"] / table["level"].map(first)))
    return pd.concat(tables, ignore_index=True)


def summary_table(found: pd.DataFrame) -> list[str]:
    """Sum up each candidate over the spreads, from the least to the most, in Markdown."""
    head = " | ".join(f"{100 * level:g}%: all | any decade | width" for level in LEVELS)
    lines = [f"| intervals | {head} |", "|---|" + "---|" * (3 * len(LEVELS))]
    for candidate, rows in found.groupby("intervals", sort=False):
        cells: list[str] = []
        for _, of_level in rows.groupby("level"):
            cells += [
                _span(of_level["all"].to_numpy(), 1),
                _span(of_level[list(DECADE_NAMES)].to_numpy(), 0),
                _width(of_level),
            ]
        lines.append(f"| {candidate} | {' | '.join(cells)} |")
    return lines


def simulation_table(found: pd.DataFrame) -> list[str]:
    """Lay out each spread and candidate, in Markdown."""
    decades = " | ".join(DECADE_NAMES)
    head = " | ".join(f"{100 * level:g}%: all | {decades} | width" for level in LEVELS)
    lines = [
        f"| spread | intervals | {head} |",
        "|---|---|" + "---|" * (len(LEVELS) * (2 + len(DECADE_NAMES))),
    ]
    for (spread, candidate), rows in found.groupby(["spread", "intervals"], sort=False):
        cells: list[str] = []
        for _, row in rows.groupby("level"):
            values = row.iloc[0]
            cells.append(f"{values['all']:.1f}")
            cells += [f"{values[name]:.0f}" for name in DECADE_NAMES]
            cells.append(_width(row))
        lines.append(f"| {spread} | {candidate} | {' | '.join(cells)} |")
    return lines


def _width(rows: pd.DataFrame) -> str:
    """The widths of some rows, or how often an interval has no end."""
    if rows["infinite"].max():
        return f"no end in {_span(rows['infinite'].to_numpy(), 0)}%"
    return _span(rows["width"].to_numpy(), 2)


def _span(values: Floats, places: int) -> str:
    """The least and the most of some values, once where they are written alike."""
    ends = (f"{end:.{places}f}" for end in (values.min(), values.max()))
    return " to ".join(dict.fromkeys(ends))


@dataclass(frozen=True)
class Decade:
    """What intervals hold of those who are predicted so old.

    Attributes:
        name: Of the decade.
        n: Images.
        coverage: Percent of them.
        error: Standard error of the coverage in points, over subjects.
        level: Nominal coverage, percent.
    """

    name: str
    n: int
    coverage: float
    error: float
    level: float

    @property
    def judged(self) -> bool:
        """Whether there are images enough."""
        return self.n >= FEWEST_IMAGES

    @property
    def near(self) -> bool:
        """Whether the coverage is nominal, to `POINTS` or two standard errors."""
        return abs(self.coverage - self.level) <= max(POINTS, 2 * self.error)


def clustered_error(held: Mask, identity: Sequence[Any]) -> float:
    """Standard error of a share in percent points, where images of a subject are alike.

    The linearised ratio: sqrt(S / (S - 1) sum_s (sum_i (h_si - mean))^2) / n; NaN for one subject.
    """
    residuals = pd.Series(held - held.mean()).groupby(np.asarray(identity)).sum()
    subjects = len(residuals)
    if subjects < 2:
        return float("nan")
    variance = subjects / (subjects - 1) * (residuals**2).sum()
    return float(100.0 * np.sqrt(variance) / len(held))


def by_decade(predictions: pd.DataFrame, held: Mask, level: float) -> list[Decade]:
    """Measure coverage by decade of the predicted age."""
    decade = np.digitize(predictions["predicted_age"], DECADES)
    return [
        Decade(
            name,
            int(inside.sum()),
            float(100.0 * held[inside].mean()),
            clustered_error(held[inside], predictions["identity"][inside]),
            100.0 * level,
        )
        for number, name in enumerate(DECADE_NAMES)
        for inside in [decade == number]
        if inside.any()
    ]


def before(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give intervals of one width a fold, laid out as `conformal.cross_conformal` does."""
    predicted = predictions["predicted_age"].to_numpy(np.float64)
    sizes = np.abs(predicted - predictions["age"].to_numpy(np.float64))
    radius = np.empty((len(predictions), len(LEVELS)))
    for fold in predictions["fold"].unique():
        tested = (predictions["fold"] == fold).to_numpy()
        subject = pd.factorize(predictions["identity"][~tested])[0]
        radius[tested] = conformal.quantiles(sizes[~tested], subject, LEVELS)
    columns: dict[str, Any] = {"sample_id": predictions["sample_id"].to_numpy()}
    for level, values in zip(LEVELS, radius.T, strict=True):
        name = conformal.level_name(level)
        columns[f"low_{name}"] = np.maximum(predicted - values, 0.0)
        columns[f"high_{name}"] = predicted + values
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Outcome:
    """Intervals of one level on real predictions, one width and ours.

    Attributes:
        level: Percent.
        coverage: Percent of all images, before and after.
        width: Mean in years, before and after.
        decades: Before and after.
        new_infinite: Intervals without an end that had one.
    """

    level: float
    coverage: tuple[float, float]
    width: tuple[float, float]
    decades: tuple[list[Decade], list[Decade]]
    new_infinite: int

    @property
    def passed(self) -> bool:
        """Whether ours hold at every predicted age, hardly wider."""
        return (
            all(decade.near for decade in self.decades[1] if decade.judged)
            and not self.new_infinite
            and not self.width[1] > WIDEST * self.width[0]
        )


def compare(predictions: pd.DataFrame) -> list[Outcome]:
    """Measure one width and ours on the predictions of one run, for each level."""
    predictions = predictions.reset_index(drop=True)
    both = before(predictions), conformal.cross_conformal(predictions)
    age = predictions["age"].to_numpy()
    outcomes = []
    for level in LEVELS:
        name = conformal.level_name(level)
        ends = [(own[f"low_{name}"].to_numpy(), own[f"high_{name}"].to_numpy()) for own in both]
        held = [(low <= age) & (age <= high) for low, high in ends]
        (_, old), (_, new) = ends
        outcomes.append(
            Outcome(
                100.0 * level,
                (float(100.0 * held[0].mean()), float(100.0 * held[1].mean())),
                (float((ends[0][1] - ends[0][0]).mean()), float((ends[1][1] - ends[1][0]).mean())),
                (by_decade(predictions, held[0], level), by_decade(predictions, held[1], level)),
                int((np.isinf(new) & np.isfinite(old)).sum()),
            )
        )
    return outcomes


def runs_of(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Give each run in a table of predictions, with what tells it from the others."""
    known = [name for name in ("protocol", "start", "setting", "seed") if name in table]
    if not known:
        yield "", table
        return
    for values, part in table.groupby(known, sort=True):
        yield " ".join(map(str, values)), part


def comparison_table(runs: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """Lay the comparison out in Markdown: before, and after with its standard errors."""
    lines = [
        f"| run | level | intervals | all | {' | '.join(DECADE_NAMES)} | width (years) | passed |",
        "|---|---|---|---|" + "---|" * (len(DECADE_NAMES) + 2),
    ]
    outcomes = [(name, outcome) for name, predictions in runs for outcome in compare(predictions)]
    for name, outcome in outcomes:
        for place, said in enumerate((BEFORE, OURS)):
            cells = " | ".join(_cells(outcome, place))
            lines.append(f"| {name} | {outcome.level:g}% | {said} | {cells} |")
    passed = sum(outcome.passed for _, outcome in outcomes)
    return [*lines, "", f"Passed: {passed} of {len(outcomes)}."]


def _cells(outcome: Outcome, place: int) -> list[str]:
    """Coverage, with two standard errors where there are subjects enough, width and verdict."""
    found = {own.name: own for own in outcome.decades[place]}
    width, ratio = outcome.width[place], outcome.width[place] / outcome.width[0]
    return [
        f"{outcome.coverage[place]:.1f}",
        *(
            f"{own.coverage:.0f} ± {2 * own.error:.0f}" + ("" if own.judged else " (few)")
            if own
            else "–"
            for own in map(found.get, DECADE_NAMES)
        ),
        f"{width:.1f} ({ratio:.2f})",
        ("yes" if outcome.passed else "no") if place else "",
    ]


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predictive_intervals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--predictions", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="samples of people")
    chosen = parser.parse_args()
    if chosen.predictions:
        runs = [
            (name or file.parent.name, run)
            for file in chosen.predictions
            for name, run in runs_of(pd.read_parquet(file))
        ]
        print("\n".join(comparison_table(runs)))
        return
    for size in SIZES:
        found = simulate_all(size, chosen.repeats)
        print(f"\n{size.words}, {chosen.repeats} samples, over all spreads:\n")
        print("\n".join(summary_table(found)))
        print("\nEach spread:\n")
        print("\n".join(simulation_table(found)), flush=True)


if __name__ == "__main__":
    main()
