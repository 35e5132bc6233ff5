"""`kedro manifest`: a folder of photos becomes a table that the custom pipelines read."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from contrastive_age.cli import cli
from contrastive_age.sources import manifest, reading


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "my album"
    for name in ("anna/24.jpg", "anna/40.jpg", "ben/6.png", "ben/9.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_what_is_written_is_read_back_and_what_was_guessed_is_said(album: Path) -> None:
    table = album.parent / "m.csv"
    result = CliRunner().invoke(cli, ["manifest", str(album), f"--output={table}"])
    assert result.exit_code == 0, result.output
    assert "lists 4 photos of" in result.output
    assert "1 other files are left out" in result.output
    assert "the first number of the name: 6 to 40 years in 4 photos" in result.output
    assert "the folder: 2 people" in result.output
    assert "anna/24.jpg,anna,24" in result.output
    params = f"--params=raw_root={album},manifest={table}"
    assert shlex.join(["--pipeline=custom_se", params]) in result.output
    files = reading.inspect_files(album, manifest.list_images(table, album), progress=False)
    samples = manifest.read(table, album, files).samples
    assert samples[["identity", "age"]].to_numpy().tolist() == [
        ["anna", 24], ["anna", 40], ["ben", 6], ["ben", 9],
    ]  # fmt: skip


def test_names_that_say_nothing_leave_a_column_to_fill_in(album: Path) -> None:
    table = album.parent / "m.csv"
    arguments = ["manifest", str(album), f"--output={table}", "--pattern=(?P<age>[0-9]{4})"]
    result = CliRunner().invoke(cli, arguments)
    assert "fill the column in" in result.output
    assert "kedro run" not in result.output
    assert table.read_text().splitlines()[:2] == ["path,age", "anna/24.jpg,"]


def test_photos_that_lack_a_label_are_counted_and_a_comma_goes_into_a_file(album: Path) -> None:
    for name in ("30.jpg", "note.jpg"):
        Image.new("RGB", (4, 4), "grey").save(album / name)
    folder = album.rename(album.parent / "my, album")
    table = album.parent / "m.csv"
    result = CliRunner().invoke(cli, ["manifest", str(folder), f"--output={table}"])
    assert "in 5 photos; the 1 others have none, and will be left out" in result.output
    assert "2 people; the 2 others have none" in result.output
    assert "write into conf/local/parameters.yml" in result.output
    assert f"  raw_root: {folder}" in result.output


@pytest.mark.parametrize("what", ["a file that is there", "no photo"])
def test_what_cannot_be_is_said_and_nothing_is_written(album: Path, what: str) -> None:
    table, folder = album.parent / "m.csv", album
    if what == "no photo":
        folder = album / "empty"
        folder.mkdir()
    else:
        table.write_text("mine")
    result = CliRunner().invoke(cli, ["manifest", str(folder), f"--output={table}"])
    assert result.exit_code == 1
    assert ("holds no image files" if what == "no photo" else "is there already") in result.output
    assert not table.exists() or table.read_text() == "mine"
