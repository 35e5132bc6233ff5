"""Killed at any moment, or let down by its disk, a run goes on and ends like an undisturbed one."""

import json
import os
import random
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import Project, make_project
from contrastive_age.running.locks import Lock
from forking import Ended, Moment

pytestmark = pytest.mark.endurance

RUN = ("run", "--params=training.epochs=3")
KEPT = ("run", "--params=training.epochs=3,checkpoint_every=0")
EXTRA = ("run", "--params=training.epochs=3,seed=1")

# Of which step the beginning starts the clock of a kill, and how often; in their order.
STEPS = {
    "": 3,
    "synthetic.ingest": 3,
    "synthetic.detect": 2,
    "synthetic.align": 2,
    "synthetic_se.fold_0.index": 1,
    "synthetic_se.fold_0.train": 7,
    "synthetic_se.fold_1.train": 4,
    "synthetic_se.fold_0.evaluate": 2,
    "synthetic_se.draw": 1,
}


# While the first checkpoint and while the second is written, of which content and name are synced.
WRITING = [Moment("synthetic_se.fold_0.train", 0, sync=each) for each in (1, 3)]


def moments(measured: Ended, seed: int) -> list[Moment]:
    """`WRITING`, and 25 moments within what each step took where nothing stopped it."""
    draw = random.Random(seed)
    within = [
        Moment(node, draw.random() * measured.seconds(node))
        for node, times in STEPS.items()
        for _ in range(times)
    ]
    return sorted(WRITING + within, key=lambda moment: [*STEPS].index(moment.node))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Ended]:
    """A project in which one run went through, and that run."""
    project = make_project(tmp_path_factory.mktemp("uninterrupted"))
    return project, project.kedro(*RUN)


@pytest.fixture(scope="module")
def uninterrupted(measured: tuple[Project, Ended]) -> Project:
    return measured[0]


@pytest.fixture(scope="module")
def in_training(measured: tuple[Project, Ended]) -> Moment:
    """When a fold has begun to be trained."""
    node = "synthetic_se.fold_0.train"
    return Moment(node, measured[1].seconds(node) / 4)


@pytest.fixture(scope="module")
def killed(
    measured: tuple[Project, Ended], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, list[Ended], Ended]:
    """A project, how each of its runs was killed, and the run that was not."""
    project = make_project(tmp_path_factory.mktemp("killed"))
    ends = [
        _killed(project, moment, KEPT if moment.sync or number % 2 else RUN)
        for number, moment in enumerate(moments(measured[1], seed=5))
    ]
    return project, ends, project.kedro(*RUN, check=False)


def _killed(project: Project, moment: Moment, command: tuple[str, ...]) -> Ended:
    """Kill a run at a moment, or earlier where it has ended by then."""
    done = project.kedro(*command, check=False, stop=moment)
    if done.status != 0 or moment.sync:
        return done
    return _killed(project, replace(moment, delay=moment.delay / 2), command)


def _runs(project: Project) -> pd.DataFrame:
    with sqlite3.connect(project.root / "mlflow.db") as database:
        runs = pd.read_sql("select run_uuid, name, status from runs", database)
        tags = pd.read_sql("select run_uuid, key, value from tags", database)
    wide = tags.pivot(index="run_uuid", columns="key", values="value")  # noqa: PD010
    return runs.join(wide, on="run_uuid").set_index("run_uuid")


def _files(project: Project) -> set[str]:
    """Everything below data/ but the raw photos, and what there is of settings not finished."""
    data = project.root / "data"
    (reported,) = data.glob("08_reporting/synthetic_se/*/metrics.json")
    names = {
        path.relative_to(data).as_posix() for path in data.glob("0[2-8]_*/**/*") if path.is_file()
    }
    extra = {name for name in names if "/ternary-" in name and reported.parent.name not in name}
    return names - extra


def _content(path: Path) -> Any:
    """What a file says, without what depends on when and where it was made."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        elsewhere = ["seconds", "mtime_ns", "ctime_ns", "inode"]
        attrs = {name: own for name, own in table.attrs.items() if name != "ended"}
        return table.drop(columns=elsewhere, errors="ignore"), attrs
    if path.suffix == ".json":
        document = json.loads(path.read_text(encoding="utf-8"))
        return {key: own for key, own in document.items() if key != "run_id"}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    if path.suffix == ".pth":
        return {name: own.numpy() for name, own in torch.load(path, weights_only=True).items()}
    return path.read_bytes()


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        pd.testing.assert_frame_equal(found[0], expected[0], check_exact=True)
        assert found[1] == expected[1]
    elif isinstance(expected, dict) and any(
        isinstance(own, np.ndarray) for own in expected.values()
    ):
        assert found.keys() == expected.keys()
        for name, own in expected.items():
            np.testing.assert_array_equal(found[name], own, err_msg=name)
    else:
        assert found == expected


def _assert_like(project: Project, other: Project) -> None:
    """Every file of one project is there in the other, and says the same to the last bit."""
    assert _files(project) == _files(other)
    for name in sorted(_files(other)):
        # Quantities of all kinds as text, which hold the id of the MLflow run.
        if not name.endswith("summary.parquet"):
            _assert_same(
                _content(project.root / "data" / name), _content(other.root / "data" / name)
            )


def test_moments_are_many_and_each_kills(killed: tuple[Project, list[Ended], Ended]) -> None:
    _, ends, last = killed
    assert len(ends) == 27
    assert [end.said for end in ends if not end.killed] == []
    assert last.status == 0, last.said


def test_workers_end_with_the_process_that_was_killed(
    killed: tuple[Project, list[Ended], Ended],
) -> None:
    assert not any(end.left_behind for end in killed[1])


def test_all_that_is_left_is_what_an_uninterrupted_run_leaves(
    uninterrupted: Project, killed: tuple[Project, list[Ended], Ended]
) -> None:
    _assert_like(killed[0], uninterrupted)


def test_runs_in_mlflow_are_continued_and_not_doubled(
    killed: tuple[Project, list[Ended], Ended],
) -> None:
    runs = _runs(killed[0])
    assert sorted(runs["level"]) == ["fold", "fold", "setting"]
    assert set(runs["status"]) == {"FINISHED"}
    (setting,) = runs.index[runs["level"] == "setting"]
    assert set(runs.loc[runs["level"] == "fold", "mlflow.parentRunId"]) == {setting}


def test_a_setting_that_another_process_runs_is_refused(uninterrupted: Project) -> None:
    model = uninterrupted.one("06_models/synthetic_se/*/fold_1/model.pth")
    lock = Lock("it", model.parent)
    lock.take()
    done = uninterrupted.kedro(*RUN, check=False)
    lock.release()
    assert done.status == 1
    words = " ".join(done.said.partition("Error: ")[2].split())
    assert words.startswith(f"fold_1 of synthetic_se, {model.parent.parent.name}, is being run by")
    assert f"process {os.getpid()} on " in words
    assert "Traceback" not in done.said


def test_control_c_ends_with_the_command_that_goes_on(
    uninterrupted: Project, in_training: Moment
) -> None:
    done = uninterrupted.kedro(*EXTRA, check=False, stop=replace(in_training, signal="INT"))
    assert done.status == 130
    assert "Traceback" not in done.said
    last = done.said.strip().splitlines()[-1]
    assert last == f"Interrupted; what is done is kept. Go on with: kedro {' '.join(EXTRA)}"
    runs = _runs(uninterrupted)
    own = runs[runs["status"] == "KILLED"]
    assert sorted(own["level"]) == ["fold", "setting"]
    assert set(runs["status"]) == {"KILLED", "FINISHED"}
    assert not list(uninterrupted.root.glob("data/**/.*.lock"))


def _damage(path: Path, *, cut: bool) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if cut else b"something else " * 99)


def test_damaged_files_are_made_again_and_abandoned_runs_closed(
    uninterrupted: Project,
    killed: tuple[Project, list[Ended], Ended],
    in_training: Moment,
) -> None:
    project = killed[0]
    one_fold = (*EXTRA, "--namespaces=synthetic_se.fold_0")
    abandoned = project.kedro(*one_fold, check=False, stop=in_training)
    assert abandoned.killed
    assert list(_runs(project)["status"]).count("RUNNING") == 2
    names = sorted(_files(project))
    kinds = {Path(name).name for name in names}
    assert {"samples.parquet", "faces.npy", "triplets.npz", "model.pth", "metrics.json"} <= kinds
    models = (project.root / "data/06_models/synthetic_se").glob("*/fold_*")
    for folder in models:
        (folder / "checkpoint.pt").write_bytes(b"no checkpoint")
        (folder / ".history.1-00000000.parquet").touch()
    for number, name in enumerate(own for own in names if "/detections/" not in own):
        _damage(project.root / "data" / name, cut=number % 2 == 0)
    project.kedro(*RUN)
    _assert_like(project, uninterrupted)
    runs = _runs(project)
    assert set(runs.loc[runs["status"] == "KILLED", "level"]) == {"setting", "fold"}
    assert "RUNNING" not in set(runs["status"])


# What each run in turn meets: which file the disk does not take, and what the system says.
LETDOWNS = {
    "02_intermediate/**/.samples.*.parquet": "ENOSPC",
    "03_primary/**/detections/*/.*.parquet": "EIO",
    "03_primary/**/.landmarks.*.parquet": "ESTALE",
    "03_primary/**/faces.partial.npy": "ENOSPC",
    "05_model_input/**/.folds.*.parquet": "EROFS",
    "05_model_input/**/.triplets.*.npz": "EDQUOT",
    "06_models/**/fold_0/.checkpoint.*.pt": "ENOSPC",
    "06_models/**/fold_1/.model.*.pth": "EIO",
    "06_models/**/.history.*.parquet": "ENOENT",
    "07_model_output/**/fold_0/.predictions.*.parquet": "ENOSPC",
    "07_model_output/**/.outputs.*.npz": "EROFS",
    "08_reporting/**/.metrics.*.json": "ENOSPC",
    "08_reporting/**/.*.png": "ENODEV",
}
LOST = {"mlflow.db": "SQLITE_FULL"}
LET_DOWN = """
import errno, json, os, sqlite3, sys
from pathlib import Path

from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from sqlalchemy import event, exc
from sqlalchemy.engine import Engine

bootstrap_project(Path.cwd())
from contrastive_age.cli import cli

fsync, met, letdown = os.fsync, [], ("", "")


def refused(path):
    met.append(str(path))
    number = getattr(errno, letdown[1])
    raise OSError(number, os.strerror(number), str(path))


def lose(opened):
    state = os.fstat(opened)
    for path in Path("data").glob(letdown[0]) if letdown[0] else ():
        if path.stat().st_ino == state.st_ino:
            refused(path)
    fsync(opened)


@event.listens_for(Engine, "before_cursor_execute")
def full(connection, cursor, statement, *_):
    if letdown[0] == "mlflow.db" and "INSERT INTO metrics" in statement:
        met.append(letdown[0])
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise exc.OperationalError(statement, None, error)


os.fsync = lose
outcomes = {}
for letdown in json.loads(sys.argv[1]).items():
    met.clear()
    done = CliRunner().invoke(cli, ["run", *sys.argv[2:]], prog_name="kedro")
    unforeseen = repr(done.exception) if not isinstance(done.exception, SystemExit) else ""
    outcomes[letdown[0]] = [done.exit_code, done.output, list(met), unforeseen]
Path("outcomes.json").write_text(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def let_down(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A project whose runs met every letdown, one after the other, and how each of them ended."""
    project = make_project(tmp_path_factory.mktemp("let_down"))
    outcomes: dict[str, Any] = {}
    # What could not be tracked is given up for the rest of a process.
    for letdowns in (LETDOWNS, LOST, {"": ""}):
        done = subprocess.run(
            [sys.executable, "-c", LET_DOWN, json.dumps(letdowns), *KEPT[1:]],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        outcomes |= json.loads((project.root / "outcomes.json").read_text(encoding="utf-8"))
        if letdowns is LOST:  # what is logged goes to where the process's errors go
            (place,) = LOST
            outcomes[place][1] += done.stderr
    return project, outcomes


@pytest.mark.parametrize("place", LETDOWNS)
def test_a_disk_that_lets_a_run_down_is_said_in_one_line(
    let_down: tuple[Project, dict[str, Any]], place: str
) -> None:
    status, said, met, unforeseen = let_down[1][place]
    assert met
    assert unforeseen == ""
    assert status == 1, said
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert said.splitlines()[-1] == line
    assert "; " in line


def test_a_full_database_of_runs_costs_no_result(
    let_down: tuple[Project, dict[str, Any]],
) -> None:
    (place,) = LOST
    status, said, met, unforeseen = let_down[1][place]
    assert met
    assert status == 0, unforeseen
    words = " ".join(said.split())
    assert "Tracking stops here, and nothing else" in words
    assert f"{place}: disk is full; make room, or set MLFLOW_TRACKING_URI" in words
    assert "Traceback" not in said


def test_the_next_run_on_a_sound_disk_ends_like_an_undisturbed_one(
    let_down: tuple[Project, dict[str, Any]], uninterrupted: Project
) -> None:
    status, said, _, _ = let_down[1][""]
    assert status == 0, said
    _assert_like(let_down[0], uninterrupted)
    runs = _runs(let_down[0])
    assert sorted(runs["level"]) == ["fold", "fold", "setting"]
    assert set(runs["status"]) == {"FINISHED"}
