"""Two runs of the same setting refuse each other, and wait for what they share."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from contrastive_age.errors import DataError
from contrastive_age.files import unfinished
from contrastive_age.io.atomic import Table
from contrastive_age.io.folders import WorkFolder
from contrastive_age.running.locks import Lock, Locks, logger
from contrastive_age.tracking.tracker import tracker


class Other:
    """Another process, that holds the lock of a folder until it is told to end."""

    def __init__(self, folder: Path) -> None:
        taken, said = os.pipe()
        told, self._word = os.pipe()
        # A fork, since a new process would import everything again.
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._word)
            lock = Lock("it", folder)
            lock.take()
            os.write(said, b"taken")
            os.read(told, 1)
            lock.release()
            os._exit(0)
        os.close(said)
        os.close(told)
        assert os.read(taken, 5) == b"taken"
        os.close(taken)

    def end(self) -> None:
        os.close(self._word)
        os.waitpid(self.pid, 0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.end()


def _step(*_: Any) -> None: ...


def _fold(number: int) -> list[Any]:
    name = f"p.fold_{number}"
    return [
        node(_step, "p.folds", f"{name}.triplets", name="index", namespace=name, tags="triplets"),
        node(
            _step,
            [f"{name}.triplets", "s.faces"],
            [f"{name}.predictions", f"{name}.photos"],
            name="train",
            namespace=name,
            tags="training",
        ),
    ]


ALIGNMENT = [
    node(_step, None, "s.samples", name="s.ingest", tags="ingestion"),
    node(_step, "s.samples", "s.faces", name="s.align", tags="alignment"),
]
SPLITTING = [node(_step, "s.samples", "p.folds", name="p.split", tags="splitting")]
COLLECTION = [
    node(
        _step,
        ["p.fold_0.predictions", "p.fold_1.predictions"],
        "p.predictions",
        name="p.collect",
        tags="evaluation",
    )
]
WHOLE = Pipeline([*ALIGNMENT, *SPLITTING, *_fold(0), *_fold(1), *COLLECTION])


class Place:
    """A project's folders, and the catalog of one of its settings."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def catalog(self, setting: str = "ce-1") -> DataCatalog:
        places = {
            "s.samples": "02_intermediate/s/samples.parquet",
            "s.faces": "03_primary/s/faces.npy",
            "p.folds": "05_model_input/p/folds.parquet",
            "p.predictions": f"07_model_output/p/{setting}/predictions.parquet",
        }
        for fold in ("fold_0", "fold_1"):
            places[f"p.{fold}.photos"] = f"06_models/p/{setting}/photos.npz"
            places[f"p.{fold}.triplets"] = f"05_model_input/p/{fold}/triplets.npz"
            places[f"p.{fold}.predictions"] = (
                f"07_model_output/p/{setting}/{fold}/predictions.parquet"
            )
        entries: dict[str, Any] = {
            name: Table(str(self.root / place)) for name, place in places.items()
        }
        entries["s.alignment_folder"] = WorkFolder(str(self.root / "03_primary/s"))
        entries["p.training_folder"] = WorkFolder(str(self.root / "06_models/p" / setting))
        return DataCatalog(entries)

    def files(self) -> set[str]:
        return {
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


LOCKS = {
    "03_primary/.s.lock",
    "06_models/.p.lock",
    "06_models/p/.ce-1.lock",
    "06_models/p/ce-1/.fold_0.lock",
    "06_models/p/ce-1/.fold_1.lock",
}


def test_a_whole_run_holds_all_its_folds_and_gives_shared_stages_free_when_written(
    place: Place,
) -> None:
    locks, catalog = Locks(), place.catalog()
    locks.before_pipeline_run(pipeline=WHOLE, catalog=catalog)
    assert place.files() == LOCKS
    for name in ("s.samples", "s.faces"):
        assert "03_primary/.s.lock" in place.files()
        locks.after_dataset_saved(dataset_name=name)
    assert place.files() == LOCKS - {"03_primary/.s.lock"}
    locks.after_dataset_saved(dataset_name="p.folds")
    assert {path for path in place.files() if "06_models/p/" in path} == place.files()
    locks.after_pipeline_run()
    assert place.files() == set()


def test_folds_can_be_run_side_by_side_but_not_beside_the_whole_setting(place: Place) -> None:
    first, second, whole = Locks(), Locks(), Locks()
    first.before_pipeline_run(pipeline=Pipeline(_fold(0)), catalog=place.catalog())
    second.before_pipeline_run(pipeline=Pipeline(_fold(1)), catalog=place.catalog())
    assert place.files() == {f"06_models/p/ce-1/.fold_{fold}.lock" for fold in (0, 1)}
    with pytest.raises(DataError, match=rf"fold_0 of p, ce-1.* process {os.getpid()} on ") as told:
        whole.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    assert "\n" not in str(told.value)
    other = Locks()
    other.before_pipeline_run(pipeline=Pipeline(_fold(0)), catalog=place.catalog("mv-2"))
    other.on_pipeline_error()
    first.after_pipeline_run()
    second.after_pipeline_run()
    whole.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    whole.after_pipeline_run()


def test_nothing_is_kept_by_a_run_that_was_refused(place: Place) -> None:
    fold, whole = Locks(), Locks()
    fold.before_pipeline_run(pipeline=Pipeline(_fold(1)), catalog=place.catalog())
    with pytest.raises(DataError):
        whole.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    assert place.files() == {"06_models/p/ce-1/.fold_1.lock"}
    fold.after_pipeline_run()


def test_another_process_is_named_and_its_death_gives_the_lock_free(
    place: Place,
) -> None:
    folder = place.root / "06_models/p/ce-1/fold_0"
    other = Other(folder)
    assert (
        json.loads(folder.with_name(".fold_0.lock").read_text(encoding="utf-8"))["pid"] == other.pid
    )
    locks = Locks()
    with pytest.raises(DataError, match=f"process {other.pid} on .*wait until"):
        locks.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    other.kill()
    locks.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    locks.after_pipeline_run()


@pytest.mark.parametrize("pipeline", [WHOLE, Pipeline(_fold(0))], ids=["written", "read"])
def test_shared_stages_are_waited_for_and_it_is_said_for_whom(
    place: Place, monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline
) -> None:
    other = Other(place.root / "03_primary/s")
    locks = Locks()
    told = []

    def say(message: str, *values: Any) -> None:
        told.append(message % values)
        other.end()

    monkeypatch.setattr(logger, "info", say)
    locks.before_pipeline_run(pipeline=pipeline, catalog=place.catalog())
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for the photos of s, process {other.pid} on ")
    locks.after_pipeline_run()


def test_workers_run_under_the_locks_of_their_employer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    employer, worker = Locks(), Locks()
    employer.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    monkeypatch.setattr(tracker, "is_worker", True)
    worker.before_pipeline_run(pipeline=Pipeline(_fold(0)), catalog=place.catalog())
    worker.after_pipeline_run()
    assert place.files() == LOCKS
    employer.after_pipeline_run()


def test_what_an_interrupted_run_of_this_process_held_is_given_free_by_the_next(
    place: Place,
) -> None:
    locks = Locks()
    locks.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    locks.before_pipeline_run(pipeline=Pipeline(_fold(0)), catalog=place.catalog())
    assert place.files() == {"06_models/p/ce-1/.fold_0.lock"}
    locks.after_pipeline_run()


def test_who_takes_a_lock_clears_away_what_killed_writers_left(place: Place) -> None:
    left = [
        "02_intermediate/s/.samples.12-0123abcd.parquet",
        "03_primary/s/detections/0f/.a.12-0123abcd.parquet",
        "06_models/p/ce-1/fold_0/.checkpoint.12-0123abcd.pt",
        "07_model_output/p/ce-1/.predictions.12-0123abcd.parquet",
        "07_model_output/p/ce-1/fold_1/.predictions.12-0123abcd.parquet",
    ]
    shared = "05_model_input/p/fold_0/.triplets.12-0123abcd.npz"
    old = "05_model_input/p/fold_1/.triplets.12-0123abcd.npz"
    kept = ["06_models/p/ce-1/fold_0/checkpoint.pt", "07_model_output/p/mv-2/.gitkeep"]
    for name in [*left, shared, old, *kept]:
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.utime(place.root / old, (0, 0))
    locks = Locks()
    locks.before_pipeline_run(pipeline=WHOLE, catalog=place.catalog())
    locks.after_pipeline_run()
    # Another setting's run may be writing the triplets, which all of them share.
    assert place.files() == {shared, *kept}


def test_a_lock_is_given_free_only_by_the_process_that_took_it(tmp_path: Path) -> None:
    lock = Lock("it", tmp_path / "fold_0")
    lock.take()
    fork = os.fork()
    if fork == 0:
        lock.release()
        os._exit(0)
    os.waitpid(fork, 0)
    with pytest.raises(DataError):
        Lock("it", tmp_path / "fold_0").take()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_what_another_fold_is_writing_into_the_settings_folder_is_left_alone(place: Place) -> None:
    beside = unfinished(place.root / "06_models/p/ce-1/photos.npz")
    beside.parent.mkdir(parents=True)
    beside.touch()
    locks = Locks()
    locks.before_pipeline_run(pipeline=Pipeline(_fold(1)), catalog=place.catalog())
    assert beside.is_file()
    locks.after_pipeline_run()
