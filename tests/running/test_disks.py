"""Disks that fill, are read-only or go away while something is written: said, and made up for."""

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import LANDMARK_COLUMNS, five_point_template
from contrastive_age.faces.landmarks import FINDING_TYPES, DetectionCache
from contrastive_age.faces.store import Wanted, build_faces
from contrastive_age.inference.model_file import save_model
from contrastive_age.io import packed
from contrastive_age.io.arrays import ArrayArchive, StateDict
from contrastive_age.io.atomic import Csv, Document, Picture, Table
from contrastive_age.running import faults
from contrastive_age.training.checkpoint import Checkpoint, Writer
from contrastive_age.triplets.index import build_index
from inference.models import untrained_model

STATE = {"weight": torch.arange(4000.0)}
TABLE = pd.DataFrame(
    {"sample_id": [str(n) for n in range(3000)], "age": np.random.default_rng(0).random(3000)}
)


def add_findings(folder: Path) -> None:
    count = 3000
    zeros = {name: np.zeros(count, kind) for name, kind in FINDING_TYPES.items() if kind is not str}
    findings = pd.DataFrame({**zeros, "status": ["detected"] * count})[list(FINDING_TYPES)]
    findings["score"] = np.random.default_rng(0).random(count)
    findings.index = pd.Index([str(n) for n in range(count)], name="digest", dtype="str")
    DetectionCache(folder).add(findings)


def fill_faces(folder: Path) -> None:
    Image.new("RGB", (90, 80)).save(folder / "a.png")
    rows = [("a", "a.png", "0", *five_point_template(size=60).ravel())]
    table = pd.DataFrame(rows, columns=["sample_id", "path", "digest", *LANDMARK_COLUMNS])
    build_faces(folder, table, folder / "work", Wanted(1.35), progress=False)


def draw(folder: Path) -> None:
    figure = Figure()
    figure.add_subplot().imshow(np.random.default_rng(0).random((200, 200)))
    Picture(str(folder / "error.png")).save(figure)


def pack(folder: Path) -> None:
    digests = {f"fold_{n}/model.pth": "0" * 64 for n in range(300)}
    packed.write(folder, packed.Contents(date="today", counts={}, digests=digests))


def keep(folder: Path) -> None:
    with Writer(folder, "f", 0) as writer:
        writer.offer(Checkpoint(STATE, {}, []))


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "checkpoint": ("checkpoint.pt", keep),
    "network": ("model.pth", lambda folder: StateDict(str(folder / "model.pth")).save(STATE)),
    "final model": (
        "age_model.pt",
        lambda folder: save_model(untrained_model(), folder / "age_model.pt"),
    ),
    "findings": ("*/*.parquet", add_findings),
    "faces": ("work/faces.npy", fill_faces),
    "predictions": ("p.parquet", lambda folder: Table(str(folder / "p.parquet")).save(TABLE)),
    "table": ("p.csv", lambda folder: Csv(str(folder / "p.csv")).save(TABLE)),
    "metrics": (
        "metrics.json",
        lambda folder: Document(str(folder / "metrics.json")).save({"a": list(range(3000))}),
    ),
    "outputs": (
        "outputs.npz",
        lambda folder: ArrayArchive(str(folder / "outputs.npz")).save({"a": np.arange(4000.0)}),
    ),
    "figure": ("error.png", draw),
    "triplets": (
        "triplets.npz",
        lambda folder: build_index(np.arange(2000) % 50, np.arange(2000).astype(str)).save(
            folder / "triplets.npz"
        ),
    ),
    "list of a pack": ("packed.json", pack),
}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to make a file larger, in the middle of whatever writes it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What the system sends first would end the process; Python leaves it aside, others may not.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".png"
    }


def said_of(error: BaseException) -> str:
    """The line in which a command ends by an error."""
    line = str(error) if isinstance(error, DataError) else faults.explain(error)
    assert line is not None, repr(error)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_that_takes_no_more_is_said_and_leaves_no_half_file(
    kind: str, tmp_path: Path
) -> None:
    name, write = WRITERS[kind]
    with pytest.raises(Exception) as error, files_of_at_most(5000):
        write(tmp_path)
    line = said_of(error.value)
    assert Path(name).suffix in line
    assert "takes no file so large" in line or "make room" in line
    assert contents(tmp_path) == {}
    write(tmp_path)
    assert len(list(tmp_path.glob(name))) == 1


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EROFS])
def test_a_disk_that_loses_what_it_took_is_said_and_the_old_file_stays(
    kind: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disks that are far away say so only when the content has to be there."""
    name, write = WRITERS[kind]
    write(tmp_path)
    for path in tmp_path.glob(name):
        path.write_bytes(b"old")
    before = contents(tmp_path)

    def lose(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch, pytest.raises(Exception) as error:
        patch.setattr(os, "fsync", lose)
        write(tmp_path)
    line = said_of(error.value)
    assert Path(name).suffix in line
    assert os.strerror(number) in line
    # Faces are written into a file that goes on, and into their own only when they are all there.
    after = {path: own for path, own in contents(tmp_path).items() if "partial" not in path}
    assert after == before
    write(tmp_path)
    assert all(path.read_bytes() != b"old" for path in tmp_path.glob(name))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_that_goes_away_before_the_name_is_changed_is_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, write = WRITERS[kind]

    def gone(self: Path, target: Path) -> Path:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), str(self), None, str(target))

    with monkeypatch.context() as patch, pytest.raises(Exception) as error:
        patch.setattr(Path, "replace", gone)
        write(tmp_path)
    assert "its disk is gone: connect it again" in said_of(error.value)
    assert not list(tmp_path.glob(name))
    write(tmp_path)
    assert len(list(tmp_path.glob(name))) == 1
