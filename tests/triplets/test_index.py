"""Sizes of P(x) and N(x) against their definition, and the index on disk."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.triplets.index import TripletIndex, build_index

# age, identity, batch
people = st.lists(
    st.tuples(st.integers(-2, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=25
)


@settings(deadline=None, max_examples=60)
@given(people, st.booleans())
def test_sizes_equal_the_definition(drawn: list[tuple[int, int, int]], by_batch: bool) -> None:
    rows = np.array(drawn)
    batch = rows[:, 2] if by_batch else None
    index = build_index(rows[:, 0], rows[:, 1], batch=batch)
    positives, negatives = [], []
    for age, identity, number in drawn:
        others = [row for row in drawn if row[1] != identity and (row[2] == number or not by_batch)]
        positives.append(sum(other[0] == age for other in others))
        negatives.append(sum(other[0] != age for other in others))
    assert index.by_row(index.positives).tolist() == positives
    assert index.by_row(index.negatives).tolist() == negatives
    assert index.counts == {
        "anchors": len(drawn),
        "without_positive": positives.count(0),
        "without_negative": negatives.count(0),
    }
    assert len(index) == len(drawn)


def test_identities_may_be_strings() -> None:
    named = build_index([3, 3, 4], np.array(["b", "a", "b"], dtype=object))
    assert named.by_row(named.positives).tolist() == [1, 1, 0]
    assert named.by_row(named.negatives).tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_ages_may_be_of_any_whole_type(dtype) -> None:
    index = build_index(np.array([0, 116, 116], dtype), [0, 1, 2])
    assert index.by_row(index.positives).tolist() == [0, 1, 1]


def test_where_nothing_trains_there_is_no_anchor() -> None:
    index = build_index(np.array([], np.int64), [])
    assert len(index) == 0
    assert set(index.counts.values()) == {0}


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="one age and one identity a row"):
        build_index([1, 2], [0])
    with pytest.raises(ValueError, match="whole numbers"):
        build_index([1.5], [0])
    with pytest.raises(ValueError, match="ages go from 20 to 1990; they must be years"):
        build_index([20, 1990], [0, 1])


def test_the_file_holds_all_of_it(tmp_path: Path) -> None:
    index = build_index([3, 3, 4, 4, 9], ["a", "b", "a", "a", "c"], fingerprint="0123abcd")
    path = tmp_path / "fold_0" / "triplets.npz"
    index.save(path)
    loaded = TripletIndex.load(path)
    for field in dataclasses.fields(TripletIndex):
        read, written = (np.asarray(getattr(one, field.name)) for one in (loaded, index))
        np.testing.assert_array_equal(read, written)
        assert read.dtype == written.dtype
    assert loaded.fingerprint == "0123abcd"
    with np.load(path) as stored:
        assert stored["without_positive"] == index.counts["without_positive"] == 3
    assert [file.name for file in path.parent.iterdir()] == ["triplets.npz"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "triplets.npz"
    with pytest.raises(DataError, match="no such triplet index"):
        TripletIndex.load(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="not a triplet index"):
        TripletIndex.load(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="not a triplet index"):
        TripletIndex.load(path)
    np.savez(path, ages=np.arange(3))
    with pytest.raises(DataError, match="not a triplet index"):
        TripletIndex.load(path)
    with path.open("wb") as stream:
        np.save(stream, np.arange(3))
    with pytest.raises(DataError, match="not a triplet index"):
        TripletIndex.load(path)


@given(people, st.data())
def test_of_some_rows_it_is_the_index_of_these_alone(
    drawn: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    rows = np.array(drawn)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    kept[0] = True
    found = build_index(rows[:, 0], rows[:, 1], fingerprint="f").of_rows(kept)
    expected = build_index(rows[kept, 0], rows[kept, 1], fingerprint="f")
    assert found.by_row(found.positives).tolist() == expected.by_row(expected.positives).tolist()
    assert found.by_row(found.negatives).tolist() == expected.by_row(expected.negatives).tolist()
    assert (found.ages.tolist(), found.fingerprint) == (expected.ages.tolist(), "f")
