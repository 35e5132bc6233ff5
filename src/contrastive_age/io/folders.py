"""Places on disk that a long node fills bit by bit, and finds again after an interruption.

They are on a local disk or a shared folder and never in an object store, which can neither map a
file nor replace a part of one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from kedro.io import AbstractDataset, DatasetError

from contrastive_age.io.files import local_path


class WorkFolder(AbstractDataset[Path, Path]):
    """A folder: `load` makes it and gives its path. Nothing is saved through it."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the folder, relative to the project as Kedro resolves it."""
        self._filepath = local_path(filepath, "checkpoints are written into it bit by bit")
        self.metadata = metadata

    def load(self) -> Path:
        """Give the folder's path, made when missing."""
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: Path) -> None:
        """Refuse: the node that was given the folder writes into it."""
        raise DatasetError(f"{self._filepath} is a folder to work in, not an output: {data}")

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FaceArray(AbstractDataset[Path, npt.NDArray[np.uint8]]):
    """The aligned faces, uint8 (N, 256, 256, 3), mapped and never read whole.

    The node that fills the array has written it already; `save` checks that it did so in the right
    place.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the array's file."""
        self._filepath = local_path(filepath, "faces are mapped from it and never read whole")
        self.metadata = metadata

    def load(self) -> npt.NDArray[np.uint8]:
        """Map the array read-only."""
        array: npt.NDArray[np.uint8] = np.load(self._filepath, mmap_mode="r")
        return array

    def save(self, data: Path) -> None:
        """Check that the node wrote this very file."""
        if Path(data).resolve() != self._filepath.resolve() or not self._filepath.is_file():
            raise DatasetError(f"The faces were written to {data}, not to {self._filepath}")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
