"""The files of runs lie beside the database, wherever a project was moved or copied."""

import logging
import shutil
from pathlib import Path

import mlflow
import pytest

from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import ProjectConfigLoader, artifact_location
from contrastive_age.tracking import artifacts, database

PARENT = "mlflow.parentRunId"


class Home:
    """A folder with a database of runs and their files."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.uri = root, f"sqlite:///{root}/mlflow.db"
        self.location = (root / "mlartifacts").as_uri()
        patch.setenv("MLFLOW_TRACKING_URI", self.uri)
        patch.setattr(ProjectConfigLoader, "latest", None)
        self.client = mlflow.MlflowClient(self.uri)

    def run(self, experiment: str, name: str, **tags: str) -> str:
        run_id: str = self.client.create_run(experiment, run_name=name, tags=tags).info.run_id
        return run_id

    def note(self, run_id: str) -> Path:
        return self.root / f"mlartifacts/{run_id}/artifacts/tables/note.txt"

    def uris(self, *runs: str) -> set[str]:
        return {self.client.get_run(run).info.artifact_uri for run in runs}

    def files(self) -> dict[str, bytes]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


@pytest.fixture
def before(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A project, in a folder whose name has to be quoted, with runs of three experiments."""
    root = tmp_path / "before 100%"
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    home = Home(root, monkeypatch)
    artifacts.lead_new_runs(home.location)
    experiment = home.client.create_experiment("p", home.location)
    for name in ("setting", "other"):
        run_id = home.run(experiment, name)
        # Not through MLflow, which remembers the places of runs while its process lasts.
        home.note(run_id).parent.mkdir(parents=True)
        home.note(run_id).write_text(name)
        home.run(experiment, f"fold of {name}", **{PARENT: run_id})
    elsewhere = home.client.create_experiment("mine", (tmp_path / "chosen").as_uri())
    home.run(elsewhere, "mine")
    return home


def _ids(home: Home) -> dict[str, str]:
    runs = home.client.search_runs(["1", "2"])
    return {run.info.run_name: run.info.run_id for run in runs}


def _copied(before: Home, patch: pytest.MonkeyPatch, *, moved: bool = False) -> Home:
    root = before.root.with_name("after")
    if moved:
        before.root.rename(root)
    else:
        shutil.copytree(before.root, root)
    return Home(root, patch)


@pytest.mark.parametrize("moved", [False, True])
def test_new_runs_and_those_that_are_run_again_lay_nothing_into_the_old_place(
    before: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moved: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids, untouched = _ids(before), before.files()
    home = _copied(before, monkeypatch, moved=moved)
    artifacts.lead_new_runs(home.location)
    new = home.run("1", "new")
    artifacts.keep_beside(ids["setting"])
    with caplog.at_level(logging.WARNING):
        artifacts.say_strays()
        artifacts.say_strays()
    assert caplog.text.count("2 earlier runs and models") == 1
    assert "kedro relocate-runs" in caplog.text
    for run_id in (new, ids["setting"], ids["fold of setting"]):
        home.client.log_text(run_id, "later", "tables/note.txt")
        assert home.note(run_id).read_text() == "later"
    assert before.files() == ({} if moved else untouched)
    assert before.root.exists() != moved
    assert home.uris(ids["mine"]) == {f"{tmp_path.as_uri()}/chosen/{ids['mine']}/artifacts"}


def test_the_command_brings_all_others_beside_and_leaves_what_was_chosen(
    before: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = _ids(before)
    home = _copied(before, monkeypatch)
    artifacts.lead_new_runs(home.location)
    done = artifacts.relocate()
    assert (done.runs, done.models, done.copied) == (4, 0, 0)
    ours = [ids[name] for name in ("setting", "other", "fold of setting", "fold of other")]
    assert home.uris(*ours) == {f"{home.location}/{run_id}/artifacts" for run_id in ours}
    assert "chosen" in home.uris(ids["mine"]).pop()
    assert artifacts.relocate().runs == 0


def test_files_that_lie_elsewhere_only_are_copied(
    before: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, untouched = _ids(before), before.files()
    home = _copied(before, monkeypatch)
    shutil.rmtree(home.root / "mlartifacts")
    artifacts.lead_new_runs(home.location)
    done = artifacts.relocate()
    assert (done.runs, done.copied) == (4, 2)
    assert home.note(ids["other"]).read_text() == "other"
    assert before.files() == untouched


def test_of_two_processes_that_copy_the_same_files_one_does(
    before: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = _ids(before)
    home = _copied(before, monkeypatch)
    shutil.rmtree(home.root / "mlartifacts")
    artifacts.lead_new_runs(home.location)
    copy = shutil.copytree

    def while_another_does(old: Path, beside: Path) -> None:
        with monkeypatch.context() as patch:  # it calls itself
            patch.setattr(shutil, "copytree", copy)
            copy(old, beside)
            copy(old, home.note(old.parent.name).parents[1])

    monkeypatch.setattr(shutil, "copytree", while_another_does)
    assert artifacts.relocate().copied == 0
    assert home.note(ids["other"]).read_text() == "other"
    assert not list(home.root.glob("mlartifacts/*/.*"))


def test_models_and_their_registered_versions_go_along(
    before: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = before.client.create_logged_model("1", "age")
    before.client.create_registered_model("age")
    before.client.create_model_version("age", model.artifact_location)
    home = _copied(before, monkeypatch)
    artifacts.lead_new_runs(home.location)
    assert artifacts.relocate().models == 1
    place = f"{home.location}/models/{model.model_id}/artifacts"
    assert home.client.get_logged_model(model.model_id).artifact_location == place
    assert home.client.get_model_version("age", "1").source == place


def test_a_link_at_the_old_place_is_the_same_place(
    before: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = _copied(before, monkeypatch, moved=True)
    before.root.symlink_to(home.root)
    kept = (home.root / "mlflow.db").read_bytes()
    artifacts.lead_new_runs(home.location)
    artifacts.say_strays()
    assert caplog.text == ""
    assert (home.root / "mlflow.db").read_bytes() == kept


def test_a_project_that_lies_where_it_was_is_left_as_it_is(before: Home) -> None:
    untouched = before.files()
    artifacts.lead_new_runs(before.location)
    artifacts.keep_beside(_ids(before)["setting"])
    assert artifacts.relocate().runs == 0
    assert before.files() == untouched


def test_a_server_keeps_its_files_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    artifacts.lead_new_runs(None)
    artifacts.keep_beside("any")
    artifacts.say_strays()
    with pytest.raises(DataError, match="kept by a server"):
        artifacts.relocate()


def test_files_go_beside_a_database_that_lies_outside_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert artifact_location(project) == f"{project}/mlartifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/team/runs.db")
    assert artifact_location(project) == f"{tmp_path}/team/mlartifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert artifact_location(project) is None
    assert database.local() is None
