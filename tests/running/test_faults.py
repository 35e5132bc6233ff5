"""Faults of the machine end a command in one line, and leave no half file that is trusted later."""

import errno
import itertools
import json
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.config import OmegaConfigLoader
from kedro.io import DatasetError
from kedro.pipeline import Node, Pipeline
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError
from yaml.parser import ParserError

from conftest import make_project
from contrastive_age.faces.alignment import LANDMARK_COLUMNS, five_point_template
from contrastive_age.faces.store import Wanted, build_faces
from contrastive_age.io.arrays import ArrayArchive, StateDict
from contrastive_age.io.atomic import Csv, Document, Table
from contrastive_age.running import faults

COMMANDS = '''
"""Runs commands in a project one after the other, in the disks and locks that each needs."""

import json
import logging
import os
import pickle
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
from contrastive_age.tracking import database
from contrastive_age.cli import cli

database.PATIENCE = 0.1
DATA = Path.cwd() / "data"


@contextmanager
def disk(options, read_only=False):
    DATA.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", DATA], check=True)
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", DATA], check=True)
        yield
    finally:
        subprocess.run(["umount", DATA], check=True)


def run(name, *arguments):
    done = CliRunner().invoke(cli, ["run", *arguments], prog_name="kedro")
    left = sorted(str(path.relative_to(DATA)) for path in DATA.rglob("*") if path.is_file())
    unforeseen = repr(done.exception) if not isinstance(done.exception, SystemExit) else ""
    outcomes[name] = {
        "status": done.exit_code, "said": done.output, "left": left, "unforeseen": unforeseen,
    }


def can_mount():
    DATA.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", DATA]
    if os.geteuid() != 0 or subprocess.run(mount).returncode:
        return False
    subprocess.run(["umount", DATA], check=True)
    return True


outcomes = {}
run("unknown parameter", "--tags=ingestion", "--params=lamda_c=3")
run("unknown block value", "--tags=ingestion", "--params=training.epoch=3")
run("unknown pipeline", "--pipeline=morph_xx")
run("no such nodes", "--tags=cooking")
run("unknown environment", "--env=moon")
run("missing raw_root", "--pipeline=utkface_rs", "--tags=ingestion", "--params=raw_root=/gone")
lock = sqlite3.connect("mlflow.db", isolation_level=None)
lock.execute("begin exclusive")
run("locked database", "--tags=ingestion")
lock.execute("rollback")
((version,),) = lock.execute("select version_num from alembic_version")
for name, other in {"earlier database": "451aebb31d03", "later database": "0" * 12}.items():
    lock.execute("update alembic_version set version_num = ?", (other,))
    run(name, "--tags=ingestion")
lock.execute("update alembic_version set version_num = ?", (version,))
lock.close()
if can_mount():
    with disk("size=64k"):
        run("full disk", "--tags=ingestion")
        subprocess.run(["mount", "-o", "remount,size=64m", DATA], check=True)
        run("after a full disk", "--tags=ingestion")
    with disk("size=64k", read_only=True):
        run("read-only disk", "--tags=ingestion")
Path("outcomes.json").write_text(json.dumps(outcomes))
'''

ENDINGS = {
    "unknown parameter": ["lamda_c=3: there is no such parameter; did you mean loss.lambda_c?"],
    "unknown block value": ["training.epoch=3: there is no such parameter"],
    "unknown pipeline": ["morph_xx", "kedro registry list names the pipelines"],
    "no such nodes": ["contains no nodes", "correct --tags"],
    "unknown environment": ["moon", "correct --env"],
    "missing raw_root": ["/gone/utkface does not exist", "UTKFace"],
    "locked database": ["mlflow.db: database is locked; another program holds it"],
    "earlier database": [
        "was made by an earlier MLflow",
        "copy the file, then run `mlflow db upgrade",
    ],
    "later database": ["was made by a later MLflow", "pip install --upgrade mlflow"],
    "full disk": ["No space left on device; make room", "/data/01_raw/synthetic/"],
    "read-only disk": ["Read-only file system; mount it for writing", "/data/"],
}
NEED_DISK = {"full disk", "read-only disk", "after a full disk"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each command, from one process that ran them all."""
    project = make_project(tmp_path_factory.mktemp("faults"))
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(
        (project.root / "outcomes.json").read_text(encoding="utf-8")
    )
    return found


def of(outcomes: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name in NEED_DISK - outcomes.keys():
        pytest.skip("the small disk that this needs cannot be mounted, as only root can")
    return outcomes[name]


@pytest.mark.parametrize("name", ENDINGS)
def test_a_command_ends_in_one_line_with_the_remedy_and_status_1(
    outcomes: dict[str, dict[str, Any]], name: str
) -> None:
    own = of(outcomes, name)
    assert own["unforeseen"] == ""
    assert own["status"] == 1
    assert "Traceback" not in own["said"]
    (line,) = [line for line in own["said"].splitlines() if line.startswith("Error: ")]
    assert own["said"].splitlines()[-1] == line
    for words in ENDINGS[name]:
        assert words in line


def test_a_full_disk_leaves_no_half_file_and_the_next_run_goes_on(
    outcomes: dict[str, dict[str, Any]],
) -> None:
    before, after = of(outcomes, "full disk"), of(outcomes, "after a full disk")
    assert not [path for path in before["left"] if Path(path).name.startswith(".")]
    assert not [path for path in before["left"] if path.startswith("02_")]
    assert after["status"] == 0, after
    assert "02_intermediate/synthetic/samples.parquet" in after["left"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A folder with room for 300 kB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small disk that this needs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(tmp_path)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def big(kind: str) -> Any:
    noise = np.random.default_rng(0).random(100_000)
    if kind == "m.pth":
        import torch

        return {"a": torch.from_numpy(noise)}
    if kind == "m.npz":
        return {"a": noise}
    return list(noise) if kind == "m.json" else pd.DataFrame({"a": noise})


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("m.pth", StateDict),
        ("m.npz", ArrayArchive),
        ("m.parquet", Table),
        ("m.json", Document),
        ("m.csv", Csv),
    ],
)
def test_what_does_not_fit_on_the_disk_leaves_the_old_file_and_is_explained(
    small_disk: Path, name: str, dataset: Any
) -> None:
    path = small_disk / name
    path.write_bytes(b"old")
    with pytest.raises(DatasetError) as error:
        dataset(str(path)).save(big(name))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]
    said = faults.explain(error.value)
    assert said is not None
    assert said.startswith(f"{path}: No space left on device; make room, or name another folder")


def test_the_array_of_faces_takes_its_whole_room_before_it_is_filled(small_disk: Path) -> None:
    from PIL import Image

    from contrastive_age.errors import DataError

    photos = small_disk / "a.png"
    Image.new("RGB", (90, 80)).save(photos)
    points = five_point_template(size=60).ravel()
    rows = [("a", "a.png", "0", *points), ("b", "a.png", "1", *points)]
    table = pd.DataFrame(rows, columns=["sample_id", "path", "digest", *LANDMARK_COLUMNS])
    with pytest.raises(DataError, match="make room"):
        build_faces(small_disk, table, small_disk / "work", Wanted(1.35), progress=False)
    assert not list((small_disk / "work").glob("*"))
    report = build_faces(
        small_disk, table.head(1), small_disk / "work", Wanted(1.35), progress=False
    )
    assert report.path.stat().st_blocks * 512 >= 256 * 256 * 3


def test_a_disk_that_others_fill_in_the_meantime_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contrastive_age.errors import DataError

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    points = five_point_template(size=60).ravel()
    table = pd.DataFrame(
        [("a", "a.png", "0", *points)],
        columns=["sample_id", "path", "digest", *LANDMARK_COLUMNS],
    )
    with pytest.raises(DataError, match=r"faces\.partial\.npy needs .* make room"):
        build_faces(tmp_path, table, tmp_path / "work", Wanted(1.35), progress=False)
    assert not list((tmp_path / "work").iterdir())


def raised(*errors: BaseException) -> BaseException:
    """Each error raised from the one after it; the first is given back."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "give yourself the right"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "check the disk"),
        (errno.ENOTDIR, "move it away"),
    ],
)
def test_errors_of_the_system_name_file_and_remedy(number: int, words: str) -> None:
    said = faults.explain(OSError(number, os.strerror(number), "/data/a.parquet"))
    assert said is not None
    assert said.startswith(f"/data/a.parquet: {os.strerror(number)}; ")
    assert words in said


@pytest.mark.parametrize("beside", [".a.b.4711.parquet", ".a.b.4711-0a1b2c3d.parquet"])
def test_the_file_written_beside_is_called_by_its_name(beside: str) -> None:
    said = faults.explain(OSError(errno.EROFS, "", f"/data/{beside}"))
    assert str(said).startswith("/data/a.b.parquet: ")


def test_a_fault_of_the_disk_in_another_process_is_explained_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DatasetError) as error:
        ArrayArchive(str(tmp_path / "x.npz")).save({})
    # What led to an error does not come along.
    sent = pickle.loads(pickle.dumps(error.value))
    assert sent.__cause__ is None
    assert str(faults.explain(sent)).startswith(f"{tmp_path}/x.npz: No space left on device")


def test_a_damaged_file_is_one_line_with_what_to_do() -> None:
    said = faults.explain(raised(DatasetError("Failed to load\nx.parquet."), ValueError("magic")))
    assert said == (
        "Failed to load x.parquet. Run all of the pipeline: what is missing or damaged is made "
        "again."
    )


def test_what_the_database_of_runs_says_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with sqlite3.connect(path, isolation_level=None) as first:
        first.execute("create table a (b)")
        first.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError) as error:
            sqlite3.connect(path, timeout=0).execute("select * from a")
    said = faults.explain(raised(RuntimeError("tracking failed"), error.value))
    assert "database is locked; another program holds it" in str(said)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as error:
        sqlite3.connect(path).execute("select * from a")
    assert "move it away" in str(faults.explain(error.value))


@pytest.mark.parametrize("chosen", [{"node_names": ["x"]}, {"from_inputs": ["x"]}, {"tags": ["x"]}])
def test_nodes_that_kedro_does_not_find_are_explained(chosen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Pipeline") as error:
        Pipeline([Node(len, "a", "b", name="n")]).filter(**chosen)
    assert "Remedy: correct --tags" in str(faults.explain(error.value))
    # The same words from anywhere else are no choice.
    assert faults.explain(ValueError(str(error.value))) is None


def test_a_value_that_names_no_parameter_is_explained() -> None:
    with pytest.raises(OmegaConfBaseException) as error:
        OmegaConf.to_container(OmegaConf.create({"raw_root": "${HOME}/a"}), resolve=True)
    said = str(faults.explain(error.value))
    assert "'HOME' not found" in said
    assert r"\${name} means these very signs" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("known", "given"), [({"ages": [0, 3]}, {"ages": {"x": 1}}), ({"a": {"b": 1}}, {"a": [1]})]
)
def test_a_list_in_the_place_of_a_block_is_explained(known: Any, given: Any) -> None:
    with pytest.raises(OmegaConfBaseException) as error:
        OmegaConf.merge(known, given)
    assert "a list has none" in str(faults.explain(error.value))


def test_a_configuration_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "parameters.yml").write_text("a: [1")
    loader = OmegaConfigLoader(str(tmp_path), base_env="base", default_run_env="base")
    with pytest.raises(ParserError) as error:
        loader["parameters"]
    assert "parameters.yml" in str(faults.explain(error.value))
    assert "counted from 0" in str(faults.explain(error.value))


@pytest.mark.parametrize("text", ["a: =", "a: *b", "a: !!python/none"])
def test_a_value_that_is_no_yaml_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "parameters.yml").write_text(text)
    loader = OmegaConfigLoader(str(tmp_path), base_env="base", default_run_env="base")
    with pytest.raises(YAMLError) as error:
        loader["parameters"]
    said = str(faults.explain(error.value))
    assert "correct that line" in said
    assert "\n" not in said


def test_a_fault_of_the_program_is_not_explained_away() -> None:
    assert faults.explain(KeyError("x")) is None
    try:
        try:
            Path("/gone/file").read_bytes()
        except FileNotFoundError:
            {}["x"]
    except KeyError as error:
        assert faults.explain(error) is None


def test_a_full_gpu_is_said_in_a_line_with_its_remedy() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has\n80 GiB")
    said = faults.explain(error)
    assert said is not None
    assert said.startswith("CUDA out of memory. Remedy: lower folds_at_once")
    assert "\n" not in said
