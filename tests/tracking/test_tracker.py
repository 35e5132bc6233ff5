"""What fails in tracking is said once, with the remedy, and ends no run."""

import logging
import sqlite3
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.tracking.tracker import (
    log_epoch,
    tracker,
    wait_for_curves,
    while_reachable,
)


def test_a_database_that_takes_no_more_is_said_in_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    calls: list[int] = []

    @while_reachable
    def log(value: int) -> None:
        calls.append(value)
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        error = OperationalError("INSERT INTO metrics", {"value": value}, full)
        raise MlflowException(message=error) from error  # as MLflow does

    with caplog.at_level(logging.WARNING):
        log(1)
        log(2)
    assert calls == [1]
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"MLflow's database {tmp_path}/runs.db: disk is full; make room" in said
    assert "INSERT" not in said
    assert tracker.lost is not None


def test_of_a_server_it_is_said_what_failed_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = "http://me:secret@127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: address)

    @while_reachable
    def log() -> None:
        raise MlflowException(f"no answer from {address}")

    with caplog.at_level(logging.WARNING):
        log()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "http://127.0.0.1:9: no answer from http://127.0.0.1:9" in said
    assert "secret" not in said


def test_an_epoch_that_a_run_has_is_logged_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, int]] = []

    class Client:
        def log_batch(self, run_id: str, metrics: list[Metric]) -> None:
            sent.extend((run_id, metric.step) for metric in metrics if metric.key == "total")

    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    known = {"killed": {1: 5.0, 2: 4.5}}
    for name, value in {"fold_id": "killed", "logged": known, "lost": None}.items():
        monkeypatch.setattr(tracker, name, value)
    # The third epoch is new; the second one was trained otherwise, such as on another device.
    for epoch, total in ((1, 5.0), (2, 4.25), (3, 4.0)):
        log_epoch(epoch, {"epoch": epoch, "total": total, "softmax": total})
    wait_for_curves()
    assert sent == [("killed", 2), ("killed", 3)]
