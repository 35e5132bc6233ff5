"""Predictions from elsewhere: each photo's age is found, and nothing else is counted."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.evaluation import theirs
from contrastive_age.evaluation.comparison import Untold
from contrastive_age.evaluation.confidence import mean_interval
from contrastive_age.protocols.parts import TRAINS
from evaluation.people import made_up, table

FOLDS = table(list("aabbcd"), [0.0] * 6).drop(columns=["predicted_age", "predicted_std"])
IDS = FOLDS["sample_id"].tolist()


def given_as(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """A table as `theirs.read` gives it."""
    written = pd.DataFrame(rows, columns=["sample_id", "predicted_age"], dtype="str")
    return written.assign(row=np.arange(len(rows)) + 2, surplus=False)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*IDS, "other", ""]),
            st.sampled_from(["7", "7.0", "8,5", "old", "400", "inf"]),
        ),
        max_size=12,
    )
)
def test_every_row_and_photo_is_counted_or_listed_once(rows: list[tuple[str, str]]) -> None:
    ages = {"7": 7.0, "7.0": 7.0, "8,5": 8.5}
    by_photo: dict[str, list[float]] = {}
    for name, age in rows:
        if name in IDS and age in ages:
            by_photo.setdefault(name, []).append(ages[age])
    expected = {name: own[0] for name, own in by_photo.items() if len(set(own)) == 1}
    if not expected:
        with pytest.raises(DataError, match="none of the"):
            theirs.match(given_as(rows), FOLDS, FOLDS)
        return
    brought = theirs.match(given_as(rows), FOLDS, FOLDS)
    found = dict(brought.predictions[["sample_id", "predicted_age"]].to_numpy().tolist())
    assert found == expected
    assert list(found) == [name for name in IDS if name in expected]
    problems = Counter(brought.left_out["problem"])
    assert problems[theirs.UNKNOWN] == sum(name not in IDS for name, _ in rows)
    assert problems[theirs.IMPOSSIBLE] == sum(n in IDS and age == "400" for n, age in rows)
    unreadable = sum(n in IDS and age in {"old", "inf"} for n, age in rows)
    assert problems[theirs.UNREADABLE] == unreadable
    assert problems[theirs.MISSING] == len(set(IDS) - {name for name, _ in rows})
    different = [own for own in by_photo.values() if len(set(own)) > 1]
    assert problems[theirs.CONTRADICTING] == sum(map(len, different))
    assert problems[theirs.REPEATED] == sum(len(by_photo[name]) - 1 for name in expected)
    assert set(brought.problems) == set(problems)


def test_photos_are_found_under_other_spellings_of_their_names() -> None:
    folds = FOLDS.assign(sample_id=["x/1", "x/2", "y/2", "Zo\u00e9", "x/3", "x/4"])
    written = [
        ("X\\1.JPG", "5"),
        ("photos/x/2.png", "6"),
        ("2.png", "7"),
        ("ZOE\u0301.jpg", "8"),
        ("3", "9"),
        ("x/3.jpg", "9"),
        ("4", "10"),
        ("./x/4.jpg", "11"),
    ]
    brought = theirs.match(given_as(written), folds, folds)
    found = dict(brought.predictions[["sample_id", "predicted_age"]].to_numpy().tolist())
    assert found == {"x/1": 5.0, "x/2": 6.0, "Zo\u00e9": 8.0, "x/3": 9.0}
    assert brought.renamed == {"n": 4, "first": "x/1 as X\\1.JPG"}
    assert {problem: told["first"] for problem, told in brought.problems.items()} == {
        theirs.MISSING: "y/2",
        theirs.UNCLEAR: "2.png",
        theirs.REPEATED: "x/3.jpg",
        theirs.CONTRADICTING: "4, ./x/4.jpg",
    }


def test_what_means_a_photo_in_no_fold_is_not_taken_for_another() -> None:
    samples = FOLDS.assign(sample_id=["1", "b/1", "a/2", "b/2", "c/3", "d/3"])
    folds = samples.iloc[[0, 2, 4]].assign(fold=[0, 1, TRAINS])
    written = [("b/1.jpg", "60"), ("1.jpg", "5"), ("2.jpg", "6"), ("a/2", "7"), ("c/3", "8")]
    brought = theirs.match(given_as(written), folds, samples)
    assert brought.predictions["sample_id"].tolist() == ["1", "a/2"]
    assert brought.predictions["predicted_age"].tolist() == [5.0, 7.0]
    assert brought.problems == {
        theirs.UNKNOWN: {"n": 2, "first": "b/1.jpg, c/3"},
        theirs.UNCLEAR: {"n": 1, "first": "2.jpg"},
    }


def test_what_is_left_out_keeps_its_line_and_its_text() -> None:
    rows = [(IDS[0], "5"), ("x", "6"), (IDS[1], "six"), ("y", "6"), ("x", "7")]
    brought = theirs.match(given_as(rows), FOLDS, FOLDS)
    listed = brought.left_out[brought.left_out["problem"] != theirs.MISSING]
    assert listed.drop(columns="problem").to_numpy().tolist() == [
        ["x", 3, "6"],
        [IDS[1], 4, "six"],
        ["y", 5, "6"],
        ["x", 6, "7"],
    ]
    assert brought.problems[theirs.UNKNOWN] == {"n": 2, "first": "x, y"}
    assert brought.problems[theirs.MISSING] == {"n": 4, "first": ", ".join(IDS[2:])}


def test_rows_without_a_name_are_counted_and_not_named() -> None:
    rows = [(IDS[0], "5"), ("nobody.jpg", "6"), ("", "7"), ("", "8"), ("nobody.jpg", "9")]
    problems = theirs.match(given_as(rows), FOLDS, FOLDS).problems
    assert problems[theirs.UNKNOWN] == {"n": 3, "first": "nobody.jpg, 2 without a name"}
    alone = theirs.match(given_as([(IDS[0], "5"), ("", "7")]), FOLDS, FOLDS).problems
    assert alone[theirs.UNKNOWN] == {"n": 1, "first": "1 without a name"}


def test_ages_that_nobody_has_do_not_count_but_those_just_below_birth_do() -> None:
    written = ["-5", "120", "-20", "-20.5", "120.5", "400"]
    brought = theirs.match(given_as(list(zip(IDS, written, strict=True))), FOLDS, FOLDS)
    assert brought.predictions["predicted_age"].tolist() == [-5.0, 120.0, -20.0]
    assert brought.problems == {theirs.IMPOSSIBLE: {"n": 3, "first": ", ".join(IDS[3:])}}
    assert brought.left_out["predicted_age"].tolist() == written[3:]


def test_a_row_with_more_values_than_the_header_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(f"sample_id;predicted_age\n{IDS[0]};31,5\n{IDS[1]};3;1\n", encoding="utf-8")
    brought = theirs.match(theirs.read(path), FOLDS, FOLDS)
    assert brought.predictions["predicted_age"].tolist() == [31.5]
    assert brought.problems[theirs.UNREADABLE]["n"] == 1


def test_a_column_that_is_called_otherwise_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("sample_id,age\na,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="Is 'age' the predicted_age"):
        theirs.read(path)


def test_the_difference_is_over_their_photos_alone() -> None:
    rng = np.random.default_rng(3)
    first = made_up(rng, 30)
    ours = {
        seed: first.assign(predicted_age=first["predicted_age"] + rng.normal(0, 1, len(first)))
        for seed in (0, 1)
    }
    other = first.assign(predicted_age=first["age"] + rng.normal(0, 9, len(first)))
    part = other[rng.random(len(other)) < 0.7].sample(frac=1, random_state=1)
    found = theirs.against(ours, part)
    gains = []
    for _, row in part.iterrows():
        sizes = []
        for table_of_seed in ours.values():
            own = table_of_seed[table_of_seed["sample_id"] == row["sample_id"]].iloc[0]
            sizes.append(abs(own["predicted_age"] - own["age"]))
        gains.append(np.mean(sizes) - abs(row["predicted_age"] - row["age"]))
    assert found.difference == pytest.approx(np.mean(gains))
    assert found.n == len(part)
    assert found.untold is None


def test_equal_networks_leave_the_spread_of_people_alone() -> None:
    rng = np.random.default_rng(4)
    ours = made_up(rng, 40)
    ours["fold"] = np.arange(len(ours)) % 5
    other = ours.assign(predicted_age=ours["age"] + rng.normal(0, 4, len(ours)))
    found = theirs.against({0: ours, 1: ours}, other)
    gain = (ours["predicted_age"] - ours["age"]).abs() - (other["predicted_age"] - 30).abs()
    people = mean_interval(ours["identity"], gain)
    assert found.interval is not None
    assert people is not None
    # What people and networks have together is nothing here.
    assert found.interval.low == pytest.approx(people.low, rel=0.02)
    assert found.interval.high == pytest.approx(people.high, rel=0.02)


def test_one_seed_of_ours_in_few_folds_tells_nothing() -> None:
    ours = made_up(np.random.default_rng(6), 40)
    assert theirs.against({0: ours}, ours).untold == Untold.ONE_SEED
    other_folds = ours.assign(fold=5)
    assert theirs.against({0: ours, 1: ours}, other_folds).untold == Untold.OTHER_FOLDS
