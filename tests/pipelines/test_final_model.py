"""From faces to weights to a final model: what is carried along, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import Project
from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import conformal_radii
from contrastive_age.inference.model_file import load_model
from contrastive_age.model.weights import read_weights
from contrastive_age.parameters.effective import effective
from contrastive_age.parameters.loader import ProjectConfigLoader, project_parameters
from contrastive_age.pipelines.final_model.nodes import _check
from contrastive_age.provenance import table_digest


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with weights from two sources, one of which the protocols fgnet_* test on."""
    from conftest import make_project

    project = make_project(tmp_path_factory.mktemp("pretrained"))
    project.kedro("run", "--pipeline=pretrain", "--params=pretrain.sources=fgnet+morph2")
    return project


def weights_of(project: Project) -> str:
    return str(project.one("06_models/pretrain/*/weights.pth").relative_to(project.root))


def test_weights_carry_what_they_were_made_from(pretrained: Project) -> None:
    path = pretrained.one("06_models/pretrain/*/weights.pth")
    found = read_weights(path).seen
    assert found is not None
    (card,) = found.cards
    assert card == json.loads(path.with_name("card.json").read_text(encoding="utf-8"))
    assert card["sources"] == ["fgnet", "morph2"]
    assert [own["n"] for own in card["data"]] == [16, 24]
    assert (card["n"], len(found.photos)) == (40, 40)
    assert (card["epochs"], card["image_size"]) == (1, 32)
    text = path.with_name("card.md").read_text(encoding="utf-8")
    assert card["data_hash"] in text
    assert card["licence"] in text
    digests = [
        digest
        for source in ("fgnet", "morph2")
        for digest in pd.read_parquet(pretrained.one(f"02_intermediate/{source}/files.parquet"))[
            "digest"
        ]
    ]
    assert {own.tobytes().hex() for own in found.photos.digests} == set(digests)
    # What it was trained to is what it holds, and no checkpoint is left behind.
    plain = torch.load(path.parent / "final/model.pth", weights_only=True)
    carried = torch.load(path, weights_only=True)
    assert plain.keys() == carried.keys()
    assert all(torch.equal(own, carried[name]) for name, own in plain.items())
    assert read_weights(path.parent / "final/model.pth").seen.digest == found.digest
    assert {file.name for file in (path.parent / "final").iterdir()} == {
        "model.pth",
        "history.parquet",
    }


def test_the_same_pretraining_is_kept(pretrained: Project) -> None:
    again = pretrained.kedro(
        "run",
        "--pipeline=pretrain",
        "--params=pretrain.sources=fgnet+morph2",
        "--tags=training,reporting",
    )
    assert re.search(r"pretrain\.final: .* s, kept from", again.stderr)


def test_testing_on_photos_of_the_pretraining_is_refused(pretrained: Project) -> None:
    refused = pretrained.kedro(
        "run",
        "--pipeline=fgnet_se",
        f"--params=model.weights={weights_of(pretrained)}",
        check=False,
    )
    assert refused.status == 1
    last = " ".join(refused.stderr.split())
    assert "test photos were seen in the pretraining" in last
    assert "has the same bytes as one of fgnet, morph2" in last
    assert not list((pretrained.root / "data/06_models/fgnet_se").rglob("model.pth"))


def test_weights_remember_through_a_second_training(pretrained: Project) -> None:
    first = weights_of(pretrained)
    given = f"pretrain.sources=synthetic,model.weights={first}"
    pretrained.kedro("run", "--pipeline=pretrain", f"--params={given}")
    (second,) = (
        path.relative_to(pretrained.root)
        for path in (pretrained.root / "data/06_models/pretrain").glob("*/weights.pth")
        if str(path.relative_to(pretrained.root)) != first
    )
    seen = read_weights(pretrained.root / second).seen
    assert seen.sources == ("synthetic", "fgnet", "morph2")
    assert len(seen.photos) == 64
    refused = pretrained.kedro(
        "run", "--pipeline=fgnet_se", f"--params=model.weights={second}", check=False
    )
    assert refused.status == 1
    said = " ".join(refused.said.split())
    assert "the same bytes as one of synthetic, fgnet, morph2" in said
    (pretrained.root / second).unlink()


def test_a_card_is_not_written_for_photos_that_were_not_trained_on(
    pretrained: Project, tmp_path: Path
) -> None:
    shutil.copytree(pretrained.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    path = project.one("02_intermediate/fgnet/samples.parquet")
    samples = pd.read_parquet(path)
    samples["age"] += 1
    samples.to_parquet(path)
    given = "--params=pretrain.sources=fgnet+morph2"
    done = project.kedro("run", "--pipeline=pretrain", given, "--tags=reporting", check=False)
    assert done.status == 1
    assert "is another than would be trained now" in " ".join(done.said.split())


def test_the_network_of_a_fold_says_what_its_setting_has_seen(
    finished: Project, tmp_path: Path
) -> None:
    fold = finished.one("06_models/synthetic_se/*/fold_0/model.pth")
    weights = read_weights(fold)
    assert len(weights.seen.photos) == 24
    assert weights.about["record"]["decided_by"]["setting"] == fold.parent.parent.name
    assert weights.about["computed"]["device"] == "cpu"
    shutil.copytree(finished.root, tmp_path / "project")
    refused = Project(tmp_path / "project").kedro(
        "run", f"--params=model.weights={fold}", check=False
    )
    assert refused.status == 1
    assert "have the same bytes" in refused.said


def test_a_final_model_carries_the_error_of_its_setting(pretrained: Project) -> None:
    given = f"model.weights={weights_of(pretrained)}"
    pretrained.kedro("run", "--pipeline=final_model", f"--params={given}")
    path = pretrained.one("06_models/synthetic_se/*/final/age_model.pt")
    model = load_model(path)
    key = path.parent.parent.name
    metrics: dict[str, Any] = json.loads(
        pretrained.one(f"08_reporting/synthetic_se/{key}/metrics.json").read_text(encoding="utf-8")
    )
    assert metrics["external"]["sources"] == ["fgnet", "morph2"]
    assert metrics["external"]["n"] == 40
    assert model.name == f"synthetic_se {key}"
    assert model.facts["cross_validation"]["mae"] == metrics["mae"]
    assert model.facts["pretrained_on"] == metrics["external"]
    assert model.facts["trained_on"]["n"] == 24
    predictions = pd.read_parquet(
        pretrained.one(f"07_model_output/synthetic_se/{key}/predictions.parquet")
    )
    assert model.radii == conformal_radii(predictions)
    assert set(model.radii.by_level) == {"80", "95"}
    assert model.facts["radii"] == model.radii.as_json()
    card = pretrained.one(f"08_reporting/synthetic_se/{key}/model_card.md").read_text(
        encoding="utf-8"
    )
    assert card == model.card
    assert f"{metrics['mae']:.2f} years" in card
    # In MLflow it lies as it is served.
    (served,) = (pretrained.root / "mlartifacts").rglob("MLmodel")
    assert (served.parent / "data" / "age_model.pt").read_bytes() == path.read_bytes()
    # All samples trained it, and not those of a fold alone.
    with np.load(pretrained.one("05_model_input/synthetic_se/final/triplets.npz")) as index:
        assert any(len(array) == 24 for array in index.values() if array.ndim)
    state = torch.load(path.with_name("model.pth"), weights_only=True)
    assert all(torch.equal(own, model.state[name]) for name, own in state.items())
    fold = torch.load(path.parent.with_name("fold_0") / "model.pth", weights_only=True)
    assert not torch.equal(fold["fc.weight"], state["fc.weight"])


@pytest.mark.endurance
def test_a_temperature_changes_the_models_file_and_no_result(
    pretrained: Project, tmp_path: Path
) -> None:
    given = f"model.weights={weights_of(pretrained)}"
    pretrained.kedro("run", "--pipeline=final_model", f"--params={given}")
    shutil.copytree(pretrained.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    path = project.one("06_models/synthetic_se/*/final/age_model.pt")
    measured = project.one(f"08_reporting/synthetic_se/{path.parent.parent.name}/metrics.json")
    before, plain = measured.read_bytes(), load_model(path)
    last = "--from-nodes=synthetic_se.assemble"
    more = f"--params={given},final_model.temperature=true"
    project.kedro("run", "--pipeline=final_model", more, last)
    assert measured.read_bytes() == before
    tempered = load_model(path)
    assert plain.temperature == 1.0
    assert tempered.temperature == json.loads(before)["calibration"]["temperature"]["of_all"]
    assert tempered.temperature != 1.0
    assert f"divided by {tempered.temperature:.3f}" in tempered.card
    project.kedro("run", "--pipeline=final_model", f"--params={given}", last)
    assert load_model(path).temperature == 1.0


def test_errors_of_other_labels_are_not_carried(pretrained: Project, tmp_path: Path) -> None:
    shutil.copytree(pretrained.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    path = project.one("02_intermediate/synthetic/samples.parquet")
    pd.read_parquet(path).assign(sex="F").to_parquet(path)
    given = f"model.weights={weights_of(pretrained)}"
    done = project.kedro(
        *("run", "--pipeline=final_model", f"--params={given}"),
        "--from-nodes=synthetic_se.assemble",
        check=False,
    )
    assert done.status == 1
    assert "is another than would be made now: sex and race" in " ".join(done.said.split())


PREDICTIONS = pd.DataFrame({"sample_id": ["a"], "age": [3]})


@pytest.mark.parametrize(
    ("values", "metrics", "words"),
    [
        ({"validation": 0.2}, {}, "leave `validation` at null"),
        ({}, {"predictions": "others"}, "does not belong to its predictions"),
        ({}, {"key": "ternary-00000000"}, "does not belong to its predictions"),
    ],
)
def test_errors_of_something_else_are_not_carried(
    values: dict[str, Any], metrics: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The project's own parameters, whatever ran before in this process.
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)
    setting = effective(project_parameters() | values, "synthetic_se")
    own = {"key": setting.key, "predictions": table_digest(PREDICTIONS)} | metrics
    with pytest.raises(DataError, match=words):
        _check(setting, own, PREDICTIONS)
