"""Features: eyes, brows, nose, lips and glasses."""

import numpy as np
from PIL import Image, ImageDraw

from contrastive_age.drawn.portrait.anatomy import Eye, Sitter
from contrastive_age.drawn.portrait.canvas import GREY, Canvas, tone
from contrastive_age.drawn.portrait.curves import ellipse, moved, spline
from contrastive_age.drawn.portrait.people import Colour, blend

_RINGS = ((1.0, 0.45), (0.88, 0.85), (0.7, 1.05), (0.58, 0.9))
"""Of the iris: share of its radius, and lightness."""


def _eyeball(canvas: Canvas, eye: Eye, iris: Colour, white: Colour) -> None:
    patch = canvas.patch(np.vstack([eye.upper, eye.lower[::-1]]), blur=1)
    layer = Image.new("RGB", patch.mask.size, white)
    pen = ImageDraw.Draw(layer)
    radius, (u, v) = eye.iris_radius, eye.pupil
    # from the outer ring of the iris to the pupil
    discs = [
        *((share, share, 0.0, 28, tone(iris, light)) for share, light in _RINGS),
        (0.55, 0.3, 0.42, 14, tone(iris, 1.22)),
        (0.44, 0.44, 0.0, 20, (16, 13, 13)),
    ]
    for across, down, below, steps, colour in discs:
        disc = ellipse((u, v + below * radius), (across * radius, down * radius), steps)
        pen.polygon(canvas.flat(disc, patch), fill=colour)
    lid_shadow = blend((170, 158, 152), tone(iris, 0.5), 0.3)
    under_lid = canvas.flat(moved(eye.upper, v=0.035), patch)
    pen.line(under_lid, fill=lid_shadow, width=canvas.width(0.04))
    canvas.paste(layer, patch)


def draw_eyes(canvas: Canvas, sitter: Sitter) -> None:
    """Paint eyeballs, lashes and the creases of the lids."""
    person, now, skin = sitter.person, sitter.now, sitter.skin
    old = min(1.0, now.ageing)
    white = blend((242, 240, 238), skin, 0.1 + 0.1 * old)
    lash = blend(tone(skin, 0.3), (28, 20, 20), 0.7)
    thick = 0.034 + 0.014 * now.maturity * (person.sex == "F")
    for eye in sitter.face.eyes:
        _eyeball(canvas, eye, person.iris, white)
        step = 0.3 * eye.iris_radius
        spark = ellipse((eye.pupil[0] - step, eye.pupil[1] - step), (0.03, 0.03), 10)
        canvas.polygon(spark, (255, 255, 255))
        canvas.line(eye.upper, lash, thick, joint="curve")
        canvas.line(eye.lower, tone(skin, 0.6), 0.014)
        crease = moved(eye.upper[2:-1] * (1.0, 1.1), v=-0.06 + 0.02 * old)
        canvas.line(crease, tone(skin, 0.62), 0.018)


def draw_brows(canvas: Canvas, sitter: Sitter) -> None:
    """Paint the brows: a soft shape and single hairs."""
    hair = blend(sitter.person.hair, GREY, 0.6 * sitter.now.grey)
    for brow in sitter.face.brows:
        spine, half = brow.spine, brow.half
        outline = np.vstack([spine - half, (spine + half)[::-1]])
        canvas.paste(blend(hair, sitter.skin, 0.3), canvas.patch(outline, blur=2))
        lean = (0.05 * float(np.sign(spine[-1, 0])), 0.0)
        for stroke in np.stack([spine + 0.7 * half, spine - 0.75 * half + lean], axis=1)[:-1]:
            canvas.line(stroke, tone(hair, 0.9), 0.012)


def draw_nose(canvas: Canvas, sitter: Sitter) -> None:
    """Paint nostrils and wings; the rest of the nose is in the skin's relief."""
    face, skin = sitter.face, sitter.skin
    spread, base = face.nose_half_width, face.nose_base
    for side in (-1.0, 1.0):
        hole = ellipse((side * 0.47 * spread, base - 0.035), (0.068, 0.032), 14)
        canvas.paste(tone(skin, 0.36), canvas.patch(hole, blur=2))
        wing = [(0.86, -0.19), (1.06, -0.10), (0.98, -0.02), (0.78, 0.0)]
        curve = spline([(side * a * spread, base + b) for a, b in wing], 3)
        canvas.line(curve, tone(skin, 0.66), 0.02)


def draw_lips(canvas: Canvas, sitter: Sitter) -> None:
    """Paint the lips, and teeth in a broad smile."""
    person, now, skin = sitter.person, sitter.now, sitter.skin
    mouth = sitter.face.mouth
    red = (190, 74, 82) if person.sex == "F" and now.maturity > 0.5 else (188, 100, 94)
    lip = blend(tone(skin, 0.82), red, 0.6 - 0.25 * min(1.0, now.ageing))
    if person.sex == "M":
        lip = blend(lip, tone(skin, 0.8), 0.3 * now.maturity)
    upper = np.vstack([mouth.upper, mouth.seam_upper[::-1]])
    lower = np.vstack([mouth.seam_lower, mouth.lower[::-1]])
    canvas.paste(tone(lip, 0.84), canvas.patch(upper, blur=1))
    canvas.paste(lip, canvas.patch(lower, blur=1))
    if sitter.picture.smile > 0.5:
        opening = np.vstack([mouth.seam_upper, mouth.seam_lower[::-1]])
        patch = canvas.patch(opening, blur=1)
        layer = Image.new("RGB", patch.mask.size, (74, 34, 34))
        teeth = moved(opening * (0.84, 1.0), v=-0.02)
        ivory = blend((246, 243, 236), (214, 196, 150), 0.35 * min(1.0, now.ageing))
        ImageDraw.Draw(layer).polygon(canvas.flat(teeth, patch), fill=ivory)
        canvas.paste(layer, patch)
    else:
        canvas.line(mouth.seam_upper, tone(lip, 0.45), 0.024, joint="curve")
    bottom = float(mouth.lower[len(mouth.lower) // 2, 1])
    shine = ellipse((0.0, bottom - 0.06), (0.11, 0.022), 14)
    canvas.paste(tone(lip, 1.2), canvas.patch(shine, blur=3))


def draw_glasses(canvas: Canvas, sitter: Sitter) -> None:
    """Paint a frame with rounded rims."""
    face, hair = sitter.face, sitter.person.hair
    frame = tone(hair, 0.5) if sum(hair) < 240 else (70, 58, 54)
    middle = float(face.eyes[1].upper[[0, -1], 0].mean()) + 0.01
    angle = np.linspace(0, 2 * np.pi, 33)
    round_square = np.column_stack([np.cos(angle), np.sin(angle)])
    round_square = np.sign(round_square) * np.abs(round_square) ** 0.72
    for side in (-1.0, 1.0):
        rim = moved(round_square * (0.345, 0.27), side * middle, 0.06)
        canvas.line(rim, frame, 0.03, joint="curve")
        arm = np.array([(side * (middle + 0.345), 0.0), (side * face.width, -0.02)])
        canvas.line(arm, frame, 0.03)
    bridge = spline([(0.345 - middle, 0.03), (0.0, -0.03), (middle - 0.345, 0.03)], 5)
    canvas.line(bridge, frame, 0.03)
