"""A tracking server that is not there, or goes away, costs no result: all is uploaded later."""

import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import requests
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from mlflow.cli import gc

from conftest import Project, make_project
from contrastive_age.commands.upload import upload
from contrastive_age.errors import DataError
from contrastive_age.running.place import Place
from contrastive_age.tracking.results import Logged, Result
from contrastive_age.tracking.tracker import tracker
from servers import PATIENCE, mlflow_server, silent_port

WARNING = "Tracking stops here"
# What says when, where and by which command, is known to a live run alone.
TAGS = {
    *("level", "setting_key", "seed", "manifest_hash", "fold", "mlflow.parentRunId"),
    *(
        "mlflow.runName",
        "mlflow.note.content",
        "device",
        "precision",
        "channels_last",
        "fused",
        "compile",
        "residence",
    ),
}


class Gate(http.server.ThreadingHTTPServer):
    """Passes requests on to a server, until one fold is trained and the next one's run is made."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.target = target
        self.trained = self.dead = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Passing(http.server.BaseHTTPRequestHandler):
    server: Gate

    def handle_one(self) -> None:
        gate = self.server
        gate.dead |= gate.trained and self.path.endswith("runs/create")
        if gate.dead:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = requests.request(
            self.command,
            gate.target + self.path,
            headers=dict(self.headers),
            data=body,
            timeout=PATIENCE,
        )
        gate.trained |= b'"total"' in body
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = handle_one

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with (
        mlflow_server(f"sqlite:///{folder}/mlflow.db", folder) as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        # A machine that is busy with other tests may answer late.
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE))
        yield address


def _with_faces_of(finished: Project, root: Path) -> Project:
    project = make_project(root)
    for stage in ("01_raw", "02_intermediate", "03_primary"):
        shutil.copytree(finished.root / "data" / stage, root / "data" / stage)
    return project


def _metrics(project: Project) -> dict[str, Any]:
    path = project.one("08_reporting/synthetic_se/*/metrics.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _tree(address: str, seed: str) -> dict[str, dict[str, Any]]:
    """The setting of this seed and its folds, by key and name; two of one name are an error."""
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("synthetic_se")
    runs = client.search_runs([experiment.experiment_id])
    (setting,) = (run for run in runs if run.data.tags.get("seed") == seed)
    parent = setting.info.run_id
    own = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
    names = {run.info.run_id: run.info.run_name for run in own}
    names[parent] = setting.data.tags["setting_key"]
    assert len(set(names.values())) == len(names)
    return {
        names[run.info.run_id]: {
            "status": run.info.status,
            "params": run.data.params,
            "data": sorted(str(each.to_dictionary()) for each in run.inputs.dataset_inputs),
            "tags": {k: names.get(v, v) for k, v in run.data.tags.items() if k in TAGS},
            "curves": {
                name: sorted(
                    (point.step, 0 if name == "seconds" else point.value)
                    for point in client.get_metric_history(run.info.run_id, name)
                )
                for name in run.data.metrics
            },
            "files": sorted(
                file.path
                for folder in ("tables", "figures")
                for file in client.list_artifacts(run.info.run_id, folder)
            ),
        }
        for run in [setting, *own]
    }


Upload = Callable[[Project, str], list[Logged]]


@pytest.fixture
def upload_in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upload]:
    """`kedro upload-runs` without a process of its own."""

    def uploaded(project: Project, address: str) -> list[Logged]:
        bootstrap_project(project.root)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tracker.lost = None
        return upload(Place(project.root), {})

    before = mlflow.get_tracking_uri()
    yield uploaded
    tracker.lost = None
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def untracked(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that ran while nothing listened where runs are tracked."""
    project = _with_faces_of(finished, tmp_path_factory.mktemp("untracked"))
    with silent_port() as port:
        done = project.kedro("run", tracking_uri=f"http://127.0.0.1:{port}")
    (project.root / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return project


def test_without_a_server_all_results_are_made_after_one_warning(
    finished: Project, untracked: Project
) -> None:
    assert (untracked.root / "said.txt").read_text(encoding="utf-8").count(WARNING) == 1
    assert not (untracked.root / "mlflow.db").exists()
    expected = _metrics(finished)
    assert _metrics(untracked) == expected | {"run_id": None}
    assert expected["run_id"]


def test_an_upload_gives_the_tree_of_a_live_run_and_a_second_one_nothing_new(
    finished: Project, untracked: Project, server: str, upload_in_process: Upload
) -> None:
    done = untracked.kedro("upload-runs", tracking_uri=server)
    assert "2 folds, measured; new on the server: 2 epochs" in done.stdout
    expected = _tree(f"sqlite:///{finished.root}/mlflow.db", "0")
    assert len(expected) == 3
    assert _tree(server, "0") == expected
    (again,) = upload_in_process(untracked, server)
    assert (again.folds, again.epochs, again.new_metrics) == (2, 0, 0)
    assert _tree(server, "0") == expected


def _files(project: Project) -> dict[Path, bytes]:
    files = (path for path in project.root.rglob("*") if path.is_file())
    return {path.relative_to(project.root): path.read_bytes() for path in files}


def _copied(finished: Project, root: Path) -> tuple[Project, str]:
    """A copy of a project, and the address of its database."""
    shutil.copytree(finished.root, root)
    return Project(root), f"sqlite:///{root}/mlflow.db"


def test_a_run_again_in_a_copy_logs_nothing_twice_and_nothing_into_the_original(
    finished: Project, tmp_path: Path
) -> None:
    project, address = _copied(finished, tmp_path / "project")
    before, original = _tree(address, "0"), _files(finished)
    # What a user deletes comes back.
    client = mlflow.MlflowClient(address)
    for run in client.search_runs(["1"], "attributes.run_name != 'fold_1'"):
        client.delete_run(run.info.run_id)
    artifacts = project.root / "mlartifacts"
    shutil.rmtree(artifacts)
    project.kedro("run")
    assert _tree(address, "0") == before
    assert _files(finished) == original
    lie = {place for run in client.search_runs(["1"]) for place in [run.info.artifact_uri]}
    assert all(place.startswith(artifacts.as_uri()) for place in lie)
    said = project.kedro("relocate-runs").stdout
    assert "0 runs and 0 models" in said


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("kind", ["fold", "experiment"])
def test_what_was_deleted_is_complete_again_after_an_upload(
    finished: Project,
    upload_in_process: Upload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    for_ever: bool,
) -> None:
    project, address = _copied(finished, tmp_path / "project")
    before = _tree(address, "0")
    client = mlflow.MlflowClient(address)
    if kind == "experiment":
        client.delete_experiment("1")
    else:
        (fold,) = client.search_runs(["1"], "attributes.run_name = 'fold_0'")
        client.delete_run(fold.info.run_id)
    if for_ever:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        # Else the original's files would be deleted.
        project.kedro("relocate-runs")
        done = CliRunner().invoke(gc, ["--backend-store-uri", address])
        assert done.exit_code == 0, done.output
    (uploaded,) = upload_in_process(project, address)
    assert (uploaded.folds, uploaded.measured) == (2, True)
    assert uploaded.epochs == (for_ever and (2 if kind == "experiment" else 1))
    assert _tree(address, "0") == before


def test_a_result_that_is_not_whole_is_not_finished_by_an_upload(
    finished: Project, upload_in_process: Upload, tmp_path: Path
) -> None:
    project, address = _copied(finished, tmp_path / "project")
    (project.root / "mlflow.db").unlink()
    project.one("07_model_output/synthetic_se/*/fold_1/predictions.parquet").unlink()
    project.one("08_reporting/synthetic_se/*/metrics.json").unlink()
    (uploaded,) = upload_in_process(project, address)
    assert not uploaded.measured
    statuses = {name: run["status"] for name, run in _tree(address, "0").items()}
    assert statuses.pop("fold_0") == "FINISHED"
    assert set(statuses.values()) == {"KILLED"}


def test_a_server_that_dies_after_the_first_fold_loses_nothing(
    finished: Project, server: str, upload_in_process: Upload, tmp_path: Path
) -> None:
    project = _with_faces_of(finished, tmp_path)
    with Gate(server) as gate:
        done = project.kedro("run", "--params=seed=1", tracking_uri=gate.address)
        assert gate.dead
        gate.shutdown()
    assert (done.stdout + done.stderr).count(WARNING) == 1
    before = _tree(server, "1")
    assert sum("total" in run["curves"] for run in before.values()) == 1
    assert "mae" not in before[_metrics(project)["key"]]["curves"]
    (uploaded,) = upload_in_process(project, server)
    assert (uploaded.folds, uploaded.measured, uploaded.epochs) == (2, True, 1)
    after = _tree(server, "1")
    assert set(after) == {_metrics(project)["key"], "fold_0", "fold_1"}
    assert {run["status"] for run in after.values()} == {"FINISHED"}
    for fold in ("fold_0", "fold_1"):
        assert [step for step, _ in after[fold]["curves"]["total"]] == [1]
        assert "mae" in after[fold]["curves"]
    ((_, mae),) = after[_metrics(project)["key"]]["curves"]["mae"]
    assert mae == _metrics(project)["mae"]


def test_an_upload_without_a_server_says_what_to_do(
    untracked: Project, upload_in_process: Upload
) -> None:
    with (
        silent_port() as port,
        pytest.raises(DataError, match=r"Nothing was uploaded: http://127\.0\.0\.1:") as found,
    ):
        upload_in_process(untracked, f"http://someone:secret@127.0.0.1:{port}")
    assert "MLFLOW_TRACKING_URI" in str(found.value)
    assert "secret" not in str(found.value)


def test_values_that_this_version_does_not_know_are_left_out() -> None:
    current: Any = SimpleNamespace(key="ternary-2")
    result = Result(catalog=None, current=current, key="ternary-1", loader=None)
    earlier = {"parameters": {"protocol": "fgnet_se", "splitting": {"seed": 0}}}
    assert result.values(earlier) is None
    assert result.values(None) is None
