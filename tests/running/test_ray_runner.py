"""Folds on a Ray cluster give what they give one by one, also when a machine dies under one."""

import os
import re
import secrets
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from conftest import Project, make_project, run_tree
from contrastive_age.errors import DataError, TrainingError
from contrastive_age.parameters.given import RayShare
from contrastive_age.running import ray_runner
from contrastive_age.running.place import Place
from contrastive_age.running.ray_runner import PassingError, run_tasks
from contrastive_age.running.runners import Job
from servers import system_folder

pytestmark = pytest.mark.endurance

PIPELINE = "synthetic_se"
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    # Keeps Ray to loopback.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A busy machine is not a dead one, and what others use of its memory is not ours to judge.
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
}
MACHINE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines, each a raylet on loopback with one processor."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        # Ray reads them when it is imported.
        pytest.importorskip("ray", reason="ray is not installed; it is the extra `ray`")
        from ray.cluster_utils import Cluster

        with system_folder() as folder:
            # Where it looks for its address, also when it is given another folder.
            patch.setenv("RAY_TMPDIR", str(folder))
            machines = Cluster(initialize_head=True, head_node_args=MACHINE)
            try:
                machines.add_node(**MACHINE)
                yield machines
            finally:
                machines.shutdown()


def _fold_under_way(raylet: int, project: Project) -> str | None:
    """The fold that a machine is training or evaluating just now."""
    for worker in psutil.Process(raylet).children():
        try:
            title = " ".join(worker.cmdline())
        except psutil.Error:  # it has just ended
            continue
        if title.startswith(f"ray::{PIPELINE}."):
            fold = title.split()[0].rpartition(".")[2]
            if list(project.root.glob(f"data/06_models/{PIPELINE}/*/{fold}")):
                return fold
    return None


def _kill_machine_of_a_fold(cluster: Any, project: Project, run: "Future[Any]") -> str:
    (machine,) = cluster.worker_nodes
    raylet = machine.all_processes["raylet"][0].process.pid
    while not wait([run], timeout=0.02).done:
        fold = _fold_under_way(raylet, project)
        if fold is not None:
            workers = psutil.Process(raylet).children(recursive=True)
            cluster.remove_node(machine, allow_graceful=False)
            # They would notice by themselves, but on a machine that died nothing goes on.
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            return fold
    pytest.fail(f"no fold ran on the second machine: {run.result()}")


def test_a_run_survives_the_death_of_a_machine(
    cluster: Any, finished: Project, tmp_path: Path
) -> None:
    project = make_project(tmp_path)
    for stage in ("01_raw", "02_intermediate", "03_primary"):
        shutil.copytree(finished.root / "data" / stage, tmp_path / "data" / stage)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            project.command,
            "run",
            "--runner=contrastive_age.running.ray_runner.RayRunner",
            f"--params=ray.address={cluster.address}",
        )
        killed = _kill_machine_of_a_fold(cluster, project, run)
        said = " ".join(run.result().split())
    assert re.search(rf"{PIPELINE}\.{killed} \(\d of \d\): 1 epoch, .* MAE", said)
    expected, found = (
        pd.read_parquet(own.one(f"07_model_output/{PIPELINE}/*/predictions.parquet"))
        for own in (finished, project)
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    first, second = run_tree(finished), run_tree(project)
    assert set(first) == set(second)
    for name, own in first.items():
        assert second[name]["status"] == own["status"] == "FINISHED"
        assert second[name]["tags"] == own["tags"]
        assert second[name]["params"] == own["params"]
        # An epoch that the killed worker logged and had not kept yet is logged again.
        assert set(second[name]["metrics"]) == set(own["metrics"])


def test_what_may_pass_is_tried_again_and_the_rest_is_reported_while_others_finish(
    cluster: Any, tmp_path: Path
) -> None:
    def work(name: str) -> None:
        with (tmp_path / name).open("a") as attempts:
            attempts.write("x")
        attempt = (tmp_path / name).stat().st_size
        if name == "data":
            raise DataError("folder x is missing")
        if name == "training":
            raise TrainingError("the loss is not finite")
        if name == "server" or (name == "disk" and attempt == 1):
            raise ConnectionError("no answer")
        if name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

    share = RayShare(address=cluster.address, cpus_per_fold=1, gpus_per_fold=0, retries=1)
    names = ["data", "training", "server", "disk", "killed", "good"]
    with ray_runner.cluster(share):
        outcomes = dict(run_tasks(work, names, share))
    attempts = {name: (tmp_path / name).stat().st_size for name in names}
    assert attempts == {
        "data": 1,
        "training": 1,
        "server": 2,
        "disk": 2,
        "killed": 2,
        "good": 1,
    }
    assert (outcomes["disk"], outcomes["good"]) == (None, None)
    assert isinstance(outcomes["data"], DataError)
    assert isinstance(outcomes["training"], TrainingError)
    assert isinstance(outcomes["server"], PassingError)
    assert str(outcomes["server"]) == "ConnectionError: no answer"
    assert "worker died" in str(outcomes["killed"])


@pytest.fixture
def two_gpus(cluster: Any) -> Iterator[None]:
    """A third machine, which claims to have two GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        machine = cluster.add_node(**MACHINE, num_gpus=2)
    yield
    cluster.remove_node(machine)


@pytest.mark.parametrize(("share", "on_each"), [(0.5, 2), (1, 1)])
def test_folds_share_gpus_as_they_are_told_and_wait_for_one(
    cluster: Any, two_gpus: None, tmp_path: Path, share: float, on_each: int
) -> None:
    address, names = str(tmp_path / "socket"), [f"fold_{number}" for number in range(6)]

    def work(name: str) -> None:
        first = not (tmp_path / name).exists()
        (tmp_path / name).touch()
        with Client(address) as told:
            told.send((name, os.environ["CUDA_VISIBLE_DEVICES"], first))
            told.recv()
        if name == "fold_0" and first:
            os.kill(os.getpid(), signal.SIGKILL)

    given = RayShare(address=cluster.address, cpus_per_fold=0.25, gpus_per_fold=share, retries=1)
    with (
        Listener(address) as door,
        ThreadPoolExecutor(1) as pool,
        ray_runner.cluster(given),
    ):
        run = pool.submit(lambda: dict(run_tasks(work, names, given)))
        # Nobody goes on before all places are taken; then one place after the other is left.
        present = [door.accept() for _ in range(2 * on_each)]
        said = [each.recv() for each in present]
        assert Counter(card for _, card, _ in said) == {"0": on_each, "1": on_each}
        for _ in range(len(names) + 1 - len(present)):
            gone = present.pop(0)
            gone.send("go on")
            present.append(door.accept())
            said.append(present[-1].recv())
            # Who comes has the place of who has gone.
            at_once = Counter(card for _, card, _ in said[-len(present) :])
            assert at_once == {"0": on_each, "1": on_each}
        for each in present:
            each.send("go on")
        assert run.result() == dict.fromkeys(names)
    assert Counter(name for name, _, _ in said) == Counter([*names, "fold_0"])
    assert [first for name, _, first in said if name == "fold_0"] == [True, False]


@pytest.mark.parametrize(("share", "at_once"), [(0, 1), (0.25, 4), (0.3, 4), (1, 1), (2, 1)])
def test_folds_count_on_their_part_of_a_gpus_memory(
    monkeypatch: pytest.MonkeyPatch, share: float, at_once: int
) -> None:
    job = Job(Place(Path()), {"seed": 3, "folds_at_once": "auto"}, None, {})
    monkeypatch.setattr(ray_runner, "present_job", lambda: job)
    given = ray_runner._job_of_workers(RayShare(cpus_per_fold=1, gpus_per_fold=share, retries=0))
    assert given.given == {"seed": 3, "folds_at_once": at_once}


def test_failed_folds_are_named_with_the_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["kedro", "run", "--pipeline=morph_se"])
    failed = {"morph_se.fold_3": KeyError("x"), "morph_se.fold_1": DataError("no faces")}
    assert ray_runner._account(failed, 5) == (
        "2 of 5 folds failed, the others are done. morph_se.fold_1: no faces; morph_se.fold_3: "
        "KeyError: 'x'. Mend this, then go on with: kedro run --pipeline=morph_se"
    )


def test_more_than_this_machine_has_is_refused() -> None:
    share = RayShare(cpus_per_fold=1, gpus_per_fold=1, retries=0)
    with pytest.raises(DataError, match=r"ray\.gpus_per_fold=1, but this machine has 0"):
        ray_runner._check_fits({"CPU": 4.0}, share)
    ray_runner._check_fits({"CPU": 4.0, "GPU": 1.0}, share)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match=r"pip install 'contrastive-age\[ray\]'"):
        ray_runner._import_ray()
