"""What is logged of a result belongs together, and lies where that result lies."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset

from contrastive_age.io.atomic import Document, Table
from contrastive_age.provenance import table_digest
from contrastive_age.tracking import results
from contrastive_age.tracking.results import Result

PREDICTIONS = pd.DataFrame({"age": [40, 50], "predicted_age": [41.0, 50.0]})


def _result(folder: Path, key: str = "ce-1") -> Result:
    tables = {"mlflow": "tables"}
    datasets = {
        "p.metrics": Document(f"{folder}/ce-1/metrics.json", metadata=tables),
        "p.predictions": Table(f"{folder}/ce-1/predictions.parquet", metadata=tables),
        "p.folds": Table(f"{folder}/folds.parquet"),
        "p.leakage": Document(f"{folder}/leakage.json", metadata=tables),
        "p.gradcam": Document(f"{folder}/ce-1/gradcam.json", metadata=tables),
        "s.audit": Document(f"{folder}/audit.json", metadata=tables),
        "params:seed": MemoryDataset(0),
    }
    loader: Any = None
    current: Any = SimpleNamespace(protocol="p", key="ce-1", sources=("s",))
    return Result(DataCatalog(datasets), current, key, loader=loader)


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


def test_numbers_of_another_result_do_not_belong(tmp_path: Path) -> None:
    metrics = {"made_from": {"decided_by": {"networks": "1"}, "made_with": {}}}
    result = _result(tmp_path)
    for digest, belongs in (("1", True), ("2", False)):
        document = {"made_from": {"decided_by": {"networks": digest}, "made_with": {}}}
        result.file("p.gradcam").save(document)
        assert result.belongs("p.gradcam", metrics) is belongs


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


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The tags that were logged last."""
    tags: dict[str, Any] = {}

    def log(run_id: str, setting: Any, known: dict[str, Any]) -> None:
        tags.clear()
        tags.update(known)

    monkeypatch.setattr(results, "log_setting", log)
    monkeypatch.setattr(results.descriptions, "of_setting", lambda *_, **__: "what it is")
    return tags


def _log(name: str, note: str | None, known: dict[str, float], metrics: Any = None) -> None:
    """Log the values of a setting to a run with this name and these words and metrics."""
    asked = SimpleNamespace(title=lambda _: "ce seed 0", command=lambda _: "kedro run")
    result: Any = SimpleNamespace(
        key="ce-1", asked=asked, papers=None, audits=lambda _: {}, drawn=False
    )
    tags = {} if note is None else {"mlflow.note.content": note}
    data = SimpleNamespace(tags=tags, metrics=known)
    run: Any = SimpleNamespace(info=SimpleNamespace(run_name=name, run_id="1"), data=data)
    results.log_values(result, run, SimpleNamespace(), {"seed": "0"}, metrics)


def test_a_run_is_named_by_its_setting_unless_a_user_has_named_it(logged: dict[str, Any]) -> None:
    # As an earlier version called it.
    _log("ce-1", None, {})
    assert logged["mlflow.runName"] == "ce seed 0"
    _log("the good one", None, {})
    assert "mlflow.runName" not in logged


def test_what_a_run_says_is_put_anew_with_its_metrics_and_keeps_the_users_words(
    logged: dict[str, Any],
) -> None:
    _log("ce-1", "seen at night", {})
    note = logged["mlflow.note.content"]
    _log("ce-1", "seen at night", {"mae": 4.5})  # it is run again
    assert "mlflow.note.content" not in logged
    assert note.startswith("what it is\n")
    assert note.endswith("seen at night")
    for known, is_new in (({"mae": 4.5}, False), ({"mae": 5.0}, True), ({}, True)):
        _log("ce-1", note.replace("what", "who"), known, {"mae": 4.5})
        assert logged.get("mlflow.note.content") == (note if is_new else None)
