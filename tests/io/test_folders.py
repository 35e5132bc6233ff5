"""Work folders are made; the array of faces is mapped and not copied."""

from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from contrastive_age.io.folders import FaceArray, WorkFolder


def test_a_work_folder_is_made_and_nothing_is_saved_through_it(tmp_path: Path) -> None:
    dataset = WorkFolder(str(tmp_path / "a" / "b"))
    assert not dataset.exists()
    assert dataset.load() == tmp_path / "a" / "b"
    assert dataset.exists()
    with pytest.raises(DatasetError, match="not an output"):
        dataset.save(tmp_path)


def test_faces_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "faces.npy"
    np.save(path, np.zeros((2, 4, 4, 3), dtype=np.uint8))
    dataset = FaceArray(str(path))
    dataset.save(path)
    assert isinstance(dataset.load(), np.memmap)


def test_faces_written_elsewhere_are_refused(tmp_path: Path) -> None:
    dataset = FaceArray(str(tmp_path / "faces.npy"))
    with pytest.raises(DatasetError, match="not to"):
        dataset.save(tmp_path / "other.npy")
