"""People in synthetic portraits: what identity fixes, what age changes, what one picture adds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]

# race letter (as MORPH II codes it), lightest and darkest skin, share of the population
_SKINS: tuple[tuple[str, Colour, Colour, float], ...] = (
    ("W", (247, 213, 190), (226, 178, 146), 0.42),
    ("B", (176, 124, 92), (112, 74, 54), 0.26),
    ("H", (224, 178, 142), (190, 140, 104), 0.18),
    ("A", (242, 205, 168), (220, 174, 132), 0.14),
)
_FAIR_HAIR: tuple[Colour, ...] = (
    (222, 186, 124),
    (184, 138, 84),
    (150, 82, 46),
    (122, 84, 56),
    (86, 58, 42),
    (52, 38, 32),
)
_DARK_HAIR: tuple[Colour, ...] = ((40, 30, 27), (58, 40, 32), (30, 25, 26))
_FAIR_EYES: tuple[Colour, ...] = ((92, 140, 178), (104, 142, 104), (126, 96, 58), (118, 146, 156))
_DARK_EYES: tuple[Colour, ...] = ((96, 62, 38), (76, 50, 34))
_CLOTHES: tuple[Colour, ...] = (
    (70, 96, 130),
    (140, 70, 72),
    (86, 112, 96),
    (196, 182, 158),
    (64, 66, 78),
    (176, 120, 92),
    (112, 92, 130),
    (214, 206, 200),
)
STYLES = {"M": ("crop", "side", "curls", "buzz"), "F": ("long", "bob", "bun", "curls", "wavy")}


@dataclass(frozen=True)
class Traits:
    """What stays the same over a life. Ratios are relative to an average face (1.0)."""

    sex: str
    race: str
    skin: Colour
    hair: Colour
    iris: Colour
    style: str
    parting: float
    width: float
    jaw: float
    chin: float
    eye_distance: float
    eye_size: float
    eye_tilt: float
    brow_height: float
    brow_weight: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lips: float
    ears: float
    greying_age: float
    receding: float
    weathering: float
    looks_older: float
    freckles: float
    beard: float
    glasses_age: float

    def bearded(self, age: float) -> bool:
        """Whether there is a full beard at an age in years, and not only its shadow."""
        return self.beard > 0.75 and age > 24


@dataclass(frozen=True)
class Moment:
    """What belongs to one picture: pose, expression, light and surroundings."""

    scale: float
    angle: float
    shift: tuple[float, float]
    turn: tuple[float, float]
    smile: float
    lids: float
    gaze: tuple[float, float]
    light: tuple[float, float, float]
    ambient: float
    exposure: float
    warmth: float
    backdrop: tuple[Colour, Colour]
    clothes: Colour
    collar: int
    age_noise: float


@dataclass(frozen=True)
class Stage:
    """How far growth, puberty and ageing have come at an apparent age.

    Attributes:
        years: The apparent age in years.
        growth: 0 at birth to 1 when grown.
        maturity: 0 before puberty to 1 after it.
        ageing: 0 up to 20 years, about 1 at 75.
        grey: Share of grey hair, 0 to 1.
        hair: Fullness of the hair, small in babies.
        recession: How far the hairline has gone back, 0 to 1.
        wear: Depth of the wrinkles, 0 to about 1.3.
    """

    years: float
    growth: float
    maturity: float
    ageing: float
    grey: float
    hair: float
    recession: float
    wear: float


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def traits(identity: int, seed: int) -> Traits:
    """Draw the traits of one identity; the same pair of numbers always gives the same person."""
    rng = np.random.default_rng((seed, identity, 11))
    sex = "F" if rng.random() < 0.5 else "M"
    kind = int(rng.choice(len(_SKINS), p=[skin[3] for skin in _SKINS]))
    race, light, dark, _ = _SKINS[kind]
    hairs, eyes = (_FAIR_HAIR, _FAIR_EYES) if race == "W" else (_DARK_HAIR, _DARK_EYES)
    styles = STYLES[sex]
    if race == "B" and sex == "M":
        styles = ("buzz", "curls", "curls")

    def ratio(spread: float) -> float:
        return float(1 + spread * np.clip(rng.standard_normal(), -2, 2))

    return Traits(
        sex=sex,
        race=race,
        skin=blend(light, dark, float(rng.random())),
        hair=hairs[int(rng.integers(len(hairs)))],
        iris=eyes[int(rng.integers(len(eyes)))],
        style=styles[int(rng.integers(len(styles)))],
        parting=float(rng.choice([-1.0, 1.0])),
        width=ratio(0.035),
        jaw=ratio(0.05),
        chin=ratio(0.035),
        eye_distance=ratio(0.05),
        eye_size=ratio(0.07),
        eye_tilt=float(rng.normal(0.02, 0.03)) + (0.04 if race == "A" else 0.0),
        brow_height=ratio(0.12),
        brow_weight=ratio(0.2),
        nose_length=ratio(0.07),
        nose_width=ratio(0.1) * (1.2 if race == "B" else 1.0),
        mouth_width=ratio(0.07),
        lips=ratio(0.14) * (1.25 if race == "B" else 1.0),
        ears=ratio(0.12),
        greying_age=float(np.clip(rng.normal(49, 5), 38, 60)),
        receding=float(rng.beta(1.4, 1.6)) if sex == "M" else float(0.15 * rng.random()),
        weathering=ratio(0.13),
        looks_older=float(rng.normal(0, 0.03)),
        freckles=float(rng.random() ** 3) if race == "W" else 0.0,
        beard=float(rng.random()) if sex == "M" else 0.0,
        glasses_age=float(rng.choice([9.0, 30.0, 46.0, 200.0], p=[0.08, 0.07, 0.15, 0.7])),
    )


def moment(identity: int, age: int, picture: int, seed: int) -> Moment:
    """Draw what belongs to one picture of an identity at an age."""
    rng = np.random.default_rng((seed, identity, age, picture, 13))
    hue, tone = rng.random(), rng.uniform(0.45, 0.95)
    tint = np.array([0.5 + 0.5 * math.cos(2 * math.pi * (hue + k / 3)) for k in range(3)])
    wall = 255 * tone * (0.86 + 0.14 * tint)
    side = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.75))
    light = np.array([side, -rng.uniform(0.25, 0.65), 1.0])
    light /= np.linalg.norm(light)

    def colour(values: npt.NDArray[np.float64]) -> Colour:
        red, green, blue = (int(value) for value in np.clip(values, 0, 255))
        return red, green, blue

    return Moment(
        scale=float(rng.uniform(0.92, 1.07)),
        angle=float(np.clip(rng.normal(0, 4), -9, 9)),
        shift=(float(rng.normal(0, 0.018)), float(rng.normal(0, 0.012))),
        turn=(
            float(np.clip(rng.normal(0, 0.09), -0.2, 0.2)),
            float(np.clip(rng.normal(0, 0.04), -0.08, 0.08)),
        ),
        smile=float(rng.beta(1.2, 1.4)),
        lids=float(rng.uniform(0.86, 1.06)),
        gaze=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.01))),
        light=(float(light[0]), float(light[1]), float(light[2])),
        ambient=float(rng.uniform(0.48, 0.66)),
        exposure=float(rng.uniform(0.95, 1.12)),
        warmth=float(rng.normal(0, 0.025)),
        backdrop=(colour(wall), colour(wall * rng.uniform(0.5, 0.8))),
        clothes=_CLOTHES[int(rng.integers(len(_CLOTHES)))],
        collar=int(rng.integers(3)),
        age_noise=float(np.clip(rng.standard_normal(), -2, 2)),
    )


def stage(person: Traits, age: int, noise: float = 0.0) -> Stage:
    """Say how a person looks at an age.

    The apparent age differs from `age` by the person's lifelong bias and by `noise` standard
    deviations of (0.4 + 0.03 age) years, so that age can be read from a face, but not exactly.
    """
    years = max(0.0, age * (1 + person.looks_older) + noise * (0.4 + 0.03 * age))
    ageing = max(0.0, (years - 20) / 55)
    return Stage(
        years=years,
        growth=(1 - math.exp(-years / 7.5)) / (1 - math.exp(-22 / 7.5)) if years < 22 else 1.0,
        maturity=1 / (1 + math.exp((14.5 - years) / 1.7)),
        ageing=ageing,
        grey=1 / (1 + math.exp((person.greying_age - years) / 7)),
        hair=min(1.0, 0.25 + years / 4),
        recession=person.receding * min(1.0, max(0.0, (years - 22) / 38)),
        wear=person.weathering * ageing,
    )
