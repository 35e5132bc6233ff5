"""FG-NET: names, landmarks, and the real database where it is present."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import fgnet, reading
from contrastive_age.sources.audit import audit


def fill(folder: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 99 + shade).save(path)
    return folder


def ingest(folder: Path) -> reading.Reading:
    return fgnet.read(
        folder, reading.inspect_files(folder, fgnet.list_images(folder), progress=False)
    )


def pts(points: np.ndarray) -> str:
    rows = "\r\n".join(f"{x} {y}" for x, y in points)
    return f"version: 1\r\nn_points: {len(points)}\r\n{{\r\n{rows}\r\n}}\r\n"


def test_labels_come_from_the_names(tmp_path: Path) -> None:
    fill(tmp_path, "images/002A43b.JPG", "images/001a02.jpg", "images/002A43a.JPG")
    result = ingest(tmp_path)
    assert result.samples.to_dict("list") == {
        "sample_id": ["images/001a02", "images/002A43a", "images/002A43b"],
        "path": ["images/001a02.jpg", "images/002A43a.JPG", "images/002A43b.JPG"],
        "identity": ["001", "002", "002"],
        "age": [2, 43, 43],
    }
    assert result.rejected.empty


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    fill(tmp_path, "images/001A02.JPG", "images/001A02.png", "images/face.png", "points/x.png")
    (tmp_path / "images/003A10.JPG").write_bytes(b"")
    (tmp_path / "images/readme.txt").write_text("Read me")
    result = ingest(tmp_path)
    assert result.samples["path"].to_list() == ["images/001A02.JPG"]
    reasons = result.rejected.set_index("path")["reason"]
    assert reasons["images/face.png"].startswith("name does not parse: expected <identity>A<age>")
    assert reasons["images/003A10.JPG"] == "unreadable: the file is empty"
    assert "same name but for its suffix" in reasons["images/001A02.png"]
    assert reasons["images/readme.txt"] == "unreadable: the content is no known image format"
    assert len(reasons) == 4


@settings(max_examples=25, deadline=None)
@given(
    identity=st.integers(0, 9999).map(lambda n: f"{n:03d}"),
    age=st.integers(0, 120),
    letter=st.sampled_from(["", "a", "b", "Z"]),
    mark=st.sampled_from("aA"),
    suffix=st.sampled_from([".JPG", ".jpg", ".JPEG", " .jpeg", ".png"]),
)
def test_every_name_of_the_form_parses_back(identity, age, letter, mark, suffix) -> None:
    path = f"images/{identity}{mark}{age:02d}{letter}{suffix}"
    row = fgnet.read(Path("nowhere"), readable(path)).samples.iloc[0]
    assert (row["identity"], row["age"], row["path"]) == (identity, age, path)


@settings(max_examples=25, deadline=None)
@given(
    st.text("0123456789aAbB_", max_size=9).filter(
        lambda name: not (name[:3].isdigit() and "A" in name.upper())
    )
)
def test_other_names_are_rejected(name: str) -> None:
    files = readable("images/001A02.JPG", f"images/x{name}.JPG")
    result = fgnet.read(Path("nowhere"), files)
    assert len(result.samples) == 1
    assert result.rejected["path"].to_list() == [f"images/x{name}.JPG"]


def readable(*paths: str) -> pd.DataFrame:
    return pd.DataFrame({"path": paths, "size": 1, "digest": "0", "problem": "", "note": ""})


def test_a_source_of_damaged_files_only_is_an_error(tmp_path: Path) -> None:
    files = readable("images/001A02.JPG").assign(problem="the file is empty")
    with pytest.raises(DataError, match="unreadable: the file is empty"):
        fgnet.read(tmp_path, files)


@pytest.mark.parametrize("made", ["", "images", "other"])
def test_a_missing_source_is_an_error_that_says_how_to_get_it(tmp_path: Path, made: str) -> None:
    (tmp_path / made).mkdir(exist_ok=True)
    with pytest.raises(DataError) as error:
        fgnet.list_images(tmp_path)
    message = str(error.value)
    assert str(tmp_path / "images") in message
    for part in ("001A02.JPG", "points/", "public", "raw_root"):
        assert part in message


def test_the_five_points_are_read_without_regard_to_case(tmp_path: Path) -> None:
    fill(tmp_path, "Images/001A02.JPG")
    points = np.arange(136, dtype=float).reshape(68, 2)
    (tmp_path / "points").mkdir()
    (tmp_path / "points/001a02.PTS").write_text(pts(points))
    table = fgnet.read_points(tmp_path, ingest(tmp_path).samples)
    assert table.columns.to_list() == [
        "sample_id", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y",
        "mouth_left_x", "mouth_left_y", "mouth_right_x", "mouth_right_y",
    ]  # fmt: skip
    expected = [value for row in (31, 36, 67, 48, 54) for value in points[row]]
    assert table.iloc[0].to_list() == ["Images/001A02", *expected]


def test_left_is_the_smaller_x(tmp_path: Path) -> None:
    fill(tmp_path, "images/001A02.JPG")
    points = np.arange(136, dtype=float).reshape(68, 2)[::-1]
    (tmp_path / "points").mkdir()
    (tmp_path / "points/001a02.pts").write_text(pts(points))
    row = fgnet.read_points(tmp_path, ingest(tmp_path).samples).iloc[0]
    assert row[["left_eye_x", "left_eye_y"]].to_list() == points[36].tolist()
    assert row[["right_eye_x", "right_eye_y"]].to_list() == points[31].tolist()
    assert row[["mouth_left_x", "mouth_left_y"]].to_list() == points[54].tolist()
    assert row[["mouth_right_x", "mouth_right_y"]].to_list() == points[48].tolist()


def test_unusable_landmarks_are_absent_and_the_reason_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["001A01", "001A02", "001A03", "001A04", "001A05", "001A06"]
    fill(tmp_path, *(f"images/{name}.JPG" for name in names))
    (tmp_path / "points").mkdir()
    points = np.ones((68, 2))
    contents = {
        "001a01": pts(points),
        "001a02": pts(points[:-1]),
        "001a03": pts(points).replace("1.0 1.0", "1.0 nan", 1),
        "001a04": pts(points).replace("1.0 1.0", "1.0 one", 1),
        "001a05": "",
    }
    for name, text in contents.items():
        (tmp_path / "points" / f"{name}.pts").write_text(text)
    with caplog.at_level(logging.WARNING):
        table = fgnet.read_points(tmp_path, ingest(tmp_path).samples)
    assert table["sample_id"].to_list() == ["images/001A01"]
    for name in ("001a02.pts", "001a03.pts", "001a04.pts", "001a05.pts", "no 001a06.pts"):
        assert name in caplog.text


@pytest.mark.parametrize("made", [True, False])
def test_without_landmarks_the_table_is_empty_but_whole(tmp_path: Path, made: bool) -> None:
    fill(tmp_path, "images/001A02.JPG")
    if made:
        (tmp_path / "points").mkdir()
    table = fgnet.read_points(tmp_path, ingest(tmp_path).samples)
    assert table.empty
    assert table.columns.to_list() == ["sample_id", *fgnet.LANDMARK_COLUMNS]
    assert set(table.dtypes[1:].astype(str)) == {"float64"}


@pytest.mark.real_data
def test_the_real_database_is_what_the_paper_counts(shared_data: Path) -> None:
    folder = shared_data / "fgnet"
    files = reading.inspect_files(folder, fgnet.list_images(folder), progress=False)
    result = fgnet.read(folder, files)
    report = audit(result, files)
    anomalies = report["anomalies"]
    assert (report["n"], report["identities"], report["images_found"]) == (1002, 82, 1002)
    assert report["age_bins"] == {"0-19": 710, "20-39": 223, "40-59": 61, "60+": 8}
    assert report["ages"] == {"min": 0, "max": 69, "median": 13.0}
    assert report["rejected"] == []
    assert anomalies["duplicate_bytes"]["count"] == 0
    assert anomalies["single_image_identities"]["count"] == 0
    alone = anomalies["ages_held_by_one_identity"]["items"]
    assert sum(len(item["sample_ids"]) for item in alone) == 6


@pytest.mark.real_data
def test_every_real_image_has_landmarks_inside_it(shared_data: Path) -> None:
    folder = shared_data / "fgnet"
    samples = fgnet.read(folder, readable(*fgnet.list_images(folder))).samples
    table = fgnet.read_points(folder, samples)
    assert table["sample_id"].equals(samples["sample_id"])
    assert (table["left_eye_x"] < table["right_eye_x"]).all()
    assert (table[["left_eye_y", "right_eye_y"]].max(axis=1) < table["mouth_left_y"]).all()
