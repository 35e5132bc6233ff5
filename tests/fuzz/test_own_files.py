"""Files that this project writes and trusts: damaged anywhere, they are made again or refused.

Never is anything taken from them but what was written.
"""

import copy
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError
from PIL import Image

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import LANDMARK_COLUMNS, five_point_template
from contrastive_age.faces.landmarks import FINDING_TYPES, DetectionCache
from contrastive_age.faces.store import Wanted, build_faces, open_faces, photos_digest, sound
from contrastive_age.inference.model_file import load_model, save_model
from contrastive_age.io import packed
from contrastive_age.io.arrays import ArrayArchive
from contrastive_age.io.atomic import Document, Table
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.weights import read_weights, with_seen
from contrastive_age.provenance import Record, table_digest
from contrastive_age.reporting.results import read_results
from contrastive_age.running import faults
from contrastive_age.sources import layouts, reading
from contrastive_age.training import checkpoint
from contrastive_age.training.checkpoint import Checkpoint
from contrastive_age.training.fold import Watcher, state_digest, train_or_keep
from contrastive_age.training.recipe import Computing, Start
from contrastive_age.triplets.index import TripletIndex, build_index
from fuzz.cases import CASES, cases, damaged, watched
from inference.models import untrained_model
from training.recipes import varied

pytestmark = pytest.mark.endurance

STATE = {"fc.weight": torch.arange(60.0).reshape(2, 30), "n": torch.tensor(3)}
WANTED = Wanted(1.35)
DECIDED = {"faces": "f", "weights": "none"}
AGES = np.array([1, 2, 1, 2])


class Again(Exception):
    """It is made again."""


def samples() -> pd.DataFrame:
    table = pd.DataFrame({"sample_id": ["a", "b"], "identity": ["x", "y"], "age": [20, 31]})
    table.attrs = {"photos": photos_digest(["a", "b"], ["0", "1"])}
    return table


def write_checkpoint(folder: Path) -> None:
    checkpoint.save(folder, Checkpoint(STATE, {"lr": 0.5}, [{"epoch": 1, "total": 2.5}]), "f")


def read_checkpoint(folder: Path) -> Any:
    found = checkpoint.load(folder, "f")
    if found is None:
        raise Again
    return [found.network, found.optimiser, found.history]


def write_fold(folder: Path) -> None:
    history = pd.DataFrame({"epoch": [1], "total": [2.0]})
    history.attrs = {"record": Record(DECIDED).document, "model": state_digest(STATE)}
    tables.write(history, folder / "history.parquet")
    torch.save(STATE, folder / "model.pth")


def read_fold(folder: Path) -> Any:
    def train() -> torch.Tensor:
        raise Again

    recipe = varied(classes=AgeClasses(0, 3), epochs=1, batch_size=2, seed=0)
    state, history = train_or_keep(
        train,
        AGES,
        build_index(AGES, np.array(list("abcd"))),
        recipe,
        Start("none"),
        folder=folder,
        decided_by=DECIDED,
        computing=Computing("cpu"),
        watcher=Watcher("fold 0"),
    )
    return [dict(state), history]


def write_weights(folder: Path) -> None:
    torch.save(with_seen(STATE, {"record": Record(DECIDED).document}, "0" * 16), folder / "w.pth")


def read_own_weights(folder: Path) -> Any:
    # The list of photos beside them is missing, so that whole ones are refused for that alone.
    try:
        return read_weights(folder / "w.pth").state
    except DataError as error:
        if "photos that it was trained on are in a list" in str(error):
            return "whole"
        raise


def read_model(folder: Path) -> Any:
    gc.collect()  # 45 MB hang on the errors of each case before
    model = load_model(folder / "age_model.pt")
    return [dict(model.state), model.card, dict(model.facts), model.radii.as_json()]


def write_findings(folder: Path) -> None:
    zeros = {name: np.zeros(3, kind) for name, kind in FINDING_TYPES.items() if kind is not str}
    findings = pd.DataFrame({**zeros, "status": ["detected"] * 3})[list(FINDING_TYPES)]
    findings.index = pd.Index(["a", "b", "c"], name="digest", dtype="str")
    DetectionCache(folder).add(findings)


def read_findings(folder: Path) -> Any:
    found = DetectionCache(folder).load()
    if found.empty:
        raise Again
    return found


def write_files(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    files = reading.inspect_files(folder, ["a.png"], progress=False)
    files.attrs["code"] = layouts.code()
    tables.write(files, folder / "files.parquet")


def read_files(folder: Path) -> Any:
    found = layouts.known_files(folder)
    if found is None:
        raise Again
    return found


def write_packed(folder: Path) -> None:
    Table(str(folder / "samples.parquet")).save(samples())
    Document(str(folder / "audit.json")).save({"n": 2, "mean": 25.5})
    names = ("samples.parquet", "audit.json")
    digests = {name: packed.digest(folder / name) for name in names}
    packed.write(folder, packed.Contents(date="today", counts={"samples": 2}, digests=digests))


def read_packed(folder: Path) -> Any:
    kept = packed.read(folder)
    if kept is None:
        raise Again
    return kept.read("samples.parquet", "audit.json")


def photos(folder: Path) -> pd.DataFrame:
    rows = []
    for number, name in enumerate("ab"):
        noise = np.random.default_rng(number).integers(0, 256, (9, 9, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((90, 80)).save(folder / f"{name}.png")
        rows.append((name, f"{name}.png", str(number), *five_point_template(size=60).ravel()))
    return pd.DataFrame(rows, columns=["sample_id", "path", "digest", *LANDMARK_COLUMNS])


def write_faces(folder: Path) -> None:
    build_faces(folder, photos(folder), folder, WANTED, progress=False)


def read_faces(folder: Path) -> Any:
    path = build_faces(folder, photos(folder), folder, WANTED, progress=False).path
    faces = open_faces(path, samples(), WANTED)
    return np.array(faces[sound(faces, np.arange(len(faces)))])


def write_unfinished_faces(folder: Path) -> None:
    write_faces(folder)
    (folder / "faces.npy").rename(folder / "faces.partial.npy")


def write_triplets(folder: Path) -> None:
    build_index(AGES, np.array(list("abcd"))).save(folder / "triplets.npz")


def read_triplets(folder: Path) -> Any:
    return {
        name: np.asarray(own)
        for name, own in vars(TripletIndex.load(folder / "triplets.npz")).items()
    }


def of_dataset(dataset: Any, name: str, value: Any) -> "Own":
    def read(folder: Path) -> Any:
        try:
            return dataset(str(folder / name)).load()
        except DatasetError as error:
            line = faults.explain(error)
            assert line
            assert "\n" not in line
            raise Again from error

    return Own(lambda folder: dataset(str(folder / name)).save(value), read, (name,))


class Own(NamedTuple):
    """Files that the project writes and reads.

    Attributes:
        write: Writes them into a folder.
        read: Reads them; it raises `Again` or DataError where it does not take them.
        names: Of those that are damaged, one at a time, as patterns.
        number: Of cases.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    names: tuple[str, ...]
    number: int = CASES


OWN = {
    "checkpoint": Own(write_checkpoint, read_checkpoint, ("checkpoint.pt",)),
    # What is refused costs a network of random weights.
    "fold": Own(write_fold, read_fold, ("model.pth", "history.parquet"), CASES // 4),
    "weights": Own(write_weights, read_own_weights, ("w.pth",)),
    # 45 MB a case.
    "age_model": Own(
        lambda folder: save_model(untrained_model(), folder / "age_model.pt"),
        read_model,
        ("age_model.pt",),
        CASES // 20,
    ),
    "findings": Own(write_findings, read_findings, ("*/*.parquet",)),
    "files": Own(write_files, read_files, ("files.parquet",)),
    "packed": Own(write_packed, read_packed, ("packed.json", "samples.parquet", "audit.json")),
    "faces": Own(write_faces, read_faces, ("faces.npy",), CASES // 4),
    "unfinished faces": Own(write_unfinished_faces, read_faces, ("faces.partial.npy",), CASES // 4),
    "triplets": Own(write_triplets, read_triplets, ("triplets.npz",)),
    "outputs": of_dataset(ArrayArchive, "outputs.npz", {"logits": np.arange(50.0)}),
    "table": of_dataset(Table, "predictions.parquet", samples()),
}


def same(found: Any, expected: Any) -> bool:
    """Whether two values are the same to the last bit."""
    if isinstance(expected, pd.DataFrame):
        return bool(found.equals(expected) and list(found) == list(expected))
    if isinstance(expected, np.ndarray | torch.Tensor):
        return bool(found.dtype == expected.dtype and np.array_equal(found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same(found[name], own) for name, own in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)


@pytest.mark.parametrize("name", OWN)
def test_damaged_files_are_made_again_or_refused_and_never_half_trusted(
    name: str, tmp_path: Path
) -> None:
    own = OWN[name]
    own.write(tmp_path)
    paths = [path for pattern in own.names for path in tmp_path.glob(pattern)]
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    expected = copy.deepcopy(own.read(tmp_path))

    @cases(own.number)
    @given(st.one_of(*(st.tuples(st.just(path), damaged(whole[path])) for path in paths)))
    def each(damage: tuple[Path, bytes]) -> None:
        for path in filter(Path.is_file, tmp_path.rglob("*")):
            if path not in whole:
                path.unlink()
        for path, content in (whole | dict([damage])).items():
            # Others are read only, and not made again.
            if not path.is_file() or path in paths:
                path.write_bytes(content)
        try:
            with watched():
                found = own.read(tmp_path)
        except (Again, DataError) as error:
            assert "\n" not in str(error)
            return
        assert same(found, expected)

    each()


def test_documents_that_are_damaged_are_left_out_of_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "08_reporting" / "a" / "b"
    outputs = tmp_path / "07_model_output" / "a" / "b"
    for each_folder in (folder, outputs):
        each_folder.mkdir(parents=True)
    tables.write(samples(), outputs / "predictions.parquet")
    metrics = {
        **{"protocol": "a", "setting": "b", "key": "b", "mae": 1.5, "run_id": "r"},
        **{"predictions": table_digest(samples()), "made_from": Record(DECIDED).document},
        "parameters": {"source": "synthetic", "seed": 0, "manifest": None},
    }
    content = json.dumps(metrics).encode()

    @cases()
    @given(damaged(content))
    def each(content: bytes) -> None:
        (folder / "metrics.json").write_bytes(content)
        with watched():
            assert len(read_results(tmp_path, ())) <= 1

    (folder / "metrics.json").write_bytes(content)
    assert len(read_results(tmp_path, ())) == 1
    each()
