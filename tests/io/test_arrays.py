"""Archives, indices and state dicts come back as they were, and hold no pickles."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contrastive_age.io.arrays import ArrayArchive, StateDict, TripletIndexFile
from contrastive_age.triplets.index import build_index


def test_an_archive_keeps_arrays_and_texts(tmp_path: Path) -> None:
    arrays = {"sample_id": np.array(["a", "é"]), "logits": np.ones((2, 3), dtype=np.float32)}
    dataset = ArrayArchive(str(tmp_path / "outputs.npz"))
    dataset.save(arrays)
    loaded = dataset.load()
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_a_state_dict_is_loaded_without_pickles(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    dataset = StateDict(str(path))
    dataset.save({"weight": torch.arange(3.0)})
    torch.testing.assert_close(dataset.load()["weight"], torch.arange(3.0))
    torch.save({"weight": Path("a pickled object")}, path)
    with pytest.raises(Exception, match="weights_only"):
        dataset.load()


def test_a_triplet_index_keeps_its_fingerprint(tmp_path: Path) -> None:
    index = build_index(np.array([1, 1, 2]), np.array(["a", "b", "a"]), fingerprint="abc")
    dataset = TripletIndexFile(str(tmp_path / "fold_0" / "triplets.npz"))
    dataset.save(index)
    loaded = dataset.load()
    assert loaded.fingerprint == "abc"
    np.testing.assert_array_equal(loaded.positives_count(), [1, 1, 0])
