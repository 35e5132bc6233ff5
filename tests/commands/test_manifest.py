"""`kedro manifest`: a folder of photos becomes a table that the custom pipelines read."""

import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from contrastive_age.cli import cli
from contrastive_age.commands import manifest as manifests
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.sources import manifest, reading


@pytest.fixture(autouse=True)
def _plain_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)


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
    assert "1 other file is left out" in result.output
    assert "the first number of the name: 6 to 40 years in 4 photos" in result.output
    assert "the folder: 2 people" in result.output
    assert "anna/24.jpg,anna,24" in result.output
    assert "go on with fewer folds: 5 need as many people" in result.output
    params = f"--params=raw_root={album},manifest={table},protocols.custom_se.folds=2"
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
    assert "the pattern fits no photo: fill the column in" in result.output
    assert "kedro run" not in result.output
    assert table.read_text().splitlines()[:2] == ["path,age", "anna/24.jpg,"]


def test_photos_that_lack_a_label_are_counted_and_a_comma_goes_into_a_file(album: Path) -> None:
    for name in ("30.jpg", "note.jpg"):
        Image.new("RGB", (4, 4), "grey").save(album / name)
    folder = album.rename(album.parent / "my, album")
    table = album.parent / "m.csv"
    result = CliRunner().invoke(cli, ["manifest", str(folder), f"--output={table}"])
    assert "in 5 photos; 1 photo without one will be left out" in result.output
    assert "2 people; 2 photos without one will be left out" in result.output
    assert "write into conf/local/parameters.yml" in result.output
    assert f"  raw_root: {folder}" in result.output


def test_as_many_people_as_folds_need_no_fewer_and_paths_in_the_project_are_relative(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cy/7.jpg", "di/33.jpg", "eve/50.jpg"):
        (album / name).parent.mkdir()
        Image.new("RGB", (4, 4), "grey").save(album / name)
    root = album.parent
    monkeypatch.setattr(manifests, "find_kedro_project", lambda _: root)
    result = CliRunner().invoke(cli, ["manifest", str(album), f"--output={root / 'm.csv'}"])
    assert "else go on with\n" in result.output
    params = "--params=raw_root=my album,manifest=m.csv"
    assert shlex.join(["kedro", "run", "--pipeline=custom_se", params]) in result.output


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        (" cy ", "a table cannot name it"),
        ("c\\y", "a table cannot name it"),
        (os.fsdecode(b"caf\xe9"), "a table cannot name it"),
        ("none", "stands for a missing one"),
        ("NA", "stands for a missing one"),
    ],
)
def test_photos_that_no_run_would_take_from_the_table_are_counted(
    album: Path, folder: str, reason: str
) -> None:
    try:
        (album / folder).mkdir()
    except OSError:
        pytest.skip("the file system takes no such name")
    for age in (3, 44):
        Image.new("RGB", (4, 4), "grey").save(album / folder / f"{age}.jpg")
    table = album.parent / "m.csv"
    result = CliRunner().invoke(cli, ["manifest", str(album), f"--output={table}"])
    assert "unusable  2 photos: 2 such as" in result.output
    assert reason in result.output
    assert "folds=2" in result.output


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
