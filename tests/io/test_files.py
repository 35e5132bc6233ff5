"""Files are kept at any fsspec path, whole or not at all; places to work in are local."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from kedro.io import DatasetError

from contrastive_age.io.arrays import ArrayArchive, StateDict, TripletIndexFile
from contrastive_age.io.files import WholeFile
from contrastive_age.io.folders import FaceArray, WorkFolder
from contrastive_age.triplets.index import build_index


@pytest.fixture
def store() -> Iterator[str]:
    yield "memory://store"
    fsspec.filesystem("memory").store.clear()


def test_arrays_come_back_from_a_store(store: str) -> None:
    dataset = ArrayArchive(f"{store}/fold_0/outputs.npz")
    assert not dataset.exists()
    dataset.save({"sample_id": np.array(["a", "é"]), "logits": np.ones((2, 3), np.float32)})
    assert dataset.exists()
    loaded = dataset.load()
    np.testing.assert_array_equal(loaded["sample_id"], ["a", "é"])
    np.testing.assert_array_equal(loaded["logits"], np.ones((2, 3), np.float32))


def test_a_state_dict_comes_back_from_a_store(store: str) -> None:
    dataset = StateDict(f"{store}/model.pth")
    dataset.save({"weight": torch.arange(3.0)})
    torch.testing.assert_close(dataset.load()["weight"], torch.arange(3.0))


def test_a_triplet_index_comes_back_from_a_store(store: str) -> None:
    index = build_index(np.array([1, 1, 2]), np.array(["a", "b", "a"]), fingerprint="abc")
    dataset = TripletIndexFile(f"{store}/triplets.npz")
    dataset.save(index)
    assert dataset.load().fingerprint == "abc"


class HalfWritten(WholeFile):
    def _read(self, path: Path) -> Any:
        return path.read_bytes()

    def _write(self, data: Any, path: Path) -> None:
        path.write_bytes(data)
        raise OSError("the disk is full")


@pytest.mark.parametrize("place", ["local", "store"])
def test_what_cannot_be_written_leaves_the_old_file(place: str, store: str, tmp_path: Path) -> None:
    path = f"{store}/model.pth" if place == "store" else str(tmp_path / "model.pth")
    kept = StateDict(path)
    kept.save({"weight": torch.arange(3.0)})
    with pytest.raises(DatasetError, match="disk is full"):
        HalfWritten(path).save(b"half")
    torch.testing.assert_close(kept.load()["weight"], torch.arange(3.0))
    assert len(list(tmp_path.iterdir())) == (0 if place == "store" else 1)


def test_what_another_machine_wrote_is_seen(store: str) -> None:
    dataset = ArrayArchive(f"{store}/outputs.npz")
    assert not dataset.exists()
    fsspec.filesystem("memory").pipe_file(f"{store}/outputs.npz", b"x")
    assert dataset.exists()


def test_a_file_that_is_missing_is_named(store: str) -> None:
    with pytest.raises(DatasetError, match=r"outputs\.npz"):
        ArrayArchive(f"{store}/outputs.npz").load()


@pytest.mark.parametrize("kind", [WorkFolder, FaceArray])
def test_what_is_mapped_or_filled_bit_by_bit_has_to_be_local(kind: Any) -> None:
    with pytest.raises(DatasetError, match=r"s3://bucket/x is not on.*local_root"):
        kind("s3://bucket/x")
