"""The canvas of a portrait: from face coordinates to pixels, local masks, colours and light.

Soft shading is computed on a grid `COARSE` times coarser than the canvas and enlarged where it is
needed, because soft light has no fine detail; every mask covers only the box of its outlines. Both
keep a portrait within some milliseconds.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from contrastive_age.drawn.portrait.curves import Points
from contrastive_age.drawn.portrait.people import Colour, Moment, blend

Grid = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]

COARSE = 4
GREY: Colour = (206, 205, 203)
"""Hair that has lost its colour."""


def tone(colour: Colour, factor: float) -> Colour:
    """Darken (factor below 1) or lighten towards white; shadows keep more red than blue."""
    if factor >= 1:
        return blend(colour, (255, 255, 255), min(1.0, factor - 1))
    red, green, blue = colour
    return round(red * factor**0.85), round(green * factor), round(blue * factor**1.1)


def coloured(colour: Colour, shade: Grid) -> Grid:
    """Shade a colour by (n, n) factors into an (n, n, 3) grid; shadows stay warm as in `tone`."""
    eighth = np.sqrt(np.sqrt(np.sqrt(shade)))
    red, green, blue = colour
    return np.stack([red * (shade / eighth), green * shade, blue * (shade * eighth)], axis=-1)


@dataclass(frozen=True)
class Pose:
    """Where face coordinates lie on the canvas.

    Attributes:
        origin: Pixel (x, y) of the point midway between the pupils.
        unit: Pixels a unit of face coordinates.
        angle: Rotation in the picture's plane, clockwise, in radians.
        turn: Turn of the head to the side and down, as the shift of the nearest part in units.
    """

    origin: tuple[float, float]
    unit: float
    angle: float
    turn: tuple[float, float]

    def _depth(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """How far points stand out towards the viewer, 1 in the middle of the face, (..., 1)."""
        across = points[..., :1] * (1 / 1.1)
        down = (points[..., 1:] - 0.15) * (1 / 1.75)
        return np.sqrt(np.maximum(1 - across * across - down * down, 0))

    def _axes(self) -> npt.NDArray[np.float64]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, sin], [-sin, cos]])

    def pixels(self, points: Points) -> Points:
        """Map (..., 2) face coordinates to canvas pixels (x, y)."""
        turned = points + self._depth(points) * np.array(self.turn)
        return np.asarray(turned @ (self.unit * self._axes()) + self.origin)

    def face(self, pixels: Grid) -> Grid:
        """Map (..., 2) canvas pixels to face coordinates; the turn is undone to first order."""
        back = (self._axes().T / self.unit).astype(np.float32)
        points = (pixels - np.array(self.origin, np.float32)) @ back
        return np.asarray(points - self._depth(points) * np.array(self.turn, np.float32))


@dataclass(frozen=True)
class Patch:
    """A mask over a part of the canvas."""

    box: Box
    mask: Image.Image

    def faded(self, strength: float) -> "Patch":
        """The same patch with its mask multiplied by `strength` (0 to 1)."""
        return Patch(self.box, self.mask.point([round(strength * value) for value in range(256)]))


class Canvas:
    """The picture in the making; all outlines and curves are (n, 2) face coordinates.

    Attributes:
        image: The RGB picture, `side` pixels a side.
        pose: From face coordinates to its pixels.
        u: Face coordinate to the right of every point of the coarse grid, (n, n) float32.
        v: Face coordinate downwards, likewise.
    """

    def __init__(self, side: int, pose: Pose) -> None:
        self.side = side
        self.pose = pose
        self.image = Image.new("RGB", (side, side))
        self._pen = ImageDraw.Draw(self.image)
        centres = (np.arange(side // COARSE, dtype=np.float32) + 0.5) * COARSE
        grid = pose.face(np.stack(np.meshgrid(centres, centres), axis=-1))
        self.u: Grid = np.ascontiguousarray(grid[..., 0])
        self.v: Grid = np.ascontiguousarray(grid[..., 1])

    def width(self, units: float) -> int:
        """A line's width in pixels, at least 1."""
        return max(1, round(units * self.pose.unit))

    def flat(self, points: Points, patch: Patch | None = None) -> list[Any]:
        """Pixels x0, y0, x1, y1, ... for Pillow, from the patch's corner if one is given.

        Of several curves, (k, n, 2), a list of such lists.
        """
        corner = (0, 0) if patch is None else patch.box[:2]
        pixels = self.pose.pixels(points) - corner
        flat: list[Any] = pixels.reshape(*points.shape[:-2], -1).tolist()
        return flat

    def patch(self, *outlines: Points, blur: float = 0.0) -> Patch:
        """Mask the inside of closed outlines, with edges softened over `blur` pixels."""
        corners = self.pose.pixels(np.vstack(outlines))
        shapes = np.split(corners, np.cumsum([len(outline) for outline in outlines[:-1]]))
        margin = 2 * blur + 2
        low = np.clip(np.floor(corners.min(axis=0) - margin), 0, self.side - 1).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0) + margin), low + 1, self.side).astype(int)
        (x0, y0), (x1, y1) = low.tolist(), high.tolist()
        mask = Image.new("L", (x1 - x0, y1 - y0))
        pen = ImageDraw.Draw(mask)
        for shape in shapes:
            pen.polygon((shape - low).ravel().tolist(), fill=255)
        if blur:
            mask = mask.filter(ImageFilter.BoxBlur(blur))
        return Patch((x0, y0, x1, y1), mask)

    def paste(self, fill: Colour | Image.Image, patch: Patch) -> None:
        """Lay a colour, or a layer of the patch's size, through a patch."""
        self.image.paste(fill, patch.box, patch.mask)

    def line(
        self, curve: Points, colour: Colour, width: float, joint: Literal["curve"] | None = None
    ) -> None:
        """Draw a curve on the picture, `width` face units wide."""
        self._pen.line(self.flat(curve), fill=colour, width=self.width(width), joint=joint)

    def polygon(self, outline: Points, colour: Colour) -> None:
        """Fill an outline on the picture, with hard edges."""
        self._pen.polygon(self.flat(outline), fill=colour)

    def enlarge(self, grid: Grid, patch: Patch) -> Image.Image:
        """Turn a coarse (n, n, 3) grid of values 0 to 255 into a layer of the patch's size."""
        small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
        x0, y0, x1, y1 = (edge / COARSE for edge in patch.box)
        return small.resize(patch.mask.size, Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))

    def shadow(self, outline: Points, blur: float) -> Grid:
        """A blurred mask on the coarse grid, 0 to 1; `blur` is a radius in face units."""
        mask = Image.new("L", self.u.shape)
        points = (self.pose.pixels(outline) / COARSE).ravel().tolist()
        ImageDraw.Draw(mask).polygon(points, fill=255)
        blurred = mask.filter(ImageFilter.GaussianBlur(blur * self.pose.unit / COARSE))
        return np.asarray(blurred, np.float32) * np.float32(1 / 255)

    def bump(self, u: float, v: float, half_u: float, half_v: float) -> Grid:
        """A Gaussian hill of height 1 at (u, v) on the coarse grid."""
        across, down = (self.u - u) * (1 / half_u), (self.v - v) * (1 / half_v)
        return np.asarray(np.exp(-across * across - down * down))

    def bumps(self, u: float, v: float, half_u: float, half_v: float) -> Grid:
        """Two such hills, mirrored at the midline."""
        return self.bump(u, v, half_u, half_v) + self.bump(-u, v, half_u, half_v)

    def lit(self, height: Grid, picture: Moment) -> tuple[Grid, Grid]:
        """Light a relief given as heights in face units.

        Returns:
            The diffuse shade (about 1 where lit) and the gloss (0 to 1), both (n, n).
        """
        slope_y, slope_x = np.gradient(height, COARSE / self.pose.unit)
        normal = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
        x, y, z = picture.light
        facing = np.maximum((z - x * slope_x - y * slope_y) * normal, 0)
        half_x, half_y, half_z = np.array([x, y, z + 1]) / math.sqrt(2 + 2 * z)
        gloss = np.clip((half_z - half_x * slope_x - half_y * slope_y) * normal, 0, 1) ** 16
        shade = picture.ambient + (1.06 - picture.ambient) * facing
        return shade.astype(np.float32), gloss.astype(np.float32)
