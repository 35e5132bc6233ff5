"""One run for one thing, in any order in which processes come to it and with any clocks."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE

import fold_logger
from conftest import TINY, make_project
from contrastive_age.tracking.unique_runs import DOUBLE, KEY, find, find_or_make
from servers import PATIENCE, mlflow_server, postgresql

IDENTITY = {"level": "fold", "fold": "fold_3"}
FOLDS = 82


class Server:
    """Runs in memory; processes' calls are let through one after the other, in any order."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.runs: list[Any] = []
        self.counted: list[str] = []

    def add(self, key: str | None = None) -> str:
        info = SimpleNamespace(
            run_id=f"{self.chance.getrandbits(32):08x}",
            # Clocks of several machines: what is made later may seem the older one.
            start_time=self.chance.randrange(3),
            lifecycle_stage="active",
        )
        data = SimpleNamespace(params={} if key is None else {KEY: key})
        self.runs.append(SimpleNamespace(info=info, data=data))
        return info.run_id

    def search(self) -> list[Any]:
        return [
            SimpleNamespace(
                info=SimpleNamespace(**vars(run.info)),
                data=SimpleNamespace(params=dict(run.data.params)),
            )
            for run in self.runs
        ]

    @property
    def active(self) -> list[str]:
        return [run.info.run_id for run in self.runs if run.info.lifecycle_stage == "active"]

    def set_param(self, run_id: str, value: str) -> None:
        (run,) = (run for run in self.runs if run.info.run_id == run_id)
        if run.info.lifecycle_stage == "deleted" or run.data.params.setdefault(KEY, value) != value:
            raise MlflowException("refused", INVALID_PARAMETER_VALUE)
        if value != DOUBLE:
            self.counted.append(run_id)

    def delete(self, run_id: str) -> None:
        (run,) = (run for run in self.runs if run.info.run_id == run_id)
        if run.info.lifecycle_stage == "deleted":
            raise MlflowException("deleted already", INVALID_PARAMETER_VALUE)
        run.info.lifecycle_stage = "deleted"

    def restore(self, run_id: str) -> None:
        (run,) = (run for run in self.runs if run.info.run_id == run_id)
        run.info.lifecycle_stage = "active"


class Process:
    """A process that asks for the run, and waits for its turn before each call."""

    def __init__(self, server: Server, calls: int | None = None) -> None:
        self.server = server
        self.calls = calls
        self.turn, self.waits = threading.Semaphore(0), threading.Semaphore(0)
        self.found: str | None = None
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.waits.acquire()

    def _run(self) -> None:
        with suppress(InterruptedError):
            self.found = find_or_make(self, "1", IDENTITY, "fold_3")  # type: ignore[arg-type]
        self.ended = True
        self.waits.release()

    def step(self) -> None:
        self.turn.release()
        self.waits.acquire()

    def _wait(self) -> None:
        self.waits.release()
        self.turn.acquire()
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                raise InterruptedError

    def search_runs(self, experiments: list[str], condition: str, view: str) -> list[Any]:
        self._wait()
        return self.server.search()

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> None:
        self._wait()
        self.server.add()

    def log_param(self, run_id: str, key: str, value: str) -> None:
        self._wait()
        self.server.set_param(run_id, value)

    def delete_run(self, run_id: str) -> None:
        self._wait()
        self.server.delete(run_id)

    def restore_run(self, run_id: str) -> None:
        self._wait()
        self.server.restore(run_id)


def _run(processes: list[Process], server: Server) -> None:
    while alive := [process for process in processes if not process.ended]:
        server.chance.choice(alive).step()


@pytest.mark.parametrize("killed", [0, 2])
@pytest.mark.parametrize("left", [0, 2])
def test_in_any_order_and_with_any_clocks_one_run_counts(killed: int, left: int) -> None:
    doubles = 0
    for seed in range(150):
        server = Server(seed)
        for _ in range(left):
            server.add()
        processes = [Process(server) for _ in range(3)]
        processes += [Process(server, calls=server.chance.randrange(6)) for _ in range(killed)]
        _run(processes, server)
        late = Process(server)
        while not late.ended:
            late.step()
        found = {process.found for process in [*processes[:3], late]}
        assert len(found) == 1, seed
        assert set(server.counted) == found, seed
        assert server.active == list(found), seed
        doubles += len(server.runs) > max(1, left)
    # The orders that matter were among them.
    assert left or doubles > 20


def test_in_any_order_all_take_back_the_same_run_that_was_deleted() -> None:
    for seed in range(50):
        server = Server(seed)
        known = [server.add(key) for key in ("fold_3", "fold_3", DOUBLE, None)]
        for run_id in known:
            server.delete(run_id)
        processes = [Process(server) for _ in range(3)]
        _run(processes, server)
        assert server.active == [processes[0].found], seed
        assert processes[0].found in known[:2], seed
        assert len(server.runs) == len(known), seed


def test_of_two_that_count_since_a_user_took_one_back_one_stays() -> None:
    for seed in range(50):
        server = Server(seed)
        known = [server.add("fold_3") for _ in range(2)]
        processes = [Process(server) for _ in range(3)]
        _run(processes, server)
        assert server.active == [processes[0].found], seed
        assert {process.found for process in processes} <= set(known), seed


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('runs')}/mlflow.db"


def test_a_run_without_a_key_is_the_one_that_counts_from_now_on(database: str) -> None:
    client = mlflow.MlflowClient(database)
    assert find(client, "0", IDENTITY) is None
    old = client.create_run("0", tags=IDENTITY).info.run_id
    other = client.create_run("0", tags=IDENTITY | {"fold": "fold_4"}).info.run_id
    assert find(client, "0", IDENTITY) == old
    assert find_or_make(client, "0", IDENTITY, "fold_3") == old
    assert client.get_run(old).data.params == {KEY: "fold_3"}
    made = find_or_make(client, "0", IDENTITY | {"fold": "fold_5"}, "fold_5", tags={"more": "yes"})
    assert made not in {old, other}
    assert client.get_run(made).data.tags.items() >= {"fold": "fold_5", "more": "yes"}.items()
    assert client.get_run(made).info.run_name == "fold_5"


def test_rows_written_at_the_same_time_are_tried_again(database: str) -> None:
    class Busy(mlflow.MlflowClient):
        refusals = 2

        def log_param(self, run_id: str, key: str, value: Any) -> Any:
            if self.refusals:
                self.refusals -= 1
                raise MlflowException("duplicate key value", BAD_REQUEST)
            return super().log_param(run_id, key, value)

    client = Busy(database)
    run_id = find_or_make(client, "0", IDENTITY | {"fold": "fold_6"}, "fold_6")
    assert client.get_run(run_id).data.params == {KEY: "fold_6"}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Addresses of PostgreSQL's server and of a file, after six processes have logged folds."""
    folder = tmp_path_factory.mktemp("team")
    project = make_project(folder / "project")
    protocols = TINY["protocols"] | {"fgnet_lopo": {"folds": FOLDS}}
    parameters = yaml.safe_dump(TINY | {"protocols": protocols})
    (project.root / "conf/local/parameters.yml").write_text(parameters)
    with postgresql() as database, mlflow_server(database, folder / "server") as server:
        numbers = {server: FOLDS, f"sqlite:///{folder}/mlflow.db": 12}
        arguments = [str(word) for place in numbers.items() for word in place]
        done = subprocess.run(
            [sys.executable, fold_logger.__file__, str(project.root), *arguments],
            cwd=project.root,
            # A machine that is busy with other tests may answer late.
            env=os.environ | {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE)},
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "Tracking stops" not in " ".join(said.split()), said
        yield list(numbers)


@pytest.mark.endurance
@pytest.mark.parametrize(("place", "folds"), [(0, FOLDS), (1, 12)], ids=["postgresql", "sqlite"])
def test_six_processes_at_once_lose_and_double_nothing(
    logged: list[str], place: int, folds: int
) -> None:
    client = mlflow.MlflowClient(logged[place])
    experiment = client.get_experiment_by_name("fgnet_lopo")
    runs = client.search_runs([experiment.experiment_id])
    (setting,) = (run for run in runs if run.data.tags["level"] == "setting")
    children = {run.data.tags["fold"]: run for run in runs if run is not setting}
    assert len(runs) == 1 + folds
    assert set(children) == {f"fold_{fold}" for fold in range(folds)}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert setting.data.params.items() >= {"lambda_c": "1.0", "folds": str(FOLDS)}.items()
    for fold in range(folds):
        run = children[f"fold_{fold}"]
        assert run.data.tags["mlflow.parentRunId"] == setting.info.run_id
        assert run.data.tags["device"] == "cpu"
        assert run.data.metrics["mae"] == fold_logger.error(fold)
        history = client.get_metric_history(run.info.run_id, "total")
        assert {(own.step, own.value) for own in history} == {
            (epoch, fold_logger.loss(fold, epoch)) for epoch in range(1, fold_logger.EPOCHS + 1)
        }
        assert fold == 0 or len(history) == fold_logger.EPOCHS
