"""From photos to aligned faces, for prediction: found and cut out by the code of training."""

import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    TINIEST,
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
from contrastive_age.sources.reading import IMAGE_SUFFIXES, UNREADABLE, is_image, scan

logger = logging.getLogger(__name__)

Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A photo: its path, a PIL image, or an array uint8 (h, w, 3) RGB or (h, w) grey."""

NO_FACE = "no face found"
FAILED = "the detector failed"

_Item = tuple[str, Path | Image.Image | str]
"""A photo's name, and its absolute path, its upright RGB image, or why there is none."""


@dataclass(frozen=True, eq=False)
class FoundFaces:
    """The faces of one photo, k of them, from left to right.

    Attributes:
        reason: Why there is none; None where there is.
        size: Width and height of the upright photo in pixels; 0, 0 where unknown.
        min_face: Side in pixels below which no face was looked for; NaN where none was at all.
        scores: The detector's confidence, float64 (k,); NaN for ready crops.
        boxes: Left, top, right and bottom in pixels of the upright photo, float64 (k, 4); NaN for
            ready crops.
        landmarks: In pixels of the upright photo, float64 (k, 5, 2); NaN for ready crops.
        pixels: The aligned faces, uint8 (k, 256, 256, 3).
    """

    reason: str | None = None
    size: tuple[int, int] = (0, 0)
    min_face: float = math.nan
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    boxes: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    landmarks: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 5, 2)))
    pixels: npt.NDArray[np.uint8] = field(
        default_factory=lambda: np.empty((0, FACE_SIZE, FACE_SIZE, 3), np.uint8)
    )


def was_read(reason: str | None) -> bool:
    """Whether a photo without a face, or with one (None), was at least looked at."""
    return reason is None or not reason.startswith((UNREADABLE, FAILED))


def list_photos(places: Iterable[Path], passed_over: Path | None = None) -> list[Path]:
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
    places = list(places)
    photos: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise DataError(f"{place}: no such photo or folder; correct its name")
        for photo in _photos_in(place, passed_over) if place.is_dir() else [place]:
            photos.setdefault(photo.absolute(), photo)
    if not photos:
        listed_places = ", ".join(str(place) for place in places)
        raise DataError(
            f"there is no photo in {listed_places}: photos are told by their suffix, "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return list(photos.values())


def _photos_in(folder: Path, passed_over: Path | None) -> list[Path]:
    photos = [folder / name for name in sorted(filter(is_image, scan(folder)[0]))]
    if passed_over is None:
        return photos
    around, left_out = folder.resolve(), passed_over.resolve()
    if left_out == around or not left_out.is_relative_to(around):
        return photos
    return [photo for photo in photos if not photo.resolve().is_relative_to(left_out)]


class FaceReader:
    """Finds and aligns the faces of photos."""

    def __init__(
        self,
        load_detector: Callable[[], Detector],
        *,
        coverage: float = DEFAULT_COVERAGE,
        min_face: float | None = None,
        workers: int = 1,
    ) -> None:
        """Load nothing yet.

        Args:
            load_detector: Gives the detector.
            coverage: How much of a face's surroundings is shown, see `five_point_template`.
            min_face: Side in pixels from which every face is looked for, see `least_face`.
            workers: Number of threads.

        Raises:
            ValueError: The smallest face is too small, or there is no worker.
        """
        if min_face is not None and not TINIEST <= min_face < math.inf:
            raise ValueError(f"faces are found from {TINIEST} pixels up, not from {min_face}")
        if workers < 1:
            raise ValueError(f"faces are found by at least one worker, not {workers}")
        self._load_detector = load_detector
        self._coverage = coverage
        self._min_face = min_face
        self._workers = workers

    def photos(self, pictures: Iterable[Picture]) -> Iterator[tuple[str, FoundFaces]]:
        """Find the faces of photos, with bounded memory whatever their number.

        Args:
            pictures: Photos; a path is read where its faces are found.

        Yields:
            Each photo's name and faces, in the order given.

        Raises:
            DataError: The detector's weights are missing.
            RuntimeError: Detection fails at more than `MOST_FAILURES` photos in a row.
            TypeError: Something is no photo.
            ValueError: An array is no photo.
        """
        finder = Finder(self._load_detector(), self._min_face)
        task = functools.partial(_find_and_align, finder, self._coverage)
        failures = 0
        for results in on_threads(task, _chunks(_items(pictures)), self._workers):
            for name, faces in results:
                failures = failures + 1 if (faces.reason or "").startswith(FAILED) else 0
                if failures > MOST_FAILURES:
                    raise too_many_failures(failures, name)
                yield name, faces

    def crops(self, pictures: Iterable[Picture]) -> Iterator[tuple[str, FoundFaces]]:
        """Take pictures as aligned faces, without looking for any.

        Args:
            pictures: Square crops of any size.

        Yields:
            Each picture's name and its one face, in the order given.

        Raises:
            TypeError: Something is no photo.
            ValueError: An array is no photo.
        """
        yield from on_threads(_crop, _items(pictures), self._workers)


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
        picture = _from_array(picture, name)
    if not isinstance(picture, Image.Image):
        raise TypeError(
            f"{name} is {type(picture).__name__}: give a path, a PIL image, or an array uint8 "
            f"(h, w, 3) or (h, w)"
        )
    try:
        return upright(picture)
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return _unreadable(error)


def _from_array(array: npt.NDArray[np.uint8], name: str) -> Image.Image:
    colour = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (array.ndim == 2 or colour) or array.size == 0:
        raise ValueError(
            f"{name} is an array of type {array.dtype} and shape {array.shape}: give uint8 "
            f"(h, w, 3), RGB, or (h, w), grey"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Put items together for one task, images in memory up to `MOST_PIXELS`."""
    chunk: list[_Item] = []
    pixels = 0
    for name, photo in items:
        chunk.append((name, photo))
        pixels += math.prod(photo.size) if isinstance(photo, Image.Image) else 0
        if len(chunk) == BATCH_SIZE or pixels >= MOST_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _find_and_align(
    finder: Finder, coverage: float, items: list[_Item]
) -> list[tuple[str, FoundFaces]]:
    def find(images: Sequence[Image.Image]) -> list[FoundFaces]:
        seen = finder.all_faces(images)
        least = [least_face(image.size, finder.min_face) for image in images]
        return [_aligned(*one, coverage) for one in zip(images, seen, least, strict=True)]

    outcomes = found_in(items, _opened, find)
    return [(item[0], _faces(item, of)) for item, of in zip(items, outcomes, strict=True)]


def _faces(item: _Item, outcome: FoundFaces | str | Exception) -> FoundFaces:
    if isinstance(outcome, FoundFaces):
        return outcome
    if isinstance(outcome, str):
        return FoundFaces(outcome)
    name, photo = item
    logger.warning("%s failed in detection: %r", name, outcome)
    size = photo.size if isinstance(photo, Image.Image) else upright_size(Path(photo))
    return FoundFaces(f"{FAILED}: {outcome!r}", size)


def _opened(item: _Item) -> Image.Image | str:
    """Give the upright photo, or why there is none."""
    _, photo = item
    if not isinstance(photo, Path):
        return photo
    try:
        # A pipe would be waited for without end.
        if photo.exists() and not photo.is_file():
            return f"{UNREADABLE}: neither a file nor a link to one"
        return decode(photo)
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return _unreadable(error)


def _unreadable(error: BaseException) -> str:
    return f"{UNREADABLE}: {cause(error)}"


def _aligned(image: Image.Image, seen: Sighting, min_face: float, coverage: float) -> FoundFaces:
    landmarks, boxes = seen.landmarks, seen.boxes
    # On a photo of a few pixels, enlarged, a face's points can be found in one and the same.
    usable = [row for row in range(len(boxes)) if usable_landmarks(landmarks[row])]
    if not usable:
        return FoundFaces(NO_FACE, image.size, min_face)
    order = sorted(usable, key=lambda row: tuple(boxes[row]))
    return FoundFaces(
        size=image.size,
        min_face=min_face,
        scores=seen.scores[order],
        boxes=boxes[order],
        landmarks=landmarks[order],
        pixels=np.stack([align(image, landmarks[row], coverage) for row in order]),
    )


def _crop(item: _Item) -> tuple[str, FoundFaces]:
    """Take a photo as an aligned face."""
    name, image = item[0], _opened(item)
    if isinstance(image, str):
        return name, FoundFaces(image)
    width, height = image.size
    if abs(width - height) > 1:
        reason = f"{width} x {height} pixels are no aligned face, which is square"
        return name, FoundFaces(reason, image.size)
    face = image
    if face.size != (FACE_SIZE, FACE_SIZE):
        face = image.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC)
    return name, FoundFaces(
        size=image.size,
        scores=np.full(1, np.nan),
        boxes=np.full((1, 4), np.nan),
        landmarks=np.full((1, 5, 2), np.nan),
        pixels=np.asarray(face)[None],
    )
