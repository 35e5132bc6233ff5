"""`kedro predict`: what it reads, prints, writes and draws, and how it ends."""

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from contrastive_age import cli
from contrastive_age.commands import predict as prediction
from contrastive_age.commands.final_model import find_model
from contrastive_age.commands.predict import place_copies, print_table
from contrastive_age.commands.table_file import TableFile
from contrastive_age.errors import DataError
from contrastive_age.inference import pictures
from contrastive_age.inference.estimator import AgeEstimator, faces_table
from contrastive_age.inference.model_file import save_model
from contrastive_age.inference.photos import Photo
from contrastive_age.processes import INTERRUPTED
from contrastive_age.sources import decoding
from inference import detectors
from inference.detectors import photo, save_photos
from inference.models import DRAWN, drawn_model, untrained_model

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "age_model.pt"
    save_model(untrained_model(), path)
    return path


@pytest.fixture
def predict(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call the command in an empty folder, with a stand-in for the detector."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("COLUMNS", "250")

    def load(path: Path, *, device: str, **options: Any) -> AgeEstimator:
        loaded = real(path, device=device)
        return AgeEstimator(loaded.model, device=device, load_detector=detectors.boxes, **options)

    real = AgeEstimator.load
    monkeypatch.setattr(AgeEstimator, "load", load)

    def call(*arguments: str | Path, named: bool = True) -> Result:
        options = ["--model", str(model)] if named else []
        return CliRunner().invoke(cli.predict, [*map(str, arguments), *options])

    return call


def crops(folder: Path, number: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{place:03d}.jpg" for place in range(number)]
    for place, path in enumerate(paths):
        photo(size=(64, 64), seed=place).save(path)
    return paths


def test_every_face_is_printed_written_and_drawn(predict: Command, tmp_path: Path) -> None:
    first = save_photos(tmp_path / "p" / "a", ("face", "face"), ())
    second = save_photos(tmp_path / "p" / "b", ("face",))
    (tmp_path / "p" / "b" / "text.jpg").write_text("no image")
    contents = {path: path.read_bytes() for path in first + second}
    done = predict(
        tmp_path / "p", "--output=o/ages.csv", f"--draw={tmp_path / 'p' / 'drawn'}", "--workers=2"
    )
    assert done.exit_code == 0, done.output
    assert (
        "3 faces in 4 photos, 2 without a face, 1 of them unreadable, the first text.jpg: the "
        "content is no known image format; written to o/ages.csv" in done.stdout
    )
    assert "no face found" in done.stdout
    table = pd.read_csv("o/ages.csv")
    names = [first[0], first[0], first[1], second[0], tmp_path / "p" / "b" / "text.jpg"]
    assert table["file"].tolist() == [str(name) for name in names]
    assert table["face"].tolist() == [0, 1, -1, 0, -1]
    assert table["reason"][4] == "unreadable: the content is no known image format"
    for row in (0, 3):
        age = table["age"][row]
        assert f"{age:.1f}" in done.stdout
        assert f"{age - 6.5:.1f} to {age + 6.5:.1f}" in done.stdout
    drawn = sorted((tmp_path / "p" / "drawn").rglob("*.*"))
    assert [path.relative_to(tmp_path / "p" / "drawn").as_posix() for path in drawn] == [
        "a/00.png.jpg", "b/00.png.jpg",
    ]  # fmt: skip
    with Image.open(drawn[0]) as copy:
        assert copy.size == (640, 400)  # small photos are enlarged
        assert not copy.getexif()
    assert {path: path.read_bytes() for path in contents} == contents

    # The next time the copies are no photos, and may be drawn again.
    again = predict(tmp_path / "p", f"--output={tmp_path / 'p' / 'a.csv'}")
    assert "3 faces in 4 photos" in again.stdout
    again = predict(
        tmp_path / "p", f"--output={tmp_path / 'p' / 'a.csv'}", f"--draw={tmp_path / 'p' / 'drawn'}"
    )
    assert "3 faces in 4 photos" in again.stdout
    assert sorted((tmp_path / "p" / "drawn").rglob("*.*")) == drawn


def test_a_caution_stands_in_the_table_below_what_is_printed_and_on_the_copies(
    predict: Command, tmp_path: Path
) -> None:
    save_model(drawn_model(), tmp_path / "drawn.pt")
    faces = save_photos(tmp_path / "p", ("face", "face"), ("face",))
    (tmp_path / "p" / "text.jpg").write_text("no image")
    more = ["--output=ages.csv", "--draw=copies", f"--model={tmp_path / 'drawn.pt'}"]
    done = predict(*faces, tmp_path / "p" / "text.jpg", *more, named=False)
    assert done.exit_code == 0, done.output
    notes = pd.read_csv("ages.csv").set_index("face")["note"]
    assert notes[[0, 1]].tolist() == [DRAWN] * 3
    assert pd.isna(notes[-1])
    assert done.stdout.count(DRAWN) == 1
    assert f"\nCaution: {DRAWN}\n" in done.stdout
    with Image.open(faces[0]) as own, Image.open(f"copies/{faces[0].name}.jpg") as copy:
        factor = copy.width / own.width
        assert copy.height > own.height * factor


def test_purpose_terms_and_the_way_to_the_card_are_said(
    predict: Command, model: Path, tmp_path: Path
) -> None:
    save_model(drawn_model(), tmp_path / "drawn.pt")
    [path] = crops(tmp_path / "p", 1)
    for chosen, terms in (
        (tmp_path / "drawn.pt", "synthetic: drawn faces, no terms"),
        (model, "not stated"),
    ):
        done = predict(path, "--aligned", f"--model={chosen}", named=False)
        assert "\nAn age that a face looks to the model: it must not decide anything" in done.stdout
        assert f"\nTerms of its photos: {terms}\n" in done.stdout
        _, way = done.stderr.strip().rsplit("kedro predict ", 1)
        card = predict(*way.split(), named=False)
        assert card.exit_code == 0, card.output
        assert card.stdout == f"{drawn_model().card}\n"
    nothing = predict()
    assert nothing.exit_code == 2
    assert "Missing argument 'PHOTO_OR_FOLDER...'" in nothing.output


def test_faces_below_the_smallest_are_not_looked_for(predict: Command, tmp_path: Path) -> None:
    # Too small, all three of them, for a look at the whole photo.
    photo("face", "face", "face", size=(1200, 300)).save(tmp_path / "p.png")
    for options, least, count in (([], 24, 3), (["--min-face=65"], 65, 1)):
        done = predict(tmp_path / "p.png", "--output=ages.csv", *options)
        assert done.exit_code == 0, done.output
        table = pd.read_csv("ages.csv")
        assert table["min_face"].tolist() == [least] * count
    refused = predict(tmp_path / "p.png", "--min-face=11")
    assert refused.exit_code == 2
    assert "--min-face" in refused.output


def test_ready_crops_and_a_long_table(predict: Command, tmp_path: Path) -> None:
    crops(tmp_path / "p", 60)
    done = predict(tmp_path / "p", "--aligned", "--output=ages.json")
    assert done.exit_code == 0, done.output
    assert "60 faces in 60 photos, 0 without a face" in done.stdout
    assert "10 more rows not shown, all are in ages.json" in done.stdout
    assert "049.jpg" in done.stdout
    assert "050.jpg" not in done.stdout
    rows = json.loads(Path("ages.json").read_text(encoding="utf-8"))
    assert len(rows) == 60
    assert rows[7]["file"].endswith("007.jpg")
    assert (rows[7]["face"], rows[7]["score"], rows[7]["left"]) == (0, None, None)
    assert rows[7]["high_95"] - rows[7]["low_95"] == pytest.approx(24.5, abs=1e-6)
    assert "give --output=FILE.csv" in predict(tmp_path / "p", "--aligned").stdout


def test_copies_beside_their_photos_are_no_photos_the_next_time(
    predict: Command, tmp_path: Path
) -> None:
    (path,) = crops(tmp_path / "p", 1)
    path.rename(path.with_suffix(".png"))
    for _ in range(2):
        done = predict(tmp_path / "p", "--aligned", f"--draw={tmp_path / 'p'}")
        assert done.exit_code == 0, done.output
        assert "1 face in 1 photo, 0 without a face" in done.stdout
        assert f"Photos in {tmp_path / 'p'}\n" in done.stdout
    assert {own.name for own in (tmp_path / "p").iterdir()} == {"000.png", "000.png.jpg"}
    refused = predict(tmp_path / "p" / "000.png.jpg", "--aligned", f"--draw={tmp_path / 'p'}")
    assert "drawn copies; name the photos themselves" in refused.output


def test_the_only_model_of_the_project_is_taken(
    predict: Command, model: Path, tmp_path: Path
) -> None:
    [crop] = crops(tmp_path / "p", 1)
    done = predict(crop, "--aligned", named=False)
    assert done.exit_code == 1
    assert "is in no project, whose model would be used: stand in" in done.output
    Path("pyproject.toml").write_text("[tool.kedro]")
    done = predict(crop, "--aligned", named=False)
    assert done.exit_code == 1
    assert f"Error: there is no model at {Path.cwd()}/data/06_models" in done.output
    assert "`make demo` makes one" in done.output
    assert "--params=final_model.protocol=custom_se,raw_root=" in done.output
    places = [Path(f"data/06_models/custom_se/{name}/final/age_model.pt") for name in ("a", "b")]
    for place in places:
        place.parent.mkdir(parents=True)
    places[0].write_bytes(model.read_bytes())
    assert predict(crop, "--aligned", named=False).exit_code == 0
    # That of another environment counts where the base one has none.
    demo = Path("data/demo/06_models/custom_se/c/final/age_model.pt")
    demo.parent.mkdir(parents=True)
    places[0].rename(demo)
    for name, folder in {"base": "data", "demo": "data/demo"}.items():
        Path("conf", name).mkdir(parents=True)
        Path("conf", name, "globals.yml").write_text(f"data_root: {folder}")
    done = predict(crop, "--aligned", named=False)
    assert done.exit_code == 0
    assert f"{Path.cwd() / demo}: " in done.stderr
    demo.touch()
    places[0].write_bytes(model.read_bytes())
    assert find_model(None, Path.cwd()) == Path.cwd() / places[0]
    places[1].touch()
    with pytest.raises(DataError, match=r"2 models; name one:\n  --model=data\S+a/final\S+\n.*b/"):
        find_model(None, Path.cwd())
    with pytest.raises(DataError, match=r"final is a folder; .*final/age_model\.pt"):
        find_model(places[0].parent, Path.cwd())
    # From a folder below, by the paths from there.
    with pytest.raises(DataError, match=r"\n  --model=\.\./data\S+a/final\S+\n.*b/"):
        find_model(None, Path.cwd() / "p")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two environments, and without models."""
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]")
    for name, folder in {"base": "data", "demo": "data/demo", "local": str(tmp_path / "l")}.items():
        (tmp_path / "conf" / name).mkdir(parents=True)
        (tmp_path / "conf" / name / "globals.yml").write_text(f"data_root: {folder}")
    return tmp_path


def test_where_no_model_is_all_folders_are_named(project: Path) -> None:
    with pytest.raises(DataError) as raised:
        find_model(None, project)
    for folder in ("l", "data", "data/demo"):
        assert f" {project / folder}/06_models/" in str(raised.value)
    for name in ("base", "demo", "local"):
        (project / "conf" / name / "globals.yml").write_text("data_root: s3://bucket/faces")
    with pytest.raises(DataError, match="there is no model on a disk: `make demo`"):
        find_model(None, project)


def test_the_environment_that_is_named_comes_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {
        name: project / folder / "06_models/custom_se/a/final/age_model.pt"
        for name, folder in {"base": "data", "demo": "data/demo", "local": "l"}.items()
    }
    for model in models.values():
        model.parent.mkdir(parents=True)
        model.touch()
    assert find_model(None, project) == models["local"]
    for name in ("demo", "base", "local"):
        monkeypatch.setenv("KEDRO_ENV", name)
        assert find_model(None, project) == models[name]
    # One that says nothing of its data has those of the base.
    (project / "conf" / "mine").mkdir()
    monkeypatch.setenv("KEDRO_ENV", "mine")
    assert find_model(None, project) == models["base"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"data_root: [", "while parsing"),
        (b"data_root: ~nobodyx/data", "~nobodyx is nobody's home"),
        (b"data_root: \xff", "codec|unacceptable"),
        (b"- data", "no list of names"),
    ],
)
def test_a_broken_file_of_globals_is_said_in_one_line(
    project: Path, content: bytes, words: str
) -> None:
    file = project / "conf" / "base" / "globals.yml"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words) as raised:
        find_model(None, project)
    assert str(raised.value).startswith(f"{file} cannot be read: ")
    assert "--model=FILE" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.jpg"], "none.jpg: no such photo or folder"),
        (["photo.jpg", "none.jpg"], "none.jpg: no such photo or folder"),
        (["https://example.org/x.jpg"], "is an address; nothing is fetched from there"),
        (["folder.csv"], "there is no file in folder.csv"),
        (["photo.jpg", "--output=ages.xlsx"], "give .csv or .json"),
        (["photo.jpg", "--output=folder.csv"], "is a folder; name a file"),
        (["photo.jpg", "--output=photo.jpg/ages.csv"], "photo.jpg is no folder"),
        (["photo.jpg", "--output=photo.jpg/deep/ages.csv"], "photo.jpg is no folder"),
        (["photo.jpg", f"--output={'n' * 300}.csv"], "File name too long"),
        (["photo.jpg", "--output=people.csv"], "is there and no table of ages"),
        (["photo.jpg", "--draw=photo.jpg"], "photo.jpg is no folder"),
        (["photo.jpg", "--draw=photo.jpg/drawn"], "photo.jpg is no folder"),
        (["photo.jpg", "--draw=."], "would be overwritten"),
        (["photo.jpg", "--model=none.pt"], "no such model"),
        (["photo.jpg", "--model=photo.jpg"], "cannot be read as a model"),
        (["photo.jpg", "--device=tricorder"], "device=tricorder"),
    ],
)
def test_mistakes_are_said_in_one_line_before_any_work(
    predict: Command, arguments: list[str], words: str
) -> None:
    Path("folder.csv").mkdir()
    Path("people.csv").write_text("path,identity,age\n")
    if arguments[0] == "photo.jpg":
        photo().save("photo.jpg")
    before = {path.name for path in Path().iterdir()}
    done = predict(*arguments, named=not any("--model" in own for own in arguments))
    assert done.exit_code == 1
    assert words in done.output
    assert done.output.startswith("Error: ")
    assert "Traceback" not in done.output
    assert {path.name for path in Path().iterdir()} == before


def test_a_photo_is_told_by_its_content_whatever_it_is_called(
    predict: Command, tmp_path: Path
) -> None:
    kinds = {"a.jfif": "JPEG", "b.jpe": "JPEG", "c.mpo": "MPO", "d.jp2": "JPEG2000", "e": "WEBP",
             "f.TIF": "TIFF", "g.avif": "AVIF", "h.png": "JPEG"}  # fmt: skip
    (tmp_path / "p").mkdir()
    for name, kind in kinds.items():
        photo("face", size=(64, 64)).save(tmp_path / "p" / name, kind)
    for name in ("x.mov", "x.txt"):
        (tmp_path / "p" / name).write_text("no photo")
    (tmp_path / "p" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "p" / "circle.jpg").symlink_to(tmp_path / "p" / "circle.jpg")
    os.mkfifo(tmp_path / "p" / "pipe.jpg")
    (tmp_path / "p" / "again").symlink_to(tmp_path / "p")
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv", "--draw=drawn")
    assert done.exit_code == 0, done.output
    assert "8 faces in 11 photos, 3 without a face, 3 of them unreadable, the first" in done.stdout
    assert "; 2 other files beside them, no photo; 1 folder not entered; written" in done.stdout
    table = pd.read_csv("ages.csv").set_index("file")
    assert len(table) == 14
    read = table.loc[[str(tmp_path / "p" / name) for name in kinds]]
    assert (read["face"] == 0).all()
    assert read["reason"].isna().all()
    assert table["reason"][str(tmp_path / "p" / "again")].startswith("folder not entered: a link")
    assert len(list(Path("drawn").iterdir())) == 8


def test_how_large_a_photo_may_be_reaches_the_decoder(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [path] = crops(tmp_path / "p", 1)
    asked: list[float] = []

    def decode(file: Any, most: float) -> Image.Image:
        asked.append(most)
        return decoding.decode(file, most)

    monkeypatch.setattr(pictures, "decode", decode)
    for argument in ([], ["--most-megapixels=0.5"]):
        assert predict(path, "--aligned", *argument).exit_code == 0
    assert asked == [decoding.MOST_MEGAPIXELS, 0.5]
    assert predict(path, "--most-megapixels=0").exit_code == 2
    # The help names the number, too.
    assert f"else {decoding.MOST_MEGAPIXELS:.0f}." in predict("--help").stdout


def test_the_table_grows_while_photos_are_looked_at(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a run that is killed has lost no more than the photos it was about to tell."""
    crops(tmp_path / "p", 5)
    held: list[int] = []
    stream = AgeEstimator.stream

    def looking(self: AgeEstimator, *arguments: Any, **options: Any) -> Iterator[Photo]:
        for own in stream(self, *arguments, **options):
            held.append(len(json.loads(Path("ages.json").read_text(encoding="utf-8"))))
            yield own

    monkeypatch.setattr(AgeEstimator, "stream", looking)
    Path("ages.json").write_text(json.dumps([{"file": "a.jpg", "face": 0}] * 7))
    assert predict(tmp_path / "p", "--aligned", "--output=ages.json").exit_code == 0
    assert held == [7, 1, 2, 3, 4]  # the old table is there until the first row is
    assert [path.name for path in Path().iterdir()] == ["ages.json"]


FULL = OSError(28, "No space left on device")


def full(path: Path) -> Any:
    raise FULL


@pytest.mark.parametrize("ends", [True, False])
def test_a_disk_that_gets_full_does_not_end_the_run(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    crops(tmp_path / "p", 60)
    append = TableFile.append
    calls = 0

    def fill(self: TableFile, rows: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 20 and not (ends and calls > 21):
            raise FULL
        append(self, rows)

    monkeypatch.setattr(TableFile, "append", fill)
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv")
    assert done.exit_code == int(not ends)
    assert len(pd.read_csv("ages.csv")) == (60 if ends else 20)
    assert "60 faces in 60 photos" in done.stdout
    words = (
        "Error: ages.csv: No space left on device; 20 of 60 rows are in it, all in the table that "
        "was printed\n"
    )
    assert (words in done.stderr) == (not ends)
    assert ("059.jpg" in done.stdout) == (not ends)
    assert calls == 22  # not again for every photo


def test_a_copy_that_cannot_be_written_does_not_end_the_run(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops(tmp_path / "p", 3)
    monkeypatch.setattr(prediction, "replacing", full)
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv", "--draw=drawn")
    assert done.exit_code == 1
    assert len(pd.read_csv("ages.csv")) == 3
    assert "Error: 3 drawn copies could not be written, the first: drawn/000.jpg: No" in done.stderr


def test_the_table_is_there_when_nobody_reads_what_is_printed(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops(tmp_path / "p", 3)

    def closed(*_: Any, **__: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(prediction.Console, "print", closed)
    monkeypatch.setattr(prediction, "print_line", closed)
    monkeypatch.setattr(prediction, "replacing", full)
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv", "--draw=drawn")
    assert done.exit_code == 1
    assert len(pd.read_csv("ages.csv")) == 3
    assert "Error: 3 drawn copies could not be written" in done.stderr


def test_what_lies_beside_photos_is_printed_behind_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    notes = [Photo(f"{k}.xmp", reason="unreadable: no known format") for k in range(40)]
    bad = Photo("z.CR2", reason="unreadable: a camera's raw file")
    table = faces_table(
        [*notes, *(Photo(f"{k}.jpg", reason="no face found") for k in range(9)), bad]
    )
    print_table(table, most=15)
    printed = capsys.readouterr().out
    assert re.findall(r"\w+\.(?=xmp |jpg |CR2 )", printed) == [
        *(f"{k}." for k in range(9)), "z.", *(f"{k}." for k in range(5)),
    ]  # fmt: skip
    assert (
        "0 faces in 10 photos, 10 without a face, 1 of them unreadable, the first z.CR2: a "
        "camera's raw file; 40 other files beside them, no photo; 35 more rows" in printed
    )


def test_when_no_photo_can_be_read_the_exit_status_says_so(
    predict: Command, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in paths:
        path.write_text("no image")
    done = predict(*paths, "--aligned", "--output=ages.csv")
    assert done.exit_code == 1
    assert "0 faces in 2 photos, 2 without a face, 2 of them unreadable" in done.stdout
    assert len(pd.read_csv("ages.csv")) == 2
    photo(size=(90, 60)).save(tmp_path / "c.jpg")  # no face, but read
    assert predict(*paths, tmp_path / "c.jpg", "--aligned").exit_code == 0


def stopping_after(number: int, error: BaseException) -> Callable[..., Iterator[Photo]]:
    stream = AgeEstimator.stream

    def stopped(self: AgeEstimator, *arguments: Any, **options: Any) -> Iterator[Photo]:
        for place, own in enumerate(stream(self, *arguments, **options)):
            if place == number:
                raise error
            yield own

    return stopped


def test_what_is_done_is_kept_when_control_c_is_pressed(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops(tmp_path / "p", 5)
    monkeypatch.setattr(AgeEstimator, "stream", stopping_after(3, KeyboardInterrupt()))
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv")
    assert done.exit_code == INTERRUPTED
    assert "Interrupted after 3 photos; what is done is kept." in done.stderr
    assert len(pd.read_csv("ages.csv")) == 3
    assert "3 faces in 3 photos" in done.stdout


def test_what_is_done_is_kept_when_an_error_ends_it(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops(tmp_path / "p", 5)
    monkeypatch.setattr(AgeEstimator, "stream", stopping_after(2, DataError("the disk is gone")))
    done = predict(tmp_path / "p", "--aligned", "--output=ages.csv")
    assert done.exit_code == 1
    assert "Error: the disk is gone" in done.stderr
    assert len(pd.read_csv("ages.csv")) == 2


class TestCopies:
    def test_photos_of_one_name_do_not_meet(self, tmp_path: Path) -> None:
        for name in ("a/x.jpg", "b/x.jpg", "b/c/x.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        photos = [tmp_path / name for name in ("a/x.jpg", "b/x.jpg", "b/c/x.png")]
        copies = place_copies(photos, tmp_path / "out")
        assert [copy.relative_to(tmp_path).as_posix() for copy in copies.values()] == [
            "out/a/x.jpg", "out/b/x.jpg", "out/b/c/x.png.jpg",
        ]  # fmt: skip
        [copy] = place_copies(photos[:1], tmp_path / "out").values()
        assert copy == tmp_path / "out" / "x.jpg"

    def test_two_photos_never_have_one_copy(self, tmp_path: Path) -> None:
        photos = [tmp_path / "x.png", tmp_path / "x.png.jpg"]
        with pytest.raises(DataError, match="would have the same copy"):
            place_copies(photos, tmp_path / "out")

    def test_no_photo_is_drawn_over_by_whatever_way(self, tmp_path: Path) -> None:
        [own] = crops(tmp_path / "p", 1)
        (tmp_path / "link").symlink_to(tmp_path / "p")
        [other] = crops(tmp_path / "other", 1)
        for folder in (own.parent, tmp_path / "link", other.parent):
            with pytest.raises(DataError, match="would be overwritten"):
                place_copies([own], folder)
        photo().save(other, comment=prediction.DRAWN)
        assert place_copies([own], other.parent) == {own: other}


def table_of(number: int) -> pd.DataFrame:
    said = {"reason": "no face found", "size": (9, 9), "note": "its end is missing"}
    table = faces_table([Photo(f"[bold]{k}.jpg", **said) for k in range(number)])
    row = table.index[0]
    table.loc[row, ["face", "age", "low_80", "high_80", "low_95", "high_95"]] = [
        0, 30.0, 25.0, 35.0, 0.0, math.inf,
    ]  # fmt: skip
    table.loc[row, "reason"] = None
    return table


def test_names_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    print_table(table_of(2))
    printed = capsys.readouterr().out
    assert "[bold]0.jpg" in printed
    assert "25.0 to 35.0" in printed
    assert "unknown" in printed
    assert "Where a 95% interval is unknown, too few people were measured to say it" in printed
    assert "1 face in 2 photos, 1 without a face" in printed
    assert printed.count("its end is missing") == 2
