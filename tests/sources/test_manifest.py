"""A manifest of any data set: where its paths lead, and which rows can be used."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import manifest, reading


def make_images(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def ingest(table: Path, raw_root: Path) -> reading.Reading:
    base = manifest.base_folder(table, raw_root)
    files = reading.inspect_files(base, manifest.list_images(table, base), progress=False)
    return manifest.read(table, base, files)


def test_a_whole_manifest_is_read(tmp_path: Path) -> None:
    make_images(tmp_path, "faces/b.jpg", "faces/a.png", "c.jpg")
    table = write(
        tmp_path / "lists" / "m.csv",
        "path;identity;age;sex;race",
        "faces/b.jpg;007;25;female;x",
        "./faces//a.png;007;0;M;",
        "c.jpg;None Such;120.0;;y",
    )
    result = ingest(table, tmp_path)
    samples = result.samples
    assert samples["sample_id"].to_list() == ["c", "faces/a", "faces/b"]
    assert samples["path"].to_list() == ["c.jpg", "faces/a.png", "faces/b.jpg"]
    assert samples["identity"].to_list() == ["None Such", "007", "007"]
    assert samples["age"].to_list() == [120, 0, 25]
    assert samples["sex"].fillna("missing").to_list() == ["missing", "M", "F"]
    assert samples["race"].fillna("missing").to_list() == ["y", "missing", "x"]
    assert result.rejected.empty


def test_optional_columns_that_hold_nothing_are_left_out(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    table = write(tmp_path / "m.csv", "path,identity,age,sex,race,note", "a.jpg,1,3,,,hello")
    assert ingest(table, tmp_path).samples.columns.to_list() == [
        "sample_id", "path", "identity", "age",
    ]  # fmt: skip


def test_an_unknown_sex_counts_as_missing_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg")
    table = write(tmp_path / "m.csv", "path,identity,age,sex", "a.jpg,1,3,?", "b.jpg,1,3,F")
    assert ingest(table, tmp_path).samples["sex"].fillna("missing").to_list() == ["missing", "F"]
    assert "In 1 rows" in caplog.text


def test_each_bad_row_is_rejected_with_its_row_and_reason(tmp_path: Path) -> None:
    make_images(tmp_path, "data/good.jpg", "data/good.png", "outside.jpg")
    (tmp_path / "data/text.jpg").write_text("no picture")
    table = write(
        tmp_path / "data" / "m.csv",
        "path,identity,age",
        "good.jpg,1,30",
        "d,1,25.5",
        "x,1,121",
        "y,1,-3",
        "z,1,",
        "absent.jpg,1,30",
        "text.jpg,1,30",
        "../outside.jpg,1,30",
        f'"{tmp_path}/outside.jpg",1,30',
        ",1,30",
        "q.jpg,,30",
        "good.jpg,2,31",
        "good.png,1,30",
        "w.jpg,1,30,surplus",
    )
    result = ingest(table, tmp_path / "data")
    assert result.samples["path"].to_list() == ["good.jpg"]
    by_row = {
        int(reason.rsplit("(row ", 1)[1].rstrip(")")): (path, reason)
        for path, reason in result.rejected.itertuples(index=False)
    }
    expected = {
        3: ("d", "age '25.5' is not a whole number from 0 to 120"),
        4: ("x", "age '121' is not"),
        5: ("y", "age '-3' is not"),
        6: ("z", "age '' is not"),
        7: ("absent.jpg", "unreadable: no such file"),
        8: ("text.jpg", "unreadable: the content is no known image format"),
        9: ("../outside.jpg", "the path lies outside the data folder or holds '..'"),
        10: (f"{tmp_path}/outside.jpg", "the path lies outside the data folder or holds '..'"),
        11: ("", "the path is empty"),
        12: ("q.jpg", "the identity is empty"),
        13: ("good.jpg", "stands already in row 2"),
        14: ("good.png", "stands already in row 2"),
        15: ("w.jpg", "more values than the header"),
    }
    assert by_row.keys() == expected.keys()
    for row, (path, reason) in expected.items():
        assert by_row[row][0] == path
        assert reason in by_row[row][1]


def test_a_good_row_counts_although_a_bad_one_names_the_same_file(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    table = write(tmp_path / "m.csv", "path,identity,age", "a.jpg,1,old", "a.jpg,1,70")
    result = ingest(table, tmp_path)
    assert result.samples["age"].to_list() == [70]
    assert len(result.rejected) == 1


def test_absolute_paths_inside_and_backslashes_are_taken(tmp_path: Path) -> None:
    make_images(tmp_path, "in/a.jpg", "in/b.jpg")
    table = write(
        tmp_path / "m.csv", "path,identity,age", f'"{tmp_path}/in/a.jpg",1,3', "in\\b.jpg,1,4"
    )
    assert ingest(table, tmp_path).samples["path"].to_list() == ["in/a.jpg", "in/b.jpg"]


def test_paths_are_relative_to_raw_root_or_else_to_the_manifest(tmp_path: Path) -> None:
    raw_root, own = tmp_path / "raw", tmp_path / "own"
    table = write(own / "m.csv", "path,identity,age", "a.jpg,1,3", "b.jpg,1,4")
    assert manifest.base_folder(table, raw_root) == raw_root
    make_images(own, "b.jpg")
    assert manifest.base_folder(table, raw_root) == own
    make_images(own, "a.jpg")
    assert manifest.base_folder(table, raw_root) == own
    make_images(raw_root, "a.jpg")
    assert manifest.base_folder(table, raw_root) == raw_root


def test_the_files_are_listed_once_and_without_those_outside(tmp_path: Path) -> None:
    table = write(
        tmp_path / "m.csv", "path,identity,age", "b.jpg,1,3", "a.jpg,1,x", "b.jpg,,", "../c.jpg,1,3"
    )
    assert manifest.list_images(table, tmp_path) == ["a.jpg", "b.jpg"]


def test_a_manifest_without_one_usable_row_is_an_error(tmp_path: Path) -> None:
    table = write(tmp_path / "m.csv", "path,identity,age", "a.jpg,1,3")
    with pytest.raises(DataError, match=r"m\.csv.*relative to.*a\.jpg: unreadable.*\(row 2\)"):
        ingest(table, tmp_path)


@pytest.mark.parametrize("step", [manifest.base_folder, manifest.list_images])
def test_missing_columns_are_an_error_that_names_them(tmp_path: Path, step) -> None:
    table = write(tmp_path / "m.csv", "file,age", "a.jpg,3")
    with pytest.raises(DataError, match=r"file, age.*path, identity, age"):
        step(table, tmp_path)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Zoé Ünal") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("kept", "others"),
    [
        (DECOMPOSED, [COMPOSED]),
        ("Anna Lee", ["Anna  Lee", "anna lee", "ANNA LEE", "Anna\N{NO-BREAK SPACE}Lee"]),
        ("1", ["1.0", "1."]),
    ],
)
def test_one_person_written_in_several_ways_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: str, others: list[str]
) -> None:
    written = [kept, *others, kept, "somebody else"]
    names = [f"{number}.jpg" for number in range(len(written))]
    make_images(tmp_path, *names)
    rows = [f"{name},{identity},30" for name, identity in zip(names, written, strict=True)]
    result = ingest(write(tmp_path / "m.csv", "path,identity,age", *rows), tmp_path)
    assert set(result.samples["identity"]) == {kept, "somebody else"}
    assert result.joined.to_dict("records") == [
        {"identity": kept, "spellings": dict.fromkeys(others, 1) | {kept: 2}}
    ]
    assert "1 people are written in several ways" in caplog.text


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "n/a", "NA", "<NA>"])
def test_rows_without_an_identity_are_no_person(tmp_path: Path, word: str) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    table = write(
        tmp_path / "m.csv", "path,identity,age", f"a.jpg,{word},3", f"b.jpg,{word},4", "c.jpg,Ann,5"
    )
    result = ingest(table, tmp_path)
    assert result.samples["identity"].to_list() == ["Ann"]
    for row, reason in zip((2, 3), result.rejected["reason"], strict=True):
        assert reason.startswith(f"the identity '{word}' stands for a missing one")
        assert reason.endswith(f"(row {row})")
