"""What is logged of a result belongs together, and lies where that result lies."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset

from contrastive_age.io.atomic import Document, Table
from contrastive_age.provenance import table_digest
from contrastive_age.tracking.results import Result, flattened

PREDICTIONS = pd.DataFrame({"age": [40, 50], "predicted_age": [41.0, 50.0]})


def _result(folder: Path, key: str = "ce-1") -> Result:
    tables = {"mlflow": "tables"}
    datasets = {
        "p.metrics": Document(f"{folder}/ce-1/metrics.json", metadata=tables),
        "p.predictions": Table(f"{folder}/ce-1/predictions.parquet", metadata=tables),
        "p.folds": Table(f"{folder}/folds.parquet"),
        "p.leakage": Document(f"{folder}/leakage.json", metadata=tables),
        "s.audit": Document(f"{folder}/audit.json", metadata=tables),
        "params:seed": MemoryDataset(0),
    }
    current: Any = SimpleNamespace(protocol="p", key="ce-1", sources=("s",))
    return Result(DataCatalog(datasets), current, key, log_faces=False)


def test_the_catalog_says_what_goes_to_mlflow(tmp_path: Path) -> None:
    result = _result(tmp_path)
    assert result.kind("p.metrics") == "tables"
    assert {result.kind(name) for name in ("p.folds", "params:seed", "unknown")} == {None}


def test_files_of_another_setting_are_found_by_its_key(tmp_path: Path) -> None:
    other = _result(tmp_path, "mv-2")
    other.file("p.predictions").save(PREDICTIONS)
    assert (tmp_path / "mv-2/predictions.parquet").is_file()
    assert _result(tmp_path).load("p.predictions") is None
    assert len(other.load("p.predictions")) == 2


def test_metrics_are_those_of_the_predictions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = _result(tmp_path)
    assert result.metrics() is None
    result.file("p.predictions").save(PREDICTIONS)
    document = {"mae": 0.5, "predictions": table_digest(PREDICTIONS)}
    result.file("p.metrics").save(document)
    assert result.metrics() == document
    result.file("p.predictions").save(PREDICTIONS.assign(age=0))
    assert result.metrics() is None
    assert "do not belong together" in caplog.text
    result.file("p.metrics").path.write_text("{")
    assert result.metrics() is None
    assert "damaged" in caplog.text


def test_documents_of_other_samples_or_folds_do_not_belong(tmp_path: Path) -> None:
    result = _result(tmp_path)
    metrics = {"manifest_hash": "1", "made_from": {"decided_by": {"folds": "f"}}}
    for hash_, belongs in (("1", True), ("2", False)):
        result.file("s.audit").save({"manifest_hash": hash_})
        assert result.belongs("s.audit", metrics) is belongs
    result.file("p.leakage").save({})
    assert not result.belongs("p.leakage", metrics)
    for fingerprint, belongs in (("f", True), ("g", False)):
        folds = pd.DataFrame({"fold": [0]})
        folds.attrs["fingerprint"] = fingerprint
        result.file("p.folds").save(folds)
        assert result.belongs("p.leakage", metrics) is belongs
    assert result.belongs("p.scatter", metrics)


def test_intervals_ages_and_the_softmax_become_metrics() -> None:
    softmax = {"crps": 3.25, "nll": 3.5, "mae": 4.5, "central_80": 49.0, "pit": [50.0, 50.0]}
    document = {
        "mae": 4.5,
        "mae_interval": [4.0, 5.0],
        "mae_by_age": 6.5,
        "cs5": 60.0,
        "cs5_interval": [51.0, 69.0],
        "cs": {"5": 60.0},
        "age_bins": {"0-19": {"mae": 3.0}, "60+": {"mae": 30.0}},
        "groups": {
            "sex": [{"group": "male", "mae": 4.5}],
            "decade": [{"group": "0-9", "mae": 2.0}, {"group": "50-59", "mae": None}],
        },
        "calibration": {"before": softmax, "after": softmax | {"crps": 3.0, "central_80": 79.0}},
    }
    assert flattened(document) == {
        **{"mae": 4.5, "mae_low": 4.0, "mae_high": 5.0, "mae_by_age": 6.5},
        **{"cs5": 60.0, "cs5_low": 51.0, "cs5_high": 69.0, "cs_5": 60.0},
        **{"mae_age_0-19": 3.0, "mae_age_60_and_over": 30.0, "mae_age_0-9": 2.0},
        **{"crps": 3.25, "nll": 3.5, "central_80": 49.0},
        **{"crps_tempered": 3.0, "nll_tempered": 3.5, "central_80_tempered": 79.0},
    }


def test_what_a_result_lacks_is_no_metric() -> None:
    few = {"mae": 4.5, "mae_interval": None, "cs5_interval": None}
    assert flattened({"mae": 4.5}) == flattened(few) == {"mae": 4.5}
    softmax = {"crps": 3.25, "nll": 3.5, "central_80": 49.0}
    assert flattened({"calibration": {"before": softmax, "after": None}}) == softmax
