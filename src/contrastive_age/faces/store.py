"""The aligned faces of a source as one array on disk, filled bit by bit and never read whole.

The file holds three arrays in a row, as `numpy.save` writes them: the faces, uint8 (N, 256, 256,
3), which `numpy.load(path, mmap_mode="r")` maps; one label a row; and the record of what made them,
as text. A label names the sample, its photo and all that the face was made of, and by what the face
is known again; it is written after its face, so rows with the right label are done whatever
interrupted the work. In one file, faces, labels and record cannot part, and who reads the faces
says which ones he means (`Wanted`) and is refused any other.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic.dataclasses import dataclass as pydantic_dataclass
from tqdm import tqdm

from contrastive_age.errors import DataError
from contrastive_age.faces import looks
from contrastive_age.faces.alignment import (
    FACE_SIZE,
    Coverage,
    Points,
    align,
    landmark_array,
    load_image,
    require_files,
    usable_landmarks,
)
from contrastive_age.faces.detection import SmallestFace
from contrastive_age.faces.landmarks import decided_by as landmarks_decided_by
from contrastive_age.files import fingerprint
from contrastive_age.provenance import Record, code_of, made_with
from contrastive_age.strict import STRICT

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.void]

LABEL = np.dtype(
    [("sample", "S16"), ("photo", "S16"), ("content", "S16"), ("looks", "u1", (2, looks.BYTES))]
)
"""Of a row. `looks` is that of the face and of its mirror image; zeros where it shows nothing."""

MADE_OF = ["sample", "photo", "content"]
"""What a label says of how its face was made."""

LIBRARIES = ("imagehash", "numpy", "pillow", "scikit-image", "torch")
"""What faces are made with."""

FACE_SHAPE = (FACE_SIZE, FACE_SIZE, 3)
FACE_BYTES = FACE_SIZE * FACE_SIZE * 3
CHUNK_SIZE = 64


@pydantic_dataclass(frozen=True, config=STRICT)
class Wanted:
    """Which faces of a source are meant.

    Attributes:
        coverage: How much of the face's surroundings is shown, see `alignment.five_point_template`.
        min_face: Pixels from which faces were looked for, see `landmarks.detect_landmarks`.
    """

    coverage: Coverage
    min_face: SmallestFace | None = None

    @property
    def decided_by(self) -> dict[str, Any]:
        """All that decides the faces but their photos, by name."""
        return landmarks_decided_by(self.min_face) | {
            "coverage": float(self.coverage),
            "code of alignment": code_of(build_faces),
        }


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
    """The parts of a face file, the first two mapped.

    Attributes:
        faces: uint8 (N, 256, 256, 3).
        labels: `LABEL` (N,); empty strings where a face is not yet written.
        record: Of what made them.
    """

    faces: np.memmap[Any, np.dtype[np.uint8]]
    labels: np.memmap[Any, np.dtype[np.void]]
    record: Record

    def write(self, rows: list[int], faces: npt.NDArray[np.uint8], labels: Labels) -> None:
        """Write faces, and only when they are on the disk the labels that vouch for them."""
        self.faces[rows] = faces
        self.faces.flush()
        self.labels[rows] = labels
        self.labels.flush()

    def lacks(self, labels: Labels) -> npt.NDArray[np.int64]:
        """The rows whose face is not made of what these labels say."""
        return np.flatnonzero(self.labels[MADE_OF] != labels[MADE_OF])


def build_faces(
    folder: Path,
    table: pd.DataFrame,
    work_folder: Path,
    wanted: Wanted,
    *,
    others: Sequence[Path] = (),
    workers: int = 2,
    progress: bool = True,
) -> BuildReport:
    """Align the faces of all photos into `work_folder/faces.npy`, in the row order of the table.

    Faces already there are kept when photo, landmarks, coverage and code are the same. The work is
    done in `faces.partial.npy`, which is renamed at the end; an interrupted call goes on from
    there.

    Args:
        folder: The source's folder.
        table: `sample_id`, `path` (below `folder`), `digest` of the photo's bytes and
            `LANDMARK_COLUMNS`; one row a photo.
        work_folder: Where the array is written; made when missing.
        wanted: Which faces, with the landmarks' own smallest face.
        others: Files of faces that may hold some of them, too.
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
    labels = _labels(table, landmarks, wanted)
    old = _map_if_sound(path, "r")
    if old is not None and _is(old, labels, wanted):
        old.record.say_where(str(path), made_with(*LIBRARIES))
        return BuildReport(path, processed=0, reused=len(labels))

    new = _resume(partial, labels, wanted)
    _copy_known(old, new, labels)
    for other in others:
        if len(new.lacks(labels)):
            _copy_known(_map_if_sound(other, "r"), new, labels)
    todo = new.lacks(labels).tolist()
    unreadable: list[str] = []
    photos = [folder / photo for photo in table["path"]]
    require_files(photos[row] for row in todo)

    def face(row: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        try:
            image = load_image(photos[row])
        except DataError as error:
            logger.warning("%s; its face stays black", error)
            unreadable.append(str(table["sample_id"].iloc[row]))
            black = np.zeros(FACE_SHAPE, np.uint8)
            return black, np.zeros((2, looks.BYTES), np.uint8)
        made = align(image, landmarks[row], wanted.coverage)
        # Which photos are copies must not depend on the coverage that is trained on.
        same = wanted.coverage == looks.COVERAGE
        seen = made if same else align(image, landmarks[row], looks.COVERAGE)
        look = looks.look_of(seen)
        return made, np.zeros((2, looks.BYTES), np.uint8) if look is None else look

    bar = tqdm(
        total=len(todo), desc="Aligning faces", unit="photo", disable=not (progress and todo)
    )
    with bar, ThreadPoolExecutor(workers) as pool:
        for rows in _chunks(todo):
            made, seen = zip(*pool.map(face, rows), strict=True)
            own = labels[rows]
            own["looks"] = seen
            new.write(rows, np.stack(made), own)
            bar.update(len(rows))
    partial.replace(path)
    return BuildReport(path, len(todo), len(labels) - len(todo), tuple(sorted(unreadable)))


def are_built(table: pd.DataFrame, work_folder: Path, wanted: Wanted) -> bool:
    """Whether `build_faces` would find all faces there, and have nothing to do.

    Args:
        table: As `build_faces` takes it.
        work_folder: Where the array is.
        wanted: Which faces.
    """
    file = _map_if_sound(work_folder / "faces.npy", "r")
    return file is not None and _is(file, _labels(table, landmark_array(table), wanted), wanted)


def open_faces(
    path: Path, samples: pd.DataFrame, wanted: Wanted
) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map the faces read-only, after making sure that they are the wanted ones.

    Args:
        path: A file that `build_faces` wrote.
        samples: The samples expected, in row order; their `attrs` name their photos, see
            `photos_digest`.
        wanted: Which faces of them.

    Returns:
        uint8 (N, 256, 256, 3).

    Raises:
        DataError: The file is missing, damaged, unfinished, or holds the faces of other samples or
            photos, or made otherwise; the message says what differs.
    """
    file = _map(path, "r")
    if file.labels["sample"].tolist() != _sample_labels(samples["sample_id"]):
        raise DataError(f"{path} holds the faces of other samples; run the alignment again")
    if samples.attrs.get("photos") != _photos_digest(file.labels):
        raise DataError(
            f"{path} holds the faces of other photos than the samples are of; run "
            "--tags=ingestion,alignment"
        )
    differences = file.record.differences(wanted.decided_by)
    if differences:
        raise DataError(
            f"{path} holds other faces than are asked for: {'; '.join(differences)}. Run the "
            "alignment with these parameters first (--tags=ingestion,alignment), or the whole "
            "pipeline"
        )
    file.record.say_where(str(path), made_with(*LIBRARIES))
    return file.faces


def differences_of(path: Path, wanted: Wanted) -> list[str]:
    """Say in what the faces of a file were made otherwise than is wanted.

    Args:
        path: A file that `build_faces` wrote.
        wanted: Which faces.

    Raises:
        DataError: The file is missing, damaged or unfinished.
    """
    return _map(path, "r").record.differences(wanted.decided_by)


def rows_of(
    samples: pd.DataFrame, faces: npt.NDArray[np.uint8], part: pd.DataFrame, wanted: Wanted
) -> npt.NDArray[np.int64]:
    """The rows of some samples in the array of faces, after making sure that it is theirs.

    Args:
        samples: All samples, in the order of the array.
        faces: uint8 (N, 256, 256, 3), as mapped from their file.
        part: Any table with `sample_id`.
        wanted: Which faces are meant.

    Returns:
        int64 (n,), in the order of `part`.

    Raises:
        DataError: The array holds other faces, or a sample has no face.
    """
    if isinstance(faces, np.memmap):
        open_faces(Path(str(faces.filename)), samples, wanted)
    rows = pd.Index(samples["sample_id"]).get_indexer(pd.Index(part["sample_id"]))
    if (rows < 0).any():
        unknown = part["sample_id"].to_numpy()[rows < 0]
        raise DataError(
            f"{len(unknown)} samples of the folds are no longer in the source, the first is "
            f"{unknown[0]}; run the splitting again"
        )
    return np.asarray(rows, dtype=np.int64)


def looks_of(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """By what each photo of a source is known again.

    Args:
        path: A file that `build_faces` wrote of these samples.
        table: `sample_id`, `digest` and `status` (see `landmarks`), in the order of the array.

    Returns:
        `sample_id`, `digest`, and as hexadecimal digits `look` and `mirrored`, see `looks.look_of`.
        Both are "" where nothing can be known by them: photos that could not be read, flat faces,
        and squares in which no face was found.
    """
    labels = _map(path, "r").labels
    known = labels["looks"].any(axis=(1, 2)) & (table["status"] != "fallback").to_numpy()
    columns = {"sample_id": table["sample_id"], "digest": table["digest"]}
    for place, name in enumerate(("look", "mirrored")):
        digits = [own.tobytes().hex() for own in labels["looks"][:, place]]
        columns[name] = pd.Series(digits, table.index, dtype="str").where(known, "")
    return pd.DataFrame(columns).reset_index(drop=True)


def faces_fingerprint(path: Path) -> str:
    """Name all faces of a file: their samples, and what each was made of.

    Args:
        path: A file that `build_faces` wrote.

    Raises:
        DataError: The file is missing, damaged or unfinished.
    """
    file = _map(path, "r")
    return fingerprint(file.record.decided_by, _digest(file.labels, MADE_OF))


def photos_digest(sample_ids: Iterable[str], digests: Iterable[str]) -> str:
    """Name the photos of samples by their bytes; the samples table carries it (`attrs["photos"]`).

    Args:
        sample_ids: Of all samples, in their order.
        digests: SHA-256 of their photos in hexadecimal digits.
    """
    samples = _sample_labels(sample_ids)
    labels = np.zeros(len(samples), LABEL)
    labels["sample"], labels["photo"] = samples, _photo_labels(digests)
    return _photos_digest(labels)


def _photos_digest(labels: Labels) -> str:
    return _digest(labels, ["sample", "photo"])


def _digest(labels: Labels, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(np.ascontiguousarray(labels[name]).tobytes())
    return digest.hexdigest()[:16]


def _is(file: _FaceFile, labels: Labels, wanted: Wanted) -> bool:
    same = len(file.labels) == len(labels) and not len(file.lacks(labels))
    return same and not file.record.differences(wanted.decided_by)


def _labels(table: pd.DataFrame, landmarks: Points, wanted: Wanted) -> Labels:
    """What the rows' labels are to be, without the looks."""
    labels = np.zeros(len(table), LABEL)
    labels["sample"] = _sample_labels(table["sample_id"])
    labels["photo"] = _photo_labels(table["digest"])
    decided = wanted.decided_by["coverage"], wanted.decided_by["code of alignment"]
    labels["content"] = [
        fingerprint(*decided, digest, points.tolist())
        for digest, points in zip(table["digest"], landmarks, strict=True)
    ]
    return labels


def _sample_labels(sample_ids: Iterable[str]) -> list[bytes]:
    return [fingerprint(str(sample)).encode() for sample in sample_ids]


def _photo_labels(digests: Iterable[str]) -> list[bytes]:
    return [digest[:16].encode() for digest in digests]


def _chunks(rows: list[int]) -> list[list[int]]:
    return [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]


def _resume(partial: Path, labels: Labels, wanted: Wanted) -> _FaceFile:
    """Open the unfinished file, or begin one, with the labels of all rows still to do emptied."""
    file = _map_if_sound(partial, "r+")
    if (
        file is None
        or len(file.labels) != len(labels)
        or file.record.differences(wanted.decided_by)
    ):
        return _create(partial, len(labels), wanted)
    # A label that is not wanted must not outlive the face it stood for.
    file.labels[file.labels["content"] != labels["content"]] = np.zeros((), LABEL)
    done = file.labels["content"] != b""
    for name in ("sample", "photo"):
        file.labels[name][done] = labels[name][done]
    file.labels.flush()
    return file


def _copy_known(old: _FaceFile | None, new: _FaceFile, labels: Labels) -> None:
    """Copy from the earlier array the faces that are wanted and not yet there."""
    if old is None:
        return
    known = {content: row for row, content in enumerate(old.labels["content"].tolist())}
    wanted = labels["content"].tolist()
    missing = new.lacks(labels).tolist()
    for rows in _chunks([row for row in missing if wanted[row] in known]):
        theirs = [known[wanted[row]] for row in rows]
        own = labels[rows]
        own["looks"] = old.labels["looks"][theirs]
        new.write(rows, old.faces[theirs], own)


def _create(path: Path, count: int, wanted: Wanted) -> _FaceFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    needed, free = count * FACE_BYTES, shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(_too_small(path, needed, free))
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *FACE_SHAPE)}
    record = Record(wanted.decided_by, made_with(*LIBRARIES)).document
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            _reserve(file, needed)
            file.seek(needed, os.SEEK_CUR)
            np.lib.format.write_array(file, np.zeros(count, LABEL))
            np.lib.format.write_array(file, np.frombuffer(json.dumps(record).encode(), np.uint8))
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
    """Map the parts of a face file.

    Raises:
        DataError: The file is missing, cut off, or no face file.
    """
    remedy = "run the alignment again"
    try:
        with path.open("rb") as file:
            count, faces_start = _read_header(file, np.dtype(np.uint8), FACE_SHAPE)
            file.seek(faces_start + count * FACE_BYTES)
            labelled, labels_start = _read_header(file, LABEL, ())
            file.seek(labels_start + count * LABEL.itemsize)
            length, record_start = _read_header(file, np.dtype(np.uint8), ())
            record = Record.read(json.loads(file.read(length)))
            whole = file.tell() == record_start + length and not file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is no whole array of aligned faces ({error}); {remedy}") from error
    if labelled != count or not whole:
        raise DataError(f"{path} is cut off, or not as the alignment writes it; {remedy}")
    return _FaceFile(
        np.memmap(path, np.uint8, mode, faces_start, (count, *FACE_SHAPE)),
        np.memmap(path, LABEL, mode, labels_start, (count,)),
        record,
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
