"""From photos to aligned faces, for prediction: found and cut out by the code of training."""

import functools
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from contrastive_age.inference.pictures import (
    Item,
    Picture,
    held_pixels,
    items,
    opened,
)
from contrastive_age.sources.decoding import MOST_MEGAPIXELS, full_size, remark
from contrastive_age.sources.reading import UNREADABLE, scan

logger = logging.getLogger(__name__)

LEVELS = ("80", "95")
"""The intervals that a table shows, by their level in percent."""

NO_FACE = "no face found"
FAILED = "the detector failed"
NOT_ENTERED = "folder not entered"

Batched = TypeVar("Batched")


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
    landmarks: npt.NDArray[np.float64] = field(repr=False)
    pixels: npt.NDArray[np.uint8] = field(repr=False)
    age: float = math.nan
    std: float = math.nan
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    probabilities: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.empty(0, np.float32), repr=False
    )


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
        note: What is to be known of it, such as an end that is missing; None where nothing is.
        caution: What keeps the ages of its faces from being ages of people, see `cards.cautions`;
            None where nothing does, and before the model has spoken.
    """

    name: str
    faces: tuple[Face, ...] = ()
    reason: str | None = None
    size: tuple[int, int] = (0, 0)
    min_face: float = math.nan
    note: str | None = None
    caution: str | None = None


def was_read(reason: str | None) -> bool:
    """Whether a photo without a face, or with one (None), was at least looked at."""
    return reason is None or not reason.startswith((UNREADABLE, FAILED, NOT_ENTERED))


def list_photos(
    places: Sequence[Path], is_own: Callable[[Path], bool] = lambda _: False
) -> tuple[list[Path], list[Photo]]:
    """List files, and the files in folders: what is a photo is seen when it is read.

    Folders are walked with their subfolders, in order of names; there, hidden files and folders are
    left out. Links that lead in a circle come to an end.

    Args:
        places: Photos and folders.
        is_own: Whether a file comes from here, such as a drawn copy; it is left out.

    Returns:
        The files, each once; and the folders that were not entered, with the reason.

    Raises:
        DataError: A place is missing, or there is no file in any.
    """
    missing = [place for place in places if not os.path.lexists(place)]
    if missing:
        raise DataError(_words_of_missing(missing))
    files: dict[Path, Path] = {}
    closed: list[Photo] = []
    for place in places:
        listed, passed_over = _listed(place) if place.is_dir() else ([place], [])
        files.update({file.absolute(): file for file in listed if file.absolute() not in files})
        closed += passed_over
    own = [path for path, file in files.items() if is_own(file)]
    if not files.keys() - set(own):
        raise DataError(_words_of_nothing(places, len(own), closed))
    for path in own:
        del files[path]
    return list(files.values()), closed


def _listed(folder: Path) -> tuple[list[Path], list[Photo]]:
    names, passed_over = scan(folder)
    closed = [
        Photo(str(folder / path), reason=f"{NOT_ENTERED}: {reason.removeprefix(UNREADABLE + ': ')}")
        for path, reason in passed_over.itertuples(index=False)
    ]
    return [_found(folder, name) for name in sorted(names)], closed


def _found(folder: Path, name: str) -> Path:
    """Give a listed file's path; stray bytes, which a listing escapes, are as they were."""
    if "\\x" in name and not os.path.lexists(folder / name):
        name = re.sub(r"\\x([89a-f][0-9a-f])", lambda byte: chr(0xDC00 + int(byte[1], 16)), name)
    return folder / name


def _words_of_missing(places: Sequence[Path]) -> str:
    more = f" (and {len(places) - 1} more that are missing)" if len(places) > 1 else ""
    return f"{places[0]}: no such photo or folder{more}; correct its name"


def _words_of_nothing(places: Sequence[Path], own: int, closed: Sequence[Photo]) -> str:
    where = ", ".join(map(str, places))
    if own:
        return f"all {own} files in {where} are drawn copies; name the photos themselves"
    why = "".join(f"; {folder.name}: {folder.reason}" for folder in closed[:1])
    return f"there is no file in {where}{why}; put photos there, or name another folder"


def find_faces(
    pictures: Iterable[Picture],
    load_detector: Callable[[], Detector],
    *,
    coverage: float = DEFAULT_COVERAGE,
    min_face: float | None = None,
    most_megapixels: float = MOST_MEGAPIXELS,
    workers: int = 1,
) -> Iterator[Photo]:
    """Find and align the faces of photos, with bounded memory whatever their number.

    Args:
        pictures: Photos; a path is read where its faces are found.
        load_detector: Gives the detector.
        coverage: How much of a face's surroundings is shown, see `five_point_template`.
        min_face: Side in pixels from which every face is looked for, see `least_face`.
        most_megapixels: Photos of more million pixels are not read.
        workers: Number of threads.

    Yields:
        Each photo with its faces, in the order given.

    Raises:
        DataError: The detector's weights are missing.
        RuntimeError: Detection fails at more than `MOST_FAILURES` photos in a row.
    """
    finder = Finder(load_detector(), min_face)
    task = functools.partial(_find_and_align, finder, coverage, most_megapixels)
    named = items(pictures, most_megapixels)
    chunks = batches(named, BATCH_SIZE, held_pixels, MOST_PIXELS)
    failures = 0
    for photos in on_threads(task, chunks, workers):
        for photo in photos:
            failures = failures + 1 if (photo.reason or "").startswith(FAILED) else 0
            if failures > MOST_FAILURES:
                raise too_many_failures(failures, photo.name)
            yield photo


def ready_crops(
    pictures: Iterable[Picture], *, most_megapixels: float = MOST_MEGAPIXELS, workers: int = 1
) -> Iterator[Photo]:
    """Take pictures as aligned faces, without looking for any.

    Args:
        pictures: Square crops of any size.
        most_megapixels: Photos of more million pixels are not read.
        workers: Number of threads.

    Yields:
        Each picture with its one face, in the order given.
    """
    crop = functools.partial(_crop, most_megapixels)
    yield from on_threads(crop, items(pictures, most_megapixels), workers)


def batches(
    items: Iterable[Batched], most: int, size: Callable[[Batched], int], enough: int
) -> Iterator[list[Batched]]:
    """Put items together, in order, until there are enough of them.

    Args:
        items: Taken as they are needed.
        most: Items of a batch.
        size: What an item adds to a batch.
        enough: The sizes' sum with which a batch is full, too.

    Yields:
        Batches of at least one item; where the items end in an error, what came before it, too.
    """
    batch: list[Batched] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == most or sum(map(size, batch)) >= enough:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _find_and_align(
    finder: Finder, coverage: float, most_megapixels: float, items: list[Item]
) -> list[Photo]:
    read: list[Photo] = []

    def open_one(item: Item) -> Image.Image | str:
        image = opened(item, most_megapixels)
        read.append(_read(item, image))
        return image

    def find(images: Sequence[Image.Image]) -> list[tuple[Face, ...]]:
        sightings = finder.all_faces(images)
        return [
            _aligned(image, sighting, coverage)
            for image, sighting in zip(images, sightings, strict=True)
        ]

    outcomes = found_in(items, open_one, find)
    return [_told(*of, finder.min_face) for of in zip(read, outcomes, strict=True)]


def _read(item: Item, image: Image.Image | str) -> Photo:
    """Say what is known of a photo before any face is looked for."""
    if isinstance(image, str):
        return Photo(item[0], reason=image)
    return Photo(item[0], size=full_size(image), note=remark(image) or None)


def _told(
    photo: Photo, outcome: tuple[Face, ...] | str | Exception, min_face: float | None
) -> Photo:
    if isinstance(outcome, str):
        return photo
    if isinstance(outcome, Exception):
        logger.warning("%s failed in detection: %r", photo.name, outcome)
        return replace(photo, reason=f"{FAILED}: {outcome!r}")
    least = least_face(photo.size, min_face)
    return replace(photo, faces=outcome, reason=None if outcome else NO_FACE, min_face=least)


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


def _crop(most_megapixels: float, item: Item) -> Photo:
    """Take a photo as an aligned face."""
    image = opened(item, most_megapixels)
    photo = _read(item, image)
    if isinstance(image, str):
        return photo
    width, height = image.size
    if abs(width - height) > 1:
        reason = f"{width} x {height} pixels are no aligned face, which is square"
        return replace(photo, reason=reason)
    resized = image.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC)
    unknown = (math.nan, math.nan, math.nan, math.nan)
    face = Face(math.nan, unknown, np.full((5, 2), np.nan), np.asarray(resized))
    return replace(photo, faces=(face,))
