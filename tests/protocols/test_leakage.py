"""The audit against plain loops over every image."""

import json
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.protocols import splits
from contrastive_age.protocols.leakage import audit_leakage, refuse_leaks

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
    report = audit_leakage(folds, samples)
    assert report == reference(drawn, capture=capture)
    assert json.loads(json.dumps(report)) == report


def test_samples_may_stand_in_another_order() -> None:
    folds, samples = tables([(0, 0, 10, 1), (0, 1, 20, 2), (0, 1, 30, 9), (1, 0, 40, 1)])
    report = audit_leakage(folds, samples)
    assert audit_leakage(folds, samples.iloc[::-1]) == report
    assert report["looked_up"] == 3


def test_exclusive_splits_do_not_leak_and_random_ones_do() -> None:
    samples = tables([(row // 6, 0, row % 50, row % 6) for row in range(120)])[1]
    for folds in (splits.subject_exclusive(samples, 5, 0), splits.leave_one_person_out(samples)):
        report = audit_leakage(folds, samples)
        assert report["leaked_images"] == report["looked_up"] == 0
        assert report["mae_lookup"] == report["mae_constant"]
        refuse_leaks(report, "synthetic_se")
    assert audit_leakage(splits.random_split(samples, 5, 0), samples)["leaked_share"] > 0.9


def test_a_leak_is_refused_by_name() -> None:
    drawn = [(identity, 0, 20, 1) for identity in range(9)]
    drawn += [(identity, 1, 20, 2) for identity in range(1, 8)] + [(8, 2, 20, 2), (20, 3, 20, 1)]
    folds, samples = tables(drawn)
    message = (
        r"morph_se: 3 of 4 folds share subjects.*Fold 0: 8 of 9 test images, identities "
        r"id1, id2, id3, id4, id5, \.\.\."
    )
    with pytest.raises(DataError, match=message):
        refuse_leaks(audit_leakage(folds, samples), "morph_se")


def test_bad_tables_are_refused() -> None:
    folds, samples = tables([(0, 0, 20, 1), (1, 1, 20, 1)])
    with pytest.raises(DataError, match=r"1 samples of the folds table.*\(s001\)"):
        audit_leakage(folds, samples.iloc[:1])
    with pytest.raises(DataError, match="1 fold"):
        audit_leakage(folds.assign(fold=0), samples)


def test_pictures_of_the_tested_fold_do_not_serve_however_near() -> None:
    folds, samples = tables([(0, 0, 10, 1), (0, 0, 10, 2), (0, 1, 50, 9), (1, 1, 30, 1)])
    report = audit_leakage(folds, samples)
    assert report["mae_lookup"] == (40 + 40 + 40 + 20) / 4
