"""AgeDB: the labels in its names, as they are published."""

from pathlib import Path

import pandas as pd
import pytest

from contrastive_age.sources import agedb


def readable(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "size": 1, "digest": "0", "problem": "", "note": ""})


@pytest.mark.parametrize(
    ("name", "identity", "age", "sex"),
    [
        ("14_MariaCallas_32_f.jpg", "MariaCallas", 32, "F"),
        ("AgeDB/16107_DannyGlover_8_m.jpg", "DannyGlover", 8, "M"),
        ("16070_WillSmith _36_m.jpg", "WillSmith", 36, "M"),
        ("15872_StВphaneAudran_44_f.JPG", "StВphaneAudran", 44, "F"),
        ("1_A_B_101_m.jpg", "A_B", 101, "M"),
    ],
)
def test_labels_come_from_the_name(name: str, identity: str, age: int, sex: str) -> None:
    row = agedb.read(Path("nowhere"), readable(name)).samples.iloc[0]
    assert (row["identity"].strip(), row["age"], row["sex"]) == (identity, age, sex)
    assert row["sample_id"] == name.rpartition(".")[0]


def test_other_names_are_rejected_with_what_was_expected() -> None:
    files = readable("1_Anna_30_f.jpg", "Anna_30_f.jpg", "2_Anna_30_x.jpg", "3_Anna_f.jpg")
    found = agedb.read(Path("nowhere"), files)
    assert found.samples["path"].tolist() == ["1_Anna_30_f.jpg"]
    assert len(found.rejected) == 3
    assert found.rejected["reason"].str.contains("<number>_<name>_<age>_<m or f>").all()
