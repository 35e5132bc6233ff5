"""Photos of boxes of one colour, and stand-ins for MTCNN that see faces in them."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from contrastive_age.faces.detection import Canvases, Faces, Thresholds

BOX = (20, 30, 60, 80)
COLOURS = {"face": (255, 0, 0), "dim": (170, 0, 0), "empty": (0, 0, 0), "faulty": (0, 0, 255)}
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def face(left: float, top: float, right: float, bottom: float, score: float = 1.0) -> list[float]:
    """A face that fills a box: a row of what a detector gives."""
    points = POINTS * (right - left, bottom - top) + (left, top) - 0.5
    return [left, top, right, bottom, score, *points.ravel()]


def box_points() -> npt.NDArray[np.float64]:
    """The points of the face that `draw` draws."""
    return np.reshape(face(*BOX)[5:], (5, 2))


def draw(kind: str, shade: int = 0) -> Image.Image:
    """A photo of 120x100 pixels with a box; the shade makes another photo of it."""
    image = Image.new("RGB", (120, 100), (shade, shade, shade))
    image.paste(COLOURS[kind], BOX)
    return image


class Call(NamedTuple):
    """What a detector was asked."""

    number: int
    size: tuple[int, int]
    min_face: float
    thresholds: Thresholds


class Boxes:
    """Sees a face in a bright red box, and at low thresholds in a dim one.

    Attributes:
        calls: What it was asked.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def load(self) -> "Boxes":
        return self

    @property
    def looks(self) -> int:
        """Canvases seen since it was last asked for."""
        seen = sum(call.number for call in self.calls)
        self.calls.clear()
        return seen

    def __call__(self, canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
        number, height, width, _ = canvases.shape
        self.calls.append(Call(number, (width, height), min_face, thresholds))
        return [self._seen(canvas, thresholds) for canvas in canvases]

    def _seen(self, canvas: npt.NDArray[np.uint8], thresholds: Thresholds) -> Faces:
        red, _, blue = canvas.astype(int).transpose(2, 0, 1)
        if (blue > 200).any():
            raise ArithmeticError("a detector's fault")
        rows, columns = np.nonzero(red > 100)
        score = red.max() / 255
        if len(rows) == 0 or score < thresholds[2]:
            return np.empty((0, 15))
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return np.array([face(*edges, score)])


def make_files(folder: Path, kinds: list[str]) -> pd.DataFrame:
    """Save photos, or a text that is none, and list them with their digests."""
    folder.mkdir(exist_ok=True)
    rows = []
    for index, kind in enumerate(kinds):
        path = folder / f"{index:02d}.png"
        if kind == "text":
            path.write_text(f"no image {index}")
        else:
            draw(kind, index).save(path)
        rows.append((path.stem, path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return pd.DataFrame(rows, columns=["sample_id", "path", "digest"])
