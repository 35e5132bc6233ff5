"""The aligned faces of a source, filled bit by bit into one file (`array_file`), never read whole.

A label names the sample, its photo and all that the face was made of, and by what the face is known
again; it is written after its face, so rows with the right label are done whatever interrupted the
work. Who reads the faces says which ones he means (`Wanted`) and is refused any other.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from pydantic.dataclasses import dataclass as pydantic_dataclass
from tqdm import tqdm

from contrastive_age.errors import DataError
from contrastive_age.faces import looks
from contrastive_age.faces.alignment import (
    Coverage,
    Points,
    align,
    landmark_array,
    load_image,
    require_files,
    usable_landmarks,
)
from contrastive_age.faces.array_file import (
    LABEL,
    MADE_OF,
    FaceFile,
    Labels,
    create,
    map_file,
    map_if_sound,
)
from contrastive_age.faces.detection import SmallestFace
from contrastive_age.faces.landmarks import decided_by as landmarks_decided_by
from contrastive_age.files import fingerprint, put_in_place, state_of
from contrastive_age.provenance import Record, code_of, made_with
from contrastive_age.strict import STRICT

logger = logging.getLogger(__name__)

Faces = npt.NDArray[np.uint8]
"""Aligned faces, (N, 256, 256, 3)."""

LIBRARIES = ("imagehash", "numpy", "pillow", "pillow-heif", "scikit-image", "torch")
"""What faces are made with."""

CHUNK_SIZE = 64

NO_LOOK = np.zeros((2, looks.BYTES), np.uint8)


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
    """

    path: Path
    processed: int
    reused: int


def photos_of(samples: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Give `sample_id`, `path` and `digest` of every sample's photo, in the order of the samples.

    Args:
        samples: The source's samples.
        files: The source's files with their digests.
    """
    return samples[["sample_id", "path"]].merge(
        files[["path", "digest"]], on="path", validate="1:1"
    )


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
        DataError: The table is empty, landmarks are unusable, photos are missing or can no longer
            be read, or the disk is too small. All other faces are kept.
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
    old = map_if_sound(path)
    if old is not None and _is(old, labels, wanted):
        old.record.say_where(str(path), made_with(*LIBRARIES))
        return BuildReport(path, processed=0, reused=len(labels))

    new = _resume(partial, labels, wanted)
    for earlier in chain([old], map(map_if_sound, others)):
        if earlier is not None:
            _copy_known(earlier, new, labels)
    todo = new.lacks(labels).tolist()
    photos = [folder / photo for photo in table["path"]]
    require_files(photos[row] for row in todo)
    unreadable: list[DataError] = []

    def face(row: int) -> tuple[npt.NDArray[np.uint8], looks.Look] | None:
        try:
            return _face_and_look(load_image(photos[row]), landmarks[row], wanted.coverage)
        except DataError as error:
            unreadable.append(error)
            return None

    shown = not (progress and todo) or None
    bar = tqdm(total=len(todo), desc="Aligning faces", unit="photo", disable=shown)
    with bar, ThreadPoolExecutor(workers) as pool:
        for rows in _chunks(todo):
            made = [
                (row, *face_and_look)
                for row, face_and_look in zip(rows, pool.map(face, rows), strict=True)
                if face_and_look is not None
            ]
            if made:
                rows_made, faces, seen = zip(*made, strict=True)
                done = labels[list(rows_made)]
                done["looks"] = seen
                new.write(list(rows_made), np.stack(faces), done)
            bar.update(len(rows))
    if unreadable:
        raise DataError(
            f"{min(map(str, unreadable))}, and run --tags=ingestion,alignment again; ingestion "
            f"could read it ({len(unreadable)} such photos in all)"
        )
    put_in_place(partial, path)
    return BuildReport(path, len(todo), len(labels) - len(todo))


def _face_and_look(
    image: Image.Image, points: Points, coverage: float
) -> tuple[npt.NDArray[np.uint8], looks.Look]:
    face = align(image, points, coverage)
    # Which photos are copies must not depend on the coverage that is trained on.
    same = coverage == looks.COVERAGE
    look = looks.look_of(face if same else align(image, points, looks.COVERAGE))
    return face, NO_LOOK if look is None else look


def are_built(table: pd.DataFrame, work_folder: Path, wanted: Wanted) -> bool:
    """Whether `build_faces` would find all faces there, and have nothing to do.

    Args:
        table: As `build_faces` takes it.
        work_folder: Where the array is.
        wanted: Which faces.
    """
    file = map_if_sound(work_folder / "faces.npy")
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
    file = map_file(path)
    if file.labels["sample"].tolist() != _sample_labels(samples["sample_id"]):
        raise DataError(f"{path} holds the faces of other samples; run the alignment again")
    if samples.attrs.get("photos") != _digest(file.labels["sample"], file.labels["photo"]):
        raise DataError(
            f"{path} holds the faces of other photos than the samples are of; run "
            "--tags=ingestion,alignment"
        )
    file.record.require(
        wanted.decided_by,
        f"{path} holds other faces than are asked for",
        "run the alignment with these parameters first (--tags=ingestion,alignment), or the whole "
        "pipeline",
    )
    file.record.say_where(str(path), made_with(*LIBRARIES))
    return file.faces


def record_of(path: Path) -> Record:
    """What the faces of a file say of their making.

    Args:
        path: A file that `build_faces` wrote.

    Raises:
        DataError: The file is missing, damaged or unfinished.
    """
    return map_file(path).record


def rows_of(
    samples: pd.DataFrame, faces: Faces, part: pd.DataFrame, wanted: Wanted
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


def sound(faces: Faces, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Make sure that faces are to the last bit those that were aligned.

    Folds share most of their faces: those that were sound in this process are not read once more
    while the file is the same.

    Args:
        faces: uint8 (N, 256, 256, 3), as mapped from their file; one in memory is taken as it is.
        rows: Which of them are going to be used, (n,).

    Returns:
        The rows.

    Raises:
        DataError: A face is damaged.
    """
    if not isinstance(faces, np.memmap):
        return rows
    state = state_of(Path(str(faces.filename)))
    file = map_file(Path(str(faces.filename)))
    known = _known_sound(*state, len(file.labels))
    new = rows[~known[rows]]
    known[new] = file.are_sound(new)
    damaged = rows[~known[rows]]
    if len(damaged):
        raise DataError(
            f"{file.path}: {len(damaged)} of {len(rows)} faces are damaged, the first in row "
            f"{damaged[0]}; check the disk, remove the file and run the whole pipeline: they are "
            "aligned again"
        )
    return rows


@lru_cache(maxsize=4)
def _known_sound(*of: Any) -> npt.NDArray[np.bool_]:
    """Whether faces were found sound, to be noted: the file's state and the number of its rows."""
    return np.zeros(of[-1], np.bool_)


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
    labels = map_file(path).labels
    known = labels["looks"].any(axis=(1, 2)) & (table["status"] != "fallback").to_numpy()
    columns = {"sample_id": table["sample_id"], "digest": table["digest"]}
    for place, name in enumerate(("look", "mirrored")):
        digits = [look.tobytes().hex() for look in labels["looks"][:, place]]
        columns[name] = pd.Series(digits, table.index, dtype="str").where(known, "")
    return pd.DataFrame(columns).reset_index(drop=True)


def faces_digest(faces: Faces) -> str | None:
    """Name all faces of a file: their samples, and what each was made of.

    Args:
        faces: As mapped from a file that `build_faces` wrote.

    Returns:
        None for an array that is in memory only.

    Raises:
        DataError: The file is missing, damaged or unfinished.
    """
    if not isinstance(faces, np.memmap):
        return None
    file = map_file(Path(str(faces.filename)))
    return fingerprint(file.record.decided_by, _digest(*(file.labels[name] for name in MADE_OF)))


def photos_digest(sample_ids: Iterable[str], digests: Iterable[str]) -> str:
    """Name the photos of samples by their bytes; the samples table carries it (`attrs["photos"]`).

    Args:
        sample_ids: Of all samples, in their order.
        digests: SHA-256 of their photos in hexadecimal digits.
    """
    return _digest(_sample_labels(sample_ids), list(digests))


def _digest(*columns: npt.ArrayLike) -> str:
    """Name the values of columns of labels, one column after the other, of each 16 letters."""
    content = b"".join(np.asarray(column, "S16").tobytes() for column in columns)
    return hashlib.sha256(content).hexdigest()[:16]


def _is(file: FaceFile, labels: Labels, wanted: Wanted) -> bool:
    same = np.array_equal(file.labels[MADE_OF], labels[MADE_OF])
    return same and not file.record.differences(wanted.decided_by)


def _labels(table: pd.DataFrame, landmarks: Points, wanted: Wanted) -> Labels:
    """What the rows' labels are to be, without the looks."""
    labels = np.zeros(len(table), LABEL)
    labels["sample"] = _sample_labels(table["sample_id"])
    labels["photo"] = table["digest"].str[:16]
    decided = wanted.decided_by["coverage"], wanted.decided_by["code of alignment"]
    labels["content"] = [
        fingerprint(*decided, digest, points.tolist())
        for digest, points in zip(table["digest"], landmarks, strict=True)
    ]
    return labels


def _sample_labels(sample_ids: Iterable[str]) -> list[bytes]:
    return [fingerprint(str(sample)).encode() for sample in sample_ids]


def _chunks(rows: list[int]) -> list[list[int]]:
    return [rows[start : start + CHUNK_SIZE] for start in range(0, len(rows), CHUNK_SIZE)]


def _resume(partial: Path, labels: Labels, wanted: Wanted) -> FaceFile:
    """Open the unfinished file, or begin one, with the labels of all rows still to do emptied."""
    file = map_if_sound(partial)
    if (
        file is None
        or len(file.labels) != len(labels)
        or file.record.differences(wanted.decided_by)
    ):
        record = Record(wanted.decided_by, made_with(*LIBRARIES))
        return create(partial, len(labels), record)
    # A label that is not wanted must not outlive the face it stood for.
    kept = file.labels.copy()
    kept[kept["content"] != labels["content"]] = np.zeros((), LABEL)
    written = np.flatnonzero(kept["content"])
    kept[written[~file.are_sound(written)]] = np.zeros((), LABEL)
    done = kept["content"] != b""
    for name in ("sample", "photo"):
        kept[name][done] = labels[name][done]
    file.relabel(kept)
    return file


def _copy_known(old: FaceFile, new: FaceFile, labels: Labels) -> None:
    """Copy from an earlier array the faces that are wanted and not yet there."""
    known = {content: row for row, content in enumerate(old.labels["content"].tolist())}
    wanted = labels["content"].tolist()
    missing = new.lacks(labels).tolist()
    for some in _chunks([row for row in missing if wanted[row] in known]):
        are_sound = old.are_sound(np.array([known[wanted[row]] for row in some]))
        rows = [row for row, is_sound in zip(some, are_sound, strict=True) if is_sound]
        theirs = [known[wanted[row]] for row in rows]
        copied = labels[rows]
        copied["looks"] = old.labels["looks"][theirs]
        new.write(rows, old.faces[theirs], copied)
