"""Skin: the lit relief of the face, blush and blotches, wrinkles, freckles and age spots."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from contrastive_age.drawn.portrait.anatomy import Anatomy, Sitter
from contrastive_age.drawn.portrait.canvas import Canvas, Grid, coloured, tone
from contrastive_age.drawn.portrait.curves import Points, ellipse, spline
from contrastive_age.drawn.portrait.people import Stage, Traits

_Wrinkle = tuple[list[tuple[float, float]], float, float]
"""Points to pass through, and the onset and depth of `_wrinkles`."""


def _nose_height(canvas: Canvas, face: Anatomy, now: Stage) -> Grid:
    tip = face.nose_tip[1]
    rise = np.clip((canvas.v + 0.3) / (tip + 0.3), 0, 1)
    fall = np.exp(-((np.maximum(canvas.v - tip, 0) / 0.13) ** 2))
    ridge = (0.25 + 0.75 * rise**1.5) * fall * (canvas.v > -0.3)
    height: Grid = (0.15 + 0.07 * now.growth) * ridge
    height *= np.exp(-((canvas.u / (0.11 + 0.07 * rise)) ** 2))
    height += 0.05 * canvas.bump(0, tip, 0.1, 0.1)
    wings = canvas.bumps(face.nose_half_width * 0.72, face.nose_base - 0.08, 0.09, 0.09)
    return height + 0.06 * wings


def _relief(canvas: Canvas, sitter: Sitter) -> Grid:
    """The height of the face towards the viewer in face units, (n, n)."""
    face, now = sitter.face, sitter.now
    u, v = canvas.u, canvas.v
    young, old = 1 - now.growth, min(1.1, now.ageing)
    masculine = now.maturity * (sitter.person.sex == "M")
    eye, chin = face.eyes[1].pupil[0], face.chin
    mouth = float(face.mouth.seam_upper[len(face.mouth.seam_upper) // 2, 1])
    half_height, middle = (chin - face.top) * 0.54, (chin + face.top) / 2
    z = 0.9 * np.sqrt(np.maximum(1 - (u / 1.18) ** 2 - ((v - middle) / half_height) ** 2, 0.05))
    hills = [
        (0.02 + 0.03 * masculine, canvas.bumps(0.4, -0.27, 0.3, 0.12)),
        (-(0.09 + 0.05 * old), canvas.bumps(eye * 0.94, -0.02, 0.27, 0.17)),
        (0.05, canvas.bumps(eye, 0.0, 0.2, 0.12)),
        (1.0, _nose_height(canvas, face, now)),
        (0.06 + 0.08 * young, canvas.bumps(0.55, chin * (0.33 + 0.07 * young), 0.27, 0.25)),
        (-0.06 * old, canvas.bumps(0.68, 0.62 * chin, 0.17, 0.24)),
        (0.06, canvas.bump(0, mouth, 0.36, 0.18)),
        (-0.045, canvas.bump(0, mouth + 0.42 * (chin - mouth), 0.24, 0.07)),
        (0.05 + 0.03 * masculine, canvas.bump(0, chin - 0.2, 0.24, 0.17)),
        (0.06 * young, canvas.bump(0, -0.7, 0.6, 0.35)),
        # bags under the eyes and jowls
        (0.04 * old, canvas.bumps(eye, 0.2, 0.18, 0.06)),
        (-0.03 * old, canvas.bumps(eye * 1.05, 0.3, 0.2, 0.05)),
        (0.06 * old, canvas.bumps(0.6, 0.85 * chin, 0.16, 0.17)),
    ]
    for height, hill in hills:
        z += height * hill
    return z.astype(np.float32)


def _complexion(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> Grid:
    """The skin's colour all over the face, (n, n, 3)."""
    face, now = sitter.face, sitter.now
    shade, gloss = canvas.lit(_relief(canvas, sitter), sitter.picture)
    old, eye = min(1.1, now.ageing), face.eyes[1].pupil[0]
    shade *= 1 - (0.05 + 0.15 * old) * canvas.bumps(eye, 0.17, 0.2, 0.09)
    shade *= 1 - 0.10 * canvas.bumps(eye * 0.92, -0.13, 0.22, 0.09)
    shade *= 1 - 0.12 * canvas.bump(0, face.nose_base + 0.05, 0.2, 0.06)
    blush = (0.15 - 0.06 * now.growth) * canvas.bumps(0.6, 0.36 * face.chin, 0.24, 0.2)
    blush += 0.05 * canvas.bump(0, face.nose_tip[1], 0.16, 0.12)
    blush += (0.004 + 0.018 * old) * rng.standard_normal(shade.shape, np.float32)
    redness = 1 - blush[..., None] * np.array([0.15, 1.0, 0.85], np.float32)
    sheen: Grid = (27 - 9 * old) * gloss[..., None]
    return coloured(sitter.skin, shade) * redness + sheen


def _forehead(rng: np.random.Generator) -> Iterator[_Wrinkle]:
    for row in range(5):
        v, (left, right) = -0.54 - 0.1 * row, rng.uniform(0.28, 0.62, 2)
        bow = [(-left, v + 0.03), (-left / 2, v), (0, v + 0.02), (right / 2, v), (right, v + 0.03)]
        yield bow, 0.05 + 0.09 * row, 0.6


def _right_side(face: Anatomy) -> list[_Wrinkle]:
    """Wrinkles that have their like on the left."""
    eye, lip = face.eyes[1], face.mouth.upper
    (inner, _), (corner, level) = eye.upper[[0, -1]].tolist()
    (_, lip_top), (lip_end, lip_level) = lip[[len(lip) // 2, -1]].tolist()
    wing, wing_level = face.nose_half_width + 0.04, face.nose_base - 0.1
    foot, bag = corner + 0.05, eye.pupil[0] - 0.05
    rays, drops = [(k, -0.1 + 0.065 * k) for k in range(5)], [0.13 + 0.07 * k for k in range(3)]
    cheeks, creases = [0.64 + 0.07 * k for k in range(3)], [0.05 + 0.08 * k for k in range(4)]
    return [
        # crow's feet, bags under the eye
        *(
            (
                [(foot, level + 0.55 * s), (foot + 0.09, level + s), (foot + 0.2, level + 2.1 * s)],
                0.08 + 0.06 * abs(k - 2),
                0.7,
            )
            for k, s in rays
        ),
        *(
            ([(inner, 0.7 * v), (bag, v + 0.06), (corner - 0.02, v - 0.01)], 0.06 + 0.16 * k, 0.6)
            for k, v in enumerate(drops)
        ),
        # from the nose to the mouth and down from it, between the brows
        (
            [(wing, wing_level), (wing + 0.15, wing_level + 0.16), (lip_end + 0.13, lip_level)],
            0.0,
            1.1,
        ),
        ([(lip_end + 0.04, lip_level + 0.06), (lip_end + 0.08, lip_level + 0.28)], 0.3, 0.7),
        ([(0.05, -0.42), (0.07, -0.3), (0.05, -0.18)], 0.2, 0.45),
        # down the cheeks, above the lips
        *(
            ([(u, 0.62), (u + 0.03, 0.85), (u - 0.03, 1.05)], 0.45 + 0.12 * k, 0.45)
            for k, u in enumerate(cheeks)
        ),
        *(([(u, lip_top - 0.11), (u * 0.95, lip_top - 0.02)], 0.45, 0.45) for u in creases),
    ]


def _wrinkles(now: Stage, face: Anatomy, rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Wrinkles as (curve, depth). Each has an onset of its own and deepens with age."""
    shown: list[tuple[Points, float]] = []
    for course, onset, depth in chain(_forehead(rng), _right_side(face)):
        curve = np.array(course) + rng.normal(0, 0.01, (len(course), 2))
        strength = depth * min(1.0, max(0.0, now.wear - onset) / 0.45)
        sides = (1.0,) if course[0][0] < 0 else (1.0, -1.0)
        if strength > 0.03:
            shown += [(spline(curve, 4) * (side, 1.0), strength) for side in sides]
    return shown


def _spots(person: Traits, now: Stage, rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Freckles from three years on and age spots from the forties on, as (outline, depth)."""
    freckles = rng.normal((0, 0.36), (0.42, 0.13), (40, 2))[: round(40 * person.freckles)]
    shown = [(ellipse((u, v), (0.014, 0.012), 6), 0.28) for u, v in freckles if now.years > 3]
    places = rng.uniform((-0.85, -1.1), (0.85, 1.0), (24, 2))
    sizes, onsets = rng.uniform(0.01, 0.032, 24), rng.uniform(0.35, 1.3, 24)
    return shown + [
        (ellipse((u, v), (size, 0.8 * size), 8), 0.26)
        for (u, v), size, onset in zip(places, sizes, onsets, strict=True)
        if now.ageing > onset and abs(u) + abs(v) > 0.55
    ]


def draw_face_skin(
    canvas: Canvas, sitter: Sitter, lasting: np.random.Generator, passing: np.random.Generator
) -> None:
    """Paint the face without its features.

    Args:
        canvas: What to paint on.
        sitter: Whom to paint.
        lasting: Random numbers that belong to the person (places of wrinkles and spots).
        passing: Random numbers that belong to the picture.
    """
    face, now, skin = sitter.face, sitter.now, sitter.skin
    patch = canvas.patch(face.outline, blur=1)
    layer = canvas.enlarge(_complexion(canvas, sitter, passing), patch)
    hollows, rims = (Image.new("L", layer.size) for _ in range(2))
    pen, rim_pen = ImageDraw.Draw(hollows), ImageDraw.Draw(rims)
    for curve, depth in _wrinkles(now, face, lasting):
        width, pixels = canvas.width(0.014 + 0.022 * depth), canvas.flat(curve, patch)
        below = [value + (0.028 * canvas.pose.unit) * (k % 2) for k, value in enumerate(pixels)]
        pen.line(pixels, fill=round(170 * min(1.0, depth)), width=width)
        rim_pen.line(below, fill=round(70 * min(1.0, depth)), width=width)
    for outline, depth in _spots(sitter.person, now, lasting):
        pen.polygon(canvas.flat(outline, patch), fill=round(255 * depth))
    if now.ageing > 0:
        layer.paste(tone(skin, 1.2), (0, 0), rims.filter(ImageFilter.BoxBlur(1)))
    layer.paste(tone(skin, 0.5), (0, 0), hollows.filter(ImageFilter.BoxBlur(1)))
    canvas.paste(layer, patch)


def draw_ears(canvas: Canvas, sitter: Sitter) -> None:
    """Paint both ears; they grow a little all life long."""
    face, person, now = sitter.face, sitter.person, sitter.now
    height = (0.25 + 0.03 * now.growth + 0.04 * now.ageing) * person.ears
    for side in (-1.0, 1.0):
        for share, light in ((1.0, 0.84), (0.66, 0.64), (0.42, 0.75)):
            centre = (side * (face.width + 0.03 - 0.03 * (1 - share)), 0.2)
            shape = ellipse(centre, (0.12 * person.ears * share, height * share), 20)
            canvas.polygon(shape, tone(sitter.skin, light))
