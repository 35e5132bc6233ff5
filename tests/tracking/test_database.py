"""The database of runs is made where it is a file of this machine, and nowhere else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contrastive_age.parameters.loader import ProjectConfigLoader, tracking_uri
from contrastive_age.tracking import database


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)


@pytest.mark.parametrize("uri", ["./mlruns", "databricks", "http://127.0.0.1:9", "file:./mlruns"])
def test_what_is_no_sqlite_database_is_left_to_mlflow(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    database.prepare()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_runs_can_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlruns").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    database.prepare()


def test_a_database_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    database.prepare()
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    assert {"experiments", "runs", "metrics"} <= tables
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


@pytest.mark.parametrize("name", ["50%20off a?b 9%", "grün #&=' \""])
def test_runs_and_their_files_are_kept_below_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    root = tmp_path / name
    root.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    uri = tracking_uri(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    database.prepare()
    client = MlflowClient(uri)
    # As kedro-mlflow gives it what `mlflow.yml` says.
    made = client.create_experiment("e", (root / "mlartifacts").as_uri())
    for experiment, place in ((made, "mlartifacts"), ("0", "mlruns")):
        run = client.create_run(experiment).info.run_id
        client.log_text(run, "said", "a.txt")
        assert [each.path for each in client.list_artifacts(run)] == ["a.txt"]
        assert [path.read_text() for path in (root / place).rglob("a.txt")] == ["said"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in root.iterdir()} == {"mlflow.db", "mlartifacts", "mlruns"}
