"""Ages of the faces in photos, from a final model's file.

    estimator = AgeEstimator.load("age_model.pt")
    for photo in estimator.predict(["holiday.jpg", pillow_image, array]):
        print(photo.name, [round(face.age) for face in photo.faces], photo.reason)

Faces are found and aligned as for training.
"""

import functools
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from tqdm import tqdm

from contrastive_age.evaluation.gradcam import grad_cam
from contrastive_age.evaluation.outputs import predict
from contrastive_age.faces.detection import Detector
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.inference.model_file import AgeModel, load_model
from contrastive_age.inference.photos import FaceReader, FoundFaces, Picture
from contrastive_age.model.network import expected_age
from contrastive_age.training.augmentation import prepare
from contrastive_age.training.loop import choose_device

LEVELS = ("80", "95")
"""The intervals that a table shows, by their level in percent."""

NUMBERS = (
    *("age", *(f"{end}_{level}" for level in LEVELS for end in ("low", "high"))),
    *("score", "left", "top", "right", "bottom", "min_face"),
)
"""The columns of a table of faces that hold real numbers."""

BATCH_SIZE = 32
"""Faces that the network sees at a time, and photos that wait for it."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo, and what the model says of it.

    Attributes:
        age: Years, the expectation of the softmax, not rounded.
        std: Standard deviation of the softmax in years. It is no error: see `intervals`.
        intervals: By level in percent ("80"), lower and upper end in years: the age minus and plus
            the model's radius, cut at 0 below; the upper end may be infinite. Empty where the model
            has no radii, since it was never measured on strangers.
        score: The detector's confidence, 0 to 1; NaN for ready crops.
        box: Left, top, right and bottom in pixels of the upright photo, beyond whose edges it may
            reach; NaN for ready crops.
        landmarks: Eyes, nose and corners of the mouth, float64 (5, 2), x and y in pixels of the
            upright photo; NaN for ready crops.
        probabilities: Of each of the model's age classes, float32 (A,).
        pixels: The aligned face, uint8 (256, 256, 3) RGB.
    """

    age: float
    std: float
    intervals: Mapping[str, tuple[float, float]]
    score: float
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8]


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
    faces: tuple[Face, ...]
    reason: str | None
    size: tuple[int, int]
    min_face: float = math.nan


class AgeEstimator:
    """Finds the faces of photos and estimates their ages.

    The first photo loads the detector; with `aligned=True` none is.

    Attributes:
        model: What the ages come from.
        device: Where the network computes.
    """

    model: AgeModel
    device: torch.device

    def __init__(
        self,
        model: AgeModel,
        *,
        device: str = "auto",
        workers: int = 1,
        min_face: float | None = None,
        load_detector: Callable[[], Detector] | None = None,
    ) -> None:
        """Use a model that is loaded already.

        Args:
            model: The model.
            device: `auto` (the GPU where there is one, else the CPU) or as torch names it.
            workers: Threads that find faces, at least 1.
            min_face: Side in pixels from which every face is looked for; None: 24, or a sixtieth of
                the photo's longer side where that is more.
            load_detector: Gives another detector than MTCNN.

        Raises:
            DataError: The device is not there.
        """
        self.model = model
        self.device = choose_device(device)
        self._network = model.network().to(self.device)
        self._reader = FaceReader(
            load_detector or functools.partial(load_mtcnn, str(self.device)),
            coverage=model.alignment.coverage,
            min_face=min_face,
            workers=workers,
        )
        self._one_call = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        workers: int = 1,
        min_face: float | None = None,
    ) -> Self:
        """Read a model's file.

        Args:
            path: The `age_model.pt` that `kedro run --pipeline=final_model` writes.
            device: `auto` (the GPU where there is one, else the CPU) or as torch names it.
            workers: Threads that find faces, at least 1.
            min_face: Side in pixels from which every face is looked for; None: 24, or a sixtieth of
                the photo's longer side where that is more.

        Raises:
            DataError: The file is missing or no such model, or the device is not there.
        """
        model = load_model(Path(path))
        return cls(model, device=device, workers=workers, min_face=min_face)

    def predict(self, images: Iterable[Picture], *, aligned: bool = False) -> list[Photo]:
        """Estimate the ages of all faces in photos; from any thread, one call at a time.

        Args:
            images: Paths, PIL images, or arrays uint8 (h, w, 3) RGB or (h, w) grey.
            aligned: Whether the images are aligned faces already, square and of any size: then no
                face is looked for.

        Returns:
            A photo each, in the order given. A photo that cannot be read or has no face is there,
            too, with the reason.

        Raises:
            DataError: The detector's weights are missing.
            RuntimeError: Photo after photo fails in detection.
            TypeError: Something is no photo.
            ValueError: An array is no photo.
        """
        if isinstance(images, str | Path):
            raise TypeError("give a list of photos, even of a single one")
        with self._one_call:
            return list(self.stream(images, aligned=aligned))

    def stream(
        self, images: Iterable[Picture], *, aligned: bool = False, progress: bool = False
    ) -> Iterator[Photo]:
        """Estimate the ages of any number of photos, with bounded memory.

        Args:
            images: As in `predict`; taken from an iterator as they are needed.
            aligned: As in `predict`.
            progress: Whether to draw a progress bar on stderr.

        Yields:
            A photo each, in the order given.

        Raises:
            DataError: As in `predict`.
            RuntimeError: As in `predict`.
            TypeError: As in `predict`.
            ValueError: As in `predict`.
        """
        find = self._reader.crops if aligned else self._reader.photos
        total = len(images) if isinstance(images, Sized) else None
        with (
            closing(cast("Any", find(images))) as results,
            tqdm(total=total, desc="Estimating ages", unit="photo", disable=not progress) as bar,
        ):
            for batch in _batches(results):
                for photo in self._estimate(batch):
                    yield photo
                    bar.update()

    def explain(self, faces: Sequence[Face]) -> npt.NDArray[np.float32]:
        """Map where each face speaks for its age, see `evaluation.gradcam`.

        Args:
            faces: From `predict` or `stream`, at least one.

        Returns:
            A map a face over the centre of it that the network sees, 224/256 of its `pixels`,
            float32 (n, h, w), not negative; its sum is 1, or 0 where nothing speaks for the age.

        Raises:
            ValueError: There is no face.
        """
        if not faces:
            raise ValueError("there is no face to explain")
        images = self._prepared(np.stack([face.pixels for face in faces]))
        # It hooks into the network, so that no other call may use it meanwhile.
        with self._one_call:
            return grad_cam(self._network, images, self.model.image_size, BATCH_SIZE, self.device)

    def _prepared(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        return prepare(pixels, np.arange(len(pixels)), self.model.image_size)

    def _estimate(self, batch: list[tuple[str, FoundFaces]]) -> Iterator[Photo]:
        """Show the network the faces of some photos, and tell the photos what it says."""
        pixels = np.concatenate([seen.pixels for _, seen in batch])
        if len(pixels):
            size = self.model.image_size
            _, logits = predict(
                self._network, self._prepared(pixels), size, BATCH_SIZE, self.device
            )
            outputs = torch.from_numpy(logits)
            ages, stds = (
                values.tolist() for values in expected_age(outputs, self.model.classes.values)
            )
            probabilities = outputs.softmax(dim=1).numpy()
        first = 0
        for name, seen in batch:
            faces = tuple(
                self._face(
                    seen, row, ages[first + row], stds[first + row], probabilities[first + row]
                )
                for row in range(len(seen.pixels))
            )
            first += len(faces)
            yield Photo(name, faces, seen.reason, seen.size, seen.min_face)

    def _face(
        self,
        seen: FoundFaces,
        row: int,
        age: float,
        std: float,
        probabilities: npt.NDArray[np.float32],
    ) -> Face:
        left, top, right, bottom = seen.boxes[row].tolist()
        return Face(
            age=age,
            std=std,
            intervals={
                level: (max(0.0, age - radius), age + radius)
                for level, radius in self.model.radii.items()
            },
            score=float(seen.scores[row]),
            box=(left, top, right, bottom),
            landmarks=seen.landmarks[row],
            probabilities=probabilities,
            pixels=seen.pixels[row],
        )


def _batches(results: Iterable[tuple[str, FoundFaces]]) -> Iterator[list[tuple[str, FoundFaces]]]:
    """Put photos together until there are faces enough for the network, or photos."""
    batch: list[tuple[str, FoundFaces]] = []
    faces = 0
    for name, seen in results:
        batch.append((name, seen))
        faces += len(seen.pixels)
        if max(faces, len(batch)) >= BATCH_SIZE:
            yield batch
            batch, faces = [], 0
    if batch:
        yield batch


def faces_table(photos: Iterable[Photo]) -> pd.DataFrame:
    """Put faces into a table, a row each, and photos without any with their reason.

    Args:
        photos: From `AgeEstimator.predict` or `stream`; none is held on to.

    Returns:
        `file` (the photo's name), `face` (int64, from 0; -1 where there is none), in years `age`,
        `low_80`, `high_80`, `low_95` and `high_95`, `score`, in pixels `left`, `top`, `right`,
        `bottom` and `min_face` (all float64, NaN where unknown), and `reason` (missing where there
        is a face).
    """
    return table_of([row for photo in photos for row in face_rows(photo)])


def face_rows(photo: Photo) -> list[tuple[Any, ...]]:
    """Give the rows of one photo in `faces_table`, for where photos are too many to be kept."""
    missing = (np.nan, np.nan)
    # A name that is no valid Unicode could not be written.
    name = os.fsencode(photo.name).decode("utf-8", "backslashreplace")
    if not photo.faces:
        unknown = [np.nan] * (6 + 2 * len(LEVELS))
        return [(name, -1, *unknown, photo.min_face, photo.reason)]
    return [
        (
            name,
            number,
            face.age,
            *(end for level in LEVELS for end in face.intervals.get(level, missing)),
            face.score,
            *face.box,
            photo.min_face,
            None,
        )
        for number, face in enumerate(photo.faces)
    ]


def table_of(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Put rows of `face_rows` into the table that `faces_table` describes."""
    table = pd.DataFrame(rows, columns=["file", "face", *NUMBERS, "reason"])
    types = {"file": "str", "face": "int64", "reason": "str"} | dict.fromkeys(NUMBERS, "float64")
    return table.astype(types)
