"""A manifest of any data set: where its paths lead, and which rows can be used."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import manifest, reading


def make_images(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(path)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def ingest(table: Path, raw_root: Path, *, round_ages: bool = False) -> reading.Reading:
    base = manifest.base_folder(table, raw_root)
    files = reading.inspect_files(base, manifest.list_images(table, base), progress=False)
    return manifest.read(table, base, files, round_ages=round_ages)


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


@pytest.mark.parametrize(
    ("written", "rounded"),
    [
        ("11.27", 11),
        ("0.4", 0),
        ("0.5", 1),
        ("2.5", 3),
        ("3.5", 4),
        ("11,5", 12),
        ("0.49999999999999994", 0),
        ("119.6", 120),
        ("25.0", 25),
        ("25,0", 25),
        ("25", 25),
        (".5", 1),
        ("-0.4", None),
        ("120.4", None),
        ("1e1", None),
        ("1.2.3", None),
        ("nan", None),
        ("", None),
    ],
)
def test_ages_are_rounded_only_where_that_is_asked_for(
    tmp_path: Path, written: str, rounded: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    make_images(tmp_path, "a.jpg", "b.jpg")
    table = write(tmp_path / "m.csv", "path;identity;age", f"a.jpg;1;{written}", "b.jpg;1;70")
    whole = written.rstrip("0").rstrip(".,") == str(rounded)
    with caplog.at_level("INFO"):
        result = ingest(table, tmp_path, round_ages=True)
    assert result.samples["age"].to_list() == ([] if rounded is None else [rounded]) + [70]
    changed = rounded is not None and not whole
    assert result.ages_rounded.to_dict("records") == (
        [{"path": "a.jpg", "written": written, "age": rounded}] if changed else []
    )
    assert ("1 of 2 ages are no whole numbers and are rounded" in caplog.text) == changed
    if rounded is None:
        assert f"age '{written}' is not a number from 0 to 120" in result.rejected["reason"][0]
    strict = ingest(table, tmp_path)
    assert strict.samples["age"].to_list() == ([rounded] if whole else []) + [70]
    assert strict.ages_rounded.empty
    reasons = " ".join(strict.rejected["reason"])
    assert ("--params=age=round rounds it (row 2)" in reasons) == changed


def test_paths_that_all_leave_the_folder_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    make_images(tmp_path, "a.jpg")
    (tmp_path / "raw").mkdir()
    table = write(tmp_path / "raw/m.csv", "path,identity,age", "../a.jpg,1,3", "../b.jpg,1,3")
    said = r"2 such as '\.\./a\.jpg': .*--params=allow_outside_raw_root=true \(row 2\)"
    with pytest.raises(DataError, match=rf"m\.csv.*2 entries were rejected, {said}"):
        ingest(table, tmp_path / "raw")


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
    with pytest.raises(DataError, match=r"m\.csv.*relative to.*'a\.jpg': unreadable.*\(row 2\)"):
        ingest(table, tmp_path)


@pytest.mark.parametrize("step", [manifest.base_folder, manifest.list_images])
def test_missing_columns_are_an_error_that_names_them(tmp_path: Path, step) -> None:
    table = write(tmp_path / "m.csv", "file,age", "a.jpg,3")
    with pytest.raises(DataError, match=r"file, age.*columns path, age.*Is 'file' the path\?"):
        step(table, tmp_path)


def test_without_a_column_for_them_every_photo_is_a_person_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_images(tmp_path, "a.jpg", "in/a.jpg")
    result = ingest(
        write(tmp_path / "m.csv", "age,path", "3,a.jpg", "4,in/a.jpg", "5,", "6,../x.jpg"), tmp_path
    )
    assert result.samples["identity"].to_list() == ["a", "in/a"]
    assert result.rejected["reason"].str.contains("path").all()
    assert "every photo counts as another person" in caplog.text


def test_photos_of_their_own_are_neither_nobody_nor_joined(tmp_path: Path) -> None:
    names = ["none.jpg", "NA.jpg", "Anna/2.jpg", "anna/2.jpg", "IMG 1.jpg", "IMG  1.jpg", "-.jpg"]
    make_images(tmp_path, *names)
    table = write(tmp_path / "m.csv", "path,age", *(f"{name},30" for name in names))
    result = ingest(table, tmp_path)
    assert result.samples["identity"].equals(result.samples["sample_id"])
    assert len(result.samples) == len(names)
    assert result.joined.empty


def test_rows_that_would_be_refused_are_said_beforehand(tmp_path: Path) -> None:
    rows = ["a.jpg,1,30", "b.jpg,none,30", "c.jpg,2,x", "d.jpg,2,30"]
    table = write(tmp_path / "m.csv", "path,identity,age", *rows)
    files = pd.DataFrame({"path": [f"{name}.jpg" for name in "abcd"], "problem": ["", "", "", "?"]})
    refused = manifest.refused(table, tmp_path, files)
    assert refused["path"].to_list() == ["b.jpg", "c.jpg", "d.jpg"]
    assert refused["reason"].str.contains("missing one|whole number|unreadable").all()


def test_a_column_that_may_name_people_is_asked_for_before_all_of_them_count_as_others(
    tmp_path: Path,
) -> None:
    table = write(tmp_path / "m.csv", "path,Subject ID,age", "a.jpg,1,3")
    with pytest.raises(DataError, match=r"no column identity\. Is 'subject id' the identity\?"):
        manifest.list_images(table, tmp_path)


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


def make_as_named(folder: Path, *names: str) -> None:
    """Make images, or skip the test where the file system does not keep their names apart."""
    make_images(folder, *names)
    listed = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if not listed.issuperset(names):
        pytest.skip("this file system changes names, or ignores their case")


@pytest.mark.parametrize(
    ("written", "called"),
    [
        (f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg"),
        (f"{DECOMPOSED}.jpg", f"{COMPOSED}.jpg"),
        ("IMG_1.JPG", "img_1.jpg"),
        (f"anna/{COMPOSED}/1.jpg", f"Anna/{DECOMPOSED.upper()}/1.JPG"),
    ],
)
@pytest.mark.parametrize("beside", ["table", "raw_root"])
def test_a_file_is_found_in_another_case_or_unicode_form(
    tmp_path: Path, written: str, called: str, beside: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "table").mkdir()
    make_as_named(tmp_path / beside, called)
    table = write(tmp_path / "table" / "m.csv", "path,identity,age", f"{written},1,30")
    result = ingest(table, tmp_path / "raw_root")
    assert result.samples["path"].to_list() == [called]
    assert result.found_otherwise.to_dict("records") == [{"written": written, "found": called}]
    assert (
        f"1 paths are of files in another case or Unicode form, such as {written!r}" in caplog.text
    )


def test_a_file_that_is_called_as_written_is_taken_before_others(tmp_path: Path) -> None:
    make_as_named(
        tmp_path, "a.jpg", "A.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg", "x/b.jpg", "X/b.jpg"
    )
    names = ["A.jpg", f"{DECOMPOSED}.jpg", "x/b.jpg"]
    rows = [f"{name},1,30" for name in names]
    result = ingest(write(tmp_path / "m.csv", "path,identity,age", *rows), tmp_path)
    assert sorted(result.samples["path"]) == sorted(names)
    assert result.found_otherwise.empty


def test_of_several_files_that_fit_none_is_taken(tmp_path: Path) -> None:
    make_as_named(tmp_path, "good.jpg", "ab.jpg", "Ab.jpg", "x/b.jpg", "X/B.jpg")
    table = write(
        tmp_path / "m.csv", "path,identity,age", "good.jpg,1,3", "AB.jpg,1,3", "x/B.jpg,1,3"
    )
    result = ingest(table, tmp_path)
    assert result.samples["path"].to_list() == ["good.jpg"]
    assert result.rejected["reason"].to_list() == [
        f"{manifest.SEVERAL}: 'Ab.jpg', 'ab.jpg'; write one of them (row 3)",
        f"{manifest.SEVERAL}: 'X/B.jpg', 'x/b.jpg'; write one of them (row 4)",
    ]
    assert result.found_otherwise.empty


@pytest.mark.parametrize("names", [("A.jpg", "a.jpg"), ("a.jpg", "A.jpg"), ("A.jpg", "A.JPG")])
def test_two_rows_of_one_file_are_the_same_photo_twice(tmp_path: Path, names) -> None:
    make_images(tmp_path, "a.jpg")
    rows = [f"{name},1,30" for name in names]
    result = ingest(write(tmp_path / "m.csv", "path,identity,age", *rows), tmp_path)
    assert result.samples["path"].to_list() == ["a.jpg"]
    assert result.rejected["path"].to_list() == [names[1]]
    assert "stands already in row 2 (row 3)" in result.rejected["reason"][0]


@pytest.mark.parametrize("written", ["DOOR/secret.jpg", "LINK.JPG", "door/SECRET.jpg"])
def test_no_other_spelling_leads_out_of_the_folder(tmp_path: Path, written: str) -> None:
    raw_root = tmp_path / "raw"
    make_images(tmp_path, "raw/good.jpg", "secret.jpg")
    (raw_root / "door").symlink_to("..", target_is_directory=True)
    (raw_root / "link.jpg").symlink_to("../secret.jpg")
    table = write(tmp_path / "m.csv", "path,identity,age", "good.jpg,1,3", f"{written},2,4")
    assert manifest.list_images(table, raw_root) in (["good.jpg"], ["DOOR/secret.jpg", "good.jpg"])
    refused = ingest(table, raw_root)
    assert refused.samples["path"].to_list() == ["good.jpg"]
    assert refused.rejected["path"].to_list() == [written]
    assert refused.found_otherwise.empty
    files = reading.inspect_files(
        raw_root, manifest.list_images(table, raw_root, outside=True), progress=False
    )
    allowed = manifest.read(table, raw_root, files, outside=True)
    assert set(allowed.samples["age"]) == {3, 4}
