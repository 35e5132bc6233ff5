"""UTKFace: names, missing races, and the real chips where they are present."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import reading, utkface
from contrastive_age.sources.audit import audit

RACES = ["White", "Black", "Asian", "Indian", "Others"]


def readable(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "size": 1, "digest": "0", "problem": "", "note": ""})


def test_labels_come_from_the_names_in_flat_and_nested_folders(tmp_path: Path) -> None:
    for name in ("9_0_4_20170109150557335.jpg.chip.jpg", "part1/26_1_2_20170109150557335.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(path)
    files = reading.inspect_files(tmp_path, utkface.list_images(tmp_path), progress=False)
    result = utkface.read(tmp_path, files)
    assert result.samples.to_dict("list") == {
        "sample_id": ["9_0_4_20170109150557335.jpg.chip", "part1/26_1_2_20170109150557335"],
        "path": ["9_0_4_20170109150557335.jpg.chip.jpg", "part1/26_1_2_20170109150557335.jpg"],
        "identity": ["9_0_4_20170109150557335.jpg.chip", "part1/26_1_2_20170109150557335"],
        "age": [9, 26],
        "sex": ["M", "F"],
        "race": ["Others", "Asian"],
    }


@settings(max_examples=25, deadline=None)
@given(
    age=st.integers(0, 120),
    sex=st.integers(0, 1),
    race=st.integers(0, 4) | st.none(),
    time=st.integers(20_000_101_000_000_000, 20_991_231_235_959_999),
    suffix=st.sampled_from([".jpg.chip.jpg", ".jpg", ".PNG", " .jpg"]),
)
def test_every_name_of_the_form_parses_back(age, sex, race, time, suffix) -> None:
    middle = "" if race is None else f"{race}_"
    path = f"{age}_{sex}_{middle}{time}{suffix}"
    row = utkface.read(Path("nowhere"), readable(path)).samples.iloc[0]
    assert (row["age"], row["sex"]) == (age, "MF"[sex])
    assert pd.isna(row["race"]) if race is None else row["race"] == RACES[race]
    assert row["identity"] == row["sample_id"]


def test_a_missing_race_is_kept_and_said_in_the_audit() -> None:
    files = readable("39_1_20170116174525125.jpg.chip.jpg", "40_1_0_20170116174525125.jpg.chip.jpg")
    result = utkface.read(Path("nowhere"), files)
    assert len(result.samples) == 2
    found = audit(result, files)["anomalies"]["missing_race_or_sex"]
    assert found["items"] == [{"sample_id": "39_1_20170116174525125.jpg.chip", "missing": ["race"]}]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("121_0_0_20170116174525125.jpg", "age 121 is outside 0 to 120"),
        ("61_3_20170109150557335.jpg", "name does not parse"),
        ("1234_0_0_20170109150557335.jpg", "name does not parse"),
        ("20_0_5_20170109150557335.jpg", "name does not parse"),
        ("photo.jpg", "name does not parse"),
    ],
)
def test_other_names_are_rejected(path: str, reason: str) -> None:
    result = utkface.read(Path("nowhere"), readable("1_0_0_20170109150557335.jpg", path))
    assert result.rejected["path"].to_list() == [path]
    assert result.rejected["reason"][0].startswith(reason)


def test_a_source_of_damaged_files_only_is_an_error(tmp_path: Path) -> None:
    files = readable("1_0_0_20170109150557335.jpg").assign(problem="the file is empty")
    with pytest.raises(DataError, match="unreadable: the file is empty"):
        utkface.read(tmp_path, files)


def test_a_missing_source_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        utkface.list_images(tmp_path / "utkface")
    for part in (str(tmp_path / "utkface"), "chip.jpg", "non-commercial", "raw_root"):
        assert part in str(error.value)


@pytest.mark.real_data
def test_the_real_chips_all_parse(shared_data: Path) -> None:
    folder = shared_data / "utkface"
    files = readable(*utkface.list_images(folder))
    result = utkface.read(folder, files)
    report = audit(result, files.assign(digest=files["path"]))
    assert (report["n"], report["identities"]) == (11_672, 11_672)
    assert (report["ages"]["min"], report["ages"]["max"]) == (1, 116)
    assert report["rejected"] == []
    assert report["anomalies"]["missing_race_or_sex"]["count"] == 1
    single = report["anomalies"]["single_image_identities"]
    assert (single["count"], single["items"]) == (11_672, [])
