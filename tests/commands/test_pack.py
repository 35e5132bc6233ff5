"""A pack is a project whose faces are made: a run without photos gives the same ages."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.startup import bootstrap_project

from conftest import ROOT, Project
from contrastive_age.commands.pack import megabytes, pack
from contrastive_age.errors import DataError
from contrastive_age.io import packed
from contrastive_age.parameters.given import Detection, Source, Synthetic
from contrastive_age.parameters.setting import Alignment, Setting
from contrastive_age.pipelines.alignment import nodes as alignment
from contrastive_age.pipelines.ingestion.nodes import ingest
from contrastive_age.pipelines.splitting import nodes as splitting
from contrastive_age.provenance import Record, file_digest
from contrastive_age.running.locks import Lock
from contrastive_age.running.place import Place

INGESTED, ALIGNED = "data/02_intermediate/synthetic", "data/03_primary/synthetic"
SPLIT = "data/05_model_input/synthetic_se"
SOURCE = Source(
    name="synthetic",
    layout="fgnet",
    folder=Path("nowhere"),
    synthetic=Synthetic(identities=6, images=24),
    most_megapixels=250,
    round_ages=False,
)


def _copy(finished: Project, root: Path) -> Project:
    """A project of its own in which faces and folds are made, with the code in it."""
    results = shutil.ignore_patterns("06_models", "07_*", "08_*", "mlflow.db", "mlartifacts", "src")
    shutil.copytree(finished.root, root, ignore=results)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return Project(root, root / "src")


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Faces and folds are made; tests leave it as it is."""
    return _copy(finished, tmp_path_factory.mktemp("made") / "project")


@pytest.fixture(scope="module", autouse=True)
def tracking() -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


class Pack(NamedTuple):
    folder: Path
    commands: list[str]


def _pack(project: Project, output: Path, *names: str, **given: Any) -> Pack:
    bootstrap_project(project.root)
    return Pack(output, pack(Place(project.root), given, names or ["synthetic_se"], output))


@pytest.fixture(scope="module")
def whole(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack; tests leave it as it is."""
    return _pack(project, tmp_path_factory.mktemp("packed") / "pack")


@pytest.fixture
def there(whole: Pack, tmp_path: Path) -> Path:
    """The pack's data on another machine."""
    shutil.copytree(whole.folder / "data", tmp_path / "there" / "data")
    return tmp_path / "there"


@pytest.mark.endurance
def test_a_run_without_photos_gives_the_same_ages(finished: Project, tmp_path: Path) -> None:
    original = _copy(finished, tmp_path / "here")
    done = original.kedro("pack", "--pipeline=synthetic_se", f"--output={tmp_path / 'pack'}")
    assert "aligned faces                  4.7 MB" in done.stdout
    assert "  python3 -m kedro run --pipeline=synthetic_se\n" in done.stdout
    assert not (tmp_path / "pack" / "data" / "01_raw").exists()
    shutil.copytree(tmp_path / "pack", tmp_path / "there")
    shutil.rmtree(original.root)
    shutil.rmtree(tmp_path / "pack")

    there = Project(tmp_path / "there", tmp_path / "there" / "src")
    said = there.command("run", "--pipeline=synthetic_se")
    assert "synthetic came in a pack of" in said
    assert not (there.root / "data" / "01_raw").exists()
    before, after = (
        json.loads(own.one("08_reporting/synthetic_se/*/metrics.json").read_text())
        for own in (finished, there)
    )
    for value in ("mae", "mae_interval", "predictions", "made_from", "key", "manifest_hash"):
        assert after[value] == before[value]
    # What came in the pack is still what the record says.
    there.command("run", "--pipeline=synthetic_se", "--tags=ingestion,alignment,splitting")


def test_a_pack_lists_its_files_and_they_say_what_made_them(whole: Pack) -> None:
    lists = {place: packed.read(whole.folder / place) for place in (INGESTED, ALIGNED, SPLIT)}
    assert lists[INGESTED].contents.counts == {"samples": 24, "identities": 6}
    assert lists[ALIGNED].contents.counts["faces"] == 24
    assert lists[SPLIT].contents.counts == {"samples": 24, "folds": 2}
    for place in (f"{INGESTED}/samples", f"{ALIGNED}/landmarks", f"{SPLIT}/folds"):
        table = pd.read_parquet(whole.folder / f"{place}.parquet")
        assert Record.read(table.attrs["record"]).made_with.keys() >= {"numpy", "machine"}


def test_the_faces_take_no_room_twice_on_one_disk(project: Project, whole: Pack) -> None:
    assert (whole.folder / ALIGNED / "faces.npy").samefile(project.root / ALIGNED / "faces.npy")


def test_a_drawn_source_is_not_drawn_again(there: Path, tmp_path: Path) -> None:
    source = SOURCE.model_copy(update={"folder": tmp_path / "raw"})
    samples, files, report = ingest(source, there / INGESTED)
    assert len(samples) == len(files) == report["n"] == 24
    assert not source.folder.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"synthetic": Synthetic(identities=6, images=30)}, "'images': 30"),
        ({"synthetic": None}, "synthetic was .* and is now None"),
        ({"layout": "morph2"}, "layout was fgnet and is now morph2"),
    ],
)
def test_another_source_is_refused(there: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        ingest(SOURCE.model_copy(update=changed), there / INGESTED)


def test_photos_beside_what_was_packed_are_an_error(there: Path, project: Project) -> None:
    source = SOURCE.model_copy(update={"folder": project.root / "data/01_raw/synthetic"})
    with pytest.raises(DataError, match=r"there are photos .* remove .*packed\.json"):
        ingest(source, there / INGESTED)
    for place in (INGESTED, ALIGNED):
        (there / place / packed.NAME).unlink()
    assert len(ingest(source, there / INGESTED)[0]) == 24


def _align(there: Path, coverage: float = 1.35, min_face: float | None = None) -> Path:
    samples, files, landmarks = (
        pd.read_parquet(there / place)
        for place in (
            f"{INGESTED}/samples.parquet",
            f"{INGESTED}/files.parquet",
            f"{ALIGNED}/landmarks.parquet",
        )
    )
    path, looks = alignment.align(
        SOURCE,
        samples,
        files,
        landmarks,
        there / ALIGNED,
        Alignment(coverage=coverage),
        Detection(min_face=min_face),
    )
    pd.testing.assert_frame_equal(looks, pd.read_parquet(there / ALIGNED / "looks.parquet"))
    return path


def test_packed_faces_are_kept(there: Path) -> None:
    assert _align(there) == there / ALIGNED / "faces.npy"


def test_another_coverage_is_refused(there: Path) -> None:
    with pytest.raises(DataError, match=r"coverage was 1\.35 and is now 1\.5"):
        _align(there, coverage=1.5)


def test_another_smallest_face_is_refused(there: Path) -> None:
    with pytest.raises(DataError, match=r"min_face was None and is now 30"):
        _align(there, min_face=30)


def test_one_changed_pixel_is_refused(there: Path) -> None:
    with (there / ALIGNED / "faces.npy").open("r+b") as file:
        file.seek(2_000_000)
        byte = file.read(1)[0]
        file.seek(2_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(DataError, match=r"faces\.npy is not the file that was packed"):
        _align(there)


def test_faces_that_are_not_there_are_missed(there: Path) -> None:
    (there / ALIGNED / "faces.npy").unlink()
    with pytest.raises(DataError, match=r"faces\.npy is missing: copy the folder"):
        _align(there)


@pytest.mark.parametrize("name", ["samples.parquet", "files.parquet", "audit.json", packed.NAME])
@pytest.mark.parametrize("content", [b"", b"\xff other"])
def test_damaged_tables_are_refused(there: Path, name: str, content: bytes) -> None:
    (there / INGESTED / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        ingest(SOURCE, there / INGESTED)


def test_other_labels_are_refused(there: Path) -> None:
    path = there / INGESTED / "samples.parquet"
    samples = pd.read_parquet(path)
    samples.loc[0, "age"] += 1
    samples.to_parquet(path)
    with pytest.raises(DataError, match="not the file that was packed"):
        ingest(SOURCE, there / INGESTED)


def test_landmarks_of_other_samples_are_refused(there: Path) -> None:
    samples = pd.read_parquet(there / INGESTED / "samples.parquet")
    samples.attrs["photos"] = "others"
    with pytest.raises(DataError, match=r"photos was .* and is now others"):
        alignment.detect(SOURCE, samples, samples, there / ALIGNED, Detection(), None)


@pytest.fixture
def setting(project: Project) -> Setting:
    effective = Place(project.root).parameters({})["effective"]
    return Setting.model_validate(effective["protocols"]["synthetic_se"])


def _split_from(there: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.read_parquet(there / INGESTED / "samples.parquet"),
        pd.read_parquet(there / ALIGNED / "looks.parquet"),
    )


def test_packed_folds_are_kept_and_others_made(there: Path, setting: Setting) -> None:
    samples, looks = _split_from(there)
    kept, report = splitting.split(samples, looks, setting, there / SPLIT)
    pd.testing.assert_frame_equal(kept, pd.read_parquet(there / SPLIT / "folds.parquet"))
    assert report["leaked_images"] == 0
    changed = setting.splitting.model_copy(update={"seed": 1})
    other = setting.model_copy(update={"splitting": changed})
    made, _ = splitting.split(samples, looks, other, there / SPLIT)
    other.plan.require(made, samples)
    assert packed.read(there / SPLIT) is None


def test_changed_folds_are_refused(there: Path, setting: Setting) -> None:
    path = there / SPLIT / "folds.parquet"
    folds = pd.read_parquet(path)
    folds["fold"] = 1 - folds["fold"]
    folds.to_parquet(path)
    with pytest.raises(DataError, match=r"folds\.parquet is not the file that was packed"):
        splitting.split(*_split_from(there), setting, there / SPLIT)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alignment": {"coverage": 1.5}}, r"faces of synthetic .*--params=alignment.coverage=1.5"),
        ({"splitting": {"seed": 1}}, "folds of synthetic_se .*--params=splitting.seed=1"),
    ],
)
def test_what_is_stale_is_not_packed(
    project: Project, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        _pack(project, tmp_path / "pack", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_photo_makes_the_faces_stale(finished: Project, tmp_path: Path) -> None:
    own = _copy(finished, tmp_path / "project")
    first, second, *_ = sorted((own.root / "data/01_raw/synthetic/images").iterdir())
    shutil.copyfile(first, second)
    with pytest.raises(
        DataError, match=r"make them with: kedro run --pipeline=synthetic_se --tags"
    ):
        _pack(own, tmp_path / "pack")


def test_what_has_not_been_run_is_not_packed(finished: Project, tmp_path: Path) -> None:
    own = _copy(finished, tmp_path / "project")
    (own.root / ALIGNED / "landmarks.parquet").unlink()
    with pytest.raises(DataError, match=r"synthetic\.landmarks is missing .*: kedro run"):
        _pack(own, tmp_path / "pack")


def test_a_folder_with_files_is_left_alone(project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(DataError, match="new or empty"):
        _pack(project, tmp_path)


def test_only_pipelines_with_faces_are_packed(project: Project, tmp_path: Path) -> None:
    bootstrap_project(project.root)
    for name, said in (("paper_report", "no faces"), ("fgnet", "no pipeline fgnet")):
        with pytest.raises(DataError, match=said):
            pack(Place(project.root), {}, [name], tmp_path / "pack")


def test_what_is_being_written_is_not_packed(finished: Project, tmp_path: Path) -> None:
    own = _copy(finished, tmp_path / "project")
    lock = Lock("the photos of synthetic", own.root / ALIGNED)
    lock.take()
    try:
        with pytest.raises(DataError, match="photos of synthetic is being run by process"):
            _pack(own, tmp_path / "pack")
    finally:
        lock.release()


def test_the_final_model_is_packed_with_its_protocol(project: Project, tmp_path: Path) -> None:
    done = _pack(project, tmp_path / "pack", "synthetic_se", "final_model")
    assert (done.folder / SPLIT / "folds.parquet").is_file()
    assert done.commands[1:] == [
        f"python3 -m kedro run --pipeline={name}" for name in ("synthetic_se", "final_model")
    ]


def test_a_pack_can_be_packed_and_keeps_its_record(whole: Pack, tmp_path: Path) -> None:
    received = Project(tmp_path / "received")
    shutil.copytree(whole.folder, received.root)
    path = received.root / ALIGNED / packed.NAME
    path.write_text(path.read_text().replace('"date": "2', '"date": "1'))
    again = _pack(received, tmp_path / "again")
    listed = packed.read(again.folder / ALIGNED).contents
    assert listed == packed.read(received.root / ALIGNED).contents
    with (received.root / ALIGNED / "faces.npy").open("r+b") as file:
        file.seek(2_000_000)
        file.write(bytes(9))
    with pytest.raises(DataError, match="not the file that was packed"):
        _pack(received, tmp_path / "third")


def test_weights_travel_to_a_place_inside_the_project(project: Project, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.ones(3)}, weights)
    done = _pack(
        project, tmp_path / "pack", model={"weights": str(weights)}, raw_root="data/01_raw"
    )
    place = f"data/inputs/{file_digest(weights)[:8]}/weights.pth"
    assert (done.folder / place).read_bytes() == weights.read_bytes()
    command = f"python3 -m kedro run --pipeline=synthetic_se --params=model.weights={place}"
    assert done.commands[-1] == command
    assert command in (done.folder / "README.txt").read_text()


def test_parameters_of_this_machine_travel_and_credentials_do_not(
    finished: Project, tmp_path: Path
) -> None:
    own = _copy(finished, tmp_path / "project")
    local = own.root / "conf" / "local"
    (local / "credentials.yml").write_text("store: {key: secret}")
    (local / "globals.yml").write_text("data_root: data/elsewhere\n")
    (own.root / "data").rename(own.root / "elsewhere")
    (own.root / "data").mkdir()
    (own.root / "elsewhere").rename(own.root / "data" / "elsewhere")
    done = _pack(own, tmp_path / "pack", raw_root="data/elsewhere/01_raw")
    assert [path.name for path in (done.folder / "conf/local").iterdir()] == ["parameters.yml"]
    # Where the configuration has it without what is true of this machine alone.
    assert (done.folder / ALIGNED / "faces.npy").is_file()


def test_parameters_of_the_project_are_those_of_the_pack(whole: Pack) -> None:
    kept = yaml.safe_load((whole.folder / "conf/local/parameters.yml").read_text())
    assert kept["protocols"]["synthetic_se"]["folds"] == 2
    sizes = megabytes(whole.folder)
    assert sizes["all"] == pytest.approx(sum(sizes.values()) / 2)


@pytest.mark.endurance
def test_a_manifest_and_a_split_list_travel(finished: Project, tmp_path: Path) -> None:
    own = _copy(finished, tmp_path / "project")
    samples = pd.read_parquet(own.root / INGESTED / "samples.parquet")
    folds = pd.read_parquet(own.root / SPLIT / "folds.parquet")
    photos = tmp_path / "photos"
    shutil.copytree(own.root / "data/01_raw/synthetic", photos)
    manifest, listed = tmp_path / "people.csv", tmp_path / "split.csv"
    samples[["path", "identity", "age"]].to_csv(manifest, index=False)
    folds[["sample_id", "fold"]].to_csv(listed, index=False)
    # Drawn faces, as photos, would be copies of one another.
    given = {
        "raw_root": str(photos),
        "manifest": str(manifest),
        "splitting": {"folds_file": str(listed)},
        "overlap": {"most_bits": 0},
    }
    values = f"raw_root={photos},manifest={manifest},splitting.folds_file={listed}"
    tags = "--tags=ingestion,alignment,splitting"
    own.kedro("run", "--pipeline=custom_se", tags, f"--params={values},overlap.most_bits=0")
    done = _pack(own, tmp_path / "pack", "custom_se", **given)
    shutil.rmtree(photos)
    manifest.unlink()
    listed.unlink()
    command = done.commands[-1].removeprefix("python3 -m kedro ")
    there = Project(done.folder)
    said = there.kedro(*command.replace("'", "").split()).said
    assert "custom came in a pack" in said
    assert "the folds came in a pack" in said
    (metrics,) = (done.folder / "data/08_reporting/custom_se").glob("*/metrics.json")
    assert json.loads(metrics.read_text())["n"] == 24
