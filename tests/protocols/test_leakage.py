"""The audit against plain loops over every image."""

import json
import statistics
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.protocols import copies as finding
from contrastive_age.protocols import splits
from contrastive_age.protocols.leakage import (
    audit_leakage,
    constant_ages,
    leaking,
    refuse_leaks,
    refuse_overlap,
)
from contrastive_age.protocols.parts import TRAINS, keep_apart, parts

# identity, fold, age, capture
rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 20), st.integers(0, 6)),
    min_size=2,
    max_size=40,
).filter(lambda drawn: len({fold for _, fold, _, _ in drawn}) > 1)


def tables(drawn: list[tuple[int, int, int, int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The folds and samples tables of (identity, fold, age, capture) rows."""
    identity, fold, age, capture = zip(*drawn, strict=True)
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{row:03d}" for row in range(len(drawn))],
            "identity": [f"id{number}" for number in identity],
            "age": np.array(age, np.int64),
            "capture": np.array(capture, np.int64),
        }
    )
    folds = samples[["sample_id", "identity", "age"]].assign(fold=np.array(fold, np.int64))
    return folds, samples


def pairs_of(*pairs: tuple[int, int, str]) -> pd.DataFrame:
    """Copies as they are found: row, row, how."""
    table = pd.DataFrame(pairs, columns=["first", "second", "how"])
    return table.astype({"first": "int64", "second": "int64"}).assign(bits=0)


def audit(
    folds: pd.DataFrame, samples: pd.DataFrame, *pairs: tuple[int, int, str], apart: bool = True
) -> dict[str, Any]:
    found = pairs_of(*pairs)
    return audit_leakage(folds, samples, found, finding.group(found, len(folds)), apart=apart)


def copies_reference(
    folds: pd.DataFrame, group: npt.NDArray[np.int64], *, apart: bool
) -> list[dict[str, int]]:
    """What the audit counts of copies, by loops over all pairs of images."""
    fold = folds["fold"].tolist()
    together = [[one == other for other in group] for one in group]
    found = []
    for number in sorted(set(fold)):
        test = [row for row in range(len(fold)) if fold[row] == number]
        others = [row for row in range(len(fold)) if fold[row] != number]
        copied = sum(any(together[row][other] for other in others) for row in test)
        left = sum(any(together[row][other] for row in test) for other in others)
        found.append(
            {
                "copies": copied,
                "leaked_copies": 0 if apart else copied,
                "left_out": left if apart else 0,
            }
        )
    return found


def reference(drawn: list[tuple[int, int, int, int]], *, capture: bool) -> dict[str, Any]:
    entries, constant_errors, lookup_errors, looked_up = [], [], [], 0
    for fold in sorted({row[1] for row in drawn}):
        test = [row for row in drawn if row[1] == fold]
        train = [row for row in drawn if row[1] != fold]
        median = statistics.median(row[2] for row in train)
        leaked = [row for row in test if row[0] in {other[0] for other in train}]
        subjects = sorted({f"id{row[0]}" for row in leaked})
        for identity, _, age, number in test:
            constant_errors.append(abs(median - age))
            own = [row for row in train if row[0] == identity]
            looked_up += bool(own)
            if not own:
                guess = median
            elif capture:
                guess = min(own, key=lambda row: (abs(row[3] - number), row[3]))[2]
            else:
                guess = statistics.median(row[2] for row in own)
            lookup_errors.append(abs(guess - age))
        entries.append(
            {
                "fold": fold,
                "n_test": len(test),
                "n_train": len(train),
                "test_subjects": len({row[0] for row in test}),
                "leaked_images": len(leaked),
                "leaked_subjects": len(subjects),
                "share": pytest.approx(len(leaked) / len(test)),
                "leaked_identities": subjects[:5],
            }
        )
    leaks = sum(entry["leaked_images"] for entry in entries)
    return {
        "n": len(drawn),
        "folds": entries,
        "leaked_images": leaks,
        "leaked_share": pytest.approx(leaks / len(drawn)),
        "mae_constant": pytest.approx(statistics.mean(constant_errors)),
        "mae_lookup": pytest.approx(statistics.mean(lookup_errors)),
        "lookup": "nearest capture" if capture else "median of subject",
        "looked_up": looked_up,
    }


@settings(deadline=None, max_examples=60)
@given(rows, st.booleans())
def test_audit_equals_plain_loops(drawn: list[tuple[int, int, int, int]], capture: bool) -> None:
    folds, samples = tables(drawn)
    if not capture:
        samples = samples.drop(columns="capture")
    report = audit(folds, samples)
    counted = {"copies", "leaked_copies", "left_out", "leaked_copies_share"}
    entries = [
        {name: value for name, value in entry.items() if name not in counted}
        for entry in report["folds"]
    ]
    found = {name: value for name, value in report.items() if name not in counted}
    assert found | {"folds": entries} == reference(drawn, capture=capture)
    of_constant = (folds["age"] - folds["fold"].map(constant_ages(folds))).abs()
    assert of_constant.mean() == report["mae_constant"]
    assert json.loads(json.dumps(report)) == report


@settings(deadline=None, max_examples=60)
@given(rows, st.data(), st.booleans())
def test_copies_are_counted_as_by_plain_loops(
    drawn: list[tuple[int, int, int, int]], data: st.DataObject, apart: bool
) -> None:
    folds, samples = tables(drawn)
    row = st.integers(0, len(folds) - 1)
    drawn_pairs = data.draw(st.lists(st.tuples(row, row, st.just("look")), max_size=12))
    group = finding.group(pairs_of(*drawn_pairs), len(folds))
    report = audit(folds, samples, *drawn_pairs, apart=apart)
    expected = copies_reference(folds, group, apart=apart)
    for entry, counted in zip(report["folds"], expected, strict=True):
        assert {name: entry[name] for name in counted} == counted
        assert type(entry["copies"]) is type(entry["left_out"]) is int
    # the counts are those of what really trains
    used = keep_apart(folds, group) if apart else folds
    trained = {entry["fold"]: entry["n_train"] for entry in report["folds"]}
    assert trained == {fold: len(parts(used, fold).training) for fold in trained}
    leaks = sum(entry["leaked_copies"] for entry in expected)
    assert report["leaked_copies"] == leaks
    assert report["leaked_copies_share"] == pytest.approx(leaks / len(folds))
    assert json.loads(json.dumps(report)) == report


@settings(deadline=None, max_examples=60)
@given(rows, st.data())
def test_what_leaks_is_known_by_plain_loops(
    drawn: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    folds, _ = tables(drawn)
    row = st.integers(0, len(folds) - 1)
    pairs = data.draw(st.lists(st.tuples(row, row, st.just("look")), max_size=8))
    group = finding.group(pairs_of(*pairs), len(folds))
    own = list(zip(folds["identity"], group, folds["fold"], strict=True))
    expected = [
        any(f != fold and (who == identity or g == copy) for who, g, f in own)
        for identity, copy, fold in own
    ]
    assert leaking(folds, group).tolist() == expected


def test_copies_are_described() -> None:
    folds, samples = tables([(row, row % 2, 20 + row, 1) for row in range(60)])
    pairs = [(2 * n, 2 * n + 1, "bytes") for n in range(21)]
    pairs += [(42, 43, "look"), (43, 44, "mirror")]
    found = audit(folds, samples, *pairs)["copies"]
    assert len(found.pop("examples")) == len(found.pop("contradicting")) == 20
    assert found == {
        "groups": 22,
        "images": 45,
        "by_bytes": 21,
        "by_look": 1,
        "by_mirror": 1,
        "largest": 3,
        "across_identities": 22,
        "across_ages": 22,
    }
    assert audit(folds, samples, *pairs[-2:])["copies"]["examples"] == [["s042", "s043", "s044"]]
    nothing = audit(folds, samples)["copies"]
    assert (nothing["groups"], nothing["largest"], nothing["examples"]) == (0, 0, [])


def test_samples_may_stand_in_another_order() -> None:
    folds, samples = tables([(0, 0, 10, 1), (0, 1, 20, 2), (0, 1, 30, 9), (1, 0, 40, 1)])
    report = audit(folds, samples)
    assert audit(folds, samples.iloc[::-1]) == report
    assert report["looked_up"] == 3


def test_exclusive_splits_do_not_leak_and_random_ones_do() -> None:
    samples = tables([(row // 6, 0, row % 50, row % 6) for row in range(120)])[1]
    for folds in (splits.subject_exclusive(samples, 5, 0), splits.leave_one_person_out(samples)):
        report = audit(folds, samples)
        assert report["leaked_images"] == report["looked_up"] == 0
        assert report["mae_lookup"] == report["mae_constant"]
        refuse_leaks(report, "synthetic_se")
    assert audit(splits.random_split(samples, 5, 0), samples)["leaked_share"] > 0.9


def test_a_leak_is_refused_by_name() -> None:
    drawn = [(identity, 0, 20, 1) for identity in range(9)]
    drawn += [(identity, 1, 20, 2) for identity in range(1, 8)] + [(8, 2, 20, 2), (20, 3, 20, 1)]
    folds, samples = tables(drawn)
    message = (
        r"morph_se: 3 of 4 folds share subjects.*Fold 0: 8 of 9 test images, identities "
        r"id1, id2, id3, id4, id5, \.\.\."
    )
    with pytest.raises(DataError, match=message):
        refuse_leaks(audit(folds, samples), "morph_se")


def test_bad_tables_are_refused() -> None:
    folds, samples = tables([(0, 0, 20, 1), (1, 1, 20, 1)])
    with pytest.raises(DataError, match=r"1 samples of the folds table.*\(s001\)"):
        audit(folds, samples.iloc[:1])


def test_where_nothing_trains_the_constant_is_the_best_there_is() -> None:
    folds, samples = tables([(0, 0, 20, 1), (1, 0, 30, 1), (2, 0, 34, 1)])
    report = audit(folds, samples)
    assert report["mae_constant"] == pytest.approx((10 + 0 + 4) / 3)
    assert report["folds"][0]["n_train"] == 0
    assert constant_ages(folds) == {0: 30.0}


def test_those_that_only_train_are_known_and_not_counted() -> None:
    folds, samples = tables([(0, 0, 20, 1), (1, 0, 30, 1), (2, TRAINS, 50, 1), (3, TRAINS, 52, 1)])
    report = audit(folds, samples, (0, 1, "look"), (2, 3, "bytes"), apart=False)
    assert [report["n"], report["leaked_images"], report["leaked_copies"]] == [2, 0, 0]
    assert [(entry["fold"], entry["n_test"], entry["n_train"]) for entry in report["folds"]] == [
        (0, 2, 2)
    ]
    assert report["mae_constant"] == (31 + 21) / 2
    assert constant_ages(folds)[0] == 51.0
    assert [report["copies"][name] for name in ("groups", "by_look", "by_bytes")] == [2, 1, 1]


def test_photos_on_both_sides_of_a_transfer_are_refused_by_name() -> None:
    folds, _ = tables([(row, 0 if row < 3 else TRAINS, 20, 1) for row in range(6)])
    refuse_overlap(folds, np.array([0, 0, 2, 3, 4, 4]), "a_to_b")
    words = r"a_to_b: 2 of 3 test photos are copies.*\(s001 of s005, s002 of s004\)"
    with pytest.raises(DataError, match=words):
        refuse_overlap(folds, np.array([0, 1, 2, 3, 2, 1]), "a_to_b")


def test_pictures_of_the_tested_fold_do_not_serve_however_near() -> None:
    folds, samples = tables([(0, 0, 10, 1), (0, 0, 10, 2), (0, 1, 50, 9), (1, 1, 30, 1)])
    report = audit(folds, samples)
    assert report["mae_lookup"] == (40 + 40 + 40 + 20) / 4
