"""Splits: every sample tested once, subjects kept together where promised, lists read strictly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.protocols import splits


def samples_of(identities: list[int]) -> pd.DataFrame:
    """A samples table with one row for each identity number given."""
    return pd.DataFrame(
        {
            "sample_id": [f"folder/{row:04d}" for row in range(len(identities))],
            "path": [f"folder/{row:04d}.JPG" for row in range(len(identities))],
            "identity": [f"{identity:03d}" for identity in identities],
            "age": np.arange(len(identities), dtype=np.int64) % 70,
        }
    )


identity_lists = st.lists(st.integers(0, 12), min_size=2, max_size=60)
seeds = st.integers(0, 2**31 - 1)


def assert_folds_table(folds: pd.DataFrame, samples: pd.DataFrame, k: int) -> None:
    assert list(folds.columns) == ["sample_id", "identity", "age", "fold"]
    assert folds["fold"].dtype == np.int64
    assert folds["age"].dtype == np.int64
    pd.testing.assert_frame_equal(
        folds[["sample_id", "identity", "age"]], samples[["sample_id", "identity", "age"]]
    )
    assert sorted(folds["fold"].unique()) == list(range(k))


@settings(deadline=None, max_examples=60)
@given(identity_lists, st.integers(2, 6), seeds)
def test_random_split_is_balanced_in_images(identities: list[int], k: int, seed: int) -> None:
    samples = samples_of(identities)
    if len(samples) < k:
        with pytest.raises(DataError, match=f"{k} folds need at least {k} images"):
            splits.random_split(samples, k, seed)
        return
    folds = splits.random_split(samples, k, seed)
    assert_folds_table(folds, samples, k)
    sizes = folds["fold"].value_counts()
    assert sizes.max() - sizes.min() <= 1
    pd.testing.assert_frame_equal(folds, splits.random_split(samples, k, seed))


@settings(deadline=None, max_examples=60)
@given(identity_lists, st.integers(2, 6), seeds)
def test_subject_exclusive_keeps_subjects_together(
    identities: list[int], k: int, seed: int
) -> None:
    samples = samples_of(identities)
    if len(set(identities)) < k:
        with pytest.raises(DataError, match=f"{k} folds need at least {k} subjects"):
            splits.subject_exclusive(samples, k, seed)
        return
    folds = splits.subject_exclusive(samples, k, seed)
    assert_folds_table(folds, samples, k)
    assert len(folds[["identity", "fold"]].drop_duplicates()) == len(set(identities))
    sizes = folds["fold"].value_counts()
    assert sizes.max() - sizes.min() <= samples["identity"].value_counts().max()
    pd.testing.assert_frame_equal(folds, splits.subject_exclusive(samples, k, seed))


@settings(deadline=None, max_examples=60)
@given(identity_lists)
def test_leave_one_person_out_numbers_identities_in_sorted_order(identities: list[int]) -> None:
    samples = samples_of(identities)
    names = sorted(set(samples["identity"]))
    if len(names) < 2:
        with pytest.raises(DataError, match="subjects, but there are only 1"):
            splits.leave_one_person_out(samples)
        return
    folds = splits.leave_one_person_out(samples)
    assert_folds_table(folds, samples, len(names))
    for row in folds.itertuples():
        assert names[row.fold] == row.identity


@pytest.mark.parametrize("split", [splits.random_split, splits.subject_exclusive])
def test_seeds_make_different_folds(split) -> None:
    samples = samples_of([row // 3 for row in range(90)])
    assert not split(samples, 5, 0).equals(split(samples, 5, 1))


def test_subject_exclusive_balances_images_not_subjects() -> None:
    samples = samples_of([0] * 30 + [1] * 10 + [2] * 10 + [3] * 10)
    folds = splits.subject_exclusive(samples, 2, 0)
    assert folds["fold"].value_counts().tolist() == [30, 30]


@pytest.mark.parametrize("k", [0, 1])
def test_one_fold_is_refused(k: int) -> None:
    with pytest.raises(DataError, match="at least 2"):
        splits.random_split(samples_of([0, 1, 2]), k, 0)


@settings(deadline=None, max_examples=60)
@given(identity_lists, st.integers(1, 70), seeds)
def test_cap_takes_whole_identities(identities: list[int], cap: int, seed: int) -> None:
    samples = samples_of(identities)
    kept = splits.cap_samples(samples, cap, seed, keep_identities=False)
    assert len(kept) == min(cap, len(samples))
    assert list(kept.index) == list(range(len(kept)))
    assert kept["sample_id"].is_monotonic_increasing
    assert set(kept["sample_id"]) <= set(samples["sample_id"])
    had = samples["identity"].value_counts()
    cut = [name for name, count in kept["identity"].value_counts().items() if count < had[name]]
    assert len(cut) <= 1


@settings(deadline=None, max_examples=60)
@given(identity_lists, st.integers(1, 70), seeds)
def test_cap_can_keep_every_identity(identities: list[int], cap: int, seed: int) -> None:
    samples = samples_of(identities)
    subjects = len(set(identities))
    if cap < subjects:
        with pytest.raises(DataError, match=f"max_samples is {cap}.*give at least {subjects}"):
            splits.cap_samples(samples, cap, seed, keep_identities=True)
        return
    kept = splits.cap_samples(samples, cap, seed, keep_identities=True)
    assert len(kept) == min(cap, len(samples))
    assert set(kept["identity"]) == set(samples["identity"])
    counts = kept["identity"].value_counts()
    had = samples["identity"].value_counts()
    for name, count in counts.items():
        assert count == had[name] or count >= counts.max() - 1  # taken in turn


def test_cap_is_seeded_and_does_not_prefer_the_first_images() -> None:
    samples = samples_of([0] * 20 + [1] * 20)
    capped = [splits.cap_samples(samples, 10, seed, keep_identities=True) for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(capped[0], capped[1])
    assert not capped[0].equals(capped[2])
    assert capped[0]["age"].max() > 5


def test_cap_of_none_or_more_than_all_keeps_all() -> None:
    samples = samples_of([0, 1, 1])
    for cap in (None, 3, 10):
        kept = splits.cap_samples(samples, cap, 0, keep_identities=False)
        pd.testing.assert_frame_equal(kept, samples)
    with pytest.raises(DataError, match="max_samples is 0"):
        splits.cap_samples(samples, 0, 0, keep_identities=False)


def write_list(path: Path, names: list[str], folds: list[object]) -> Path:
    pd.DataFrame({"sample_id": names, "fold": folds}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        lambda name: f"{name}.JPG",
        lambda name: f"raw/morph/{name}.jpg",
        lambda name: name.split("/")[1],
        lambda name: name.split("/")[1] + ".png",
        lambda name: name.replace("/", "\\") + ".jpg",
        lambda name: f"./{name}",
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_list_names_may_vary(tmp_path: Path, spell, first: int) -> None:
    samples = samples_of([0, 0, 1, 1, 2])
    numbers = [2, 0, 1, 0, 2]
    order = [3, 1, 4, 0, 2]
    path = write_list(
        tmp_path / "list.csv",
        [spell(samples["sample_id"][row]) for row in order],
        [numbers[row] + first for row in order],
    )
    folds = splits.from_file(samples, path)
    assert_folds_table(folds, samples, 3)
    assert folds["fold"].tolist() == numbers


def test_dots_in_sample_ids_are_no_extension(tmp_path: Path) -> None:
    samples = samples_of([0, 1]).assign(sample_id=["1_0_0_2017.jpg.chip", "2_0_0_2017.jpg.chip"])
    path = write_list(
        tmp_path / "list.csv", ["2_0_0_2017.jpg.chip.jpg", "1_0_0_2017.jpg.chip"], [1, 0]
    )
    assert splits.from_file(samples, path)["fold"].tolist() == [0, 1]


def test_an_exact_name_goes_before_an_end(tmp_path: Path) -> None:
    samples = samples_of([0, 1]).assign(sample_id=["a/1", "1"])
    path = write_list(tmp_path / "list.csv", ["1", "a/1"], [0, 1])
    assert splits.from_file(samples, path)["fold"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("names", "folds", "message"),
    [
        (["a/1", "b/1", "a/2", "zz"], [0, 1, 0, 1], r"1 names that are no sample.*\(zz\)"),
        (["a/1", "c/1", "a/2"], [0, 1, 0], r"no sample.*\(c/1\)"),
        (["a/1", "1", "a/2"], [0, 1, 0], r"1 names that fit several samples \(1\)"),
        (["a/1", "b/1", "a/2", "2.jpg"], [0, 1, 0, 1], r"1 samples listed more.*\(a/2\)"),
        (["a/1", "a/2"], [0, 1], r"1 samples without a fold \(b/1\)"),
        ([], [], r"3 samples without a fold \(a/1, a/2, b/1\)"),
        (["a/1", "b/1", "a/2"], [0, 2, 0], r"folds are numbered 0, 2"),
        (["a/1", "b/1", "a/2"], [2, 3, 2], r"folds are numbered 2, 3"),
        (["a/1", "b/1", "a/2"], [0, 0, 0], r"at least two folds"),
        (["a/1", "b/1", "a/2"], [0, "x", -1], r"2 folds that are no whole number \(x, -1\)"),
    ],
)
def test_bad_lists_are_refused(
    tmp_path: Path, names: list[str], folds: list[object], message: str
) -> None:
    samples = samples_of([0, 0, 1]).assign(sample_id=["a/1", "a/2", "b/1"])
    path = write_list(tmp_path / "list.csv", names, folds)
    with pytest.raises(DataError, match=message) as error:
        splits.from_file(samples, path)
    assert str(path) in str(error.value)


def test_unreadable_lists_are_refused(tmp_path: Path) -> None:
    samples = samples_of([0, 1])
    path = tmp_path / "list.csv"
    with pytest.raises(DataError, match="no such split list"):
        splits.from_file(samples, path)
    path.write_text("")
    with pytest.raises(DataError, match="not a readable CSV"):
        splits.from_file(samples, path)
    path.write_text("name,fold\na,0\n")
    with pytest.raises(DataError, match="no column sample_id"):
        splits.from_file(samples, path)
    path.write_bytes(b"\xff\xfe\x00sample_id")
    with pytest.raises(DataError, match="not a readable CSV"):
        splits.from_file(samples, path)
