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
from contrastive_age.faces.detection import Detector, load_mtcnn

STAMPS = "CONTRASTIVE_AGE_STAMPS"
"""Environment variable: the folder where workers note when they have loaded the detector."""


def load_and_stamp() -> Detector:
    """Load MTCNN in a worker, and note the time."""
    detector = load_mtcnn()
    (Path(os.environ[STAMPS]) / str(os.getpid())).write_text(repr(time.time()))
    return detector


def stamps(folder: Path) -> list[float]:
    """Read when each worker had loaded its detector."""
    return [float(path.read_text()) for path in folder.iterdir()]


def main(folder: Path, paths: Sequence[str]) -> None:
    """Run the plain loop; print its times, and the landmarks of each photo, as JSON."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.time()
    from mtcnn import MTCNN
    from PIL import Image

    mtcnn = MTCNN()
    loaded = time.time()
    points: list[list[list[float]] | None] = []
    for path in paths:
        with Image.open(folder / path) as image:
            faces = mtcnn.detect_faces(np.asarray(image.convert("RGB")))
        points.append(_largest(faces) if faces else None)
    seconds = time.time() - loaded
    print(json.dumps({"seconds": seconds, "loading": loaded - started, "points": points}))


def _largest(faces: list[dict[str, Any]]) -> list[list[float]]:
    """The five points of the largest face, in our order; left is the smaller x."""
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return [list(map(float, largest["keypoints"][point])) for point in POINTS]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
