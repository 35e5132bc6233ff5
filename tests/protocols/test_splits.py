"""Splits: every sample tested once, subjects kept together where promised, lists read strictly."""

import unicodedata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from contrastive_age.errors import DataError
from contrastive_age.protocols import copies, splits


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


def groups_of(pairs: list[tuple[int, int]], n: int) -> npt.NDArray[np.int64]:
    return copies.group(pd.DataFrame(pairs, columns=["first", "second"], dtype="int64"), n)


def people_of(identities: list[int], pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Sets of identities that copies link, grown until nothing changes."""
    people = [{identity} for identity in set(identities)]
    for one, other in pairs:
        joined = [own for own in people if own & {identities[one], identities[other]}]
        people = [own for own in people if own not in joined] + [set().union(*joined)]
    return people


@settings(deadline=None, max_examples=80)
@given(identity_lists, st.integers(2, 6), seeds, st.data())
def test_copies_are_tested_in_one_fold(
    identities: list[int], k: int, seed: int, data: st.DataObject
) -> None:
    samples = samples_of(identities)
    row = st.integers(0, len(samples) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), max_size=10))
    group = groups_of(pairs, len(samples))
    sizes = np.bincount(group)
    if (sizes > 0).sum() < k:
        with pytest.raises(DataError, match=f"{k} folds need at least {k} images"):
            splits.random_split(samples, k, seed, group)
        return
    folds = splits.random_split(samples, k, seed, group)
    assert_folds_table(folds, samples, k)
    assert all(folds["fold"][one] == folds["fold"][other] for one, other in pairs)
    held = folds["fold"].value_counts()
    assert held.max() - held.min() <= sizes.max()
    pd.testing.assert_frame_equal(folds, splits.random_split(samples, k, seed, group))


@settings(deadline=None, max_examples=80)
@given(identity_lists, st.integers(2, 6), seeds, st.data())
def test_subjects_that_copies_link_are_tested_in_one_fold(
    identities: list[int], k: int, seed: int, data: st.DataObject
) -> None:
    samples = samples_of(identities)
    row = st.integers(0, len(samples) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), max_size=6))
    people = people_of(identities, pairs)
    group = groups_of(pairs, len(samples))
    if len(people) < k:
        with pytest.raises(DataError, match=f"{k} folds need at least {k} subjects"):
            splits.subject_exclusive(samples, k, seed, group)
        return
    folds = splits.subject_exclusive(samples, k, seed, group)
    assert_folds_table(folds, samples, k)
    for own in people:
        rows = [identity in own for identity in identities]
        assert len(set(folds["fold"][rows])) == 1
    largest = max(sum(identity in own for identity in identities) for own in people)
    held = folds["fold"].value_counts()
    assert held.max() - held.min() <= largest


def test_no_copies_change_nothing() -> None:
    samples = samples_of([row // 3 for row in range(60)])
    none = np.arange(len(samples))
    for split in (splits.random_split, splits.subject_exclusive):
        pd.testing.assert_frame_equal(split(samples, 5, 0), split(samples, 5, 0, none))
    within = groups_of([(3 * n, 3 * n + 1) for n in range(20)], 60)  # of one subject each
    pd.testing.assert_frame_equal(
        splits.subject_exclusive(samples, 5, 0), splits.subject_exclusive(samples, 5, 0, within)
    )


def test_too_many_links_are_named() -> None:
    samples = samples_of([0, 1, 2, 3])
    group = groups_of([(0, 1), (1, 2)], 4)
    with pytest.raises(DataError, match="3 subjects whom no copies link, but there are only 2"):
        splits.subject_exclusive(samples, 3, 0, group)
    with pytest.raises(DataError, match="3 images, copies counted once, but there are only 2"):
        splits.random_split(samples, 3, 0, group)


def test_many_copies_of_one_are_refused_and_pairs_are_not() -> None:
    samples = samples_of(list(range(40)))
    splits.refuse_large_groups(samples, groups_of([(0, row) for row in range(10)], 40))
    with pytest.raises(DataError, match=r"11 of 40 photos .*folder/0000, folder/0001.*most_bits"):
        splits.refuse_large_groups(samples, groups_of([(0, row) for row in range(11)], 40))
    many = samples_of(list(range(1200)))
    splits.refuse_large_groups(many, groups_of([(0, row) for row in range(12)], 1200))
    with pytest.raises(DataError, match="13 of 1200"):
        splits.refuse_large_groups(many, groups_of([(0, row) for row in range(13)], 1200))


def test_subject_exclusive_spreads_rare_ages() -> None:
    # Five of forty subjects have two images at an age over sixty, and ten each below.
    identities = [identity for identity in range(40) for _ in range(12)]
    ages = [
        62 + picture if picture < 2 and identity % 8 == 0 else 10 + (identity + picture) % 30
        for identity in range(40)
        for picture in range(12)
    ]
    samples = samples_of(identities).assign(age=ages)
    for seed in range(5):
        folds = splits.subject_exclusive(samples, 5, seed)
        by_decade = pd.crosstab(folds["age"] // 10, folds["fold"])
        assert by_decade.loc[6].tolist() == [2] * 5
        assert folds["fold"].value_counts().tolist() == [96] * 5
        assert (by_decade.max(axis=1) - by_decade.min(axis=1)).max() <= 12


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


@pytest.mark.parametrize(
    "spell",
    [
        str.upper,
        lambda name: f"RAW/{name.title()}.jpeg",
        lambda name: name.split("/")[1].upper() + ".HEIC",
        lambda name: unicodedata.normalize("NFD", name) + ".jfif",
    ],
)
@pytest.mark.parametrize("number", ["{}", "{}.0", "{},0"])
def test_names_in_another_case_or_unicode_form_are_found_and_said(
    tmp_path: Path, spell, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    samples = samples_of([0, 0, 1]).assign(sample_id=["faces/anna1", "faces/zoé", "faces/ünal"])
    path = tmp_path / "list.csv"
    rows = [
        f"{spell(name)};{number.format(fold)}"
        for name, fold in zip(samples["sample_id"], [1, 2, 1], strict=True)
    ]
    path.write_text("\r\n".join(["sep=;", "FileName;Fold", *rows]), encoding="utf-8")
    assert splits.from_file(samples, path)["fold"].tolist() == [0, 1, 0]
    assert "names are of samples in another case or Unicode form, such as" in caplog.text


def test_an_exact_name_goes_before_another_case(tmp_path: Path, caplog) -> None:
    samples = samples_of([0, 1]).assign(sample_id=["x/A", "x/a"])
    path = write_list(tmp_path / "list.csv", ["a.jpg", "A.jpg"], [0, 1])
    assert splits.from_file(samples, path)["fold"].tolist() == [1, 0]
    assert caplog.text == ""
    path = write_list(tmp_path / "list.csv", ["X/a.jpg", "A.jpg"], [0, 1])
    with pytest.raises(DataError, match=r"1 names that fit several samples \(X/a\.jpg\)"):
        splits.from_file(samples, path)


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
        ([], [], r"has 0 rows"),
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


@pytest.mark.parametrize("name", ["filename", "File", "path", "IMAGE", "photo", "name"])
@pytest.mark.parametrize("fold", ["fold", "Split", "set"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_list_columns_may_be_called_otherwise(
    tmp_path: Path, name: str, fold: str, separator: str
) -> None:
    samples = samples_of([0, 1, 2])
    path = tmp_path / "list.csv"
    rows = [
        ("age", fold, name),
        ("20", "2", "0001.JPG"),
        ("21", "1", "0000.JPG"),
        ("", "1", "0002"),
    ]
    text = "\r\n\r\n".join(separator.join(row) for row in rows)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert splits.from_file(samples, path)["fold"].tolist() == [0, 1, 0]


def test_unreadable_lists_are_refused(tmp_path: Path) -> None:
    samples = samples_of([0, 1])
    path = tmp_path / "list.csv"
    with pytest.raises(DataError, match=r"list\.csv cannot be read"):
        splits.from_file(samples, path)
    for text, said in [
        ("", r"0 rows and the columns: none"),
        ("title,fold\na,0\n", r"columns: title, fold\. .* sample_id \(or filename, file, .*name\)"),
        ("sample_id\na\n", r"columns: sample_id\. .* fold \(or split, set\), each once"),
        ("name,file,fold\na,a,0\n", r"columns: name, file, fold\. .*each once"),
        ("name,split,set\na,0,train\n", r"columns: name, split, set\. .*each once"),
        ("name,fold\na,0,1\n", r"1 rows with more values than columns \(a\)"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            splits.from_file(samples, path)
    path.write_bytes("name,fold\nZoë,0\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        splits.from_file(samples, path)


@pytest.fixture
def fgnet(shared_data: Path) -> pd.DataFrame:
    """The samples of the real FG-NET, by the names of its photos."""
    names = sorted(path.stem for path in (shared_data / "fgnet" / "images").iterdir())
    return pd.DataFrame(
        {
            "sample_id": [f"images/{name}" for name in names],
            "identity": [name[:3] for name in names],
            "age": [int(name[4:6]) for name in names],
        }
    )


@pytest.mark.real_data
def test_fgnets_ages_are_spread_as_far_as_its_subjects_allow(fgnet: pd.DataFrame) -> None:
    old_people = set(fgnet["identity"][fgnet["age"] >= 60])
    assert len(old_people) == 4  # so one of five folds cannot hold one
    for seed in range(5):
        folds = splits.subject_exclusive(fgnet, 5, seed)
        assert folds["fold"][folds["age"] >= 60].nunique() == 4
        by_decade = pd.crosstab(folds["age"] // 10, folds["fold"])
        share = by_decade.div(by_decade.sum(axis=1), axis=0)
        assert share.loc[:3].to_numpy().min() > 0.15
        assert share.loc[:3].to_numpy().max() < 0.25
        sizes = by_decade.sum()
        assert sizes.max() - sizes.min() <= 10


@pytest.mark.real_data
def test_fgnets_earlier_folds_are_a_list_that_can_be_used(fgnet: pd.DataFrame) -> None:
    folds = splits.from_file(fgnet, ROOT / "docs" / "fgnet_se_folds_before.csv")
    assert folds["fold"].value_counts().sort_index().tolist() == [198, 198, 205, 203, 198]
    assert folds.groupby("identity")["fold"].nunique().max() == 1
    assert folds["fold"][folds["age"] >= 60].nunique() == 3
