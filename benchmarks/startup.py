"""Start-up: our commands against those of a Kedro project with the same plugins and no pipelines.

The other project has Kedro's default settings, kedro-mlflow with a database, and one node that does
nothing, so that `kedro run` has a first node to reach.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measuring import ROOT, Comparison, Result, environment, in_turn

TARGET = 1.3
FIRST_NODE = "Running node"
"""What Kedro logs when it gets to one."""

_PYPROJECT = """\
[tool.kedro]
package_name = "empty"
project_name = "Empty"
kedro_init_version = "{version}"
source_dir = "src"
"""
_REGISTRY = """\
from kedro.pipeline import Node, Pipeline


def nothing():
    return 0


def register_pipelines():
    return {"__default__": Pipeline([Node(nothing, None, "nothing", name="nothing")])}
"""


def run(rounds: int = 5) -> Result:
    """Time both commands in both projects, after a run of each that makes the database."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _our_project(Path(folder) / "ours")
        empty = _empty_project(Path(folder) / "empty")
        of_ours, of_empty = environment(), environment(empty / "src")
        seconds_to_first_node(ours, of_ours)
        seconds_to_first_node(empty, of_empty)
        listing, empty_listing, node, empty_node = in_turn(
            rounds,
            lambda: seconds_to_list(ours, of_ours),
            lambda: seconds_to_list(empty, of_empty),
            lambda: seconds_to_first_node(ours, of_ours),
            lambda: seconds_to_first_node(empty, of_empty),
        )
    return Result(
        [
            Comparison("`kedro registry list`", listing, empty_listing, "s", TARGET, False),
            Comparison("first node of `kedro run`", node, empty_node, "s", TARGET, False),
        ],
        "Start-up",
        [
            "The reference is a Kedro project with the same plugins, Kedro's default settings and",
            "one pipeline of one node that does nothing; both have an MLflow database already.",
        ],
    )


def seconds_to_list(project: Path, env: Mapping[str, str]) -> float:
    """Time `kedro registry list` from the command to its end."""
    started = time.perf_counter()
    subprocess.run(
        _kedro("registry", "list"), cwd=project, env=env, check=True, capture_output=True
    )
    return time.perf_counter() - started


def seconds_to_first_node(project: Path, env: Mapping[str, str]) -> float:
    """Time `kedro run` from the command until it says that the first node runs; then end it."""
    started = time.perf_counter()
    process = subprocess.Popen(
        _kedro("run"),
        cwd=project,
        env={**env, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line)
            if FIRST_NODE in line:
                return time.perf_counter() - started
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    raise RuntimeError(f"kedro run in {project} came to no node:\n{''.join(said)}")


def _kedro(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kedro", *arguments]


def _our_project(root: Path) -> Path:
    """Our configuration in a folder of its own, over the code where it is."""
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root / name)
    for folder in ("src", "conf/local"):
        (root / folder).mkdir()
    logging = root / "conf" / "logging.yml"
    quiet, told = "kedro.pipeline.node: {level: CRITICAL}", "kedro.pipeline.node: {level: INFO}"
    logging.write_text(logging.read_text(encoding="utf-8").replace(quiet, told), encoding="utf-8")
    return root


def _empty_project(root: Path) -> Path:
    from kedro import __version__ as version

    for folder in ("src/empty", "conf/base", "conf/local"):
        (root / folder).mkdir(parents=True)
    database = f"server:\n  mlflow_tracking_uri: sqlite:///{root}/mlflow.db\n"
    for name, text in {
        "pyproject.toml": _PYPROJECT.format(version=version),
        ".telemetry": "consent: false\n",
        "src/empty/__init__.py": "",
        "src/empty/settings.py": "",
        "src/empty/pipeline_registry.py": _REGISTRY,
        "conf/base/catalog.yml": "{}\n",
        "conf/base/parameters.yml": "{}\n",
        "conf/base/mlflow.yml": database,
    }.items():
        (root / name).write_text(text)
    return root
