"""How often comparisons of settings claim a difference that is not there, and miss one that is.

    python -m benchmarks.comparisons                        # the simulation, minutes
    python -m benchmarks.comparisons --output table.md
    python -m benchmarks.comparisons --predictions FILE...  # seeds of one setting, compared

The simulation draws absolute errors of two settings that are equal, for 82 subjects with as many
images as FG-NET's, compares them, and counts p < 0.05. Beside it stands the interval over subjects
alone. The noise of networks is that of seeds on FG-NET at 224 pixels, at 48, and a stronger one
that was assumed and not measured.

The second form takes the `predictions.parquet` of the seeds of one setting, and compares each seed
with each other, and two seeds with two others: any claim is wrong.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from contrastive_age.evaluation.comparison import FEWEST_FOLDS, Estimate, comparable, estimate, holm
from contrastive_age.evaluation.metrics import Floats, Ints, signed_errors
from contrastive_age.evaluation.seeds import align_seeds

_SUBJECTS = {6: 1, 8: 3, 9: 2, 10: 10, 11: 15, 12: 14, 13: 17, 14: 9, 15: 4, 16: 6, 18: 1}
IMAGES = tuple(images for images, subjects in _SUBJECTS.items() for _ in range(subjects))
"""Of FG-NET's 82 subjects, 1,002 in all."""

FAMILY = 6
"""Settings that are held against one reference."""

_SHARED = 0.4
"""Share of networks' variance that two settings have in common for the same seed."""

_IMAGE = 1.5
"""Standard deviation in years between seeds of an image beside its subject's, in random splits."""


class Noise(NamedTuple):
    """What networks vary by, as standard deviations in years.

    Attributes:
        name: Where it was measured, or that it was assumed.
        network: Common to all subjects of a network.
        subject: Of a subject's mean absolute error, by the network.
    """

    name: str
    network: float
    subject: float


AT_224, AT_48 = Noise("224 px", 0.05, 0.55), Noise("48 px", 0.0, 0.75)
"""About what `noise_of` measures on FG-NET: two settings of five seeds, five settings of three."""

STRONG = Noise("strong (assumed)", 0.25, 0.6)
"""With one seed in five folds the 95% interval over subjects alone has a half width of 0.15 years,
one that holds 0.25 to 0.30: seeds at 48 pixels do not show it."""

NOISES = AT_224, AT_48, STRONG


@dataclass(frozen=True)
class Case:
    """What is drawn.

    Attributes:
        noise: Of networks.
        folds: Number of folds; as many as subjects leave one out.
        seeds: Of one side.
        others: Of the other; equal seeds are paired.
        settings: Standard deviation in years of what a setting does to a subject, beside the first.
        random: Whether each image is put in a fold alone, and not its subject.
        images: Of each subject.
    """

    noise: Noise
    folds: int
    seeds: Sequence[int]
    others: Sequence[int]
    settings: float = 0.0
    random: bool = False
    images: Sequence[int] = IMAGES

    @property
    def told(self) -> bool:
        """Whether there would be a verdict."""
        return min(len(self.seeds), len(self.others)) > 1 or self.folds >= FEWEST_FOLDS

    @property
    def name(self) -> str:
        """All of it in words."""
        same = "the same" if set(self.seeds) & set(self.others) else "other"
        seeds = f"{len(self.seeds)} and {same} {len(self.others)}"
        subjects = len(self.images)
        people = "" if subjects == len(IMAGES) else f", {subjects} subjects"
        split = "random, " if self.random else ""
        return f"{self.noise.name} | {split}{self.folds}{people} | {seeds} | {self.settings:g}"


class Law(NamedTuple):
    """How errors are distributed: normal, or exponential with a scale of each subject's own."""

    heavy: bool

    def draw(self, rng: np.random.Generator, *shape: int) -> Floats:
        """Draw numbers of mean 0 and variance 1."""
        return rng.exponential(size=shape) - 1 if self.heavy else rng.normal(size=shape)

    def scales(self, rng: np.random.Generator, subjects: int) -> Floats:
        """Draw the subjects' standard deviations, with a mean square of 1."""
        spread = 0.5 if self.heavy else 0.0
        scales: Floats = np.exp(spread * rng.normal(size=subjects) - spread**2)
        return scales


class Trial(NamedTuple):
    """Drawn errors, each a row a subject or, in a random split, a row an image.

    Attributes:
        settings: By setting and seed, shape (n,): absolute errors less what settings share.
        weight: Of the rows, shape (n,).
        subject: Of the rows.
        fold: Of the rows.
    """

    settings: Sequence[Mapping[int, Floats]]
    weight: Floats
    subject: Ints
    fold: Ints


class Rates(NamedTuple):
    """What came of a case, in percent and years.

    Attributes:
        alone: Claims over subjects alone.
        claims: Claims of ours, where nothing differs.
        found: Claims where the settings differ by `detectable`.
        detectable: The median of what was printed.
        alone_half: Median half width of the interval over subjects alone.
        half: Of ours.
    """

    alone: float
    claims: float
    found: float
    detectable: float
    alone_half: float
    half: float


def draw(case: Case, law: Law, rng: np.random.Generator, settings: int = 2) -> Trial:
    """Draw the errors of settings that are equal but for each subject's own difference.

    Args:
        case: The first setting has its seeds, all further ones its others.
        law: Of all that is drawn of subjects.
        rng: Draws.
        settings: How many.
    """
    subjects = len(case.images)
    subject = np.repeat(np.arange(subjects), case.images) if case.random else np.arange(subjects)
    images = np.ones(len(subject)) if case.random else np.asarray(case.images)
    fold = rng.permutation(np.arange(len(subject)) % case.folds)
    scale = law.scales(rng, subjects)
    network, own = case.noise.network, case.noise.subject
    # a subject's own part of a network's error; in a random split each fold has its own network
    cells = (subjects, case.folds) if case.random else (subjects,)
    cell = (subject, fold) if case.random else (subject,)
    of_setting = case.settings * law.draw(rng, settings, subjects) * scale
    of_setting[0] = 0

    def networks() -> Floats:
        drawn: Floats = network * rng.normal(size=case.folds)[fold]
        drawn = drawn + own * law.draw(rng, *cells)[cell] * scale[subject]
        return drawn + _IMAGE * rng.normal(size=len(subject)) if case.random else drawn

    common = {seed: networks() for seed in {*case.seeds, *case.others}}
    errors = [
        {
            seed: of_setting[place][subject]
            + math.sqrt(_SHARED) * common[seed]
            + math.sqrt(1 - _SHARED) * networks()
            for seed in (case.others if place else case.seeds)
        }
        for place in range(settings)
    ]
    return Trial(errors, images / images.sum(), subject, fold)


def alone(trial: Trial) -> Estimate:
    """The interval over subjects alone, as a bootstrap over subjects has it."""
    ours, theirs = (np.mean(list(side.values()), axis=0) for side in trial.settings[:2])
    gain = ours - theirs
    difference = float(trial.weight @ gain)
    sums = np.bincount(trial.subject, trial.weight * (gain - difference))
    return Estimate(difference, float(np.linalg.norm(sums)), math.inf)


def run(case: Case, law: Law, trials: int) -> Rates:
    """Draw and compare so many times, with draws of the case's own."""
    rng = np.random.default_rng(0)
    before, ours = [], []
    for _ in range(trials):
        trial = draw(case, law, rng)
        before.append(alone(trial))
        if case.told:
            rows = trial.weight, trial.subject, trial.fold
            ours.append(estimate(*comparable(*trial.settings), *rows))
    detectable = _median([own.detectable for own in ours])
    apart = [replace(own, difference=own.difference + detectable) for own in ours]
    return Rates(
        _claims([own.p for own in before]),
        _claims([own.p for own in ours]),
        _claims([own.p for own in apart]),
        detectable,
        *(_median([own.interval.high - own.difference for own in some]) for some in (before, ours)),
    )


def family_wise(case: Case, law: Law, trials: int) -> tuple[float, float, float]:
    """Hold several equal settings against one, and count families in which anything is claimed.

    Returns:
        Percent over subjects alone, of ours one by one, and of ours after Holm.
    """
    rng = np.random.default_rng(0)
    smallest = []
    for _ in range(trials):
        trial = draw(case, law, rng, 1 + FAMILY)
        reference, *settings = trial.settings
        rows = trial.weight, trial.subject, trial.fold
        before = [alone(trial._replace(settings=[own, reference])).p for own in settings]
        ours = [estimate(own, reference, *rows).p for own in settings]
        smallest.append((min(before), min(ours), holm(ours).min()))
    first, second, third = (_claims(column) for column in zip(*smallest, strict=True))
    return first, second, third


def cases() -> Iterator[Case]:
    """All that are drawn."""
    for noise in NOISES:
        for folds in (5, len(IMAGES)):
            for others in ((0, 1, 2), (3, 4, 5)):
                for settings in (0.0, 0.5):
                    yield Case(noise, folds, (0, 1, 2), others, settings)
    for noise in NOISES:
        yield Case(noise, 5, (0,), (0,))
        yield Case(noise, 10, (0,), (0,))
        yield Case(noise, len(IMAGES), (0,), (0,))
        yield Case(noise, 5, (0, 1), (0, 1))
        yield Case(noise, 5, (0, 1), (2, 3))
        yield Case(noise, 5, tuple(range(5)), tuple(range(5)))
        yield Case(noise, 5, tuple(range(5)), (0, 1, 2))
        yield Case(noise, 10, (0,), (0, 1, 2))
        yield Case(noise, 5, (0, 1, 2), (0, 1, 2), random=True)
        yield Case(noise, 10, (0,), (0,), random=True)
        yield Case(noise, 4, (0, 1, 2), (0, 1, 2), images=IMAGES[::10])


def simulate(trials: int) -> str:
    """Run all cases, and lay them out in Markdown."""
    laws = Law(heavy=False), Law(heavy=True)
    lines = [
        "| noise | folds | seeds | SD | alone, % | claims, % | found, % | could have seen "
        "| half width alone | half width |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases():
        rates = [run(case, law, trials) for law in laws]
        cells = [
            " / ".join("–" if math.isnan(value) else form.format(value) for value in values)
            for form, values in zip(_FORMS, zip(*rates, strict=True), strict=True)
        ]
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| noise | alone, % | one by one, % | after Holm, % |",
        "|---|---|---|---|",
    ]
    for noise in NOISES:
        case = Case(noise, 5, (0, 1, 2), (0, 1, 2))
        cells = [
            f"{normal:.1f} / {heavy:.1f}"
            for normal, heavy in zip(*(family_wise(case, law, trials) for law in laws), strict=True)
        ]
        lines.append(f"| {noise.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_FORMS = ("{:.1f}", "{:.1f}", "{:.0f}", "{:.2f}", "{:.2f}", "{:.2f}")


def noise_of(errors: Floats, subject: Ints, fold: Ints) -> tuple[float, float]:
    """Measure how networks of one setting vary, by moments within folds.

    Args:
        errors: Absolute errors in years, shape (seeds, n).
        subject: Of each image.
        fold: Of each image; subjects stay in one.

    Returns:
        The standard deviation in years that is common to a network's subjects (0 where their
        means vary no more than subjects explain), and that of a subject's mean besides.
    """
    table = pd.DataFrame(errors.T).groupby([fold, subject])
    means, images = table.mean(), table.size()
    common, own = [], []
    for part, of_fold in means.groupby(level=0):
        weight = (images[part] / images[part].sum()).to_numpy()
        values = of_fold.to_numpy()
        network = weight @ values
        rest = values - network
        rest -= rest.mean(axis=1, keepdims=True)
        own.append((rest**2).sum() / ((len(values) - 1) * (len(errors) - 1)))
        common.append(network.var(ddof=1) - own[-1] * (weight**2).sum())
    return math.sqrt(max(float(np.mean(common)), 0)), math.sqrt(float(np.mean(own)))


def between_seeds(tables: Sequence[pd.DataFrame], draws: int = 1000) -> str:
    """Compare the seeds of one setting with each other; every claim is wrong.

    Args:
        tables: The predictions of each seed.
        draws: How often the networks of each fold are dealt out anew, two to each side: a seed has
            nothing in common over folds.
    """
    aligned = align_seeds(tables)
    errors = np.stack([np.abs(signed_errors(table)) for table in aligned])
    subject, fold = (pd.factorize(aligned[0][name])[0] for name in ("identity", "fold"))
    seeds, n = errors.shape

    def trial(ours: Floats, theirs: Floats) -> Trial:
        # no seed in common
        sides = dict(enumerate(ours)), dict(enumerate(theirs, len(ours)))
        return Trial(sides, np.full(n, 1 / n), subject, fold)

    def dealt(rng: np.random.Generator) -> Floats:
        order = np.stack([rng.permutation(seeds) for _ in range(fold.max() + 1)], axis=1)
        some: Floats = errors[order[:, fold], np.arange(n)]
        return some

    singles = combinations(errors[:, None], 2)
    pairs = [
        (ours, theirs)
        for ours, theirs in combinations(combinations(range(seeds), 2), 2)
        if not set(ours) & set(theirs)
    ]
    rng = np.random.default_rng(0)
    mixed = [dealt(rng) for _ in range(draws if pairs else 0)]
    told = fold.max() + 1 >= FEWEST_FOLDS
    kinds = {
        "one against one": [trial(a, b) for a, b in singles],
        "two against two": [trial(errors[[*a]], errors[[*b]]) for a, b in pairs],
        "two against two, dealt by fold": [trial(some[:2], some[2:4]) for some in mixed],
    }
    lines = ["| seeds | pairs | alone | claims |", "|---|---|---|---|"]
    for name, trials in kinds.items():
        before = sum(alone(each).p < 0.05 for each in trials)
        ours = sum(
            estimate(*each.settings, each.weight, each.subject, each.fold).p < 0.05
            for each in trials
        )
        verdict = ours if told or name != "one against one" else "no verdict"
        lines.append(f"| {name} | {len(trials):,} | {before} | {verdict} |")
    common, own = noise_of(errors, subject, fold)
    lines += ["", f"Networks vary by {common:.2f} years, a subject besides by {own:.2f}."]
    return "\n".join(lines) + "\n"


def _claims(p: Sequence[float]) -> float:
    return 100 * float(np.mean(np.asarray(p) < 0.05)) if len(p) else math.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan


def main() -> None:
    """Run the simulation, or compare the seeds that are given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparisons",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=2000, help="of each row")
    parser.add_argument("--output", type=Path, help="a file for the table; else it is printed")
    parser.add_argument("--predictions", type=Path, nargs="+", help="of each seed, in place of it")
    chosen = parser.parse_args()
    if chosen.predictions:
        text = between_seeds([pd.read_parquet(path) for path in chosen.predictions])
    else:
        text = simulate(chosen.trials)
    if chosen.output is None:
        sys.stdout.write(text)
    else:
        chosen.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
