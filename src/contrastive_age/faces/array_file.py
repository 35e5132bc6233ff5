"""The file of aligned faces: three arrays in a row, as `numpy.save` writes them.

The faces, uint8 (N, 256, 256, 3), which `numpy.load(path, mmap_mode="r")` maps; one label a row;
and the record of what made them, as text. In one file they cannot part.
"""

import errno
import json
import logging
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from contrastive_age.errors import DataError
from contrastive_age.faces import looks
from contrastive_age.faces.alignment import FACE_SIZE
from contrastive_age.files import named
from contrastive_age.provenance import Record

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.void]

LABEL = np.dtype(
    [
        *(("sample", "S16"), ("photo", "S16"), ("content", "S16")),
        *(("looks", "u1", (2, looks.BYTES)), ("sum", "<u4")),
    ]
)
"""Of a row. `looks` is that of the face and of its mirror image; zeros where it shows nothing.

`sum` is the CRC-32 of the face.
"""

MADE_OF = ["sample", "photo", "content"]
"""What a label says of how its face was made."""

FACE_SHAPE = (FACE_SIZE, FACE_SIZE, 3)
FACE_BYTES = FACE_SIZE * FACE_SIZE * 3


@dataclass(frozen=True)
class FaceFile:
    """The parts of a face file.

    Attributes:
        path: The file.
        faces: uint8 (N, 256, 256, 3), mapped for reading.
        labels: `LABEL` (N,); empty strings where a face is not yet written.
        labels_start: Where the labels begin in the file.
        record: Of what made them.
    """

    path: Path
    faces: np.memmap[Any, np.dtype[np.uint8]]
    labels: Labels
    labels_start: int
    record: Record

    def write(self, rows: list[int], faces: npt.NDArray[np.uint8], labels: Labels) -> None:
        """Write faces, and only when they are on the disk the labels that vouch for them.

        Args:
            rows: Where.
            faces: uint8 (n, 256, 256, 3).
            labels: Of them, without the sums.

        Raises:
            OSError: The disk fails. Through the mapping, it would kill the process.
        """
        labels["sum"] = [zlib.crc32(face) for face in faces]
        with named(self.path), self.path.open("rb+") as file:
            self._put(file, self.faces.offset, rows, faces)
            self._put(file, self.labels_start, rows, labels)
        self.labels[rows] = labels

    def relabel(self, labels: Labels) -> None:
        """Write other labels, of all rows."""
        rows = list(range(len(labels)))
        with named(self.path), self.path.open("rb+") as file:
            self._put(file, self.labels_start, rows, labels)
        self.labels[:] = labels

    def _put(self, file: BinaryIO, start: int, rows: list[int], values: npt.NDArray[Any]) -> None:
        """Write rows of one of the arrays, and wait until the disk has them."""
        for row, value in zip(rows, values, strict=True):
            file.seek(start + row * value.nbytes)
            file.write(value.tobytes())
        file.flush()
        os.fsync(file.fileno())

    def are_sound(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether faces are to the last bit those that were written, (n,)."""
        sums = [zlib.crc32(self.faces[row]) for row in rows]
        same: npt.NDArray[np.bool_] = np.array(sums, np.uint32) == self.labels["sum"][rows]
        return same

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
        with named(path), path.open("wb") as file:
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
    return map_file(path)


def map_if_sound(path: Path) -> FaceFile | None:
    """Map a file, or say in the log why that fails; None where there is no sound one."""
    if not path.exists():
        return None
    try:
        return map_file(path)
    except DataError as error:
        logger.warning("%s", error)
        return None


def map_file(path: Path) -> FaceFile:
    """Map the faces of a file, and read its labels and record.

    Raises:
        DataError: The file is missing, cut off, or no face file.
    """
    remedy = "run the alignment again"
    try:
        with path.open("rb") as file:
            count, faces_start = _read_header(file, np.dtype(np.uint8), FACE_SHAPE)
            file.seek(faces_start + count * FACE_BYTES)
            labelled, labels_start = _read_header(file, LABEL, ())
            labels = np.frombuffer(bytearray(file.read(count * LABEL.itemsize)), LABEL)
            record = Record.read(json.loads(np.lib.format.read_array(file).tobytes()))
            whole = not file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except OSError:  # of the disk, and not of what is on it
        raise
    except Exception as error:  # numpy reads a header as Python: a damaged one can fail in any way
        raise DataError(
            f"{path} is no whole array of aligned faces ({type(error).__name__}); {remedy}"
        ) from error
    if labelled != count or not whole:
        raise DataError(f"{path} is cut off, or not as the alignment writes it; {remedy}")
    faces = np.memmap(path, np.uint8, "r", faces_start, (count, *FACE_SHAPE))
    return FaceFile(path, faces, labels, labels_start, record)


def _read_header(
    file: BinaryIO, dtype: np.dtype[Any], row_shape: tuple[int, ...]
) -> tuple[int, int]:
    """Read a header of numpy's format 1.0; give the number of rows and where they start."""
    np.lib.format.read_magic(file)
    shape, fortran_order, stored = np.lib.format.read_array_header_1_0(file)
    if stored != dtype or fortran_order or len(shape) == 0 or shape[1:] != row_shape:
        raise ValueError(f"{stored} of shape {shape}")
    return shape[0], file.tell()
