"""Another package's ages beside ours: the same photos, none left out, errors as counted by hand."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.beside_age_and_gender import compare, predict

FOLD = pd.DataFrame(
    {
        "sample_id": ["a", "b", "c", "d"],
        "identity": ["a", "b", "c", "d"],
        "fold": [0, 0, 0, 0],
        "age": [10, 15, 30, 70],
        "predicted_age": [12.0, 14.0, 33.0, 60.0],
    }
)


def test_errors_are_those_of_the_same_photos() -> None:
    others = pd.DataFrame({"sample_id": ["d", "c", "b", "a"], "predicted_age": [75, 31, 19, 10]})
    table = compare(FOLD, others).set_index("age")
    assert table["n"].to_dict() == {"all": 4, "0-19": 2, "20-39": 1, "60+": 1}
    assert table["ours"].to_dict() == {"all": 4.0, "0-19": 1.5, "20-39": 3.0, "60+": 10.0}
    assert table["others"].to_dict() == {"all": 2.5, "0-19": 2.0, "20-39": 1.0, "60+": 5.0}
    assert np.allclose(table["difference"], table["ours"] - table["others"])


def test_the_largest_face_counts_and_the_whole_chip_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, sample in enumerate(FOLD["sample_id"]):
        Image.new("RGB", (10 + place, 10)).save(tmp_path / f"{sample}.jpg")
    FOLD.to_parquet(tmp_path / "predictions.parquet")

    def found(image: Image.Image) -> list[dict[str, Any]]:
        small = {"face": [0, 0, 2, 2], "age": {"value": 99}}
        large = {"face": [0, 0, 9, 9], "age": {"value": image.width}}
        return [] if image.width == 10 else [small, large]

    package = ModuleType("age_and_gender")
    package.AgeAndGender = lambda: SimpleNamespace(  # type: ignore[attr-defined]
        predict=found, age=lambda image: {"value": 5}
    )
    monkeypatch.setitem(sys.modules, "age_and_gender", package)
    predict(tmp_path, tmp_path / "predictions.parquet", tmp_path / "ages.csv")
    ages = pd.read_csv(tmp_path / "ages.csv")
    assert ages["sample_id"].tolist() == FOLD["sample_id"].tolist()
    assert ages["predicted_age"].tolist() == [5, 11, 12, 13]
    assert ages["faces"].tolist() == [0, 2, 2, 2]
