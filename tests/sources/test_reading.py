"""The common parts: the contract of the samples table, and files found and inspected."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.sources import reading


def make_image(path: Path, shade: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 10, 20)).save(path)
    return path


def samples_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "path": ["a.jpg", "b.jpg"],
            "identity": ["1", "2"],
            "age": [3, 40],
            "sex": ["F", None],
            "race": [None, "x"],
            "capture": [0, 1],
        }
    )


def test_a_right_table_passes_with_and_without_optional_columns() -> None:
    table = samples_table()
    assert reading.check_samples(table) is table
    reading.check_samples(table[["sample_id", "path", "identity", "age"]])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.drop(columns="age"), "age"),
        (lambda t: t.assign(age=[3.0, 40.0]), "age"),
        (lambda t: t.assign(age=[3, 121]), "121"),
        (lambda t: t.assign(age=[-1, 40]), "-1"),
        (lambda t: t.assign(sex=["F", "x"]), "sex"),
        (lambda t: t.assign(identity=[1, 2]), "identity"),
        (lambda t: t.assign(identity=["1", None]), "identity"),
        (lambda t: t.assign(identity=["1", ""]), "identity"),
        (lambda t: t.assign(sample_id=["a", "a"]), "sample_id"),
        (lambda t: t.assign(path=["a", "a"]), "path"),
        (lambda t: t.assign(colour="blue"), "colour"),
        (lambda t: t.iloc[::-1].reset_index(drop=True), "not sorted"),
        (lambda t: t.set_index(pd.Index([1, 2])), "index"),
    ],
)
def test_a_broken_table_is_refused_with_the_breach_named(change, named) -> None:
    with pytest.raises(DataError, match=named):
        reading.check_samples(change(samples_table()))


def test_every_breach_is_listed() -> None:
    with pytest.raises(DataError) as error:
        reading.check_samples(samples_table().assign(age=[3, 500], sex=["F", "q"]))
    assert "500" in str(error.value)
    assert "'q'" in str(error.value)


def test_inspection_gives_digest_and_problem_of_every_file(tmp_path: Path) -> None:
    good = make_image(tmp_path / "good.png")
    whole = make_image(tmp_path / "whole.jpg", size=(200, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.jpg").mkdir()
    names = ["good.png", "cut.jpg", "empty.jpg", "text.jpg", "folder.jpg", "absent.jpg"]

    files = reading.inspect_files(tmp_path, names, progress=False).set_index("path")

    assert list(files.index) == names
    assert files.loc["good.png", "problem"] == ""
    assert files.loc["good.png", "digest"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert files.loc["good.png", "size"] == good.stat().st_size
    assert files.loc["good.png", "mtime_ns"] == good.stat().st_mtime_ns
    assert files.loc["good.png", "ctime_ns"] == good.stat().st_ctime_ns
    assert files.loc["good.png", "inode"] == good.stat().st_ino % 2**63
    assert "truncated" in files.loc["cut.jpg", "problem"]
    assert files.loc["good.png", ["pixels", "note"]].to_list() == [48, ""]
    assert "empty" in files.loc["empty.jpg", "problem"]
    assert files.loc["text.jpg", "problem"] == "the content is no known image format"
    assert "directory" in files.loc["folder.jpg", "problem"]
    assert "no such file" in files.loc["absent.jpg", "problem"]
    state = files.loc["absent.jpg", ["size", "mtime_ns", "ctime_ns", "inode", "digest"]]
    assert state.to_list() == [-1, -1, -1, -1, ""]


def test_the_columns_have_their_types_even_without_files(tmp_path: Path) -> None:
    files = reading.inspect_files(tmp_path, [], progress=False)
    assert files.dtypes.astype(str).to_dict() == {
        "path": "str",
        "size": "int64",
        "mtime_ns": "int64",
        "ctime_ns": "int64",
        "inode": "int64",
        "digest": "str",
        "problem": "str",
        "pixels": "int64",
        "note": "str",
    }


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    paths = [make_image(tmp_path / f"{n}.png", n).name for n in range(4)]
    first = reading.inspect_files(tmp_path, paths, progress=False)
    known = first.assign(digest="taken over")
    make_image(tmp_path / "1.png", 99, size=(30, 30))
    stamp = (tmp_path / "2.png").stat().st_mtime_ns + 1_000_000_000
    os.utime(tmp_path / "2.png", ns=(stamp, stamp))
    make_image(tmp_path / "new.png", 5)

    again = reading.inspect_files(tmp_path, ["new.png", *paths[::-1]], known, progress=False)

    digests = again.set_index("path")["digest"]
    assert list(digests.index) == ["new.png", "3.png", "2.png", "1.png", "0.png"]
    assert digests["0.png"] == digests["3.png"] == "taken over"
    assert digests["1.png"] == hashlib.sha256((tmp_path / "1.png").read_bytes()).hexdigest()
    assert digests["2.png"] == first.set_index("path")["digest"]["2.png"]
    assert len(digests["new.png"]) == 64


def test_photos_that_swap_names_are_read_again(tmp_path: Path) -> None:
    photos = [make_image(tmp_path / name, shade) for name, shade in (("a.bmp", 1), ("b.bmp", 2))]
    for photo in photos:
        os.utime(photo, ns=(10**18, 10**18))
    paths = [photo.name for photo in photos]
    known = reading.inspect_files(tmp_path, paths, progress=False)
    assert known["size"].nunique() == known["mtime_ns"].nunique() == 1
    photos[0].rename(tmp_path / "c.bmp")
    photos[1].rename(photos[0])
    (tmp_path / "c.bmp").rename(photos[1])
    again = reading.inspect_files(tmp_path, paths, known, progress=False)
    assert again["digest"].to_list() == known["digest"].to_list()[::-1]


@pytest.mark.parametrize("column", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_a_file_is_read_again_if_anything_about_it_is_another(tmp_path: Path, column: str) -> None:
    make_image(tmp_path / "a.png")
    first = reading.inspect_files(tmp_path, ["a.png"], progress=False)
    known = first.assign(digest="taken over")
    known[column] += 1
    pd.testing.assert_frame_equal(
        reading.inspect_files(tmp_path, ["a.png"], known, progress=False), first
    )


@pytest.mark.parametrize("column", ["ctime_ns", "inode", "problem"])
def test_an_earlier_table_without_a_column_is_not_used(tmp_path: Path, column: str) -> None:
    make_image(tmp_path / "a.png")
    first = reading.inspect_files(tmp_path, ["a.png"], progress=False)
    known = first.assign(digest="taken over").drop(columns=column)
    pd.testing.assert_frame_equal(
        reading.inspect_files(tmp_path, ["a.png"], known, progress=False), first
    )


def test_a_file_number_of_64_bits_is_taken(tmp_path: Path, monkeypatch) -> None:
    make_image(tmp_path / "a.png")
    stat = (tmp_path / "a.png").stat()
    state = {name: getattr(stat, name) for name in dir(stat) if name.startswith("st_")}
    large = SimpleNamespace(**state | {"st_ino": 2**64 - 1})
    monkeypatch.setattr(Path, "stat", lambda path: large)
    assert reading.inspect_files(tmp_path, ["a.png"], progress=False)["inode"][0] == 2**63 - 1


def test_files_with_a_problem_are_read_again(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png")
    first = reading.inspect_files(tmp_path, ["a.png"], progress=False)
    known = first.assign(problem="input/output error", digest="")
    pd.testing.assert_frame_equal(
        reading.inspect_files(tmp_path, ["a.png"], known, progress=False), first
    )


def test_the_files_found_do_not_depend_on_what_the_system_adds(tmp_path: Path) -> None:
    for name in ("b.JPG", "sub/a.png", ".hidden.jpg", ".cache/c.jpg", "Thumbs.db", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert reading.list_images(tmp_path, "", "") == ["b.JPG", "notes.txt", "sub/a.png"]
    assert reading.passed_over(tmp_path, "").empty


def test_images_are_told_by_their_content_and_every_other_file_has_its_reason(
    tmp_path: Path,
) -> None:
    make_image(tmp_path / "a.png").rename(tmp_path / "a")
    (tmp_path / "b.jpg").write_bytes(b"%PDF-1.7 " + b"x" * 5000)
    os.truncate(tmp_path / "b.jpg", 2**40)  # it would not fit into memory
    files = reading.inspect_files(tmp_path, reading.list_images(tmp_path, "", ""), progress=False)
    assert files["problem"].to_list() == ["", "a PDF, which is not read as a photo"]
    assert files["digest"].ne("").to_list() == [True, False]


def test_a_folder_of_other_files_holds_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("notes")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="holds no image files"):
        reading.list_images(tmp_path, "", "")


def test_an_earlier_sound_photo_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    paths = [make_image(tmp_path / name, size=size).name for name, size in (
        ("small.png", (100, 99)), ("large.png", (200, 100)),
    )]  # fmt: skip
    known = reading.inspect_files(tmp_path, paths, progress=False)
    assert known["problem"].eq("").all()
    again = reading.inspect_files(
        tmp_path, paths, known.assign(digest="taken over"), progress=False, most_megapixels=0.01
    )
    assert again["digest"][0] == "taken over"
    assert again["problem"].to_list() == [
        "",
        "200 x 100 pixels are more than most_megapixels=0.01; raise it to read this photo",
    ]


def test_a_photo_whose_end_is_missing_is_used_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_image(tmp_path / "a.ppm", size=(100, 100))
    os.truncate(tmp_path / "a.ppm", (tmp_path / "a.ppm").stat().st_size - 301)
    make_image(tmp_path / "b.ppm", size=(100, 100))
    files = reading.inspect_files(tmp_path, ["a.ppm", "b.ppm"], progress=False)
    note = "its end is missing: the last 2 of 100 lines"
    assert files[["problem", "note"]].to_numpy().tolist() == [["", note], ["", ""]]
    assert f"1 photos below {tmp_path} are cut off" in caplog.text
    assert note in caplog.text
    kept = reading.inspect_files(
        tmp_path, ["a.ppm", "b.ppm"], files.assign(digest="taken over"), progress=False
    )
    assert kept["digest"].eq("taken over").all()
    assert kept["note"].equals(files["note"])


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    make_image(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "part").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert reading.list_images(tmp_path / "source", "", "") == ["part/a.png"]


def test_a_name_that_is_no_unicode_is_kept_as_an_unreadable_file(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    files = reading.inspect_files(tmp_path, reading.list_images(tmp_path, "", ""), progress=False)
    assert files["path"].to_list() == ["caf\\xe9.jpg"]
    assert "no such file" in files["problem"][0]


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_images_is_an_error_with_directions(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "images").mkdir()
    state = "holds no image files" if made else "does not exist"
    with pytest.raises(DataError, match=state) as error:
        reading.list_images(tmp_path, "images", "Ask the library.")
    assert str(tmp_path / "images") in str(error.value)
    assert "Ask the library." in str(error.value)


def test_finishing_rejects_impossible_ages_missing_identities_and_repeated_names() -> None:
    rows = pd.DataFrame(
        {
            "path": ["b.png", "a.png", "a.jpg", "old.png", "who.png"],
            "identity": ["2", "1", "1", "3", "nan"],
            "age": [5, 6, 6, 121, 7],
        }
    )
    before = reading.rejections(["z.png"], "some reason")
    result = reading.finish(rows, [before], "here")
    assert result.samples["path"].to_list() == ["a.jpg", "b.png"]
    assert result.rejected.to_dict("list") == {
        "path": ["a.png", "old.png", "who.png", "z.png"],
        "reason": [
            "another file has the same name but for its suffix, sample a",
            "age 121 is outside 0 to 120",
            "the identity 'nan' stands for a missing one; if a person is called so, add "
            "another word",
            "some reason",
        ],
    }


def test_a_source_without_one_usable_file_is_an_error_that_says_why() -> None:
    rows = pd.DataFrame({"path": ["b.png"], "identity": ["2"], "age": [300]})
    with pytest.raises(DataError, match=r"in here can.*'b\.png': age 300 is outside"):
        reading.finish(rows, [], "here")


def test_finishing_joins_the_spellings_of_the_samples_that_are_used() -> None:
    rows = pd.DataFrame(
        {
            "path": ["a.png", "b.png", "c.png", "d.png", "e.png"],
            "identity": ["ann", "Ann", "ann ", "Ann", "Bo"],
            "age": [1, 2, 3, 150, 5],
        }
    )
    result = reading.finish(rows, [], "here")
    assert result.samples["identity"].to_list() == ["Ann", "Ann", "Ann", "Bo"]
    assert result.joined.to_dict("list") == {
        "identity": ["Ann"], "spellings": [{"Ann": 1, "ann": 1, "ann ": 1}],
    }  # fmt: skip
