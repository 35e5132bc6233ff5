"""No file is taken for another: what differs is made anew or refused, and it is said what."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import ROOT, Project, make_project
from contrastive_age.params import source_key
from contrastive_age.provenance import Record, file_digest
from forking import Ended

FOLD = "--namespaces=synthetic_se.fold_0"


@pytest.fixture
def copy(finished: Project, tmp_path: Path) -> Project:
    """A finished project that a test may spoil."""
    shutil.copytree(finished.root, tmp_path / "project")
    return Project(tmp_path / "project")


def _words(done: Ended) -> str:
    """What a command said, wherever lines were broken."""
    return " ".join(done.said.split())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("alignment.coverage=1.0", "coverage was 1.35 and is now 1.0"),
        ("detection.min_face=60", "min_face was None and is now 60"),
    ],
)
def test_a_fold_alone_does_not_train_on_faces_made_otherwise(
    copy: Project, asked: str, said: str
) -> None:
    done = copy.kedro("run", FOLD, f"--params={asked}", check=False)
    assert done.status == 1
    assert said in _words(done)
    assert "--tags=ingestion,alignment" in _words(done)


def test_folds_made_otherwise_are_refused(copy: Project) -> None:
    done = copy.kedro("run", FOLD, "--params=splitting.seed=1", check=False)
    assert done.status == 1
    assert "seed was 0 and is now 1" in _words(done)


def _table(project: Project, pattern: str) -> tuple[Path, pd.DataFrame]:
    path = project.one(pattern)
    return path, pd.read_parquet(path)


def test_predictions_by_other_code_are_not_put_together_with_the_rest(copy: Project) -> None:
    path, table = _table(copy, "07_model_output/*/*/fold_1/predictions.parquet")
    table.attrs["record"]["decided_by"]["code of evaluation"] = "other"
    table.to_parquet(path)
    done = copy.kedro("run", "--from-nodes=synthetic_se.collect", check=False)
    assert done.status == 1
    assert "code of evaluation was other and is now" in _words(done)


def test_predictions_of_other_labels_are_not_measured(copy: Project) -> None:
    path, samples = _table(copy, "02_intermediate/*/samples.parquet")
    samples.assign(sex="F").to_parquet(path)
    done = copy.kedro("run", "--tags=reporting", check=False)
    assert done.status == 1
    assert "sex and race was" in _words(done)


def test_a_triplet_index_of_other_samples_is_not_trained_with(copy: Project) -> None:
    first, second = (copy.one(f"05_model_input/*/fold_{fold}/triplets.npz") for fold in (0, 1))
    shutil.copy(second, first)
    for path in (copy.root / "data/06_models").rglob("history.parquet"):
        path.unlink()
    done = copy.kedro("run", FOLD, "--tags=training", check=False)
    assert done.status == 1
    assert "triplet index" in _words(done)


def test_a_sweep_runs_a_setting_again_whose_measure_has_changed(
    finished: Project, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", tmp_path / "code")
    shutil.copytree(finished.root, project.root)
    shutil.copytree(ROOT / "src", project.code, ignore=shutil.ignore_patterns("__pycache__"))
    sweep = ["sweep", "--pipeline=synthetic_se", "--set", "seed=0"]
    assert "stands as it is" in project.command(*sweep)
    metrics = project.code / "contrastive_age/evaluation/metrics.py"
    text = metrics.read_text()
    assert '"mae": float(sizes.mean()),' in text
    metrics.write_text(
        text.replace('"mae": float(sizes.mean()),', '"mae": 2 * float(sizes.mean()),')
    )
    before = json.loads(project.one("08_reporting/synthetic_se/*/metrics.json").read_text())
    said = project.command(*sweep)
    assert "is run again: code of evaluation was" in said
    assert said.count("is trained already") == 2
    after = json.loads(project.one("08_reporting/synthetic_se/*/metrics.json").read_text())
    assert after["mae"] == pytest.approx(2 * before["mae"])


def test_results_of_other_libraries_stand_and_it_is_said(copy: Project) -> None:
    path = copy.one("08_reporting/synthetic_se/*/metrics.json")
    metrics = json.loads(path.read_text())
    metrics["made_from"]["made_with"]["torch"] = "1.0"
    path.write_text(json.dumps(metrics))
    done = copy.kedro("sweep", "--pipeline=synthetic_se", "--set", "seed=0")
    assert "stands as it is" in _words(done)
    assert "made elsewhere, with torch 1.0" in _words(done)


def _manifest(project: Project, name: str, rows: int) -> Path:
    photos = sorted((project.root / "data/01_raw/fgnet/images").glob("*.JPG"))[:rows]
    table = pd.DataFrame(
        {
            "path": [str(photo.relative_to(project.root / "data/01_raw")) for photo in photos],
            "identity": [photo.stem[:3] for photo in photos],
            "age": [int(photo.stem[4:6]) for photo in photos],
        }
    )
    table.to_csv(project.root / name, index=False)
    return project.root / name


def test_two_manifests_are_two_sources_and_two_settings(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.kedro("run", "--pipeline=fgnet_se", "--tags=ingestion")
    runs: dict[str, dict[str, Any]] = {}
    for name, rows in (("few.csv", 12), ("all.csv", 16)):
        manifest = _manifest(project, name, rows)
        project.kedro("run", "--pipeline=custom_se", f"--params=manifest={manifest}")
        folder = source_key("custom", file_digest(manifest))
        assert len(pd.read_parquet(project.one(f"03_primary/{folder}/landmarks.parquet"))) == rows
        for path in (project.root / "data/08_reporting/custom_se").glob("*/metrics.json"):
            runs[path.parent.name] = json.loads(path.read_text())
    assert sorted(own["n"] for own in runs.values()) == [12, 16]
    with sqlite3.connect(project.root / "mlflow.db") as database:
        maes = database.execute(
            "select r.name, m.value from runs r join metrics m on r.run_uuid = m.run_uuid "
            "where m.key = 'mae' and r.name not like 'fold%'"
        ).fetchall()
    assert sorted(maes) == sorted((key, own["mae"]) for key, own in runs.items())


def test_every_file_says_what_made_it(finished: Project) -> None:
    for place in (
        *("02_intermediate/*/samples", "03_primary/*/landmarks", "05_model_input/*/folds"),
        *("06_models/*/*/fold_0/history", "07_model_output/*/*/fold_0/predictions"),
        "07_model_output/*/*/predictions",
    ):
        _, table = _table(finished, f"{place}.parquet")
        record = Record.read(table.attrs["record"])
        assert [name for name in record.decided_by if name.startswith("code of ")]
        assert record.made_with.keys() >= {"numpy", "machine"}
