"""No file is taken for another: what differs is made anew or refused, and it is said what."""

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from conftest import ROOT, Project, make_project
from contrastive_age.errors import DataError
from contrastive_age.model.weights import initial_weights, read_weights
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.provenance import Record, file_digest
from contrastive_age.running.place import Place
from contrastive_age.running.runners import Job, run_fold
from contrastive_age.sources.manifest import source_key
from contrastive_age.tracking.tracker import tracker
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


@pytest.mark.endurance
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
    assert len(re.findall(r"fold_\d \(.*\): .* s, kept from", said)) == 2
    after = json.loads(project.one("08_reporting/synthetic_se/*/metrics.json").read_text())
    assert after["mae"] == pytest.approx(2 * before["mae"])

    # How weights start a network makes all networks anew.
    initial = project.code / "contrastive_age/model/resnet.py"
    initial.write_text(initial.read_text().replace('mode="fan_out"', 'mode="fan_in"'))
    said = " ".join(project.command(*sweep).split())
    assert said.count("is trained anew: code of training was") == 1


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


@pytest.mark.endurance
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
    # What they share is that of the last one.
    few = f"--params=manifest={project.root / 'few.csv'}"
    done = project.kedro(
        "run", "--pipeline=custom_se", few, "--tags=triplets,training", check=False
    )
    assert done.status == 1
    assert "folds of custom_se on disk were made otherwise: samples was" in _words(done)
    with sqlite3.connect(project.root / "mlflow.db") as database:
        maes = database.execute(
            "select t.value, m.value from tags t join metrics m on t.run_uuid = m.run_uuid "
            "where t.key = 'setting_key' and m.key = 'mae'"
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


def test_the_same_weights_elsewhere_are_the_same_setting(copy: Project, tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.ones(70)}, tmp_path / "here.pth")
    shutil.copy(tmp_path / "here.pth", tmp_path / "there.pth")
    for fold, name in enumerate(("here.pth", "there.pth")):
        given = f"--params=model.weights={tmp_path / name}"
        done = copy.kedro("run", f"--namespaces=synthetic_se.fold_{fold}", given)
        assert "not tracked" not in _words(done)
    before = copy.one("08_reporting/synthetic_se/*/metrics.json").parent.name
    models = (copy.root / "data/06_models/synthetic_se").glob("*/fold_*/model.pth")
    (folder,) = {path.parent.parent for path in models if path.parent.parent.name != before}
    seen = [read_weights(folder / f"fold_{fold}/model.pth").seen for fold in (0, 1)]
    assert seen[0].digest == seen[1].digest
    with sqlite3.connect(copy.root / "mlflow.db") as database:
        keys = database.execute("select value from tags where key = 'setting_key'").fetchall()
    assert keys.count((folder.name,)) == 1


def test_weights_that_are_changed_during_a_run_are_refused(tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.ones(3)}, tmp_path / "weights.pth")
    digest = file_digest(tmp_path / "weights.pth")
    assert initial_weights(str(tmp_path / "weights.pth"), digest) is not None
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "weights.pth")
    for before in (digest, None):
        with pytest.raises(DataError, match="changed or made after this command began"):
            initial_weights(str(tmp_path / "weights.pth"), before)


@pytest.mark.parametrize(
    ("named", "pipeline"),
    [
        ({"model": {"weights": "gone"}}, "synthetic_se"),
        ({"splitting": {"folds_file": "gone"}}, "synthetic_se"),
        ({"manifest": "gone"}, "custom_se"),
    ],
)
def test_a_missing_file_is_named_by_a_run_that_needs_it_and_by_nothing_else(
    project: Project, named: dict[str, Any], pipeline: str
) -> None:
    local = project.root / "conf/local/parameters.yml"
    local.write_text(local.read_text() + yaml.safe_dump(named))
    assert "custom_se" in project.kedro("registry", "list").stdout
    done = project.kedro("run", f"--pipeline={pipeline}", check=False)
    assert done.status == 1
    assert "gone: no such file; correct" in _words(done)
    assert not (project.root / "data").exists()


def test_figures_of_other_predictions_are_not_reported(copy: Project) -> None:
    path = copy.one("08_reporting/synthetic_se/*/identity.json")
    document = json.loads(path.read_text())
    document["made_from"]["decided_by"]["code of evaluation"] = "other"
    path.write_text(json.dumps(document))
    done = copy.kedro("run", "--pipeline=paper_report")
    # The path before it may be long, and broken anywhere.
    assert "is left out: it is of other predictions" in _words(done)
    done = copy.kedro("sweep", "--pipeline=synthetic_se", "--set", "seed=0", "--dry-run")
    assert "stands" not in _words(done).partition("synthetic_se")[2]


def test_a_worker_refuses_to_be_of_another_setting(
    copy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "is_worker", False)  # and is put back
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    job = Job(Place(copy.root), {}, None, {"synthetic_se": "ternary-0"})
    with pytest.raises(DataError, match="would be of another setting than the run"):
        run_fold(job, "synthetic_se.fold_0", [])
