"""The anatomy of a synthetic face: where everything lies, and FG-NET's 68 landmarks."""

from dataclasses import dataclass

import numpy as np

from contrastive_age.drawn.portrait.curves import Points, along, both_sides, moved, spline
from contrastive_age.drawn.portrait.people import Colour, Moment, Stage, Traits


@dataclass(frozen=True)
class Eye:
    """One eye: lid curves from its left to its right corner, and the iris."""

    upper: Points
    lower: Points
    pupil: tuple[float, float]
    iris_radius: float


@dataclass(frozen=True)
class Brow:
    """One brow from its inner end outwards, with the step to its lower edge at every point."""

    spine: Points
    half: Points


@dataclass(frozen=True)
class Mouth:
    """The lips' curves from the left to the right corner; the mouth is open between the seams."""

    upper: Points
    seam_upper: Points
    seam_lower: Points
    lower: Points


@dataclass(frozen=True)
class Anatomy:
    """Where everything lies in one face, in face coordinates."""

    top: float
    chin: float
    width: float
    hairline: float
    outline: Points
    eyes: tuple[Eye, Eye]
    brows: tuple[Brow, Brow]
    mouth: Mouth
    nose_tip: tuple[float, float]
    nose_base: float
    nose_half_width: float


def _mix(young: float, grown: float, share: float) -> float:
    return young + (grown - young) * share


def _outline(width: float, jaw: float, chin: float, top: float, now: Stage) -> Points:
    """The closed outline of skull and face, clockwise from the crown."""
    round_cheek = 1 - now.growth
    sag = 0.045 * now.ageing
    half = [
        (0.0, top),
        (0.52 * width, top * 0.91),
        (0.86 * width, top * 0.60),
        (width * (1.0 - 0.02 * now.ageing), -0.25),
        (width, 0.18),
        (width * (0.94 + 0.05 * round_cheek - 0.03 * now.ageing), 0.38 * chin),
        (jaw * (0.98 + 0.08 * round_cheek) + 0.2 * sag, 0.66 * chin + sag),
        (jaw * (0.74 + 0.06 * round_cheek) + sag, 0.84 * chin + sag),
        (0.42 * jaw + 0.3 * sag, 0.965 * chin + 0.5 * sag),
        (0.0, chin),
    ]
    side = spline(half, 5)
    return np.vstack([side, side[-2:0:-1] * (-1.0, 1.0)])


def _eye(person: Traits, now: Stage, picture: Moment, side: float) -> Eye:
    centre = side * _mix(0.45, 0.462, now.growth) * person.eye_distance
    half = _mix(0.222, 0.226, now.growth) * person.eye_size
    droop = 0.05 * now.ageing
    openness = picture.lids * (1 - 0.22 * picture.smile * now.maturity)
    height = half * _mix(0.74, 0.50, now.growth) * openness * (1 - 0.22 * now.ageing)
    if person.race == "A":
        height *= 0.88
    rise = person.eye_tilt * (1 - 0.6 * now.growth * now.ageing)
    inner, outer = (-half, 0.02 + rise * 0.3), (half, -rise + droop)
    upper = [
        inner,
        (-0.45 * half, -0.78 * height),
        (0.1 * half, -height),
        (0.62 * half, -0.66 * height + droop),
        outer,
    ]
    lower = [
        inner,
        (-0.4 * half, 0.42 * height + 0.01),
        (0.15 * half, 0.62 * height),
        (0.66 * half, 0.40 * height + 0.5 * droop),
        outer,
    ]
    ordered = slice(None, None, int(side))
    return Eye(
        upper=moved(spline(upper, 5) * (side, 1.0), centre)[ordered],
        lower=moved(spline(lower, 5) * (side, 1.0), centre)[ordered],
        pupil=(centre + picture.gaze[0], -0.1 * height + picture.gaze[1]),
        iris_radius=half * _mix(0.53, 0.45, now.growth),
    )


def _brow(person: Traits, now: Stage, picture: Moment, side: float) -> Brow:
    centre = side * 0.46 * person.eye_distance
    height = _mix(0.36, 0.33, now.growth) * person.brow_height + 0.02 * picture.smile
    height -= 0.035 * now.maturity * (person.sex == "M") + 0.03 * now.ageing
    arch = 0.05 + 0.03 * (person.sex == "F") * now.maturity
    spine = [(-0.27, 0.0), (-0.1, -0.5 * arch), (0.1, -arch), (0.31, 0.03 + 0.05 * now.ageing)]
    curve = moved(spline(spine, 5) * (side, 1.0), centre, -height)
    weight = person.brow_weight * _mix(0.55, 1.0, now.maturity)
    weight *= 1.25 if person.sex == "M" else 0.85
    profile = np.sin(np.pi * np.linspace(0.18, 0.97, len(curve))) ** 0.6
    return Brow(curve, np.column_stack([np.zeros_like(profile), 0.048 * weight * profile]))


def _mouth(person: Traits, now: Stage, smile: float, centre: float) -> Mouth:
    half = _mix(0.27, 0.36, now.growth) * person.mouth_width * (1 + 0.2 * smile)
    lips = person.lips * _mix(0.9, 1.0, now.growth) * (1 - 0.42 * min(1.0, now.ageing))
    lift = 0.12 * smile + 0.01 - 0.035 * now.ageing
    gap = 0.085 * max(0.0, smile - 0.5)
    upper = ((0.0, -0.085), (0.07, -0.108), (0.2, -0.066))
    seam = ((0.0, 0.008), (0.08, -0.002), (0.22, -0.3 * lift))
    curves = [
        [(u, v * lips - gap) for u, v in upper],
        [(u, v - gap) for u, v in seam],
        [(u, v + gap) for u, v in seam],
        [
            (0.0, 0.145 * lips + gap),
            (0.12, 0.128 * lips + gap),
            (0.25, 0.055 * lips + 0.6 * gap - 0.2 * lift),
        ],
    ]
    corner = (half, -lift)
    return Mouth(*(moved(spline(both_sides([*curve, corner]), 5), v=centre) for curve in curves))


def anatomy(person: Traits, now: Stage, picture: Moment) -> Anatomy:
    """Lay out a person's face at a stage of life and a moment."""
    masculine = now.maturity * (person.sex == "M")
    width = person.width * _mix(1.02, 0.985, now.growth) + 0.02 * masculine
    chin = person.chin * _mix(1.19, 1.57, now.growth) + 0.07 * masculine + 0.02 * now.ageing
    jaw = person.jaw * (0.78 + 0.075 * masculine - 0.02 * now.growth)
    top = -_mix(1.60, 1.42, now.growth)
    nose_base = person.nose_length * _mix(0.50, 0.735, now.growth) + 0.045 * now.ageing
    mouth = nose_base + (chin - nose_base) * 0.41
    spread = person.nose_width * _mix(0.165, 0.205, now.growth) * (1 + 0.1 * now.ageing)
    return Anatomy(
        top=top,
        chin=chin,
        width=width,
        hairline=_mix(-1.16, -0.98, now.growth),
        outline=_outline(width, jaw, chin, top, now),
        eyes=(_eye(person, now, picture, -1.0), _eye(person, now, picture, 1.0)),
        brows=(_brow(person, now, picture, -1.0), _brow(person, now, picture, 1.0)),
        mouth=_mouth(person, now, picture.smile, mouth),
        nose_tip=(0.0, nose_base - 0.09),
        nose_base=nose_base,
        nose_half_width=spread + 0.02 * masculine,
    )


@dataclass(frozen=True)
class Sitter:
    """All that a drawing of one picture needs to know.

    Attributes:
        person: What lasts a life.
        now: The stage of life.
        picture: Pose, expression and light.
        face: Where everything lies.
        skin: Colour of the skin in full light.
    """

    person: Traits
    now: Stage
    picture: Moment
    face: Anatomy
    skin: Colour


def _brow_points(brow: Brow) -> Points:
    """Outer end, two points above, inner end, two points below."""
    above, below = brow.spine - brow.half, brow.spine + brow.half
    last = len(brow.spine) - 1
    rows = [brow.spine[last], above[2 * last // 3], above[last // 4], brow.spine[0]]
    return np.vstack([*rows, below[last // 3], below[2 * last // 3]])


def landmarks(face: Anatomy) -> Points:
    """Give the 68 points in the order of FG-NET, in face coordinates.

    Rows 31 and 36 are the pupils, 67 the tip of the nose, 48 and 54 the corners of the mouth.
    """
    left = face.outline[(face.outline[:, 1] > 0.0) & (face.outline[:, 0] < 0)]
    left = left[np.argsort(left[:, 1])]
    jaw = np.vstack([left, [(0.0, face.chin)], left[::-1] * (-1.0, 1.0)])
    middle = len(face.eyes[0].upper) // 2
    eyes = [
        [*eye.upper[[outer, middle, inner]], eye.lower[middle], eye.pupil]
        for eye, outer, inner in zip(face.eyes, (0, -1), (-1, 0), strict=True)
    ]
    spread, base = face.nose_half_width, face.nose_base
    half_nose = [
        (0.0, base),
        (0.55 * spread, base - 0.02),
        (spread, base - 0.07),
        (0.55 * spread, 0.55 * base),
        (0.5 * spread, 0.02),
    ]
    mouth = face.mouth
    centre = (mouth.seam_lower + mouth.seam_upper)[len(mouth.seam_lower) // 2] / 2
    return np.vstack(
        [
            along(jaw, 15),
            _brow_points(face.brows[1]),
            _brow_points(face.brows[0]),
            *eyes,
            both_sides(half_nose),
            [(-0.45 * spread, base - 0.03), (0.45 * spread, base - 0.03)],
            along(mouth.upper, 7),
            along(mouth.lower, 7)[-2:0:-1],
            along(mouth.seam_lower, 5)[1:-1],
            along(mouth.seam_upper, 5)[-2:0:-1],
            [centre],
            [face.nose_tip],
        ]
    )
