"""Populations of synthetic people: who is photographed at which age, as in FG-NET and MORPH II."""

import datetime
from collections import Counter
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
import numpy.typing as npt

from contrastive_age.drawn.portrait.people import traits

FGNET_AGES = (0, 69)
MORPH_AGES = (16, 77)
_HOLDERS = 2


@dataclass(frozen=True)
class Shot:
    """One picture to take: of whom, at which age, the how-manieth, and the file's name.

    Attributes:
        identity: Number of the person, from 1.
        age: Age in whole years.
        picture: Number of the picture: among all of the identity in MORPH II, among those at one
            age in FG-NET. It only varies pose, light and expression.
        name: Path of the picture below the folder, posix.
    """

    identity: int
    age: int
    picture: int
    name: str


def _shares(images: int, identities: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Split the images among identities as evenly as whole numbers allow, in random order."""
    if not 1 <= identities <= images:
        raise ValueError(f"{images} images cannot show {identities} identities at least once each")
    shares = np.full(identities, images // identities, dtype=np.int64)
    shares[: images % identities] += 1
    return rng.permutation(shares)


def _stratified(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw `count` numbers in [0, 1), one in each of as many equal parts, in random order."""
    return rng.permutation((np.arange(count) + rng.random(count)) / count)


def _spread_holders(ages: list[list[int]], holders: int) -> None:
    """Move ages held by fewer than `holders` identities to the nearest age that has enough.

    Args:
        ages: The ages of each identity's pictures, changed in place.
        holders: Identities that shall hold every age left; nothing is moved when no age has them.
    """
    while True:
        held = Counter(age for life in ages for age in set(life))
        enough = [age for age, count in held.items() if count >= holders]
        rare = sorted(age for age, count in held.items() if count < holders)
        if not enough or not rare:
            return
        nearest = min(enough, key=lambda age: (abs(age - rare[0]), age))
        for life in ages:
            life[:] = [nearest if age == rare[0] else age for age in life]


def fgnet_population(identities: int, images: int, seed: int) -> list[Shot]:
    """Plan pictures like those of FG-NET: many of the young, each identity over a span of years.

    Every age that occurs is held by at least two identities where the population allows it.

    Args:
        identities: Number of identities, up to 999.
        images: Number of pictures, at least one an identity.
        seed: Seed of the population.

    Returns:
        One `Shot` a picture, by identity and age.

    Raises:
        ValueError: The numbers do not fit each other or the layout's names.
    """
    if identities > 999:
        raise ValueError(f"the FG-NET layout has three digits for an identity, not {identities}")
    rng = np.random.default_rng((seed, 23))
    low, high = FGNET_AGES
    years = np.arange(low, high + 1)
    weights = np.exp(-years / 18) + 0.07
    ages: list[list[int]] = []
    for count, place in zip(
        _shares(images, identities, rng), _stratified(identities, rng), strict=True
    ):
        span = rng.uniform(20, 45)
        start = (high - span) * place**5
        window = np.where((years >= start) & (years <= start + span), weights, 0)
        edges = np.cumsum(window) / window.sum()
        drawn = np.searchsorted(edges, _stratified(int(count), rng), side="right")
        ages.append(np.minimum(drawn, high).tolist())
    _spread_holders(ages, min(_HOLDERS, identities))
    shots = Counter((who, age) for who, life in enumerate(ages, start=1) for age in life)
    most = max(shots.values())
    if most > len(ascii_lowercase):
        raise ValueError(f"{most} pictures of one identity at one age: letters end at z")
    return [
        Shot(who, age, picture, f"images/{who:03d}A{age:02d}{letter}.JPG")
        for (who, age), count in sorted(shots.items())
        for picture, letter in enumerate(ascii_lowercase[:count] if count > 1 else [""])
    ]


@dataclass(frozen=True)
class Arrest:
    """A row of MORPH's table: a picture, and when it was taken of a person born when."""

    shot: Shot
    sex: str
    born: datetime.date
    taken: datetime.date
    days_since_last: int


def _arrests(
    identity: int, sex: str, first_age: int, count: int, rng: np.random.Generator
) -> list[Arrest]:
    """Plan `count` pictures of one person from the first age on, within five years."""
    first = datetime.date(2003, 1, 1) + datetime.timedelta(days=int(rng.integers(730)))
    born = first - datetime.timedelta(days=int(365.25 * first_age + rng.integers(2, 360)))
    gaps = rng.exponential(300, count - 1) + 5
    gaps *= min(1.0, 5 * 365 / max(1.0, float(gaps.sum())))
    arrests: list[Arrest] = []
    taken = first
    for picture, gap in enumerate([0, *np.maximum(gaps.astype(np.int64), 1).tolist()]):
        taken += datetime.timedelta(days=gap)
        before_birthday = (taken.month, taken.day) < (born.month, born.day)
        age = taken.year - born.year - before_birthday
        name = f"Album2/{identity:06d}_{picture}{sex}{age:02d}.JPG"
        arrests.append(Arrest(Shot(identity, age, picture, name), sex, born, taken, gap))
    return arrests


def morph2_population(identities: int, images: int, seed: int) -> list[Arrest]:
    """Plan pictures like those of MORPH II: grown people, each a few times within five years.

    Args:
        identities: Number of identities.
        images: Number of pictures, at least one an identity.
        seed: Seed of the population.

    Returns:
        One entry a picture, by identity and picture number; ages never fall along them.

    Raises:
        ValueError: The numbers do not fit each other.
    """
    rng = np.random.default_rng((seed, 29))
    low, high = MORPH_AGES
    shares = _shares(images, identities, rng)
    # median 30 at the first picture, 33 over all of them, as in MORPH II
    places = np.quantile(rng.beta(1.4, 2.9, 20_000), _stratified(identities, rng))
    arrests: list[Arrest] = []
    for identity, (count, place) in enumerate(zip(shares, places, strict=True), start=1):
        first_age = low + int(place * (high - 6 - low))
        arrests += _arrests(identity, traits(identity, seed).sex, first_age, int(count), rng)
    return arrests
