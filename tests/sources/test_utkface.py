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
    race=st.integers(0, 4),
    time=st.integers(20_000_101_000_000_000, 20_991_231_235_959_999),
    suffix=st.sampled_from([".jpg.chip.jpg", ".jpg", ".PNG", " .jpg"]),
)
def test_every_name_of_the_form_parses_back(age, sex, race, time, suffix) -> None:
    path = f"{age}_{sex}_{race}_{time}{suffix}"
    row = utkface.read(Path("nowhere"), readable(path)).samples.iloc[0]
    assert (row["age"], row["sex"], row["race"]) == (age, "MF"[sex], RACES[race])
    assert row["identity"] == row["sample_id"]


@pytest.mark.parametrize(
    ("name", "age", "sex", "race"),
    [
        # Names of the data set as it is published, chips and photos.
        ("39_1_20170116174525125.jpg.chip.jpg", 39, None, None),
        ("61_1_20170109142408075.jpg", 61, None, None),
        ("61_3_20170109150557335.jpg", 61, None, "Indian"),
        ("53__0_20170116184028385.jpg", 53, None, "White"),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", 24, "M", "Black"),
        ("55_0_0_20170116232725357jpg.chip.jpg", 55, "M", "White"),
        ("44_1_4_20170116235150272.pg.chip.jpg", 44, "F", "Others"),
        ("14_0_0_2017011022340900.jpg.chip.jpg", 14, "M", "White"),
        # Others of these kinds.
        ("25_1__20170116184028385.JPEG", 25, "F", None),
        ("25_2_0_20170116184028385.JPG.CHIP.JPG", 25, None, "White"),
        ("25_1_5_20170116184028385.jpg", 25, "F", None),
        ("25_7_20170116184028385.jpg", 25, None, None),
        ("25___20170116184028385.jpg", 25, None, None),
        ("25__20170116184028385.jpg", 25, None, None),
    ],
)
def test_a_photo_is_kept_for_its_age_and_what_its_name_lacks_is_in_the_audit(
    name: str, age: int, sex: str | None, race: str | None
) -> None:
    files = readable(name, "40_1_0_20170116174525126.jpg.chip.jpg")
    result = utkface.read(Path("nowhere"), files)
    assert result.rejected.empty
    row = result.samples.set_index("path").loc[name]
    given = {label: None if pd.isna(row[label]) else row[label] for label in ("race", "sex")}
    assert (row["age"], given) == (age, {"race": race, "sex": sex})
    missing = [label for label in given if given[label] is None]
    items = [{"sample_id": row["sample_id"], "missing": missing}] if missing else []
    assert audit(result, files)["anomalies"]["missing_race_or_sex"]["items"] == items


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("121_0_0_20170116174525125.jpg", "age 121 is outside 0 to 120"),
        ("61_20170109150557335.jpg", "name does not parse"),
        ("61_13_20170109150557335.jpg", "name does not parse"),
        ("_1_3_20170109150557335.jpg", "name does not parse"),
        ("61_1_3_2017.jpg", "name does not parse"),
        ("1234_0_0_20170109150557335.jpg", "name does not parse"),
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
