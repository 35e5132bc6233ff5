"""Places on disk that a long node fills bit by bit, and finds again after an interruption.

They are on a local disk or a shared folder and never in an object store, which can neither map a
file nor replace a part of one.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from kedro.io import DatasetError

from contrastive_age.io.files import OneFile


class WorkFolder(OneFile):
    """A folder: `load` makes it and gives its path. Nothing is saved through it."""

    only_local = "checkpoints are written into it bit by bit"

    def save(self, data: Path) -> None:
        """Refuse: the node that was given the folder writes into it."""
        raise DatasetError(f"{self.path} is a folder to work in, not an output: {data}")

    def _read(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _exists(self) -> bool:
        return self.path.is_dir()


class FaceArray(OneFile):
    """The aligned faces, uint8 (N, 256, 256, 3), mapped and never read whole.

    The node that fills the array has written it already; `save` checks that it did so in the right
    place.
    """

    only_local = "faces are mapped from it and never read whole"

    def save(self, data: Path) -> None:
        """Check that the node wrote this very file."""
        if Path(data).resolve() != self.path.resolve() or not self.path.is_file():
            raise DatasetError(f"The faces were written to {data}, not to {self.path}")

    def _read(self, path: Path) -> npt.NDArray[np.uint8]:
        array: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return array
