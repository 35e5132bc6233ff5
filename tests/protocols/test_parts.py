"""A fold's parts, and the validation part that never touches its test part."""

from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.protocols.copies import Ints
from contrastive_age.protocols.copies import group as group_of
from contrastive_age.protocols.parts import (
    Parts,
    constant_ages,
    held_out,
    keep_apart,
    parts,
    together,
)


def _folds(exclusive: bool, subjects: int = 20, images: int = 6) -> pd.DataFrame:
    rows = [(f"{who}-{n}", str(who), n) for who in range(subjects) for n in range(images)]
    table = pd.DataFrame(rows, columns=["sample_id", "identity", "age"])
    fold = np.repeat(np.arange(subjects) % 4, images) if exclusive else np.arange(len(table)) % 4
    return table.assign(fold=fold)


def test_without_validation_all_other_folds_train() -> None:
    folds = _folds(exclusive=True)
    training, tested = parts(folds, 2)
    assert (tested["fold"] == 2).all()
    assert (training["fold"] != 2).all()
    assert len(training) + len(tested) == len(folds)


@pytest.mark.parametrize("exclusive", [True, False])
def test_validation_subjects_are_in_neither_training_nor_test(exclusive: bool) -> None:
    folds = _folds(exclusive, images=2)
    test = folds[folds["fold"] == 1]
    training, validation = parts(folds, 1, 0.25, seed=3)
    assert len(validation)
    assert not set(validation["identity"]) & set(training["identity"])
    assert not set(validation["identity"]) & set(test["identity"])
    assert not set(training["sample_id"]) & set(test["sample_id"])
    assert len(training) + len(validation) + len(test) == len(folds)


def test_the_share_counts_subjects_and_the_seed_chooses_them() -> None:
    folds = _folds(exclusive=True)
    chosen = [
        set(parts(folds, fold, 0.2, seed).tested["identity"]) for fold, seed in [(0, 0), (0, 1)]
    ]
    assert [len(each) for each in chosen] == [3, 3]
    assert chosen[0] != chosen[1]
    again = parts(folds.sample(frac=1, random_state=0), 0, 0.2, 0).tested
    assert set(again["identity"]) == chosen[0]


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(DataError, match="fold 0: only 0 subjects"):
        parts(_folds(exclusive=False), 0, 0.2)


def _linked(folds: pd.DataFrame, *pairs: tuple[int, int]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=["first", "second"], dtype="int64")
    return keep_apart(folds, group_of(table, len(folds)))


def test_copies_of_tested_images_leave_training() -> None:
    folds = _folds(exclusive=True)  # six rows a subject, subject s in fold s % 4
    own = _linked(folds, (0, 6), (6, 13), (20, 21))
    assert set(parts(folds, 0).training["sample_id"]) - set(
        parts(own, 0).training["sample_id"]
    ) == {
        "1-0",
        "2-1",
    }
    assert parts(own, 0).tested.equals(parts(folds, 0).tested)
    assert len(parts(own, 3).training) == len(parts(folds, 3).training)
    assert list(own.columns) == list(folds.columns)
    assert "copies" not in folds.attrs


def test_copies_survive_the_file_and_another_order(tmp_path) -> None:
    folds = _linked(_folds(exclusive=True), (0, 6))
    folds.to_parquet(tmp_path / "folds.parquet")
    again = pd.read_parquet(tmp_path / "folds.parquet")
    assert "1-0" not in set(parts(again, 0).training["sample_id"])
    turned = parts(again.iloc[::-1], 0).training["sample_id"]
    assert set(turned) == set(parts(folds, 0).training["sample_id"])
    some = again[again["sample_id"] != "0-0"]
    assert "1-0" in set(parts(some, 0).training["sample_id"])


def test_subjects_that_copies_link_are_held_out_together() -> None:
    folds = _folds(exclusive=True)
    plain = {seed: set(parts(folds, 0, 0.2, seed).tested["identity"]) for seed in range(20)}
    same_subject = _linked(folds, (6, 7))
    across = _linked(folds, (6, 12), (13, 18))  # subjects 1, 2, 3
    for seed, chosen in plain.items():
        assert set(parts(same_subject, 0, 0.2, seed).tested["identity"]) == chosen
        training, validation = parts(across, 0, 0.2, seed)
        held = set(validation["identity"]) & {"1", "2", "3"}
        assert held in (set(), {"1", "2", "3"})
        assert not held & set(training["identity"])


def test_what_is_linked_with_the_test_part_is_not_validated_on() -> None:
    folds = _linked(_folds(exclusive=True), (0, 6))  # subject 0 is tested, 1 is linked with it
    for seed in range(20):
        training, validation = parts(folds, 0, 0.2, seed)
        assert "1" not in set(validation["identity"])
        assert "1" in set(training["identity"])
        assert "1-0" not in set(training["sample_id"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=12, max_size=40),
    st.data(),
    st.sampled_from([None, 0.2]),
)
def test_no_copy_is_ever_on_both_sides(drawn, data: st.DataObject, validation) -> None:
    identity, fold = zip(*drawn, strict=True)
    folds = pd.DataFrame({"sample_id": [f"s{row}" for row in range(len(drawn))]}).assign(
        identity=[f"{who}" for who in identity], age=30, fold=fold
    )
    row = st.integers(0, len(folds) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row), max_size=6))
    own = _linked(folds, *pairs)
    label = dict(
        zip(
            folds["sample_id"],
            group_of(pd.DataFrame(pairs, columns=["first", "second"], dtype="int64"), len(folds)),
            strict=True,
        )
    )
    tested = set(folds.loc[folds["fold"] == 0, "sample_id"])
    try:
        training, predicted = parts(own, 0, validation)
    except DataError:
        return
    for name in training["sample_id"]:
        assert label[name] not in {label[other] for other in [*predicted["sample_id"], *tested]}
    if validation is None:
        left = {name for name in label if label[name] in {label[other] for other in tested}}
        assert set(training["sample_id"]) == set(label) - left
    else:
        assert not set(predicted["sample_id"]) & tested
        assert not {label[n] for n in predicted["sample_id"]} & {label[n] for n in tested}
        assert not set(training["identity"]) & set(predicted["identity"])


def test_sources_stay_apart_where_they_are_put_together() -> None:
    one = pd.DataFrame({"sample_id": ["a", "b"], "identity": ["1", "2"], "age": [3, 4]})
    both = together({"utkface": one, "morph2": one.iloc[:1].assign(age=9)})
    assert both["sample_id"].tolist() == ["utkface/a", "utkface/b", "morph2/a"]
    assert both["identity"].tolist() == ["utkface/1", "utkface/2", "morph2/1"]
    assert both["source"].tolist() == ["utkface", "utkface", "morph2"]
    assert both["age"].tolist() == [3, 4, 9]
    assert both.index.tolist() == [0, 1, 2]


def test_the_constant_is_each_training_median() -> None:
    one = Parts(pd.DataFrame({"age": [1, 2, 9]}), pd.DataFrame({"age": [0, 5]}))
    other = Parts(pd.DataFrame({"age": [10, 20]}), pd.DataFrame({"age": [16]}))
    assert constant_ages([one, other]) == {0: 2.0, 1: 15.0}


def _with_looks(table: pd.DataFrame, photo: Ints | None = None) -> pd.DataFrame:
    """Give rows of the same photo the same bytes; no faces are compared."""
    numbers = np.arange(len(table)) if photo is None else photo
    return table.assign(digest=[f"{number:064x}" for number in numbers], look="", mirrored="")


@pytest.mark.parametrize(("by", "number"), [("people", 2 * 6), ("images", 12)])
def test_a_tenth_is_held_out_of_training(by: Literal["people", "images"], number: int) -> None:
    training = _with_looks(_folds(exclusive=True))
    validates = held_out(training, by, seed=3)
    assert validates.sum() == number
    both = set(training["identity"][validates]) & set(training["identity"][~validates])
    assert bool(both) == (by == "images")
    assert (held_out(training, by, seed=3) == validates).all()
    assert (held_out(training, by, seed=4) != validates).any()


def test_nobody_is_held_out_unless_it_is_asked_for() -> None:
    assert not held_out(_folds(exclusive=True), None, seed=0).any()


def test_people_whom_copies_link_are_held_out_together() -> None:
    # Each second one is a copy of the one before. No `keep_apart`: copies are copies where tested
    # images are not kept apart from them, too.
    pairs = _with_looks(_folds(exclusive=True, subjects=30, images=1), np.arange(30) // 2)
    for seed in range(10):
        validates = held_out(pairs, "people", seed)
        assert validates.sum() == 2 * round(0.1 * 15)
        assert (validates[::2] == validates[1::2]).all()


def test_people_whose_photos_look_alike_are_held_out_together() -> None:
    table = _with_looks(_folds(exclusive=True, subjects=30, images=1))
    looks = np.random.default_rng(0).integers(256, size=(30, 32), dtype=np.uint8)
    looks[1::2] = looks[::2]
    looks[1::2, 0] ^= 0b111
    known = [look.tobytes().hex() for look in looks]
    alike = table.assign(look=known, mirrored=known)
    for seed in range(10):
        validates = held_out(alike, "people", seed, most_bits=3)
        assert (validates[::2] == validates[1::2]).all()
    apart = [held_out(alike, "people", seed, most_bits=2) for seed in range(10)]
    assert any((validates[::2] != validates[1::2]).any() for validates in apart)


def test_too_few_to_hold_one_out_are_named() -> None:
    with pytest.raises(DataError, match=r"only 2 people train.*training\.validated_on at null"):
        held_out(_with_looks(_folds(exclusive=True, subjects=2)), "people", seed=0)
