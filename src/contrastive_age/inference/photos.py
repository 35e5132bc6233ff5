"""From photos to aligned faces, for prediction: found and cut out by the code of training.

Workers import this module: it must not import torch.
"""

import functools
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
    load_image,
    upright_size,
    usable_landmarks,
)
from contrastive_age.faces.detection import (
    BATCH_SIZE,
    MAX_CRASHES,
    DetectionWorkers,
    Detector,
    Sighting,
    find_all_faces,
    load_mtcnn,
    loaded,
    too_many_crashes,
)
from contrastive_age.sources.decoding import cause, upright
from contrastive_age.sources.reading import IMAGE_SUFFIXES, UNREADABLE, is_image, scan

logger = logging.getLogger(__name__)

Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A photo: its path, a PIL image, or an array uint8 (h, w, 3) RGB or (h, w) grey."""

NO_FACE = "no face found"
FAILED = "the detector failed"

MOST_PIXELS = 2**26
"""Decoded photos that a worker, or a chunk on its way to one, holds: 200 MB, or one larger one."""

_Item = tuple[int, Path | Image.Image | str]
"""A photo with its number: its absolute path, its upright RGB image, or why there is none."""


@dataclass(frozen=True, eq=False)
class FoundFaces:
    """The faces of one photo, k of them, from left to right.

    Attributes:
        reason: Why there is none; None where there is.
        size: Width and height of the upright photo in pixels; 0, 0 where unknown.
        scores: The detector's confidence, float64 (k,); NaN for ready crops.
        boxes: Left, top, right and bottom in pixels of the upright photo, float64 (k, 4); NaN for
            ready crops.
        landmarks: In pixels of the upright photo, float64 (k, 5, 2); NaN for ready crops.
        pixels: The aligned faces, uint8 (k, 256, 256, 3).
    """

    reason: str | None = None
    size: tuple[int, int] = (0, 0)
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
    found: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise DataError(f"{place}: no such photo or folder; correct its name")
        for photo in _photos_in(place, passed_over) if place.is_dir() else [place]:
            found.setdefault(photo.absolute(), photo)
    if not found:
        listed_places = ", ".join(str(place) for place in places)
        raise DataError(
            f"there is no photo in {listed_places}: photos are told by their suffix, "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return list(found.values())


def _photos_in(folder: Path, passed_over: Path | None) -> list[Path]:
    photos = [folder / name for name in sorted(filter(is_image, scan(folder).files))]
    if passed_over is None:
        return photos
    around, left_out = folder.resolve(), passed_over.resolve()
    if left_out == around or not left_out.is_relative_to(around):
        return photos
    return [photo for photo in photos if not photo.resolve().is_relative_to(left_out)]


class FaceReader:
    """Finds and aligns the faces of photos in worker processes that stay up until closed."""

    def __init__(
        self,
        *,
        coverage: float = DEFAULT_COVERAGE,
        workers: int = 1,
        load_detector: Callable[[], Detector] = load_mtcnn,
    ) -> None:
        """Start nothing yet.

        Args:
            coverage: How much of a face's surroundings is shown, see `five_point_template`.
            workers: Number of worker processes, each with one TensorFlow thread.
            load_detector: Makes the detector in a worker, where it must be importable.
        """
        if workers < 1:
            raise ValueError(f"faces are found by at least one worker, not {workers}")
        task = functools.partial(_find_and_align, coverage)
        self._workers = workers
        self._pool: DetectionWorkers[_Item, FoundFaces] = DetectionWorkers(
            task, workers, load_detector
        )

    def photos(self, pictures: Iterable[Picture]) -> Generator[tuple[str, FoundFaces], None, None]:
        """Find the faces of photos, with bounded memory whatever their number.

        Args:
            pictures: Photos; a path is read in a worker.

        Yields:
            Each photo's name and faces, in the order given.

        Raises:
            RuntimeError: The workers cannot start, or more than `MAX_CRASHES` photos in a row fail
                in them.
            TypeError: Something is no photo.
            ValueError: An array is no photo.
        """
        names: dict[int, str] = {}
        done: dict[int, FoundFaces] = {}
        waiting: deque[list[_Item]] = deque()
        chunks = _chunks(_items(pictures, names))
        emitted, crashes = 0, 0

        def top_up() -> None:
            # So much that no worker waits while results are looked at, and no more.
            while len(waiting) <= self._workers and len(names) < 4 * BATCH_SIZE * self._workers:
                chunk = next(chunks, None)
                if chunk is None:
                    return
                waiting.append(chunk)

        top_up()
        with closing(self._pool.run(waiting)) as results:
            for chunk, outcome in results:
                if isinstance(outcome, BaseException):
                    crashes += 1
                    [(number, photo)] = chunk
                    if crashes > MAX_CRASHES:
                        raise too_many_crashes(crashes, names[number], self._workers) from outcome
                    logger.warning("%s failed in detection: %r", names[number], outcome)
                    done[number] = _crashed(photo, outcome)
                else:
                    crashes = 0
                    done |= zip((number for number, _ in chunk), outcome, strict=True)
                while emitted in done:
                    yield names.pop(emitted), done.pop(emitted)
                    emitted += 1
                top_up()

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
        names: dict[int, str] = {}
        with ThreadPoolExecutor(self._workers) as threads:
            for chunk in _chunks(_items(pictures, names)):
                faces = threads.map(_crop, (photo for _, photo in chunk))
                for (number, _), found in zip(chunk, faces, strict=True):
                    yield names.pop(number), found

    def close(self) -> None:
        """End the workers; the next photo starts them again."""
        self._pool.close()


def _items(pictures: Iterable[Picture], names: dict[int, str]) -> Iterator[_Item]:
    """Number the photos, note what each is called, and make ready for a worker what is here."""
    for number, picture in enumerate(pictures):
        if isinstance(picture, str | os.PathLike):
            names[number] = os.fspath(picture)
            # A worker keeps the folder that was the current one when it was started.
            yield number, Path(picture).absolute()
        else:
            names[number] = f"image {number}"
            yield number, _in_memory(picture, names[number])


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
    for number, photo in items:
        chunk.append((number, photo))
        pixels += math.prod(photo.size) if isinstance(photo, Image.Image) else 0
        if len(chunk) == BATCH_SIZE or pixels >= MOST_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _find_and_align(
    coverage: float, load_detector: Callable[[], Detector], items: list[_Item]
) -> list[FoundFaces]:
    """Do the work of a chunk, holding few decoded photos at a time."""
    detector = loaded(load_detector)
    found: list[FoundFaces] = []
    images: list[Image.Image] = []
    places: list[int] = []

    def look() -> None:
        for place, image, seen in zip(
            places, images, find_all_faces(images, detector), strict=True
        ):
            found[place] = _aligned(image, seen, coverage)
        images.clear()
        places.clear()

    for place, (_, photo) in enumerate(items):
        image = _opened(photo)
        if isinstance(image, str):
            found.append(FoundFaces(image))
            continue
        found.append(FoundFaces())
        places.append(place)
        images.append(image)
        if sum(math.prod(own.size) for own in images) >= MOST_PIXELS:
            look()
    look()
    return found


def _opened(photo: Path | Image.Image | str) -> Image.Image | str:
    """Give the upright photo, or why there is none."""
    if not isinstance(photo, Path):
        return photo
    try:
        # A pipe would be waited for without end.
        if photo.exists() and not photo.is_file():
            return f"{UNREADABLE}: neither a file nor a link to one"
        return load_image(photo)
    except DataError as error:
        return _unreadable(error.__cause__ or error)
    except (OSError, ValueError) as error:
        return _unreadable(error)


def _unreadable(error: BaseException) -> str:
    return f"{UNREADABLE}: {cause(error)}"


def _aligned(image: Image.Image, seen: Sighting, coverage: float) -> FoundFaces:
    landmarks, boxes = seen.landmarks, seen.boxes
    # On a photo of a few pixels, enlarged, a face's points can be found in one and the same.
    usable = [row for row in range(len(boxes)) if usable_landmarks(landmarks[row])]
    if not usable:
        return FoundFaces(NO_FACE, image.size)
    order = sorted(usable, key=lambda row: tuple(boxes[row]))
    return FoundFaces(
        size=image.size,
        scores=seen.scores[order].astype(np.float64),
        boxes=boxes[order],
        landmarks=landmarks[order],
        pixels=np.stack([align(image, landmarks[row], coverage) for row in order]),
    )


def _crashed(photo: Path | Image.Image | str, error: BaseException) -> FoundFaces:
    size = (0, 0)
    if isinstance(photo, Path):
        size = upright_size(photo)
    elif isinstance(photo, Image.Image):
        size = photo.size
    return FoundFaces(f"{FAILED}: {error!r}", size)


def _crop(photo: Path | Image.Image | str) -> FoundFaces:
    image = _opened(photo)
    if isinstance(image, str):
        return FoundFaces(image)
    width, height = image.size
    if abs(width - height) > 1:
        reason = f"{width} x {height} pixels are no aligned face, which is square"
        return FoundFaces(reason, image.size)
    face = image
    if face.size != (FACE_SIZE, FACE_SIZE):
        face = image.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC)
    return FoundFaces(
        size=image.size,
        scores=np.full(1, np.nan),
        boxes=np.full((1, 4), np.nan),
        landmarks=np.full((1, 5, 2), np.nan),
        pixels=np.asarray(face)[None],
    )
