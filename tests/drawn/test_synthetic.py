import csv
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastive_age.drawn import synthetic
from contrastive_age.drawn.synthetic import MARKER, MORPH_COLUMNS, draw
from contrastive_age.errors import DataError
from contrastive_age.sources.morph2 import TABLE_NAME

SMALL = {"identities": 3, "images": 9, "seed": 0}
write_fgnet, write_morph2 = partial(draw, "fgnet"), partial(draw, "morph2")
WRITERS = [write_fgnet, write_morph2]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fgnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "fgnet"
    write_fgnet(folder, **SMALL)
    return folder


@pytest.fixture(scope="module")
def morph2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "morph2"
    write_morph2(folder, **SMALL)
    return folder


def test_fgnet_layout(fgnet: Path) -> None:
    names = sorted(path.name for path in (fgnet / "images").iterdir())
    assert len(names) == 9
    for name in names:
        match = re.fullmatch(r"(\d{3})A(\d{2})[a-z]?\.JPG", name)
        assert match and 1 <= int(match[1]) <= 3 and int(match[2]) <= 69
        with Image.open(fgnet / "images" / name) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (200, 200))
    assert sorted(path.name for path in (fgnet / "points").iterdir()) == sorted(
        name.lower().replace(".jpg", ".pts") for name in names
    )


def test_fgnet_points_file(fgnet: Path) -> None:
    path = next((fgnet / "points").iterdir())
    lines = path.read_bytes().decode("ascii").split("\r\n")
    assert lines[:3] == ["version: 1", "n_points: 68", "{"]
    assert lines[-2:] == ["}", ""]
    points = np.array([line.split() for line in lines[3:-2]], np.float64)
    assert points.shape == (68, 2)
    assert points.min() > 0 and points.max() < 200


def test_morph2_layout_and_table(morph2: Path) -> None:
    names = {f"Album2/{path.name}" for path in (morph2 / "Album2").iterdir()}
    assert len(names) == 9
    with (morph2 / TABLE_NAME).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == MORPH_COLUMNS
    assert {row["photo"] for row in rows} == names
    for row in rows:
        match = re.fullmatch(r"Album2/(\d{6})_(\d+)([FM])(\d{2})\.JPG", row["photo"])
        assert match
        assert match.groups() == (row["id_num"], row["picture_num"], row["gender"], row["age"])
        born, taken = (datetime.strptime(row[key], "%m/%d/%Y") for key in ("dob", "doa"))
        assert int((taken - born).days / 365.25) == pytest.approx(int(row["age"]), abs=1)
        assert row["race"] in {"W", "B", "H", "A"}


@pytest.mark.parametrize("write", WRITERS)
def test_a_finished_folder_is_left_as_it_is(write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path, **SMALL)
    before = stamps(tmp_path)
    write(tmp_path, **SMALL)
    assert stamps(tmp_path) == before


@pytest.mark.parametrize("write", WRITERS)
def test_writing_is_reproducible(write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path / "a", **SMALL)
    write(tmp_path / "b", **SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_what_is_missing_is_completed(tmp_path: Path) -> None:
    write_fgnet(tmp_path, **SMALL)
    before, times = contents(tmp_path), stamps(tmp_path)
    image = sorted((tmp_path / "images").iterdir())[0]
    image.unlink()
    write_fgnet(tmp_path, **SMALL)
    assert contents(tmp_path) == before
    other = sorted((tmp_path / "images").iterdir())[1]
    assert stamps(tmp_path)[other] == times[other]


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = synthetic.portrait

    def failing(identity: int, age: int, **more: int):
        drawn.append(age)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw(identity, age, **more)

    monkeypatch.setattr(synthetic, "portrait", failing)
    with pytest.raises(KeyboardInterrupt):
        write_fgnet(tmp_path, **SMALL)
    assert json.loads((tmp_path / MARKER).read_text(encoding="utf-8"))["complete"] is False
    assert len(list((tmp_path / "images").iterdir())) == 3
    write_fgnet(tmp_path, **SMALL)
    assert len(drawn) == 4 + 6
    assert json.loads((tmp_path / MARKER).read_text(encoding="utf-8"))["complete"] is True
    assert len(list((tmp_path / "images").iterdir())) == 9


@pytest.mark.parametrize("change", [{"seed": 1}, {"images": 6}, {"identities": 2}])
def test_other_parameters_replace_the_population(change: dict[str, int], tmp_path: Path) -> None:
    write_fgnet(tmp_path / "changed", **SMALL)
    write_fgnet(tmp_path / "changed", **{**SMALL, **change})
    write_fgnet(tmp_path / "fresh", **{**SMALL, **change})
    assert contents(tmp_path / "changed") == contents(tmp_path / "fresh")


def test_another_version_of_the_generator_redraws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_morph2(tmp_path, **SMALL)
    before = stamps(tmp_path)
    monkeypatch.setattr(synthetic, "code_of", lambda _: "other")
    write_morph2(tmp_path, **SMALL)
    after = stamps(tmp_path)
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in after)


def test_another_layout_replaces_ours(tmp_path: Path) -> None:
    write_fgnet(tmp_path, **SMALL)
    write_morph2(tmp_path, **SMALL)
    assert not list(tmp_path.rglob("*.pts"))
    assert len(list(tmp_path.rglob("*.JPG"))) == 9


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "name", ["images/001A02.JPG", "photo.png", "Album2/000001_0M30.jpg", TABLE_NAME]
)
def test_real_data_is_never_touched(write: Callable[..., None], name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a photograph")
    with pytest.raises(DataError, match="may be real data") as error:
        write(tmp_path, **SMALL)
    assert str(tmp_path) in str(error.value)
    assert contents(tmp_path) == {name: b"a photograph"}


def test_a_real_photograph_among_ours_stops_a_rewrite(tmp_path: Path) -> None:
    write_fgnet(tmp_path, **SMALL)
    (tmp_path / "images" / "900A33.JPG").write_bytes(b"a photograph")
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"images/900A33\.JPG"):
        write_fgnet(tmp_path, **{**SMALL, "seed": 1})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["not json", "[]", '{"population": 1}'])
def test_a_marker_that_is_not_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(DataError, match=r"synthetic\.json is not a marker"):
        write_fgnet(tmp_path, **SMALL)


def test_impossible_numbers_touch_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot show"):
        write_fgnet(tmp_path, identities=5, images=2, seed=0)
    assert contents(tmp_path) == {}


def test_nothing_is_drawn_outside_the_folders_that_are_ours(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "photos"
    elsewhere.mkdir()
    for folder in (elsewhere / "fgnet", own / ".." / "photos" / "fgnet"):
        with pytest.raises(DataError, match="photos/fgnet lies outside the project"):
            write_fgnet(folder, **SMALL, within=[own])
    own.mkdir()
    (own / "link").symlink_to(elsewhere)
    with pytest.raises(DataError, match="Leave raw_root away"):
        write_fgnet(own / "link" / "fgnet", **SMALL, within=[own])
    assert not list(elsewhere.iterdir())
    write_fgnet(own / "fgnet", **SMALL, within=[tmp_path / "other", own])
    # What was drawn there already can be completed.
    one = next((own / "fgnet" / "images").iterdir())
    one.unlink()
    write_fgnet(own / "fgnet", **SMALL, within=[])
    assert one.is_file()
