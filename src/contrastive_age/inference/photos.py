"""From photos to aligned faces, for prediction: found and cut out by the code of training."""

import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import (
    DEFAULT_COVERAGE,
    FACE_SIZE,
    align,
    upright_size,
    usable_landmarks,
)
from contrastive_age.faces.detection import (
    BATCH_SIZE,
    Detector,
    Finder,
    Sighting,
    least_face,
)
from contrastive_age.faces.search import (
    MOST_FAILURES,
    MOST_PIXELS,
    found_in,
    on_threads,
    too_many_failures,
)
from contrastive_age.sources.decoding import cause, decode, upright
from contrastive_age.sources.reading import UNREADABLE, scan

logger = logging.getLogger(__name__)

Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A photo: its path, a PIL image, or an array uint8 (h, w, 3) RGB or (h, w) grey."""

NO_FACE = "no face found"
FAILED = "the detector failed"

_Item = tuple[str, Path | Image.Image | str]
"""A photo's name, and its absolute path, its upright RGB image, or why there is none."""

_Seen = tuple[tuple[int, int], "tuple[Face, ...]"]
"""A photo's size, and the faces found in it."""

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo, and what the model says of it once the estimator has shown it.

    Attributes:
        score: The detector's confidence, 0 to 1; NaN for ready crops.
        box: Left, top, right and bottom in pixels of the upright photo, beyond whose edges it may
            reach; NaN for ready crops.
        landmarks: Eyes, nose and corners of the mouth, float64 (5, 2), x and y in pixels of the
            upright photo; NaN for ready crops.
        pixels: The aligned face, uint8 (256, 256, 3) RGB.
        age: Years, the expectation of the softmax, not rounded; NaN before the model has spoken.
        std: Standard deviation of the softmax in years, tempered where the model has a temperature.
            It is no error: see `intervals`.
        intervals: By level in percent ("80"), lower and upper end in years: the age minus and plus
            the model's radius at that age, cut at 0 below; the upper end may be infinite. Empty
            where the model has no radii, since it was never measured on strangers.
        probabilities: Of each of the model's age classes, tempered likewise, float32 (A,).
    """

    score: float
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.uint8]
    age: float = math.nan
    std: float = math.nan
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    probabilities: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True, eq=False)
class Photo:
    """What is said of one photo.

    Attributes:
        name: Its path as it was given, or "image 0", "image 1", ... by its place among the images.
        faces: From left to right in the photo.
        reason: Why there is no face: the photo cannot be read, there is none, or the detector
            failed; None where there is one.
        size: Width and height of the upright photo in pixels; 0, 0 where it cannot be read.
        min_face: Side in pixels below which no face was looked for; NaN where none was at all.
    """

    name: str
    faces: tuple[Face, ...] = ()
    reason: str | None = None
    size: tuple[int, int] = (0, 0)
    min_face: float = math.nan


def was_read(reason: str | None) -> bool:
    """Whether a photo without a face, or with one (None), was at least looked at."""
    return reason is None or not reason.startswith((UNREADABLE, FAILED))


def list_photos(places: Sequence[Path], passed_over: Path | None = None) -> list[Path]:
    """List photos and the photos in folders.

    Folders are walked with their subfolders, in order of names; there, a photo is told by its
    suffix, and hidden files and folders are left out. Links that lead in a circle come to an end.

    Args:
        places: Photos, whatever they are called, and folders.
        passed_over: A folder in which none is looked for, where it lies below one of the places.

    Returns:
        The photos, each once.

    Raises:
        DataError: A place is missing, or there is no photo in any.
    """
    photos: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise DataError(f"{place}: no such photo or folder; correct its name")
        for photo in _photos_in(place, passed_over) if place.is_dir() else [place]:
            photos.setdefault(photo.absolute(), photo)
    if not photos:
        raise DataError(f"there is no photo in {', '.join(map(str, places))}")
    return list(photos.values())


def _photos_in(folder: Path, passed_over: Path | None) -> list[Path]:
    photos = [folder / name for name in sorted(scan(folder)[0])]
    left_out = passed_over and passed_over.resolve()
    if left_out is None or folder.resolve() not in left_out.parents:
        return photos
    return [photo for photo in photos if left_out not in photo.resolve().parents]


def find_faces(
    pictures: Iterable[Picture],
    load_detector: Callable[[], Detector],
    *,
    coverage: float = DEFAULT_COVERAGE,
    min_face: float | None = None,
    workers: int = 1,
) -> Iterator[Photo]:
    """Find and align the faces of photos, with bounded memory whatever their number.

    Args:
        pictures: Photos; a path is read where its faces are found.
        load_detector: Gives the detector.
        coverage: How much of a face's surroundings is shown, see `five_point_template`.
        min_face: Side in pixels from which every face is looked for, see `least_face`.
        workers: Number of threads.

    Yields:
        Each photo with its faces, in the order given.

    Raises:
        DataError: The detector's weights are missing.
        RuntimeError: Detection fails at more than `MOST_FAILURES` photos in a row.
        TypeError: Something is no photo.
        ValueError: An array is no photo.
    """
    finder = Finder(load_detector(), min_face)
    task = functools.partial(_find_and_align, finder, coverage)
    chunks = batches(_items(pictures), BATCH_SIZE, _pixels, MOST_PIXELS)
    failures = 0
    for photos in on_threads(task, chunks, workers):
        for photo in photos:
            failures = failures + 1 if (photo.reason or "").startswith(FAILED) else 0
            if failures > MOST_FAILURES:
                raise too_many_failures(failures, photo.name)
            yield photo


def ready_crops(pictures: Iterable[Picture], workers: int = 1) -> Iterator[Photo]:
    """Take pictures as aligned faces, without looking for any.

    Args:
        pictures: Square crops of any size.
        workers: Number of threads.

    Yields:
        Each picture with its one face, in the order given.

    Raises:
        TypeError: Something is no photo.
        ValueError: An array is no photo.
    """
    yield from on_threads(_crop, _items(pictures), workers)


def batches(
    items: Iterable[Item], most: int, size: Callable[[Item], int], enough: int
) -> Iterator[list[Item]]:
    """Put items together, in order, until there are enough of them.

    Args:
        items: Taken as they are needed.
        most: Items of a batch.
        size: What an item adds to a batch.
        enough: The sizes' sum with which a batch is full, too.

    Yields:
        Batches of at least one item.
    """
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == most or sum(map(size, batch)) >= enough:
            yield batch
            batch = []
    if batch:
        yield batch


def _items(pictures: Iterable[Picture]) -> Iterator[_Item]:
    """Name the photos, and make ready what is in memory."""
    for number, picture in enumerate(pictures):
        if isinstance(picture, str | os.PathLike):
            # The current folder may be another one when it is read.
            yield os.fspath(picture), Path(picture).absolute()
        else:
            name = f"image {number}"
            yield name, _in_memory(picture, name)


def _in_memory(picture: Image.Image | npt.NDArray[np.uint8], name: str) -> Image.Image | str:
    """Give an image as its file would be read, or why it cannot be."""
    if isinstance(picture, np.ndarray):
        is_photo = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
        if picture.dtype != np.uint8 or not is_photo or picture.size == 0:
            raise ValueError(
                f"{name} is an array of type {picture.dtype} and shape {picture.shape}: give uint8 "
                f"(h, w, 3), RGB, or (h, w), grey"
            )
        picture = Image.fromarray(np.ascontiguousarray(picture))
    if not isinstance(picture, Image.Image):
        raise TypeError(
            f"{name} is {type(picture).__name__}: give a path, a PIL image, or an array uint8 "
            f"(h, w, 3) or (h, w)"
        )
    return _read(upright, picture)


def _read(decoder: Callable[[Item], Image.Image], photo: Item) -> Image.Image | str:
    """Decode a photo, or say why it cannot be."""
    try:
        return decoder(photo)
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return f"{UNREADABLE}: {cause(error)}"


def _pixels(item: _Item) -> int:
    """How many pixels of a photo are in memory already."""
    return math.prod(item[1].size) if isinstance(item[1], Image.Image) else 0


def _find_and_align(finder: Finder, coverage: float, items: list[_Item]) -> list[Photo]:
    def find(images: Sequence[Image.Image]) -> list[_Seen]:
        sightings = finder.all_faces(images)
        return [
            (sighting.size, _aligned(image, sighting, coverage))
            for image, sighting in zip(images, sightings, strict=True)
        ]

    outcomes = found_in(items, _opened, find)
    return [_photo(*of, finder.min_face) for of in zip(items, outcomes, strict=True)]


def _photo(item: _Item, outcome: _Seen | str | Exception, min_face: float | None) -> Photo:
    name, photo = item
    if isinstance(outcome, str):
        return Photo(name, reason=outcome)
    if isinstance(outcome, Exception):
        logger.warning("%s failed in detection: %r", name, outcome)
        size = photo.size if isinstance(photo, Image.Image) else upright_size(Path(photo))
        return Photo(name, reason=f"{FAILED}: {outcome!r}", size=size)
    size, faces = outcome
    return Photo(name, faces, None if faces else NO_FACE, size, least_face(size, min_face))


def _opened(item: _Item) -> Image.Image | str:
    """Give the upright photo, or why there is none."""
    _, photo = item
    if not isinstance(photo, Path):
        return photo
    return _read(_decode, photo)


def _decode(path: Path) -> Image.Image:
    # A pipe would be waited for without end.
    if path.exists() and not path.is_file():
        raise ValueError("neither a file nor a link to one")
    return decode(path)


def _aligned(image: Image.Image, seen: Sighting, coverage: float) -> tuple[Face, ...]:
    values = zip(seen.boxes.tolist(), seen.scores.tolist(), seen.landmarks.tolist(), strict=True)
    faces = []
    for (left, top, right, bottom), score, points in sorted(values):
        landmarks = np.array(points)
        # On a photo of a few pixels, enlarged, a face's points can be found in one and the same.
        if usable_landmarks(landmarks):
            pixels = align(image, landmarks, coverage)
            faces.append(Face(score, (left, top, right, bottom), landmarks, pixels))
    return tuple(faces)


def _crop(item: _Item) -> Photo:
    """Take a photo as an aligned face."""
    name, image = item[0], _opened(item)
    if isinstance(image, str):
        return Photo(name, reason=image)
    width, height = image.size
    if abs(width - height) > 1:
        reason = f"{width} x {height} pixels are no aligned face, which is square"
        return Photo(name, reason=reason, size=image.size)
    resized = image.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC)
    unknown = (math.nan, math.nan, math.nan, math.nan)
    face = Face(math.nan, unknown, np.full((5, 2), np.nan), np.asarray(resized))
    return Photo(name, (face,), size=image.size)
