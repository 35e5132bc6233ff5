"""A stand-in for MTCNN, and photos for it."""

from pathlib import Path

import numpy as np
from PIL import Image

from contrastive_age.faces.detection import Canvases, Detector, Faces, Thresholds

POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
COLOURS = {"face": (255, 0, 0), "dim": (170, 0, 0), "faulty": (0, 0, 255)}


def boxes() -> Detector:
    """See a face in every red box: a bright one at once, a dim one at low thresholds."""
    return _detect


def none() -> Detector:
    raise AssertionError("no detector is needed")


def _detect(canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
    return [_faces_on(canvas.astype(int), min_face, thresholds) for canvas in canvases]


def _faces_on(canvas: np.ndarray, min_face: float, thresholds: Thresholds) -> Faces:
    from scipy.ndimage import find_objects, label

    red, green, blue = canvas.transpose(2, 0, 1)
    if ((blue > 200) & (red < 50) & (green < 50)).any():
        raise ArithmeticError("a detector's fault")
    marked = (red > 120) & (green < 60) & (blue < 60)
    faces = []
    for rows, columns in find_objects(label(marked)[0]):
        left, top, right, bottom = columns.start, rows.start, columns.stop, rows.stop
        score = red[rows, columns].max() / 255
        if min(right - left, bottom - top) >= min_face and score >= thresholds[2]:
            points = POINTS * (right - left, bottom - top) + (left, top) - 0.5
            faces.append([left, top, right, bottom, score, *points.ravel()])
    return np.array(faces).reshape(-1, 15)


def photo(
    *kinds: str, size: tuple[int, int] = (320, 200), shade: int = 90, seed: int = 0
) -> Image.Image:
    """A photo of noise with a coloured box of each kind, from left to right, the later larger."""
    noise = np.random.default_rng(seed).integers(0, 30, (size[1], size[0], 3)) + shade
    image = Image.fromarray(noise.astype(np.uint8))
    for place, kind in enumerate(kinds):
        left = 10 + place * size[0] // max(1, len(kinds))
        image.paste(COLOURS[kind], (left, 20, left + 50 + 10 * place, 90 + 20 * place))
    return image


def save_photos(folder: Path, *kinds: tuple[str, ...]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02d}.png" for number in range(len(kinds))]
    for number, (path, own) in enumerate(zip(paths, kinds, strict=True)):
        photo(*own, seed=number).save(path)
    return paths
