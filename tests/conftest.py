"""Fixtures shared by all tests."""

import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from forking import WIDE, Ended, Moment, forks

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]

# Nor are a user's own settings, proxies and GPU any business of the tests, or of what they start.
FOREIGN = re.compile(
    r"(AWS|KEDRO|MLFLOW|RAY)_\w+|\w+_proxy|COLUMNS|LINES|(NO|FORCE)_COLOR|MPLBACKEND", re.IGNORECASE
)


def pytest_configure() -> None:
    """Set the environment once: tests import this module a second time, and Kedro's settings then
    have had their say."""
    for foreign in filter(FOREIGN.fullmatch, list(os.environ)):
        del os.environ[foreign]
    os.environ.update(
        {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "MATPLOTLIBRC": os.devnull,
            # Sums round alike with any number of cores, and no thread spins while it waits.
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            # Another checkout may be the one that is installed.
            "PYTHONPATH": str(ROOT / "src"),
        }
    )
    # `CONTRASTIVE_AGE_GPU=1 make test` is for tests of the GPU.
    if "CONTRASTIVE_AGE_GPU" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


# Every protocol on a handful of drawn faces, one epoch at the smallest size.
SMALL = {"training": {"epochs": 1, "batch_size": 8, "image_size": 32}, "model": {"weights": "none"}}
TINY = {
    "sources": {
        "synthetic": {"synthetic": {"identities": 6, "images": 24, "seed": 0}},
        "fgnet": {"synthetic": {"identities": 4, "images": 16, "seed": 1}},
        "morph2": {"synthetic": {"identities": 8, "images": 24, "seed": 2}},
    },
    "protocols": {
        "synthetic_se": {"folds": 2} | SMALL,
        "fgnet_se": {"folds": 2} | SMALL,
        "fgnet_lopo": {"folds": 4} | SMALL,
        "morph_rs": {"folds": 2} | SMALL,
        "morph_se": {"folds": 2} | SMALL,
        "custom_se": {"folds": 2} | SMALL,
        "custom_rs": {"folds": 2} | SMALL,
        "utkface_rs": {"folds": 2} | SMALL,
        "utkface_to_fgnet": SMALL,
    },
    "pretrain": {"sources": "morph2"} | SMALL,
    "final_model": {"protocol": "synthetic_se"},
    "detection": {"workers": 1},
}


# Those that take longest come first, so that none is left for one processor at the end.
LONGEST = (
    *("test_processes", "test_ray_runner", "test_unique_runs", "test_sweep", "test_upload"),
    *("test_runners", "test_final_model", "test_protocols", "test_settings", "test_detection"),
    *("test_page", "test_serving", "test_store", "test_faults", "test_acceleration"),
    "test_extend",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(autouse=True)
def _nothing_is_tracked_from_test_to_test() -> Iterator[None]:
    yield
    module = sys.modules.get("contrastive_age.tracking.tracker")
    if module is not None:
        vars(module.tracker).update(vars(type(module.tracker)()))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real FG-NET and UTKFace images; elsewhere, tests of them are skipped."""
    folder = Path(os.environ.get("CONTRASTIVE_AGE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "fgnet" / "images").is_dir():
        pytest.skip(f"real data not found at {folder}; set CONTRASTIVE_AGE_DATA to its folder")
    return folder


def _outside_mlflow() -> dict[str, str]:
    """The environment without what MLflow puts there for processes that this one starts."""
    places = {"MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"}
    return {name: value for name, value in os.environ.items() if name not in places}


@dataclass(frozen=True)
class Project:
    """A copy of this project's configuration in a folder of its own, over the same code."""

    root: Path
    code: Path = ROOT / "src"

    def kedro(
        self,
        *arguments: str,
        check: bool = True,
        tracking_uri: str = "",
        stop: Moment | None = None,
    ) -> Ended:
        """Run a kedro command in the project, in a process that need not import anything."""
        environment = _outside_mlflow() | {"COLUMNS": WIDE, "MLFLOW_TRACKING_URI": tracking_uri}
        done = forks().kedro(self.root, arguments, environment, stop)
        if check and done.status:
            pytest.fail(f"kedro {' '.join(arguments)} failed:\n{done.said}")
        return done

    def command(self, *arguments: str, packages: Path | None = None) -> str:
        """Run a kedro command in the project, as a user would; gives what it said.

        Args:
            arguments: Of the command.
            packages: A folder that takes the place of the environment's own packages.
        """
        path = os.pathsep.join(str(own) for own in (self.code, packages) if own)
        done = subprocess.run(
            [sys.executable, *(["-S"] if packages else []), "-m", "kedro", *arguments],
            cwd=self.root,
            env=_outside_mlflow() | {"COLUMNS": WIDE, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"kedro {' '.join(arguments)} failed:\n{done.stdout}")
        return done.stdout

    def one(self, pattern: str) -> Path:
        """The one file below data/ that a pattern names."""
        (found,) = (self.root / "data").glob(pattern)
        return found


class Terminal(io.StringIO):
    """Where progress bars are shown."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def make_project(root: Path) -> Project:
    """Lay a project out in `root`, with the tiny budget as its local configuration."""
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root / name)
    (root / "src").mkdir()  # Kedro asks for it; the code is imported from where it is
    (root / "conf" / "local").mkdir()
    (root / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(TINY))
    return Project(root)


# What says when, where and by which command, and nothing of the result.
COMMAND_TAGS = {"kedro_command", "process", "project_path", "run_id", "runtime_params"}


def run_tree(project: Project) -> dict[str, dict[str, Any]]:
    """Each run of a project's database by its key or name; two of one name are an error."""
    with sqlite3.connect(project.root / "mlflow.db") as database:
        runs = list(database.execute("select run_uuid, name, status from runs"))
        names = {run: name for run, name, _ in runs}
        keys = "select run_uuid, value from tags where key in ('setting_key', 'key')"
        names |= dict(database.execute(keys))
        assert len(set(names.values())) == len(runs)
        tree: dict[str, dict[str, Any]] = {
            names[run]: {"status": status, "tags": {}, "params": {}, "metrics": []}
            for run, _, status in runs
        }
        for run, key, value in database.execute("select run_uuid, key, value from tags"):
            if key not in COMMAND_TAGS:
                tree[names[run]]["tags"][key] = names.get(value, value)
        for run, key, value in database.execute("select run_uuid, key, value from params"):
            tree[names[run]]["params"][key] = value
        values = "select run_uuid, key, step, value from metrics order by key, step"
        for run, key, step, value in database.execute(values):
            if key != "seconds":
                tree[names[run]]["metrics"].append((key, step, value))
    return tree


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project."""
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which `kedro run` has run once; tests read it and leave it as it is."""
    project = make_project(tmp_path_factory.mktemp("finished"))
    project.command("run")
    return project
