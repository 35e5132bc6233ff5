"""Drawing one synthetic face from an identity and an age.

The picture is composed from back to front at twice its size and then reduced: backdrop, hair
behind, neck and clothes, ears, skin, beard, features, hair, glasses.
"""

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from contrastive_age.drawn.portrait.anatomy import Sitter, anatomy, landmarks
from contrastive_age.drawn.portrait.canvas import Canvas, Pose, coloured, tone
from contrastive_age.drawn.portrait.curves import Points, both_sides, moved, spline
from contrastive_age.drawn.portrait.features import (
    draw_brows,
    draw_eyes,
    draw_glasses,
    draw_lips,
    draw_nose,
)
from contrastive_age.drawn.portrait.hair import draw_beard, draw_hair, draw_hair_behind, hairdo
from contrastive_age.drawn.portrait.people import Moment, Stage, blend, moment, stage, traits
from contrastive_age.drawn.portrait.skin import draw_ears, draw_face_skin

_OVERSAMPLING = 2
_NECKLINES = ((0.34, 1.28, 0.5, 0.78), (0.72, 1.2, 0.45, 0.55), (0.5, 1.32, 0.5, 0.78))
"""Depth, width in widths of the neck, and where in both the line bends."""


def _pose(side: int, now: Stage, picture: Moment) -> Pose:
    young, (right, down) = 1 - now.growth, picture.shift
    return Pose(
        origin=(side * (0.5 + right), side * (0.475 + 0.045 * young + down)),
        unit=side * 0.212 * picture.scale * (1 + 0.06 * young),
        angle=math.radians(picture.angle),
        turn=picture.turn,
    )


def _sitter(identity: int, age: int, seed: int, picture: int) -> Sitter:
    person, shot = traits(identity, seed), moment(identity, age, picture, seed)
    now = stage(person, age, shot.age_noise)
    if now.years < 2:
        # babies have no teeth to show
        shot = replace(shot, smile=min(shot.smile, 0.5))
    pallor = 0.0 if person.race == "B" else 0.16 * min(1.0, now.ageing)
    skin = blend(person.skin, (206, 176, 156), pallor)
    return Sitter(person, now, shot, anatomy(person, now, shot), skin)


def _draw_backdrop(canvas: Canvas, picture: Moment, rng: np.random.Generator) -> None:
    """Paint a blurred wall, lit from the same side as the face."""
    y, x = np.mgrid[0:40, 0:40].astype(np.float32) / 39
    glow = np.exp(-((x - 0.5 - 0.4 * picture.light[0]) ** 2 + (y - 0.35) ** 2) / 0.25)
    for _ in range(3):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.08, 0.2)
        lamp = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / radius**2)
        glow += rng.uniform(-0.25, 0.3) * lamp
    near, far = (np.array(colour, np.float32) for colour in picture.backdrop)
    wall = far + (near - far) * np.clip(glow, 0, 1.15)[..., None]
    small = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))
    canvas.image.paste(small.resize(canvas.image.size, Image.Resampling.BILINEAR))


def _draw_body(canvas: Canvas, sitter: Sitter) -> None:
    """Paint neck, shoulders and a shirt with one of three necklines."""
    face, now, picture = sitter.face, sitter.now, sitter.picture
    masculine = now.maturity * (sitter.person.sex == "M")
    neck = 0.42 + 0.13 * now.growth + 0.16 * masculine
    base = face.chin + 0.1 + 0.22 * now.growth
    shoulder = 1.25 + 0.6 * now.growth + 0.35 * masculine
    side_light = picture.light[0] * canvas.u
    under_chin = canvas.shadow(moved(face.outline * (0.92, 1.0), v=0.2), 0.15)
    shade = 0.9 - 0.28 * (canvas.u / (neck + 0.25)) ** 2 + 0.3 * side_light
    creases = 1 - 0.04 * min(1.0, now.wear) * (np.sin(canvas.v * 30) > 0.5)
    shade = np.clip(shade, 0.45, 1.05) * (1 - 0.42 * under_chin) * creases
    half = [
        (0.0, 0.7),
        (neck, 0.75),
        (neck * 0.97, base - 0.1),
        (neck * 1.35, base + 0.16),
        (shoulder * 0.8, base + 0.4),
        (0.0, base + 2),
    ]
    patch = canvas.patch(both_sides(half))
    canvas.paste(canvas.enlarge(coloured(sitter.skin, shade), patch), patch)

    drop, width, bend_u, bend_v = _NECKLINES[picture.collar]
    spread = neck * width
    bend = (bend_u * spread, base + bend_v * drop)
    neckline = spline([(0.0, base + drop), bend, (spread, base + 0.06)], 4)
    sleeve = [
        (shoulder * 0.55, base + 0.2),
        (shoulder * 0.85, base + 0.34),
        (shoulder + 0.08, base + 0.62),
        (shoulder + 0.4, base + 2.2),
        (0.0, base + 2.2),
    ]
    folds = 0.05 * np.sin(5 * canvas.u + 3 * canvas.v) + 0.22 * side_light
    shade = np.clip(0.9 + folds - 0.12 * (canvas.v - base), 0.4, 1.15) * (1 - 0.35 * under_chin)
    patch = canvas.patch(both_sides(np.vstack([neckline, sleeve])))
    canvas.paste(canvas.enlarge(coloured(picture.clothes, shade), patch), patch)
    hem = tone(picture.clothes, 0.72 if sum(picture.clothes) > 330 else 1.15)
    canvas.line(both_sides(neckline), hem, 0.05, joint="curve")


def _develop(canvas: Canvas, picture: Moment, rng: np.random.Generator) -> Image.Image:
    """Reduce to the final size, expose, tint and add the grain of a camera."""
    values = np.asarray(canvas.image.reduce(_OVERSAMPLING), np.float32)
    tint = np.array([1 + picture.warmth, 1.0, 1 - picture.warmth], np.float32)
    grain = 2.2 * rng.standard_normal(values.shape[:2], np.float32)
    values = values * (picture.exposure * tint) + grain[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def portrait(
    identity: int, age: int, *, seed: int = 0, picture: int = 0, size: int = 200
) -> tuple[Image.Image, Points]:
    """Draw one picture of an identity at an age and say where its landmarks lie.

    Args:
        identity: Number of the person, 0 or more; fixes all that lasts a life.
        age: Age in whole years, 0 or more. The face looks up to some years older or younger,
            see `people.stage`.
        seed: Number of the population; another seed holds other people.
        picture: Number of the picture among those of this identity at this age; pose, light,
            expression and backdrop follow from it.
        size: Side of the square picture in pixels, even.

    Returns:
        The RGB picture of (size, size) pixels, and the 68 landmarks in the order of FG-NET as
        (68, 2) float64 pixel coordinates (x, y).

    Raises:
        ValueError: The size is not even, or a number is negative.
    """
    if size % 2:
        raise ValueError(f"the size of a portrait must be even, not {size}")
    sitter = _sitter(identity, age, seed, picture)
    hair = hairdo(sitter)
    lasting = np.random.default_rng((seed, identity, 17))
    passing = np.random.default_rng((seed, identity, age, picture, 19))
    side = size * _OVERSAMPLING
    canvas = Canvas(side, _pose(side, sitter.now, sitter.picture))

    _draw_backdrop(canvas, sitter.picture, passing)
    draw_hair_behind(canvas, hair, sitter)
    _draw_body(canvas, sitter)
    draw_ears(canvas, sitter)
    draw_face_skin(canvas, sitter, lasting, passing)
    draw_beard(canvas, sitter, lasting)
    draw_nose(canvas, sitter)
    draw_lips(canvas, sitter)
    draw_eyes(canvas, sitter)
    draw_brows(canvas, sitter)
    draw_hair(canvas, hair, sitter, lasting)
    if sitter.now.years >= sitter.person.glasses_age:
        draw_glasses(canvas, sitter)
    points = (canvas.pose.pixels(landmarks(sitter.face)) - 0.5) / _OVERSAMPLING
    return _develop(canvas, sitter.picture, passing), points


def draw_face(
    identity: int, age: int, *, seed: int = 0, picture: int = 0, size: int = 200
) -> Image.Image:
    """Draw one RGB picture of (size, size) pixels; see `portrait` for the arguments."""
    return portrait(identity, age, seed=seed, picture=picture, size=size)[0]
