"""The aligned faces of a source as one array on disk, filled bit by bit and never read whole.

The file holds two arrays in a row, as `numpy.save` writes them: the faces, uint8 (N, 256, 256, 3),
which `numpy.load(path, mmap_mode="r")` maps, and behind them one label a row. A label names the
sample and what its face was made of; it is written after its face, so rows with the right label are
done whatever interrupted the work. In one file, faces and labels cannot part.
"""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import (
    DEFAULT_COVERAGE,
    FACE_SIZE,
    Points,
    align,
    landmark_array,
    load_image,
    require_files,
    usable_landmarks,
)
from contrastive_age.files import fingerprint

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.void]

VERSION = 1
"""Raised when `alignment` gives other pixels for the same input, so that old faces are redone."""

LABEL = np.dtype([("sample", "S16"), ("content", "S16")])
FACE_SHAPE = (FACE_SIZE, FACE_SIZE, 3)
FACE_BYTES = FACE_SIZE * FACE_SIZE * 3
CHUNK_SIZE = 64


@dataclass(frozen=True)
class BuildReport:
    """What `build_faces` did.

    Attributes:
        path: The array's file.
        processed: Number of faces aligned in this call.
        reused: Number of faces that were there already.
        unreadable: The samples among the processed whose photo could not be read; they are black.
    """

    path: Path
    processed: int
    reused: int
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class _FaceFile:
    """The two parts of a face file, mapped.

    Attributes:
        faces: uint8 (N, 256, 256, 3).
        labels: `LABEL` (N,); empty strings where a face is not yet written.
    """

    faces: np.memmap[Any, np.dtype[np.uint8]]
    labels: np.memmap[Any, np.dtype[np.void]]

    def write(self, rows: list[int], faces: npt.NDArray[np.uint8], labels: Labels) -> None:
        """Write faces, and only when they are on the disk the labels that vouch for them."""
        self.faces[rows] = faces
        self.faces.flush()
        self.labels[rows] = labels[rows]
        self.labels.flush()


def build_faces(
    folder: Path,
    table: pd.DataFrame,
    work_folder: Path,
    *,
    coverage: float = DEFAULT_COVERAGE,
    workers: int = 2,
    progress: bool = True,
) -> BuildReport:
    """Align the faces of all photos into `work_folder/faces.npy`, in the row order of the table.

    Faces already there are kept when photo, landmarks and coverage are the same. The work is done
    in `faces.partial.npy`, which is renamed at the end; an interrupted call goes on from there.

    Args:
        folder: The source's folder.
        table: `sample_id`, `path` (below `folder`), `digest` of the photo's bytes and
            `LANDMARK_COLUMNS`; one row a photo.
        work_folder: Where the array is written; made when missing.
        coverage: How much of the face's surroundings is shown, see `five_point_template`.
        workers: Number of threads.
        progress: Whether to draw a progress bar on stderr while there is something to do.

    Returns:
        The array's path and how much there was to do.

    Raises:
        DataError: The table is empty, landmarks are unusable, photos are missing, or the disk is
            too small.
    """
    if table.empty:
        raise DataError(f"there are no photos of {folder} to align; see ingestion's audit")
    landmarks = landmark_array(table)
    unusable = [
        str(sample)
        for sample, points in zip(table["sample_id"], landmarks, strict=True)
        if not usable_landmarks(points)
    ]
    if unusable:
        raise DataError(f"{folder}: the landmarks of {unusable} define no face; detect them again")

    path, partial = work_folder / "faces.npy", work_folder / "faces.partial.npy"
    labels = _labels(table, landmarks, coverage)
    old = _map_if_sound(path, "r")
    if old is not None and np.array_equal(old.labels, labels):
        return BuildReport(path, processed=0, reused=len(labels))

    new = _resume(partial, labels)
    _copy_known(old, new, labels)
    todo = np.flatnonzero(new.labels != labels).tolist()
    unreadable: list[str] = []
    photos = [folder / photo for photo in table["path"]]
    require_files(photos[row] for row in todo)

    def face(row: int) -> npt.NDArray[np.uint8]:
        try:
            image = load_image(photos[row])
        except DataError as error:
            logger.warning("%s; its face stays black", error)
            unreadable.append(str(table["sample_id"].iloc[row]))
            return np.zeros(FACE_SHAPE, np.uint8)
        return align(image, landmarks[row], coverage)

    bar = tqdm(
        total=len(todo), desc="Aligning faces", unit="photo", disable=not (progress and todo)
    )
    with bar, ThreadPoolExecutor(workers) as pool:
        for rows in _chunks(todo):
            new.write(rows, np.stack(list(pool.map(face, rows))), labels)
            bar.update(len(rows))
    partial.replace(path)
    return BuildReport(path, len(todo), len(labels) - len(todo), tuple(sorted(unreadable)))


def are_built(
    table: pd.DataFrame, work_folder: Path, *, coverage: float = DEFAULT_COVERAGE
) -> bool:
    """Whether `build_faces` would find all faces there, and have nothing to do.

    Args:
        table: As `build_faces` takes it.
        work_folder: Where the array is.
        coverage: How much of the face's surroundings is shown.
    """
    file = _map_if_sound(work_folder / "faces.npy", "r")
    labels = _labels(table, landmark_array(table), coverage)
    return file is not None and np.array_equal(file.labels, labels)


def open_faces(path: Path, sample_ids: Iterable[str]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map the faces read-only, after making sure that they are those of the given samples.

    Args:
        path: A file that `build_faces` wrote.
        sample_ids: The samples expected, in row order.

    Returns:
        uint8 (N, 256, 256, 3).

    Raises:
        DataError: The file is missing, damaged, unfinished, or holds other samples.
    """
    file = _map(path, "r")
    if file.labels["sample"].tolist() != _sample_labels(sample_ids):
        raise DataError(f"{path} holds the faces of other samples; run the alignment again")
    return file.faces


def faces_fingerprint(path: Path) -> str:
    """Name all faces of a file: their samples, and what each was made of.

    Args:
        path: A file that `build_faces` wrote.

    Raises:
        DataError: The file is missing, damaged or unfinished.
    """
    return fingerprint(hashlib.sha256(_map(path, "r").labels.tobytes()).hexdigest())


def _labels(table: pd.DataFrame, landmarks: Points, coverage: float) -> Labels:
    labels = np.empty(len(table), LABEL)
    labels["sample"] = _sample_labels(table["sample_id"])
    labels["content"] = [
        fingerprint(VERSION, FACE_SIZE, float(coverage), digest, points.tolist())
        for digest, points in zip(table["digest"], landmarks, strict=True)
    ]
    return labels


def _sample_labels(sample_ids: Iterable[str]) -> list[bytes]:
    return [fingerprint(str(sample)).encode() for sample in sample_ids]


def _chunks(rows: list[int]) -> list[list[int]]:
    return [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]


def _resume(partial: Path, labels: Labels) -> _FaceFile:
    """Open the unfinished file, or begin one, with the labels of all rows still to do emptied."""
    file = _map_if_sound(partial, "r+")
    if file is None or len(file.labels) != len(labels):
        file = _create(partial, len(labels))
    # A label that is not wanted must not outlive the face it stood for.
    file.labels[file.labels["content"] != labels["content"]] = (b"", b"")
    done = file.labels["content"] != b""
    file.labels[done] = labels[done]
    file.labels.flush()
    return file


def _copy_known(old: _FaceFile | None, new: _FaceFile, labels: Labels) -> None:
    """Copy from the earlier array the faces that are wanted and not yet there."""
    if old is None:
        return
    known = {content: row for row, content in enumerate(old.labels["content"].tolist())}
    wanted = labels["content"].tolist()
    missing = np.flatnonzero(new.labels != labels).tolist()
    for rows in _chunks([row for row in missing if wanted[row] in known]):
        new.write(rows, old.faces[[known[wanted[row]] for row in rows]], labels)


def _create(path: Path, count: int) -> _FaceFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    needed, free = count * FACE_BYTES, shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(_too_small(path, needed, free))
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *FACE_SHAPE)}
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            _reserve(file, needed)
            file.seek(needed, os.SEEK_CUR)
            np.lib.format.write_array(file, np.zeros(count, LABEL))
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno != errno.ENOSPC:
            raise
        raise DataError(_too_small(path, needed, free)) from error
    return _map(path, "r+")


def _too_small(path: Path, needed: int, free: int) -> str:
    return (
        f"{path} needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; "
        f"make room or move the data folder"
    )


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the bytes that follow from the disk, where the system can.

    A mapped file with holes that finds its disk filled by others kills the process without a
    message.
    """
    file.flush()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), file.tell(), size)


def _map_if_sound(path: Path, mode: Literal["r", "r+"]) -> _FaceFile | None:
    if not path.exists():
        return None
    try:
        return _map(path, mode)
    except DataError as error:
        logger.warning("%s", error)
        return None


def _map(path: Path, mode: Literal["r", "r+"]) -> _FaceFile:
    """Map both parts of a face file.

    Raises:
        DataError: The file is missing, cut off, or no face file.
    """
    remedy = "run the alignment again"
    try:
        with path.open("rb") as file:
            count, faces_start = _read_header(file, np.dtype(np.uint8), FACE_SHAPE)
            file.seek(faces_start + count * FACE_BYTES)
            labelled, labels_start = _read_header(file, LABEL, ())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is no whole array of aligned faces ({error}); {remedy}") from error
    if labelled != count or path.stat().st_size != labels_start + count * LABEL.itemsize:
        raise DataError(f"{path} is cut off, or not as the alignment writes it; {remedy}")
    return _FaceFile(
        np.memmap(path, np.uint8, mode, faces_start, (count, *FACE_SHAPE)),
        np.memmap(path, LABEL, mode, labels_start, (count,)),
    )


def _read_header(
    file: BinaryIO, dtype: np.dtype[Any], row_shape: tuple[int, ...]
) -> tuple[int, int]:
    """Read a header of numpy's format 1.0; give the number of rows and where they start."""
    np.lib.format.read_magic(file)
    shape, fortran_order, found = np.lib.format.read_array_header_1_0(file)
    if found != dtype or fortran_order or len(shape) == 0 or shape[1:] != row_shape:
        raise ValueError(f"{found} of shape {shape}")
    return shape[0], file.tell()
