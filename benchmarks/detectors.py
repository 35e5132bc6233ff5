"""The package `mtcnn` on TensorFlow, in a process of its own: beside torch it would crash.

    python -m benchmarks.detectors FOLDER PHOTO...

is the plain loop: `detect_faces` on one photo after the other, with TensorFlow's own threads.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contrastive_age.drawn.face import draw_face


def main(folder: Path, paths: Sequence[str]) -> None:
    """Run the plain loop; print its times, and the faces of each photo, as JSON."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.time()
    from mtcnn import MTCNN
    from mtcnn.utils import bboxes
    from PIL import Image

    bboxes.sort_by_scores = _sort_by_scores
    mtcnn = MTCNN()
    mtcnn.detect_faces(np.asarray(draw_face(0, 30, size=400)))
    ready = time.time()
    faces = []
    for path in paths:
        with Image.open(folder / path) as image:
            pixels = np.asarray(image.convert("RGB"))
        faces.append(_rows(mtcnn.detect_faces(pixels, output_type="numpy", box_format="xyxy")))
    seconds = time.time() - ready
    print(json.dumps({"seconds": seconds, "loading": ready - started, "faces": faces}))


def _sort_by_scores(boxes: Any, scores: Any, ascending: bool = True) -> Any:
    """Sort as the package does, but keep equal scores in order: its own sort does not."""
    return boxes[np.argsort(scores if ascending else -scores, kind="stable")]


def _rows(found: npt.NDArray[np.float64]) -> list[list[float]]:
    """Give faces as our detector does: box, score, and x and y of each point."""
    if len(found) == 0:
        return []
    points = found[:, 6:16].reshape(-1, 2, 5).transpose(0, 2, 1).reshape(-1, 10)
    rows: list[list[float]] = np.concatenate([found[:, 1:6], points], axis=1).tolist()
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
