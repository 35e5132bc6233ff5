"""The file of aligned faces: three arrays in a row, as `numpy.save` writes them.

The faces, uint8 (N, 256, 256, 3), which `numpy.load(path, mmap_mode="r")` maps; one label a row;
and the record of what made them, as text. In one file they cannot part.
"""

import errno
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from contrastive_age.errors import DataError
from contrastive_age.faces import looks
from contrastive_age.faces.alignment import FACE_SIZE
from contrastive_age.provenance import Record

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.void]

LABEL = np.dtype(
    [("sample", "S16"), ("photo", "S16"), ("content", "S16"), ("looks", "u1", (2, looks.BYTES))]
)
"""Of a row. `looks` is that of the face and of its mirror image; zeros where it shows nothing."""

MADE_OF = ["sample", "photo", "content"]
"""What a label says of how its face was made."""

FACE_SHAPE = (FACE_SIZE, FACE_SIZE, 3)
FACE_BYTES = FACE_SIZE * FACE_SIZE * 3


@dataclass(frozen=True)
class FaceFile:
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


def create(path: Path, count: int, record: Record) -> FaceFile:
    """Begin a file of faces that are all still to be written, and map it.

    Raises:
        DataError: The disk is too small.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    needed, free = count * FACE_BYTES, shutil.disk_usage(path.parent).free
    lack = DataError(
        f"{path} needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; "
        f"make room or move the data folder"
    )
    if needed > free:
        raise lack
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *FACE_SHAPE)}
    text = np.frombuffer(json.dumps(record.document).encode(), np.uint8)
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            # Taken from the disk now, where the system can: a mapped file with holes that finds its
            # disk filled by others kills the process without a message.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), file.tell(), needed)
            file.seek(needed, os.SEEK_CUR)
            np.lib.format.write_array(file, np.zeros(count, LABEL))
            np.lib.format.write_array(file, text)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise lack from error
        raise
    return map_file(path, "r+")


def map_if_sound(path: Path, mode: Literal["r", "r+"] = "r") -> FaceFile | None:
    """Map a file, or say in the log why that fails; None where there is no sound one."""
    if not path.exists():
        return None
    try:
        return map_file(path, mode)
    except DataError as error:
        logger.warning("%s", error)
        return None


def map_file(path: Path, mode: Literal["r", "r+"] = "r") -> FaceFile:
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
            record = Record.read(json.loads(np.lib.format.read_array(file).tobytes()))
            whole = not file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is no whole array of aligned faces ({error}); {remedy}") from error
    if labelled != count or not whole:
        raise DataError(f"{path} is cut off, or not as the alignment writes it; {remedy}")
    return FaceFile(
        np.memmap(path, np.uint8, mode, faces_start, (count, *FACE_SHAPE)),
        np.memmap(path, LABEL, mode, labels_start, (count,)),
        record,
    )


def _read_header(
    file: BinaryIO, dtype: np.dtype[Any], row_shape: tuple[int, ...]
) -> tuple[int, int]:
    """Read a header of numpy's format 1.0; give the number of rows and where they start."""
    np.lib.format.read_magic(file)
    shape, fortran_order, stored = np.lib.format.read_array_header_1_0(file)
    if stored != dtype or fortran_order or len(shape) == 0 or shape[1:] != row_shape:
        raise ValueError(f"{stored} of shape {shape}")
    return shape[0], file.tell()
