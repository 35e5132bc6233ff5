"""Hair and beard: a region between two curves, filled with strands that follow them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

from contrastive_age.drawn.portrait.anatomy import Sitter
from contrastive_age.drawn.portrait.canvas import GREY, Canvas, coloured, tone
from contrastive_age.drawn.portrait.curves import Points, along, both_sides, ellipse, moved, spline
from contrastive_age.drawn.portrait.people import Traits, blend

_VOLUME = {"buzz": 0.035, "crop": 0.10, "side": 0.14, "bun": 0.09, "curls": 0.24}
_LONG = ("long", "wavy", "bob")


@dataclass(frozen=True)
class Hair:
    """A head of hair.

    Attributes:
        outer: The silhouette from the left end over the crown to the right end, (n, 2).
        inner: The hairline, likewise, (n, 2); hair lies between the two.
        parting: Where strands part, as a share of the way along the curves.
        flows_down: Strands run along the curves (long hair) and not across them.
        curly: Strands are rings.
        bun: A knot stands on the crown.
        wave: Sideways amplitude of wavy strands in face units.
    """

    outer: Points
    inner: Points
    parting: float = 0.5
    flows_down: bool = False
    curly: bool = False
    bun: bool = False
    wave: float = 0.0


def _part(inner: Points, line: float, person: Traits) -> Points:
    """Raise the hairline at the parting and let it fall towards the other side."""
    near = np.exp(-(((inner[:, 1] - line) / 0.38) ** 2))
    across = np.clip(-person.parting * inner[:, 0], -0.6, 1)
    return inner + np.column_stack([0.14 * person.parting * near, 0.17 * across * near])


def hairdo(sitter: Sitter) -> Hair:
    """Lay out the hair of a person at a stage of life.

    It is thin and short in infancy, grows to its style by about six years, recedes in some, and
    loses volume with age.
    """
    face, person, now = sitter.face, sitter.person, sitter.now
    w, top, line, style = face.width, face.top, face.hairline, person.style
    length = min(1.0, max(0.0, (now.years - 1.5) / 5))
    volume = _VOLUME.get(style, 0.15) * now.hair**2 * (1 - 0.3 * min(1.0, now.ageing))
    gone = now.recession
    outer = [
        (0.0, top - volume),
        (0.55 * w, 0.93 * top - 0.9 * volume),
        (0.93 * w, 0.64 * top - 0.6 * volume),
        (1.01 * w + 0.55 * volume, -0.28),
    ]
    inner = [
        (0.0, line - 0.5 * max(0.0, gone - 0.35)),
        (0.36 * w, line - 0.34 * gone + 0.02),
        (0.68 * w, line + 0.16 - 0.42 * gone),
        (0.88 * w, -0.5 - 0.12 * gone),
    ]
    flows_down = length > 0 and (style in _LONG or (style == "curls" and person.sex == "F"))
    if flows_down:
        end = {"bob": 0.9 * face.chin, "curls": 0.85 * face.chin}.get(style, 2.6) * length + 0.2
        flare = 0.12 if style in ("bob", "curls") else 0.18
        outer += [
            (w * 1.07 + volume, 0.35 * end),
            (w * 1.05 + volume + flare, 0.7 * end),
            (w * (0.98 if style == "bob" else 1.1) + flare, end),
        ]
        inner += [(0.96 * w, 0.35 * end), (0.95 * w, 0.7 * end), ((0.96 - 0.2 * length) * w, end)]
    else:
        outer += [(1.01 * w + 0.3 * volume, 0.0), (0.99 * w, 0.14), (0.98 * w, 0.22)]
        inner += [(0.93 * w, -0.16), (0.945 * w, 0.05), (0.96 * w, 0.22)]
    silhouette, hairline = spline(both_sides(outer), 5), spline(both_sides(inner), 5)
    parted = now.years > 2 and style in ("side", *_LONG)
    return Hair(
        outer=silhouette,
        inner=_part(hairline, line, person) if parted else hairline,
        parting=0.5 + 0.13 * person.parting if parted else 0.5,
        flows_down=flows_down,
        curly=style == "curls",
        bun=style == "bun" and length > 0.5,
        wave=0.05 * length if style == "wavy" else 0.0,
    )


def _between(hair: Hair, along: npt.NDArray[np.float64], depth: npt.NDArray[np.float64]) -> Points:
    """Points at shares `along` the curves (0 to 1) and `depth` from silhouette to hairline."""
    index = np.arange(len(hair.outer))
    place = np.clip(along, 0, 1) * index[-1]
    outer, inner = (
        np.stack([np.interp(place, index, values) for values in curve.T], -1)
        for curve in (hair.outer, hair.inner)
    )
    return np.asarray(outer + (inner - outer) * depth[..., None])


def _strands(hair: Hair, count: int, rng: np.random.Generator) -> Points:
    """The courses of strands, (count, 7, 2)."""
    steps = np.linspace(0, 1, 7)

    def each(low: float, high: float) -> npt.NDArray[np.float64]:
        return rng.uniform(low, high, (count, 1))

    if hair.curly:
        centre = _between(hair, each(0, 1), each(0, 1) ** 0.8)
        turn = each(0, 6.3) + 3.8 * steps
        rings = each(0.03, 0.06)[..., None] * np.stack([np.cos(turn), np.sin(turn)], -1)
        return np.asarray(centre + rings)
    side = np.where(each(0, 1) < 0.5, -1.0, 1.0)
    if hair.flows_down:
        start = each(0, 0.75)
        share = start + (np.minimum(start + each(0.2, 0.6), 1) - start) * steps
        reach = np.where(side > 0, 1 - hair.parting, hair.parting)
        depth = np.clip(each(-0.02, 1.0) + 0.12 * each(-1, 1) * steps, -0.03, 1.0)
        courses = _between(hair, hair.parting + side * share * reach, depth)
        courses[..., 0] += hair.wave * np.sin(courses[..., 1] * 7) * (courses[..., 1] > -0.6)
        return courses
    root = each(0, 1)
    away = np.sign(root - hair.parting) * each(0.02, 0.07)
    depth = np.minimum(each(-0.05, 0.55) + each(0.25, 0.6) * steps, 1.02)
    return _between(hair, root + away * steps, depth)


def draw_hair_behind(canvas: Canvas, hair: Hair, sitter: Sitter) -> None:
    """Paint what lies behind the neck and ears, and a bun."""
    colour = blend(sitter.person.hair, GREY, sitter.now.grey)
    if hair.bun:
        knot = ellipse((0.0, float(hair.outer[:, 1].min()) - 0.08), (0.34, 0.25))
        canvas.paste(tone(colour, 0.78), canvas.patch(knot, blur=2))
    if hair.flows_down:
        canvas.paste(tone(colour, 0.55), canvas.patch(hair.outer, blur=2))


def draw_hair(canvas: Canvas, hair: Hair, sitter: Sitter, rng: np.random.Generator) -> None:
    """Paint the hair around the face; single strands turn grey one after the other."""
    natural, now = sitter.person.hair, sitter.now
    base = blend(natural, GREY, now.grey)
    count = round(200 * now.hair)
    region = [np.vstack([hair.outer, hair.inner[::-1]])]
    if hair.curly:
        locks = _between(hair, np.linspace(0, 1, 46), rng.uniform(-0.02, 0.1, 46))
        radii = rng.uniform(0.05, 0.1, 46) * now.hair
        region += [ellipse((u, v), (r, r), 10) for (u, v), r in zip(locks, radii, strict=True)]
    patch = canvas.patch(*region, blur=2)
    ball = 1 - (canvas.u / 1.45) ** 2 - ((canvas.v + 0.05) / 1.8) ** 2
    height = np.sqrt(1.21 * np.maximum(ball, 0.06)).astype(np.float32)
    shade, gloss = canvas.lit(height, sitter.picture)
    layer = canvas.enlarge(coloured(base, 0.88 * shade + 0.4 * gloss * (ball > 0.06)), patch)
    courses = canvas.flat(_strands(hair, count, rng), patch)
    share, darkest = (0.25, 0.8) if hair.curly else (0.5, 0.66)
    tints = [
        [tone(blend(base, colour, share), darkest + (1.12 - darkest) * k / 7) for k in range(8)]
        for colour in (natural, GREY)
    ]
    silver = (rng.random(count) < now.grey).astype(int).tolist()
    light = rng.integers(8, size=count).tolist()
    pen, mask_pen = ImageDraw.Draw(layer), ImageDraw.Draw(patch.mask)
    for course, grey, tint in zip(courses, silver, light, strict=True):
        pen.line(course, fill=tints[grey][tint], width=2 if hair.curly else 1)
        mask_pen.line(course, fill=255, width=1)
    # the hair's shadow on the forehead
    edge = hair.inner[np.abs(hair.inner[:, 1]) < 2]
    band = np.vstack([moved(edge, v=-0.1), moved(edge * (0.98, 1.0), v=0.05)[::-1]])
    strength = 0.3 + 0.7 * now.hair
    canvas.paste(tone(base, 0.35), canvas.patch(band, blur=4).faded(0.4 * strength))
    canvas.paste(layer, patch.faded(strength))


def draw_beard(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Paint the shadow of a beard on most grown men, and a full beard on some."""
    face, person, now = sitter.face, sitter.person, sitter.now
    if person.beard < 0.3 or now.maturity < 0.9:
        return
    right = face.outline[(face.outline[:, 1] > 0.3) & (face.outline[:, 0] >= 0)]
    right = right[np.argsort(-right[:, 1])]
    lip_u, lip_v = face.mouth.upper[-1].tolist()
    line = [
        (0.0, face.nose_base + 0.1),
        (0.3, face.nose_base + 0.13),
        (lip_u + 0.2, lip_v),
        (0.78 * face.width, 0.75),
        (0.92 * face.width, 0.3),
    ]
    inner = spline(both_sides(line), 5)
    outer = along(both_sides(moved(right, v=0.03)), len(inner))
    colour = tone(blend(sitter.person.hair, GREY, 0.85 * now.grey), 0.8)
    patch = canvas.patch(np.vstack([outer, inner[::-1]]), blur=5)
    if not person.bearded(now.years):
        canvas.paste(colour, patch.faded(0.2))
        return
    patch = patch.faded(0.75)
    pen = ImageDraw.Draw(patch.mask)
    for course in canvas.flat(_strands(Hair(outer, inner), 140, rng), patch):
        pen.line(course, fill=235, width=1)
    canvas.paste(colour, patch)
