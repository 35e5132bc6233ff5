"""Surroundings: the backdrop, neck, shoulders and clothes."""

import numpy as np
from PIL import Image

from contrastive_age.drawn.portrait.anatomy import Sitter
from contrastive_age.drawn.portrait.canvas import Canvas, coloured, tone
from contrastive_age.drawn.portrait.curves import both_sides, moved, spline
from contrastive_age.drawn.portrait.people import Moment

_NECKLINES = ((0.34, 1.28, 0.5, 0.78), (0.72, 1.2, 0.45, 0.55), (0.5, 1.32, 0.5, 0.78))
"""Depth, width in widths of the neck, and where in both the line bends."""


def draw_backdrop(canvas: Canvas, picture: Moment, rng: np.random.Generator) -> None:
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


def draw_body(canvas: Canvas, sitter: Sitter) -> None:
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
