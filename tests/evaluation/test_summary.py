"""What the folds predict is put together only where it belongs together, and measured once."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import ends, mean_interval
from contrastive_age.evaluation.summary import collect, measure, tables_decided_by
from contrastive_age.protocols.parts import parts
from contrastive_age.provenance import Record

FOLDS = pd.DataFrame(
    {
        "sample_id": [f"s{row}" for row in range(8)],
        "identity": list("aabbccdd"),
        "age": [20, 30, 25, 40, 33, 21, 50, 44],
        "fold": [0, 0, 1, 1, 0, 0, 1, 1],
    }
)
PARTS = [parts(FOLDS, fold) for fold in (0, 1)]
CONSTANTS = {0: 42.0, 1: 25.5}
LEAKAGE = {
    "mae_lookup": 3.0,
    "leaked_share": 0.25,
    "leaked_copies": 0,
    "leaked_copies_share": 0.0,
}


def _predicted(fold: int, **decided_by: Any) -> pd.DataFrame:
    table = PARTS[fold].tested.assign(predicted_std=1.0)
    table["predicted_age"] = table["age"] + 2.0
    record = Record({"faces": "f"} | decided_by, {"torch": "2"})
    table.attrs = {"record": record.document, "computed": {"device": f"cpu {fold}"}}
    return table


def test_all_folds_are_one_table_that_says_what_made_it() -> None:
    together = collect([_predicted(0), _predicted(1)], PARTS, "fgnet_se mv-0")
    assert together["sample_id"].tolist() == FOLDS["sample_id"].tolist()
    assert Record.of(together).decided_by == {"faces": "f"}
    assert together.attrs["computed"] == [{"device": "cpu 0"}, {"device": "cpu 1"}]


def test_folds_of_other_making_or_other_samples_are_refused() -> None:
    with pytest.raises(DataError, match=r"fold 1 of fgnet_se .* faces was g and is now f; run all"):
        collect([_predicted(0), _predicted(1, faces="g")], PARTS, "fgnet_se mv-0")
    with pytest.raises(DataError, match="do not cover the 4 samples"):
        collect([_predicted(0), _predicted(1).iloc[1:]], PARTS, "fgnet_se mv-0")


@pytest.fixture
def predictions() -> pd.DataFrame:
    return collect([_predicted(0), _predicted(1)], PARTS, "fgnet_se mv-0")


def test_tested_parts_are_measured_beside_what_leaks(predictions: pd.DataFrame) -> None:
    metrics, intervals = measure(
        predictions, FOLDS, CONSTANTS, LEAKAGE | {"leaking_samples": ["s0"]}
    )
    assert (metrics["mae"], metrics["mae_constant"], metrics["mae_lookup"]) == (2.0, 15.25, 3.0)
    assert metrics["leaked_share"] == 0.25
    assert metrics["without_leaks"]["n"] == 7
    assert metrics["conformal"] is not None
    assert len(intervals) == 8
    assert metrics["mae_interval"] == [2.0, 2.0]
    errors = [22, 12, 0.5, 14.5, 9, 21, 24.5, 18.5]  # of the constants
    expected = mean_interval(FOLDS["identity"], 2.0 - np.array(errors))
    assert metrics["constant_interval"] == ends(expected)
    assert metrics["cs5_interval"] == metrics["cs_intervals"]["5"]
    assert metrics["cs5_interval"] == pytest.approx([100 * 0.025**0.25, 100])
    # a fold has two subjects
    assert metrics["fold_mae"]["intervals"] == {"0": None, "1": None}
    assert metrics["fold_mae"]["values"] == {"0": 2.0, "1": 2.0}
    assert metrics["predicted_range"]["highest"] == 52.0
    assert [row["n"] for row in metrics["groups"]["decade"]] == [0, 0, 3, 2, 2, 1, 0]
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize(
    ("leakage", "share", "lookup"),
    [(None, 0.0, None), (LEAKAGE | {"leaked_copies": 2, "leaked_copies_share": 0.25}, 0.25, 3.0)],
)
def test_validation_parts_and_copies_that_leak_give_no_intervals(
    predictions: pd.DataFrame, leakage: dict[str, Any] | None, share: float, lookup: float | None
) -> None:
    metrics, intervals = measure(predictions, FOLDS, CONSTANTS, leakage)
    assert metrics["conformal"] is None
    assert intervals.empty
    assert (metrics["leaked_copies_share"], metrics["mae_lookup"]) == (share, lookup)
    assert metrics["without_leaks"] is None


def test_tables_are_decided_by_networks_folds_labels_and_what_is_explained() -> None:
    networks = {"setting": "mv-0", "samples trained on": "of a fold each"}
    folds = FOLDS.iloc[:4].copy()
    folds.attrs["fingerprint"] = "folds"
    labels = FOLDS.assign(sex="F", race=None)
    first = tables_decided_by(networks, labels, folds, {"at_most": 3})
    assert first["setting"] == "mv-0"
    assert "samples trained on" not in first
    assert (first["folds"], first["explained"]) == ("folds", {"at_most": 3})
    for row, same in ((0, False), (7, True)):
        changed = labels.copy()
        changed.loc[row, "sex"] = "M"
        again = tables_decided_by(networks, changed, folds, {"at_most": 3})
        # Of samples that are not tested nothing is asked.
        assert (again == first) == same
