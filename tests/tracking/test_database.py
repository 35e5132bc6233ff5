"""The database of runs is made where it is a file of this machine, and nowhere else."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from mlflow.db import commands as mlflow_db
from mlflow.store.tracking.dbmodels.initial_models import Base

from contrastive_age.errors import DataError
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


def test_a_database_is_made_whole(empty_database: Path) -> None:
    with closing(sqlite3.connect(empty_database)) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    assert {"experiments", "runs", "metrics"} <= tables
    assert [path.name for path in empty_database.parent.iterdir()] == ["mlflow.db"]


@pytest.fixture
def kept(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database that this process uses."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    return Path(shutil.copy(empty_database, tmp_path / "runs.db"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update alembic_version set version_num = '451aebb31d03'", "an earlier MLflow"),
        ("delete from alembic_version", "an earlier MLflow"),
        ("drop table alembic_version", "an earlier MLflow"),
        ("update alembic_version set version_num = '000000000000'", "a later MLflow"),
    ],
)
def test_a_database_of_another_mlflow_is_refused_and_left_as_it_is(
    kept: Path, change: str, said: str
) -> None:
    database.prepare()
    with database.connected(kept) as connection:
        connection.execute(change)
    before = kept.read_bytes()
    with pytest.raises(DataError, match=f"runs.db was made by {said}") as found:
        database.prepare()
    remedy = f"mlflow db upgrade sqlite:///{kept}" if "earlier" in said else "move the file away"
    assert remedy in str(found.value)
    assert "\n" not in str(found.value)
    assert kept.read_bytes() == before


def test_a_database_that_an_earlier_mlflow_made_is_brought_up_to_date_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    uri = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    config = Config(migrations / "alembic.ini")
    config.set_main_option("script_location", str(migrations))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "bda7b8c39065")  # MLflow 2.10's
    engine.dispose()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    before = path.read_bytes()
    with pytest.raises(DataError, match="copy the file, then run `mlflow db upgrade"):
        database.prepare()
    assert path.read_bytes() == before
    done = CliRunner().invoke(mlflow_db, ["upgrade", uri])
    assert done.exit_code == 0
    database.prepare()


def test_tables_of_another_program_are_no_database_of_an_earlier_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("create table notes (text)")
    database.prepare()


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
