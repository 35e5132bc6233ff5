"""MTCNN in processes of its own: in our workers with a clock, and in the plain loop.

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

from contrastive_age.faces.alignment import POINTS
from contrastive_age.faces.detection import ATTEMPTS, BATCH_SIZE, Detector, load_mtcnn
from contrastive_age.sources.drawing import draw_face

STAMPS = "CONTRASTIVE_AGE_STAMPS"
"""Environment variable: the folder where workers note when they have their detector ready."""


def load_warm() -> Detector:
    """Load MTCNN in a worker, let it look at drawn faces once, and note the time.

    On the first call TensorFlow builds its graphs, which takes seconds.
    """
    detector = load_mtcnn()
    first = ATTEMPTS[0]
    faces = [draw_face(number, 30, size=first.side) for number in range(BATCH_SIZE)]
    detector([np.asarray(face) for face in faces], first.thresholds)
    (Path(os.environ[STAMPS]) / str(os.getpid())).write_text(repr(time.time()))
    return detector


def stamps(folder: Path) -> list[float]:
    """Read when each worker had its detector ready."""
    return [float(path.read_text()) for path in folder.iterdir()]


def main(folder: Path, paths: Sequence[str]) -> None:
    """Run the plain loop; print its times, and the landmarks of each photo, as JSON."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.time()
    from mtcnn import MTCNN
    from PIL import Image

    mtcnn = MTCNN()
    mtcnn.detect_faces(np.asarray(draw_face(0, 30, size=400)))
    ready = time.time()
    points: list[list[list[float]] | None] = []
    for path in paths:
        with Image.open(folder / path) as image:
            faces = mtcnn.detect_faces(np.asarray(image.convert("RGB")))
        points.append(_largest(faces) if faces else None)
    seconds = time.time() - ready
    print(json.dumps({"seconds": seconds, "loading": ready - started, "points": points}))


def _largest(faces: list[dict[str, Any]]) -> list[list[float]]:
    """The five points of the largest face, in our order; left is the smaller x."""
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return [list(map(float, largest["keypoints"][point])) for point in POINTS]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
