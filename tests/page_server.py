"""Starts `kedro app` for its browser test, with a detector that knows where the faces are."""

import sys
import tempfile

import numpy as np
import numpy.typing as npt
from PIL import Image

from contrastive_age.drawn.face import draw_face
from contrastive_age.drawn.portrait.curves import Points
from contrastive_age.faces.detection import Canvases, Detector, Faces, Thresholds

SIZE = (1200, 700)
CORNERS = ((40, 60, 560), (660, 120, 500))
"""Left, top and side in pixels of the two portraits on the photo."""

# Of a portrait's side: where eyes, nose and mouth of a drawn face are, more or less.
POINTS: Points = np.array([[0.4, 0.46], [0.6, 0.46], [0.5, 0.6], [0.42, 0.7], [0.58, 0.7]])


def two_faces() -> Image.Image:
    """A photo of two drawn people."""
    image = Image.new("RGB", SIZE, (190, 205, 215))
    for (left, top, side), (identity, age) in zip(CORNERS, ((3, 34), (11, 8)), strict=True):
        image.paste(draw_face(identity, age, size=side), (left, top))
    return image


def boxes() -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of both faces, in pixels of the photo."""
    return [
        (left + 0.3 * side, top + 0.25 * side, left + 0.7 * side, top + 0.8 * side)
        for left, top, side in CORNERS
    ]


def load() -> Detector:
    """See both faces in whatever is not dark."""
    return _detect


def _detect(canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
    return [_faces_on(canvas) for canvas in canvases]


def _faces_on(canvas: npt.NDArray[np.uint8]) -> Faces:
    scale = max(canvas.shape) / max(SIZE)
    if canvas.mean() < 30:
        return np.empty((0, 15))
    rows = [
        [*np.multiply(box, scale), 0.999, *((POINTS * side + (left, top)) * scale).ravel()]
        for box, (left, top, side) in zip(boxes(), CORNERS, strict=True)
    ]
    return np.array(rows)


if __name__ == "__main__":
    import page_server
    from contrastive_age.cli import cli
    from contrastive_age.inference import estimator

    class Quick(estimator.AgeEstimator):
        def __init__(self, model: estimator.AgeModel, **_: object) -> None:
            super().__init__(model, device="cpu", load_detector=page_server.load)

    estimator.AgeEstimator = Quick  # type: ignore[misc]
    # A photo that is put into a temporary file fails.
    tempfile.tempdir = "/nonexistent"
    cli(sys.argv[1:])
