"""MORPH II: names, the table beside them, and dates in their several spellings."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import morph2, reading
from contrastive_age.sources.audit import audit

HEADER = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"


def readable(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "size": 1, "digest": "0", "problem": "", "note": ""})


def write_table(folder: Path, *rows: str, name: str = morph2.TABLE_NAME) -> None:
    (folder / name).write_text("\n".join([HEADER, *rows]) + "\n")


def test_labels_come_from_the_names_and_race_from_the_table(tmp_path: Path) -> None:
    for name in ("009055_0M54.JPG", "009055_12M55.JPG", "012345_3f20.jpg"):
        (tmp_path / "Album2").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(tmp_path / "Album2" / name)
    write_table(
        tmp_path,
        "9055,0,06/26/1949,02/23/2004,B,M,1,54,0,0,ALBUM2/009055_0m54.jpg",
        "12345,3,01/01/1984,02/23/2004,W,F,0,20,0,0,Album2\\012345_3F20.JPG",
        name="MORPH_2008_noncommercial.CSV",
    )
    files = reading.inspect_files(tmp_path, morph2.list_images(tmp_path), progress=False)
    result = morph2.read(tmp_path, files)
    table = result.samples
    assert table["sample_id"].to_list() == [
        "Album2/009055_0M54",
        "Album2/009055_12M55",
        "Album2/012345_3f20",
    ]
    assert table["identity"].to_list() == ["009055", "009055", "012345"]
    assert table["age"].to_list() == [54, 55, 20]
    assert table["sex"].to_list() == ["M", "M", "F"]
    assert table["capture"].to_list() == [0, 12, 3]
    assert table["race"].fillna("missing").to_list() == ["B", "missing", "W"]
    assert result.rejected.empty


@pytest.mark.parametrize(
    ("listed", "called"),
    [
        ("Album2/009055_0M54.JPG", "ALBUM2/009055_0m54.jpeg"),
        ("009055_0M54.jpg", "Album2/part/009055_0M54.JPG"),
        (".\\\\album2\\\\009055_0M54.JPG", "Album2/009055_0M54.png"),
    ],
)
def test_an_entry_is_of_the_file_that_is_called_so(
    tmp_path: Path, listed: str, called: str
) -> None:
    write_table(tmp_path, f"9055,0,,,B,M,1,54,0,0,{listed}")
    result = morph2.read(tmp_path, readable(called))
    assert result.samples["race"].to_list() == ["B"]
    assert result.rejected.empty


def test_the_table_may_be_any_that_is_read(tmp_path: Path) -> None:
    header = HEADER.upper().replace(",", ";")
    lines = ["sep=;", header, "1;0;;;B;M;1;54,0;0;0;000001_0M54.JPG"]
    (tmp_path / morph2.TABLE_NAME).write_bytes("\r\n".join(lines).encode("utf-16"))
    files = readable("Album2/000001_0M54.JPG")
    assert morph2.read(tmp_path, files).samples["race"].to_list() == ["B"]


def test_what_contradicts_the_names_and_itself_is_in_the_audit(tmp_path: Path) -> None:
    names = [
        "000001_0M54.JPG", "000001_1M55.JPG", "000002_0F30.jpeg", "000003_0M20.jpg",
        "000003_1M20.jpg", "000004_2M20.jpg",
    ]  # fmt: skip
    files = readable(*(f"Album2/{name}" for name in names))
    write_table(
        tmp_path,
        f"000001,00,06/26/1949,02/23/2004,B,Male,1,54.0,0,0,Album2/{names[0]}",  # the same
        f"1,1,06/26/1949,02/23/2005,b,F,1,56,0,0,Album2/{names[1]}",
        f"7,3,06/26/1973,02/23/2004,W,unknown,1,30,0,0,Album2/{names[2]}",
        f"3,0,01/01/1984,02/23/2004,W,M,1,20,0,0,Album2/{names[3]}",
        f"3,1,01/02/1984,02/23/2004,H,,1,,0,0,Album2/{names[4]}",
    )
    result = morph2.read(tmp_path, files)
    assert result.samples["age"].to_list() == [54, 55, 30, 20, 20, 20]
    report = audit(result, files, table=morph2.read_table(tmp_path, result.samples))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    found = {name: check["items"] for name, check in report["anomalies"].items()}
    assert [tuple(item.values()) for item in found["table_contradicts_name"]] == [
        ("Album2/000001_1M55", "sex", "M", "F"),
        ("Album2/000001_1M55", "age", "55", "56"),
        ("Album2/000002_0F30", "identity", "000002", "000007"),
        ("Album2/000002_0F30", "capture", "0", "3"),
        ("Album2/000002_0F30", "sex", "F", "unknown"),
    ]
    # B and b are one race.
    pictures = ["Album2/000003_0M20", "Album2/000003_1M20"]
    assert found["identities_with_several_races"] == [
        {"identity": "000003", "sample_ids": {"H": pictures[1:], "W": pictures[:1]}}
    ]
    assert found["identities_with_several_birth_dates"] == [
        {
            "identity": "000003",
            "sample_ids": {"1984-01-01": pictures[:1], "1984-01-02": pictures[1:]},
        }
    ]


@pytest.mark.parametrize(
    "row", ["7,0,06/26/1949,02/23/2004,B,M,1,54,0,0,Album2/000007_0M54.JPG", "0"]
)
def test_a_table_of_other_photos_says_nothing(tmp_path: Path, row: str) -> None:
    write_table(tmp_path, row)
    files = readable("Album2/000001_0M54.JPG")
    result = morph2.read(tmp_path, files)
    assert result.samples["race"].isna().all()
    table = morph2.read_table(tmp_path, result.samples)
    assert table is not None
    assert table.empty
    found = audit(result, files, table=table)["anomalies"]
    assert found["table_contradicts_name"]["count"] == found["unreadable_dates"]["count"] == 0


def test_without_the_table_there_is_no_race_and_there_are_no_dates(tmp_path: Path) -> None:
    samples = morph2.read(tmp_path, readable("Album2/009055_0M54.JPG")).samples
    assert "race" not in samples
    assert morph2.read_table(tmp_path, samples) is None


def test_entries_without_a_file_and_files_without_a_right_name_are_listed(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "1,0,,,B,M,1,54,0,0,Album2/000001_0M54.JPG",
        "2,0,,,B,M,1,54,0,0,Album2/000002_0M54.JPG",
    )
    files = readable("Album2/000001_0M54.JPG", "Album2/000001_0X54.JPG", "Album2/list.txt")
    files.loc[2, "problem"] = "the content is no known image format"
    (tmp_path / "Album2").mkdir()
    reasons = morph2.read(tmp_path, files).rejected.set_index("path")["reason"]
    assert "no such file" in reasons["Album2/000002_0M54.JPG"]
    assert reasons["Album2/000001_0X54.JPG"].startswith("name does not parse")
    assert reasons["Album2/list.txt"] == "unreadable: the content is no known image format"
    assert len(reasons) == 3


@settings(max_examples=25, deadline=None)
@given(
    identity=st.integers(0, 999_999).map(lambda n: f"{n:06d}"),
    picture=st.integers(0, 999),
    sex=st.sampled_from("FMfm"),
    age=st.integers(10, 120),
)
def test_every_name_of_the_form_parses_back(
    tmp_path_factory: pytest.TempPathFactory, identity, picture, sex, age
) -> None:
    path = f"Album2/{identity}_{picture}{sex}{age}.JPG"
    row = morph2.read(tmp_path_factory.getbasetemp(), readable(path)).samples.iloc[0]
    assert (row["identity"], row["capture"], row["sex"], row["age"]) == (
        identity,
        picture,
        sex.upper(),
        age,
    )


def test_a_table_without_the_photo_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / morph2.TABLE_NAME).write_text("id_num,race\n1,B\n")
    with pytest.raises(DataError, match=r"begins with 'id_num,race'.*photo"):
        morph2.read(tmp_path, readable("Album2/009055_0M54.JPG"))


def test_a_photo_listed_twice_counts_once(tmp_path: Path) -> None:
    entry = "1,0,,,{},M,1,54,0,0,Album2/000001_0M54.JPG"
    write_table(tmp_path, entry.format("B"), entry.format("W"))
    result = morph2.read(tmp_path, readable("Album2/000001_0M54.JPG"))
    assert result.samples["race"].to_list() == ["B"]
    assert result.rejected["reason"].to_list() == [
        "the table lists it again; the first entry counts (row 3)"
    ]


def test_rows_of_the_table_with_too_many_values_are_listed(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "1,0,,,B,M,1,54,0,0,Album2/000001_0M54.JPG",
        "2,0,a,surplus,,,B,M,1,54,0,0,Album2/000002_0M54.JPG",
    )
    files = readable("Album2/000001_0M54.JPG", "Album2/000002_0M54.JPG")
    result = morph2.read(tmp_path, files)
    assert result.samples["race"].fillna("missing").to_list() == ["B", "missing"]
    assert result.rejected["reason"].to_list() == [
        "the table's entry has more values than columns (row 3)"
    ]


def test_a_source_of_damaged_files_only_is_an_error(tmp_path: Path) -> None:
    files = readable("Album2/000001_0M54.JPG").assign(problem="the file is empty")
    with pytest.raises(DataError, match="unreadable: the file is empty"):
        morph2.read(tmp_path, files)


def test_a_missing_source_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        morph2.list_images(tmp_path)
    for part in (str(tmp_path / "Album2"), "009055_0M54.JPG", "UNCW", "licence", "raw_root"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("06/26/1949", "1949-06-26"),
        ("26/06/1949", "1949-06-26"),
        ("6/2/1949", "1949-06-02"),
        ("1949-06-26", "1949-06-26"),
        ("1949-06-26 00:00:00", "1949-06-26"),
        ("1949-06-26T10:11", "1949-06-26"),
        ("06/26/49", "1949-06-26"),
        ("26-Jun-1949", "1949-06-26"),
        ("26-Jun-49", "1949-06-26"),
        ("02/23/04", "2004-02-23"),
        ("02/23/89", "1989-02-23"),
        ("19490626", "1949-06-26"),
    ],
)
def test_dates_are_read_in_several_spellings(text: str, date: str) -> None:
    assert morph2.parse_dates(pd.Series([text], dtype="str"))[0] == pd.Timestamp(date)


def test_what_is_no_date_is_missing() -> None:
    dates = morph2.parse_dates(pd.Series(["", "unknown", "13/13/1949", "02/30/2004"], dtype="str"))
    assert dates.isna().all()


def test_the_column_decides_whether_the_day_comes_first() -> None:
    days_first = pd.Series(["05/06/1949", "26/06/1949"], dtype="str")
    months_first = pd.Series(["05/06/1949", "06/26/1949"], dtype="str")
    assert morph2.parse_dates(days_first)[0] == pd.Timestamp("1949-06-05")
    assert morph2.parse_dates(months_first)[0] == pd.Timestamp("1949-05-06")


def test_dates_are_given_for_the_samples_that_the_table_lists(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "1,1,06/26/1949,never,B,M,1,55,0,0,Album2/000001_1M55.JPG",
        "1,0,06/26/1949,02/23/2004,B,M,1,54,0,0,Album2/000001_0M54.JPG",
        "3,0,06/26/1949,02/23/2004,B,M,1,54,0,0,Album2/000003_0M54.JPG",
    )
    files = readable("Album2/000001_0M54.JPG", "Album2/000001_1M55.JPG", "Album2/000002_0M54.JPG")
    dates = morph2.read_table(tmp_path, morph2.read(tmp_path, files).samples)
    assert dates is not None
    assert dates["sample_id"].to_list() == ["Album2/000001_0M54", "Album2/000001_1M55"]
    assert (dates["dob"] == pd.Timestamp("1949-06-26")).all()
    assert dates["doa"][0] == pd.Timestamp("2004-02-23")
    assert pd.isna(dates["doa"][1])
