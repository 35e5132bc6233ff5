"""Several folds at once give what they give one after the other, and leave one run tree."""

import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node

from conftest import Project, make_project, run_tree
from contrastive_age.errors import DataError
from contrastive_age.model.architecture import Architecture
from contrastive_age.running import runners
from contrastive_age.running.place import Place
from contrastive_age.running.runners import _at_once, split, that_pay
from contrastive_age.training import acceleration
from contrastive_age.training.recipe import Computing
from forking import WIDE
from training.recipes import varied

FOLDS = ["fold_0", "fold_1", "fold_2", "fold_3"]
SHARED_STAGES = ("01_raw", "02_intermediate", "03_primary")


def _names(pipeline: Pipeline) -> list[str]:
    return [node.name for node in pipeline.nodes]


def _pipeline() -> Pipeline:
    def step(*_: Any) -> None: ...

    return Pipeline(
        [
            node(step, None, "folds", name="split"),
            node(step, None, "audit", name="audit"),
            *(
                part
                for fold in ("fold_0", "final")
                for part in (
                    node(step, "folds", f"{fold}_model", name="train", namespace=f"p.{fold}"),
                    node(
                        step,
                        f"{fold}_model",
                        f"{fold}_predictions",
                        name="predict",
                        namespace=f"p.{fold}",
                    ),
                )
            ),
            node(step, ["fold_0_predictions", "final_predictions"], "all", name="collect"),
            node(step, ["all", "audit"], "page", name="report"),
        ]
    )


def test_what_folds_share_comes_before_them_and_what_needs_them_after() -> None:
    before, folds, after = split(_pipeline())
    assert sorted(_names(before)) == ["audit", "split"]
    assert folds == {
        "p.fold_0": ["p.fold_0.train", "p.fold_0.predict"],
        "p.final": ["p.final.train", "p.final.predict"],
    }
    assert _names(after) == ["collect", "report"]


def test_only_what_is_asked_for_is_split() -> None:
    before, folds, after = split(_pipeline().only_nodes("p.final.train", "report"))
    assert _names(before) == ["report"]
    assert folds == {"p.final": ["p.final.train"]}
    assert _names(after) == []


def test_what_a_fold_meets_in_another_process_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def meet(*_: Any) -> None:
        fault = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "/data/model.pth")
        raise DatasetError("p.fold_0.model: it cannot be saved") from fault

    monkeypatch.setattr(runners, "run_fold", meet)
    job = runners.Job(Place(Path()), {}, None, {})
    with pytest.raises(DataError) as error:
        runners.work(job, "p.fold_0", [])
    # Only the words come along.
    sent = pickle.loads(pickle.dumps(error.value))
    assert str(sent).startswith("/data/model.pth: Is a directory; ")
    assert str(sent).endswith("move it away")


# An employer as `_run_folds` is one, which is killed when it has said how its worker is.
EMPLOYER = """
import json, os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from contrastive_age.processes import warm_start
from contrastive_age.running import runners

os.environ["SINCE"] = "the server began"
context = warm_start(runners.PRELOADED)
environment = dict(os.environ, SINCE="the pool began")
with ProcessPoolExecutor(1, context, runners._start_worker, (3, environment, Path())) as pool:
    said = [pool.submit(eval, asked).result() for asked in json.loads(sys.argv[1])]
    print(json.dumps(said), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
# Of a worker, and what it says.
ASKED = {
    "__import__('os').environ['SINCE']": "the pool began",
    "__import__('torch').get_num_threads()": 3,
    "{'mlflow', 'torch._dynamo'} <= set(__import__('sys').modules)": True,
    "__import__('torch').cuda.is_initialized()": False,
    # The one beside the main thread waits for the employer's end.
    "__import__('threading').active_count()": 2,
    # What Control-C does is for the employer to say.
    "2 in __import__('signal').pthread_sigmask(0, [])": True,
    # A GPU that is looked for before a fork is none after it.
    "(t := __import__('torch')).ones(2).to(0 if t.cuda.is_available() else 'cpu').sum().item()": 2,
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no forks")
def test_a_worker_begins_warm_and_ends_with_its_employer(tmp_path: Path) -> None:
    # Its output ends when all processes that have it do.
    done = subprocess.run(
        [sys.executable, "-c", EMPLOYER, json.dumps(list(ASKED))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == list(ASKED.values())


def test_how_many_folds_run_at_once_is_asked_for_or_left_to_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(acceleration, "trainings_at_once", lambda *what: asked.append(what) or 3)
    folds: dict[str, list[str]] = {f"fgnet_se.fold_{fold}": [] for fold in range(5)}
    catalog: Any = None  # nothing is loaded
    assert _at_once(Computing(folds_at_once=8), folds, catalog) == 5
    assert _at_once(Computing(device="cpu"), folds, catalog) == 1
    assert asked == []
    for triplets, forwarded in (("explicit", 192), ("shared", 64)):
        recipe = varied(image_size=224, batch_size=64, triplets=triplets)
        assert that_pay(Computing(device="cpu"), recipe, 5, 1002) == 3
        # All faces of the source, at 256/224 of the sides that the network sees.
        faces, pixels = 1002 * 3 * 256**2, forwarded * 224**2
        assert asked.pop() == (torch.device("cpu"), 5, faces, pixels, "float32")
    other = varied(architecture=Architecture("timm/resnet34"))
    assert (that_pay(Computing(device="cpu"), other, 5, 1002), asked) == (1, [])


@pytest.fixture(scope="module")
def one_thread() -> Any:
    """Each fold computes with one thread, at once or not: sums then round alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Project:
    project = make_project(tmp_path_factory.mktemp("one_by_one"))
    done = project.kedro("run", "--pipeline=fgnet_lopo")
    assert "Folds at once" not in done.stderr
    return project


def _with_faces_of(other: Project, root: Path) -> Project:
    project = make_project(root)
    for stage in SHARED_STAGES:
        shutil.copytree(other.root / "data" / stage, root / "data" / stage)
    return project


@pytest.fixture(scope="module")
def at_once(
    tmp_path_factory: pytest.TempPathFactory, one_thread: None, one_by_one: Project
) -> Project:
    project = _with_faces_of(one_by_one, tmp_path_factory.mktemp("at_once"))
    done = project.kedro("run", "--pipeline=fgnet_lopo", "--params=folds_at_once=2")
    assert "Folds at once: 2 of 4" in done.stderr
    for fold in FOLDS:
        said = (
            rf"fgnet_lopo\.{fold} \([1-4] of 4\): 1 epoch, loss [\d.]+, MAE [\d.]+ years, \d+ s\n"
        )
        assert re.search(said, done.stderr)
    return project


def test_the_results_are_the_same_bits(one_by_one: Project, at_once: Project) -> None:
    for fold in FOLDS:
        place = f"fgnet_lopo/*/{fold}"
        models, outputs, histories = (
            [project.one(f"{layer}/{place}/{name}") for project in (one_by_one, at_once)]
            for layer, name in (
                ("06_models", "model.pth"),
                ("07_model_output", "outputs.npz"),
                ("06_models", "history.parquet"),
            )
        )
        expected, found = (torch.load(path, weights_only=True) for path in models)
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        expected, found = (np.load(path) for path in outputs)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        expected, found = (pd.read_parquet(path).drop(columns="seconds") for path in histories)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    expected, found = (
        pd.read_parquet(project.one("07_model_output/fgnet_lopo/*/predictions.parquet"))
        for project in (one_by_one, at_once)
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    first, second = (
        json.loads(
            project.one("08_reporting/fgnet_lopo/*/metrics.json").read_text(encoding="utf-8")
        )
        for project in (one_by_one, at_once)
    )
    # Each project has a run of its own in MLflow.
    assert first.pop("run_id") != second.pop("run_id")
    assert first == second


def test_the_run_tree_is_the_same(one_by_one: Project, at_once: Project) -> None:
    expected, found = run_tree(one_by_one), run_tree(at_once)
    (setting,) = set(expected) - set(FOLDS)
    assert set(found) == {setting, *FOLDS}
    for name, run in expected.items():
        assert found[name]["status"] == run["status"] == "FINISHED"
        assert found[name]["tags"] == run["tags"]
        assert found[name]["params"] == run["params"]
        assert found[name]["metrics"] == run["metrics"]
    for fold in FOLDS:
        tags = found[fold]["tags"]
        assert tags["mlflow.parentRunId"] == setting
        assert (tags["device"], tags["precision"], tags["residence"]) == (
            "cpu",
            "float32",
            "device",
        )


def test_folds_that_are_done_are_kept_and_no_run_is_doubled(
    one_thread: None, at_once: Project
) -> None:
    before = run_tree(at_once)
    done = at_once.kedro(
        "run",
        "--pipeline=fgnet_lopo",
        "--params=folds_at_once=3",
        "--namespaces=fgnet_lopo.fold_1,fgnet_lopo.fold_2",
    )
    assert re.search(r"fgnet_lopo.fold_2 \([12] of 2\): .*, kept from \d", done.stderr)
    after = run_tree(at_once)
    assert set(after) == set(before)
    assert {run["status"] for run in after.values()} == {"FINISHED"}
    for fold in FOLDS:
        losses = [metric for metric in after[fold]["metrics"] if metric[0] != "mae"]
        assert losses == [metric for metric in before[fold]["metrics"] if metric[0] != "mae"]


def test_a_fold_that_fails_is_named_and_marked(
    one_thread: None, one_by_one: Project, tmp_path: Path
) -> None:
    project = _with_faces_of(one_by_one, tmp_path)
    done = project.kedro(
        "run",
        "--pipeline=fgnet_se",
        "--params=folds_at_once=2,training.lr=1e30,training.epochs=3",
        check=False,
    )
    assert done.status != 0
    said = " ".join(done.stderr.partition("Error: ")[2].split())
    assert re.match(r"fgnet_se ternary-\w+, fold [01]: the loss is not finite in epoch", said)
    assert done.stderr.count("the loss is not finite") == 1
    statuses = {name: run["status"] for name, run in run_tree(project).items()}
    assert set(statuses.values()) == {"FAILED"}
    assert {"fold_0", "fold_1"} < set(statuses)


def _statuses(project: Project) -> dict[str, str]:
    return {name: run["status"] for name, run in run_tree(project).items()}


@pytest.mark.endurance
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_a_failure_stops_is_not_finished_until_it_is_run_again(
    one_thread: None, one_by_one: Project, tmp_path: Path, at_once: int
) -> None:
    project = _with_faces_of(one_by_one, tmp_path)
    command = ("run", "--pipeline=fgnet_lopo", f"--params=folds_at_once={at_once}")
    folder = one_by_one.one("06_models/fgnet_lopo/*/fold_1").relative_to(one_by_one.root)
    key, blocked = folder.parent.name, project.root / folder
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    done = project.kedro(*command, check=False)
    assert done.status == 1
    assert "a file lies where a folder is needed: move it away" in " ".join(done.said.split())
    failed = {key: "FAILED", "fold_0": "FINISHED", "fold_1": "FAILED"}
    assert _statuses(project) == failed
    assert "File exists" in run_tree(project)["fold_1"]["tags"]["error"]
    blocked.unlink()
    project.kedro(*command)
    finished = dict.fromkeys([key, *FOLDS], "FINISHED")
    assert _statuses(project) == finished
    assert "error" not in run_tree(project)["fold_1"]["tags"]

    # A command that gets no further than the photos leaves a result that stands alone.
    samples = project.one("02_intermediate/fgnet/samples.parquet")
    samples.rename(samples.with_name("kept"))
    samples.mkdir()
    assert project.kedro(*command, check=False).status == 1
    assert _statuses(project) == finished
    samples.rmdir()
    samples.with_name("kept").rename(samples)

    for layer in ("06_models", "07_model_output"):
        shutil.rmtree(project.root / "data" / layer)
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    assert project.kedro(*command, check=False).status == 1
    left = _statuses(project)
    # Beside a failing fold the next one may have begun, and comes to its end.
    assert left.pop("fold_2") in ["KILLED", "FINISHED"][:at_once]
    assert left == failed | {"fold_3": "KILLED"}


def _stopped(project: Project, *, worker: bool) -> tuple[int, str]:
    """Press Control-C when a fold is trained, or kill its process; gives the end of the command."""
    with subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--pipeline=fgnet_lopo", "--params=folds_at_once=2"],
        cwd=project.root,
        env=os.environ | {"COLUMNS": WIDE, "MLFLOW_TRACKING_URI": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Where tests run in the background, Control-C may be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as command:
        said = ""
        for line in command.stdout or ():
            said += line
            if "Running node: train" in line and said.count("Running node: train") == 1:
                if worker:
                    family = psutil.Process(command.pid).children(recursive=True)
                    max(family, key=lambda each: each.create_time()).kill()
                else:
                    os.killpg(command.pid, signal.SIGINT)
    return command.returncode, said


@pytest.mark.endurance
def test_folds_at_once_that_are_stopped_go_on_and_end_alike(
    one_thread: None, one_by_one: Project, tmp_path: Path
) -> None:
    project = _with_faces_of(one_by_one, tmp_path)
    logging = project.root / "conf" / "logging.yml"
    quiet, told = "kedro.pipeline.node: {level: CRITICAL}", "kedro.pipeline.node: {level: INFO}"
    logging.write_text(logging.read_text(encoding="utf-8").replace(quiet, told), encoding="utf-8")
    status, said = _stopped(project, worker=True)
    assert status == 1
    assert "Error: One of the 2 processes that ran folds died" in said
    status, said = _stopped(project, worker=False)
    assert status == 130
    assert "Interrupted; what is done is kept. Go on with: python -m kedro run --pipeline" in said
    assert "Traceback" not in said
    project.kedro("run", "--pipeline=fgnet_lopo", "--params=folds_at_once=2")
    expected, found = (
        pd.read_parquet(each.one("07_model_output/fgnet_lopo/*/predictions.parquet"))
        for each in (one_by_one, project)
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert {run["status"] for run in run_tree(project).values()} == {"FINISHED"}
