"""Archives, indices and state dicts come back as they were, and hold no pickles."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.io import DatasetError

from contrastive_age.io.arrays import ArrayArchive, StateDict, TripletIndexFile
from contrastive_age.model.seen import CARD, Seen, from_arrays, to_arrays
from contrastive_age.model.weights import grown, read_weights, with_seen
from contrastive_age.protocols.copies import Photos
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
    with pytest.raises(DatasetError, match=r"cannot be read as a state dict.*UnpicklingError"):
        dataset.load()


def test_a_state_dict_keeps_what_it_states(tmp_path: Path) -> None:
    dataset = StateDict(str(tmp_path / "model.pth"))
    known = Photos(*np.arange(96, dtype=np.uint8).reshape(3, 1, 32), np.ones(1, bool))
    card = dict.fromkeys(CARD, "é") | {"sources": ["custom"]}
    seen = grown(None, card, known)
    dataset.save(with_seen({"weight": torch.arange(3.0)}, {"setting": "ternary"}, seen))
    before = (tmp_path / "model.pth").read_bytes()
    # Again from what was loaded, as Kedro gives it from node to node.
    dataset.save(copy.deepcopy(dataset.load()))
    weights = read_weights(tmp_path / "model.pth")
    assert weights.seen is not None
    assert weights.seen.digest == seen.digest
    assert weights.about == {"setting": "ternary"}
    dataset.save(with_seen({"weight": torch.arange(3.0)}, {"setting": "ternary"}, seen))
    assert (tmp_path / "model.pth").read_bytes() == before


def test_a_list_of_photos_is_an_archive(tmp_path: Path) -> None:
    known = Photos(*np.arange(96, dtype=np.uint8).reshape(3, 1, 32), np.ones(1, bool))
    seen = Seen(({"name": "é", "sources": ["fgnet"], "n": 1, "data_hash": "0"},), known)
    dataset = ArrayArchive(str(tmp_path / "photos.npz"))
    dataset.save(to_arrays(seen))
    loaded = from_arrays(dataset.load())
    assert (loaded.digest, loaded.cards) == (seen.digest, seen.cards)


def test_a_triplet_index_keeps_its_fingerprint(tmp_path: Path) -> None:
    index = build_index(np.array([1, 1, 2]), np.array(["a", "b", "a"]), fingerprint="abc")
    dataset = TripletIndexFile(str(tmp_path / "fold_0" / "triplets.npz"))
    dataset.save(index)
    loaded = dataset.load()
    assert loaded.fingerprint == "abc"
    np.testing.assert_array_equal(loaded.by_row(loaded.positives), [1, 1, 0])
