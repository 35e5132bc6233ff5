"""Decoding photos, and turning a photo with five landmarks into an aligned face.

Pixel coordinates have their origin in the centre of the top left pixel, x to the right and y down,
in the upright photo as its file holds it. Detection and alignment both decode through `load_image`,
so landmarks and pixels agree; where that has reduced a vast photo, both account for it.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from pydantic import Field

from contrastive_age.errors import DataError
from contrastive_age.sources.decoding import cause, decode, reduction, size_of

Points = npt.NDArray[np.float64]

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
LANDMARK_COLUMNS = [f"{point}_{axis}" for point in POINTS for axis in "xy"]

VERSION = 1
"""Raised when `align` gives other pixels, so that models trained on the old ones are refused."""

FACE_SIZE = 256
DEFAULT_COVERAGE = 1.35

Coverage = Annotated[float, Field(ge=0.8, le=2.5)]
"""How much of the face's surroundings an aligned face shows, see `five_point_template`."""

ARCFACE_SIZE = 112
ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where ArcFace (Deng et al., CVPR 2019) puts the five points in its crop of 112x112 pixels."""


def load_image(path: Path) -> Image.Image:
    """Decode a photo into an upright RGB image of 8 bits a channel, see `decoding.decode`.

    Args:
        path: The image file.

    Returns:
        An image of mode RGB, fully decoded.

    Raises:
        DataError: The file is missing or cannot be decoded.
    """
    try:
        return decode(path)
    # On damaged bytes Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as an image ({cause(error)}); replace or remove it"
        ) from error


def upright_size(path: Path) -> tuple[int, int]:
    """Read a photo's upright width and height from its header; 0, 0 where that fails.

    Args:
        path: The image file; its pixels are not decoded.
    """
    try:
        return size_of(path)
    except Exception:  # a damaged header can fail anywhere
        return 0, 0


def require_files(paths: Iterable[Path]) -> None:
    """Check that photos are where the table of samples says.

    Raises:
        DataError: Some are missing; the message names the first.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]} is missing ({len(missing)} missing in all); put the photos back, or run "
            f"ingestion again to leave them out"
        )


def landmark_array(table: pd.DataFrame) -> Points:
    """Give the landmark columns of a table as an array.

    Args:
        table: A table with the columns `LANDMARK_COLUMNS`, in pixels.

    Returns:
        float64 (N, 5, 2): left eye, right eye, nose, left and right mouth corner, each x and y.
    """
    return table[LANDMARK_COLUMNS].to_numpy(np.float64).reshape(-1, len(POINTS), 2)


def five_point_template(coverage: float = DEFAULT_COVERAGE, size: int = FACE_SIZE) -> Points:
    """Say where the five landmarks belong in an aligned face.

    With p ArcFace's points as fractions of its crop, the template is
    `((p - 1/2) / coverage + 1/2) * size`.

    Args:
        coverage: How much of the face's surroundings the crop shows: 1 is ArcFace's tight crop,
            which cuts forehead and chin; 2 shows twice its width and height around the same centre.
            With the default, hair line and chin are inside the network's view, 224/256 of the crop.
        size: Side of the crop in pixels.

    Returns:
        float64 (5, 2), x and y in pixels of the crop.

    Raises:
        ValueError: The coverage or the size is not positive.
    """
    if not (coverage > 0 and size > 0):
        raise ValueError(f"coverage and size must be positive, got {coverage} and {size}")
    fractions = (np.array(ARCFACE_POINTS) + 0.5) / ARCFACE_SIZE
    return ((fractions - 0.5) / coverage + 0.5) * size - 0.5


def usable_landmarks(landmarks: Points) -> bool:
    """Say whether five points can be aligned: all finite, and spread by more than a pixel.

    Args:
        landmarks: (5, 2) in pixels.
    """
    return bool(np.isfinite(landmarks).all() and landmarks.std(axis=0).max() > 1)


def estimate_similarity(landmarks: Points, template: Points) -> Points:
    """Find the rotation, uniform scale and shift that best carry the landmarks onto the template.

    Minimises `sum_i |s R x_i + t - y_i|^2` over scale s, rotation R and shift t (Umeyama, 1991);
    never a reflection.

    Args:
        landmarks: (5, 2) in pixels of the photo, not rounded.
        template: (5, 2) in pixels of the aligned face.

    Returns:
        float64 (2, 3), the matrix `[s R | t]`.

    Raises:
        DataError: The points are not finite or all in one place, so that no transform is defined.
    """
    from skimage.transform import SimilarityTransform

    if not usable_landmarks(landmarks):
        raise DataError(
            f"no face can be aligned by the landmarks {np.round(landmarks, 2).tolist()}: they must "
            f"be finite and not all in one place; correct them"
        )
    return np.asarray(SimilarityTransform.from_estimate(landmarks, template).params[:2])


def align(
    image: Image.Image, landmarks: Points, coverage: float = DEFAULT_COVERAGE, size: int = FACE_SIZE
) -> npt.NDArray[np.uint8]:
    """Cut the face out of a photo, upright and at a fixed place and size.

    Args:
        image: The upright RGB photo, reduced or not, see `decoding.reduction`.
        landmarks: (5, 2) in pixels of the photo as its file holds it.
        coverage: How much of the face's surroundings is shown, see `five_point_template`.
        size: Side of the aligned face in pixels.

    Returns:
        uint8 (size, size, 3), RGB.

    Raises:
        DataError: The landmarks define no transform.
    """
    if (factor := reduction(image)) > 1:
        landmarks = (landmarks + 0.5) / factor - 0.5
    return warp(image, estimate_similarity(landmarks, five_point_template(coverage, size)), size)


def warp(image: Image.Image, matrix: Points, size: int) -> npt.NDArray[np.uint8]:
    """Resample a photo under a similarity transform, without aliasing.

    A photo finer than the output is first scaled down to the output's resolution with a filter
    as wide as the scale asks for, so the affine step that follows works at a scale of one or
    more, where bicubic interpolation does not alias. What lies outside the photo repeats its
    nearest edge pixel.

    Args:
        image: The RGB photo.
        matrix: (2, 3), from pixels of the photo to pixels of the output.
        size: Side of the output in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    # Below, coordinates have their origin in the corner of the first pixel, as Pillow counts.
    forward = matrix[:, :2]
    backward = np.linalg.inv(forward)
    shift = matrix[:, 2] + 0.5 - forward @ (0.5, 0.5)
    corners = (np.array([[0, 0], [size, 0], [0, size], [size, size]]) - shift) @ backward.T

    shrink = min(1.0, math.sqrt(np.linalg.det(forward)))
    margin = 3 / shrink  # the reach of the bicubic kernel, in pixels of the photo
    wanted = np.stack([corners.min(axis=0) - margin, corners.max(axis=0) + margin])
    limits = np.array(image.size)
    first = np.clip(np.floor(wanted[0]), 0, limits - 1).astype(int)
    last = np.clip(np.ceil(wanted[1]), first + 1, limits).astype(int)

    box = (int(first[0]), int(first[1]), int(last[0]), int(last[1]))
    if shrink < 1:
        width, height = np.maximum(np.round((last - first) * shrink), 1).astype(int)
        patch = image.resize(
            (int(width), int(height)), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0
        )
    else:
        patch = image.crop(box)
    factor = np.array(patch.size) / (last - first)

    lower = np.floor((wanted[0] - first) * factor).astype(int)
    upper = np.ceil((wanted[1] - first) * factor).astype(int)
    columns, rows = (
        np.arange(low, high).clip(0, length - 1)
        for low, high, length in zip(lower, upper, patch.size, strict=True)
    )
    patch = Image.fromarray(np.asarray(patch)[rows[:, None], columns])

    linear = backward * factor[:, None]
    offset = (-backward @ shift - first) * factor - lower
    affine = (*linear[0], offset[0], *linear[1], offset[1])
    return np.asarray(
        patch.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    )
