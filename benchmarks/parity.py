"""Whether MTCNN on torch sees what the package `mtcnn` sees on TensorFlow, photo by photo.

    python -m benchmarks.parity --raw-root FOLDER    # holds fgnet/ and utkface/

prints a table of all faces' boxes and points, on equal pixels.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.measuring import in_child
from contrastive_age.drawn.face import draw_face
from contrastive_age.faces.alignment import load_image
from contrastive_age.faces.detection import FIRST, canvas_of
from contrastive_age.faces.mtcnn import load_mtcnn

CLOSE = 0.05
"""Pixels."""


@dataclass(frozen=True)
class Parity:
    """How alike two detectors are.

    Attributes:
        photos: Number of photos.
        faces: Number of faces of the reference.
        same_count: Number of photos in which both find equally many faces.
        close: Share of the faces in these whose box and points are within `CLOSE`.
        farthest: The largest difference of a coordinate in pixels.
    """

    photos: int
    faces: int
    same_count: int
    close: float
    farthest: float


def compare(images: Sequence[Image.Image]) -> Parity:
    """Find the faces of some photos both ways."""
    detector = load_mtcnn("cpu")
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{number}.png" for number in range(len(images))]
        for image, path in zip(images, paths, strict=True):
            image.save(Path(folder) / path)
        reference = [
            np.array(faces).reshape(-1, 15)
            for faces in in_child("benchmarks.detectors", folder, *paths)["faces"]
        ]
    ours = [detector(np.asarray(image)[None])[0] for image in images]
    same = [(a, b) for a, b in zip(ours, reference, strict=True) if len(a) == len(b)]
    apart: npt.NDArray[np.float64] = np.concatenate(
        [np.delete(np.abs(a - b), 4, axis=1).max(axis=1, initial=0) for a, b in same]
    )
    return Parity(
        len(images),
        sum(map(len, reference)),
        len(same),
        float((apart <= CLOSE).mean()),
        apart.max(),
    )


def main() -> None:
    """Compare on photos of every kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw-root", type=Path, help="holds fgnet/ and utkface/; none: drawn only")
    root = parser.parse_args().raw_root
    kinds: dict[str, Callable[[], list[Image.Image]]] = {
        "100 drawn faces": lambda: [draw_face(n, n % 70, size=240) for n in range(100)]
    }
    if root is not None:
        fgnet = [load_image(path) for path in sorted((root / "fgnet/images").iterdir())[::5][:200]]
        chips = sorted((root / "utkface").glob("*.jpg"))[::58][:200]
        kinds["200 photos of FG-NET"] = lambda: fgnet
        kinds["the same at 240 pixels"] = lambda: [
            Image.fromarray(canvas_of(own, FIRST, 240 / max(own.size))) for own in fgnet
        ]
        kinds["200 chips of UTKFace"] = lambda: [load_image(path) for path in chips]
    print("| photos | faces | same count | within 0.05 pixel | farthest |\n|---|---|---|---|---|")
    for name, images in kinds.items():
        own = compare(images())
        print(
            f"| {name} | {own.faces} | {own.same_count} of {own.photos} | {own.close:.1%} "
            f"| {own.farthest:.4f} px |"
        )


if __name__ == "__main__":
    main()
