"""Every protocol runs end to end, alone, by tag and by namespace."""

import json
import shutil
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from conftest import Project


def _metrics(project: Project, protocol: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        project.one(f"08_reporting/{protocol}/*/metrics.json").read_text(encoding="utf-8")
    )
    return found


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for all protocols, so that each source is aligned once."""
    from conftest import make_project

    return make_project(tmp_path_factory.mktemp("layouts"))


@pytest.mark.parametrize(("protocol", "n"), [("fgnet_se", 16), ("morph_rs", 24), ("morph_se", 24)])
def test_a_protocol_predicts_every_sample_once(layouts: Project, protocol: str, n: int) -> None:
    done = layouts.kedro("run", f"--pipeline={protocol}")
    assert _metrics(layouts, protocol)["n"] == n
    leakage = json.loads(
        layouts.one(f"05_model_input/{protocol}/leakage.json").read_text(encoding="utf-8")
    )
    if protocol == "morph_rs":
        assert leakage["leaked_share"] > 0
        assert leakage["mae_lookup"] < leakage["mae_constant"]
        assert "lookup" in done.stdout
    else:
        assert leakage["leaked_share"] == 0


def test_one_fold_of_lopo_runs_on_its_own(layouts: Project) -> None:
    layouts.kedro("run", "--pipeline=fgnet_lopo", "--tags=ingestion,alignment,splitting")
    layouts.kedro("run", "--pipeline=fgnet_lopo", "--namespaces=fgnet_lopo.fold_2")
    trained = list((layouts.root / "data/06_models/fgnet_lopo").glob("*/*/"))
    assert [path.name for path in trained] == ["fold_2"]
    predictions = pd.read_parquet(
        layouts.one("07_model_output/fgnet_lopo/*/fold_2/predictions.parquet")
    )
    assert len(set(predictions["identity"])) == 1


def test_photos_of_a_manifest_under_every_parameter(project: Project, finished: Project) -> None:
    photos = project.root / "photos"
    samples = pd.read_parquet(finished.one("02_intermediate/synthetic/samples.parquet"))
    for row in samples.itertuples():
        (photos / row.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(finished.root / "data/01_raw/synthetic" / row.path, photos / row.path)
    table = samples[["path", "identity", "age"]]
    table.loc[len(table)] = ["gone.jpg", "x", 3]
    table.to_csv(photos / "manifest.csv", index=False)
    given = {
        "raw_root": "photos",
        "manifest": "photos/manifest.csv",
        "setting": "kld_ternary",
        "seed": 3,
        "max_samples": 20,
        "splitting.seed": 4,
        "training.epochs": 2,
        "training.batch_size": 6,
        "training.image_size": 48,
        "training.lr": 0.002,
        "training.schedule": "cosine",
        "model.weights": "none",
        "loss.lambda_m": 0.1,
        "loss.lambda_v": 0.01,
        "loss.lambda_c": 2.0,
        "loss.lambda_t": 0.5,
        "loss.lambda_k": 0.3,
        "loss.margin": 0.1,
        "alignment.coverage": 1.2,
    }
    text = ",".join(f"{name}={value}" for name, value in given.items())
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    project.kedro("run", "--pipeline=custom_se", f"--params={text}")
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before
    metrics = _metrics(project, "custom_se")
    assert metrics["n"] == 20
    for name, value in list(given.items())[2:]:
        found = metrics["parameters"]
        for part in name.split("."):
            found = found[part]
        assert found == value, name
    audit = json.loads(
        project.one("02_intermediate/custom-*/audit.json").read_text(encoding="utf-8")
    )
    assert [entry["path"] for entry in audit["rejected"]] == ["gone.jpg"]


def test_utkface_with_a_cap(project: Project, finished: Project) -> None:
    folder = project.root / "data/01_raw/utkface"
    folder.mkdir(parents=True)
    samples = pd.read_parquet(finished.one("02_intermediate/synthetic/samples.parquet"))
    for number, row in enumerate(samples.itertuples()):
        with Image.open(finished.root / "data/01_raw/synthetic" / row.path) as image:
            image.save(folder / f"{row.age}_1_0_2017010{number:08d}.jpg.chip.jpg", "JPEG")
    project.kedro("run", "--pipeline=utkface_rs", "--params=max_samples=12")
    assert _metrics(project, "utkface_rs")["n"] == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pipeline=fgnet_se", "--params=setting=quaternary"], ["quaternary", "ternary"]),
        (["--pipeline=utkface_rs"], ["utkface", "does not exist"]),
        (["--pipeline=custom_se"], ["--params=manifest="]),
    ],
)
def test_mistakes_end_in_a_sentence(
    project: Project, arguments: list[str], words: list[str]
) -> None:
    done = project.kedro("run", *arguments, check=False)
    assert done.status != 0
    assert "Error: " in done.stderr
    said = " ".join(done.stderr.partition("Error: ")[2].split())
    for word in words:
        assert word in said
    assert "Traceback" not in done.stdout + done.stderr
