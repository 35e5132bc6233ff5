"""Ages of the faces in photos, from a final model's file.

    estimator = AgeEstimator.load("age_model.pt")
    for photo in estimator.predict(["holiday.jpg", pillow_image, array]):
        print(photo.name, [round(face.age) for face in photo.faces], photo.reason)

Faces are found and aligned as for training.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from tqdm import tqdm

from contrastive_age.evaluation.outputs import predict
from contrastive_age.faces.detection import TINIEST, Detector
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.inference.cards import cautions
from contrastive_age.inference.model_file import AgeModel, ages_of, load_model
from contrastive_age.inference.photos import (
    LEVELS,
    Face,
    Photo,
    batches,
    find_faces,
    ready_crops,
)
from contrastive_age.inference.pictures import Picture, require_list
from contrastive_age.paths import expanded
from contrastive_age.sources.decoding import MOST_MEGAPIXELS
from contrastive_age.training.augmentation import prepare
from contrastive_age.training.loop import choose_device

EDGES = ("left", "top", "right", "bottom")
"""Of a face's box, as a table names them."""

NUMBERS = (
    *("age", *(f"{end}_{level}" for level in LEVELS for end in ("low", "high"))),
    *("score", *EDGES, "min_face"),
)
"""The columns of a table of faces that hold real numbers."""

TEXTS = ("reason", "note")
"""The columns of a table of faces that hold words, or nothing."""

COLUMNS = {
    **{"file": "str", "face": "int64"},
    **dict.fromkeys(NUMBERS, "float64"),
    **dict.fromkeys(TEXTS, "str"),
}
"""The columns of a table of faces, and their types."""

BATCH_SIZE = 32
"""Faces that the network sees at a time, and photos that wait for it."""


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
        most_megapixels: float = MOST_MEGAPIXELS,
        load_detector: Callable[[], Detector] | None = None,
    ) -> None:
        """Use a model that is loaded already.

        Args:
            model: The model.
            device: `auto` (the GPU where there is one, else the CPU) or as torch names it.
            workers: Threads that find faces, at least 1.
            min_face: Side in pixels from which every face is looked for; None: 24, or a sixtieth of
                the photo's longer side where that is more.
            most_megapixels: Photos of more million pixels are not read.
            load_detector: Gives another detector than MTCNN.

        Raises:
            DataError: The device is not there.
            ValueError: The smallest face is too small, there is no worker, or no photo would be
                read.
        """
        if min_face is not None and not TINIEST <= min_face < math.inf:
            raise ValueError(f"faces are found from {TINIEST} pixels up, not from {min_face}")
        if workers < 1:
            raise ValueError(f"faces are found by at least one worker, not {workers}")
        if not most_megapixels > 0:
            raise ValueError(f"photos have more pixels than {most_megapixels} million")
        self.model = model
        self.device = choose_device(device)
        self._network = model.network().to(self.device)
        self._find_faces = functools.partial(
            find_faces,
            load_detector=load_detector or functools.partial(load_mtcnn, str(self.device)),
            coverage=model.coverage,
            min_face=min_face,
            most_megapixels=most_megapixels,
            workers=workers,
        )
        self._ready_crops = functools.partial(
            ready_crops, most_megapixels=most_megapixels, workers=workers
        )
        self._caution = " ".join(cautions(model.facts)) or None
        self._one_call = threading.Lock()

    def __repr__(self) -> str:
        """Say what the model is, and where it computes."""
        return f"AgeEstimator on {self.device}, {self.model!r}"

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        workers: int = 1,
        min_face: float | None = None,
        most_megapixels: float = MOST_MEGAPIXELS,
    ) -> Self:
        """Read a model's file.

        Args:
            path: The `age_model.pt` that `kedro run --pipeline=final_model` writes.
            device: `auto` (the GPU where there is one, else the CPU) or as torch names it.
            workers: Threads that find faces, at least 1.
            min_face: Side in pixels from which every face is looked for; None: 24, or a sixtieth of
                the photo's longer side where that is more.
            most_megapixels: Photos of more million pixels are not read.

        Raises:
            DataError: The file is missing or no such model, or the device is not there.
        """
        return cls(
            load_model(expanded(path)),
            device=device,
            workers=workers,
            min_face=min_face,
            most_megapixels=most_megapixels,
        )

    def predict(self, images: Iterable[Picture], *, aligned: bool = False) -> list[Photo]:
        """Estimate the ages of all faces in photos; from any thread, one call at a time.

        Args:
            images: Paths, files' contents or open files, PIL images, or arrays, see
                `pictures.Picture`.
            aligned: Whether the images are aligned faces already, square and of any size: then no
                face is looked for.

        Returns:
            A photo each, in the order given. What cannot be read, is no photo at all, or has no
            face is there, too, with the reason.

        Raises:
            DataError: The detector's weights are missing.
            RuntimeError: Photo after photo fails in detection.
            TypeError: A single photo was given in place of several.
        """
        with self._one_call:
            return list(self.stream(images, aligned=aligned))

    def stream(
        self, images: Iterable[Picture], *, aligned: bool = False, progress: bool = False
    ) -> Iterator[Photo]:
        """Estimate the ages of any number of photos, with bounded memory.

        Args:
            images: As in `predict`; taken from an iterator as they are needed. Where it ends in an
                error, that is raised after the photos before.
            aligned: As in `predict`.
            progress: Whether to draw a progress bar on stderr.

        Returns:
            A photo each, in the order given.

        Raises:
            DataError: As in `predict`.
            RuntimeError: As in `predict`.
            TypeError: As in `predict`.
        """
        require_list(images)
        return self._stream(images, aligned, progress)

    def _stream(self, images: Iterable[Picture], aligned: bool, progress: bool) -> Iterator[Photo]:
        find = self._ready_crops if aligned else self._find_faces
        total = len(images) if isinstance(images, Sized) else None
        faults: list[Exception] = []
        with (
            closing(cast("Any", find(_until_error(images, faults)))) as results,
            tqdm(
                total=total, desc="Estimating ages", unit="photo", disable=not progress or None
            ) as bar,
        ):
            for batch in batches(results, BATCH_SIZE, _number_of_faces, BATCH_SIZE):
                for photo in self._estimate(batch):
                    yield photo
                    bar.update()
        for fault in faults:
            raise fault

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
        return predict(self._network, images, self.model.image_size, BATCH_SIZE, self.device).maps

    def _prepared(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        return prepare(pixels, np.arange(len(pixels)), self.model.image_size)

    def _estimate(self, batch: list[Photo]) -> Iterator[Photo]:
        """Show the network the faces of some photos, and tell the photos what it says."""
        pixels = [face.pixels for photo in batch for face in photo.faces]
        if not pixels:
            yield from batch
            return
        images = self._prepared(np.stack(pixels))
        size = self.model.image_size
        logits = predict(self._network, images, size, BATCH_SIZE, self.device).logits
        ages, stds, probabilities = ages_of(
            torch.from_numpy(logits), self.model.classes.values, self.model.temperature
        )
        said = zip(ages.tolist(), stds.tolist(), probabilities.numpy(), strict=True)
        for photo in batch:
            faces = tuple(self._with_age(face, *next(said)) for face in photo.faces)
            yield replace(photo, faces=faces, caution=self._caution if faces else None)

    def _with_age(
        self, face: Face, age: float, std: float, probabilities: npt.NDArray[np.float32]
    ) -> Face:
        return replace(
            face,
            age=age,
            std=std,
            intervals=self.model.radii.around(age),
            probabilities=probabilities,
        )


def _until_error(images: Iterable[Picture], faults: list[Exception]) -> Iterator[Picture]:
    """Give what comes before an error, and put the error by until those photos are done."""
    try:
        yield from images
    except Exception as error:  # of the caller's own
        faults.append(error)


def _number_of_faces(photo: Photo) -> int:
    return len(photo.faces)


def faces_table(photos: Iterable[Photo]) -> pd.DataFrame:
    """Put faces into a table, a row each, and photos without any with their reason.

    Args:
        photos: From `AgeEstimator.predict` or `stream`; none is held on to.

    Returns:
        `file` (the photo's name), `face` (int64, from 0; -1 where there is none), in years `age`,
        `low_80`, `high_80`, `low_95` and `high_95`, `score`, in pixels `left`, `top`, `right`,
        `bottom` and `min_face` (all float64, NaN where unknown), `reason` (missing where there is a
        face) and `note` (what is to be known of the photo, and what keeps its ages from being ages
        of people; missing where nothing is).
    """
    return table_of([row for photo in photos for row in face_rows(photo)])


def face_rows(photo: Photo) -> list[dict[str, Any]]:
    """Give the rows of one photo in `faces_table`, for where photos are too many to be kept."""
    about = {
        "file": _writable(photo.name),
        "min_face": float(photo.min_face),
        "note": "; ".join(map(_writable, filter(None, (photo.note, photo.caution)))) or None,
    }
    if not photo.faces:
        return [about | {"face": -1, "reason": photo.reason and _writable(photo.reason)}]
    return [
        {
            **about,
            "face": number,
            "age": face.age,
            **{f"low_{level}": low for level, (low, _) in face.intervals.items()},
            **{f"high_{level}": high for level, (_, high) in face.intervals.items()},
            "score": face.score,
            **dict(zip(EDGES, face.box, strict=True)),
        }
        for number, face in enumerate(photo.faces)
    ]


def _writable(text: str) -> str:
    """Escape what is no valid Unicode, such as a name's stray bytes: it could not be written."""
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "backslashreplace")
    return encoded.decode("utf-8", "backslashreplace")


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Put rows of `face_rows` into the table that `faces_table` describes."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
