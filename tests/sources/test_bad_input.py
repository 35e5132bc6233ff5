"""Every kind of bad input: used, listed with its reason, or refused, and harmless to good files."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import LANDMARK_COLUMNS, landmark_array
from contrastive_age.faces.landmarks import detect_landmarks
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.faces.store import Wanted, build_faces, open_faces, photos_digest
from contrastive_age.sources import fgnet, manifest, reading, utkface
from contrastive_age.sources.audit import audit
from servers import system_folder
from sources import bad_input
from sources.bad_input import FOLDERS, PICTURES, ROWS, TABLES, USED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good photos, and one file of each bad kind among them."""
    folder = tmp_path_factory.mktemp("bad") / "photos"
    bad_input.make_pictures(folder)
    return folder


def inspect(folder: Path) -> pd.DataFrame:
    return reading.inspect_files(folder, utkface.list_images(folder), progress=False)


@pytest.fixture(scope="module")
def files(folder: Path) -> pd.DataFrame:
    return inspect(folder)


@pytest.fixture(scope="module")
def walked(folder: Path, files: pd.DataFrame) -> reading.Reading:
    return utkface.read(folder, files)


@pytest.fixture(scope="module")
def listed(folder: Path) -> reading.Reading:
    """The same folder, read through a manifest that names every file."""
    names = [name for name in PICTURES if name not in FOLDERS]
    paths = [*bad_input.good_names(), *map(bad_input.file_name, names)]
    table = folder.parent / "manifest.csv"
    rows = ["path,identity,age", *map(bad_input.rows_of, paths)]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return bad_input.read_manifest(table, folder)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The samples of the good photos where nothing else lies beside them."""
    folder = tmp_path_factory.mktemp("good")
    bad_input.make_good(folder)
    return utkface.read(folder, inspect(folder)).samples


@pytest.mark.parametrize("name", PICTURES)
def test_a_file_is_used_or_listed_with_its_reason(walked: reading.Reading, name: str) -> None:
    path = bad_input.file_name(name)
    used = path in set(walked.samples["path"])
    reason = bad_input.reasons(walked).get(path, "")
    if name == "folder":  # nothing lies in it
        assert not used
        assert reason == ""
        return
    assert used == (PICTURES[name].expected == USED)
    assert used == (reason == "")
    assert reason.startswith(PICTURES[name].expected)


@pytest.mark.parametrize("name", [name for name in PICTURES if name not in FOLDERS])
def test_a_manifest_names_a_file_and_it_is_used_or_listed(
    listed: reading.Reading, name: str
) -> None:
    path = bad_input.file_name(name)
    used = path in set(listed.samples["path"])
    reason = bad_input.reasons(listed).get(path, "")
    assert used == (PICTURES[name].rule == USED)
    assert used == (reason == "")
    assert reason.startswith(PICTURES[name].rule)


def test_good_files_are_read_as_if_nothing_bad_lay_beside_them(
    walked: reading.Reading, listed: reading.Reading, good: pd.DataFrame
) -> None:
    pd.testing.assert_frame_equal(bad_input.without_origin(walked.samples), good)
    assert set(good["path"]) <= set(listed.samples["path"])


def test_the_audit_lists_every_rejection_and_can_be_written(
    walked: reading.Reading, files: pd.DataFrame
) -> None:
    report = audit(walked, files)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["rejected"] == walked.rejected.to_dict("records")
    kinds = ("unreadable_files", "unparsed_names", "other_rejections")
    assert sum(report["anomalies"][kind]["count"] for kind in kinds) == len(walked.rejected)
    expected = [kind for name, kind in PICTURES.items() if kind.expected != USED]
    assert len(walked.rejected) == len(expected)


@pytest.fixture(scope="module")
def landmarks(
    folder: Path, files: pd.DataFrame, walked: reading.Reading, tmp_path_factory
) -> pd.DataFrame:
    """Landmarks of all that is used, and of a second copy of each good photo.

    The good photos are what the detector sees in its first call, and their copies share the later
    calls with the bad ones. A byte behind the end makes them other files of the same pixels.
    """
    first = bad_input.good_names()
    copies = {name: f"copy/{name}" for name in first}
    (folder.parent / "copy").mkdir()
    table = walked.samples[["sample_id", "path"]].merge(files[["path", "digest"]], on="path")
    for name, copy in copies.items():
        (folder.parent / copy).write_bytes((folder / name).read_bytes() + b"\0")
    again = table[table["path"].isin(first)].replace({"path": copies})
    again = again.assign(sample_id=again["path"], digest="copy " + again["digest"])
    again["path"] = "../" + again["path"]
    table = pd.concat([table[table["path"].isin(first)], table[~table["path"].isin(first)], again])
    work = tmp_path_factory.mktemp("work")
    found = detect_landmarks(
        folder, table, work_folder=work, load_detector=load_mtcnn, workers=1, progress=False
    )
    return table.reset_index(drop=True).merge(found, on="sample_id", validate="1:1")


def test_detection_finds_what_there_is_and_leaves_no_photo_out(landmarks: pd.DataFrame) -> None:
    by_path = landmarks.set_index("path")
    used = {name: kind for name, kind in PICTURES.items() if kind.expected == USED}
    for name, kind in used.items():
        if name != "folder":
            assert by_path.loc[bad_input.file_name(name), "status"] in kind.status, name
    assert np.isfinite(by_path[LANDMARK_COLUMNS]).all(axis=None)
    assert by_path.loc[bad_input.file_name("ten faces"), "faces_found"] > 5
    turned = by_path.loc[bad_input.file_name("exif rotated")]
    assert turned["left_eye_y"] < turned["nose_y"] < turned["mouth_left_y"]


def test_landmarks_and_faces_of_good_photos_do_not_depend_on_bad_ones(
    folder: Path, landmarks: pd.DataFrame, tmp_path: Path
) -> None:
    wanted = Wanted(1.35)
    report = build_faces(folder, landmarks, tmp_path, wanted, workers=1, progress=False)
    assert report.processed == len(landmarks)
    landmarks.attrs["photos"] = photos_digest(landmarks["sample_id"], landmarks["digest"])
    faces = open_faces(report.path, landmarks, wanted)
    alone = np.flatnonzero(landmarks["path"].isin(bad_input.good_names()))
    among = [
        int(np.flatnonzero(landmarks["path"] == f"../copy/{landmarks['path'][row]}")[0])
        for row in alone
    ]
    assert len(alone) == bad_input.GOOD
    points = landmark_array(landmarks)
    # How sums in single precision are rounded depends on how many photos share a call.
    np.testing.assert_allclose(points[alone], points[among], atol=1e-4)
    difference = faces[alone].astype(int) - faces[among].astype(int)
    assert np.abs(difference).max() <= 1


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A folder with one good photo, inside one that holds another."""
    folder = tmp_path / "raw"
    folder.mkdir()
    bad_input.face().save(folder / "good.jpg")
    bad_input.face(1).save(tmp_path / "outside.jpg")
    return folder


def test_each_bad_row_is_listed_and_the_good_one_used(photo: Path) -> None:
    lines = ["path,identity,age", "good.jpg,a,30", *(text for text, _ in ROWS.values())]
    table = photo / "manifest.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = bad_input.read_manifest(table, photo)
    assert result.samples.to_dict("list") == {
        "sample_id": ["good"], "path": ["good.jpg"], "identity": ["a"], "age": [30],
    }  # fmt: skip
    by_row = {
        int(reason.rsplit("(row ", 1)[1].rstrip(")")): reason
        for reason in result.rejected["reason"]
    }
    assert set(by_row) == set(range(3, 3 + len(ROWS)))
    for (name, (_, expected)), row in zip(ROWS.items(), sorted(by_row), strict=True):
        assert by_row[row].startswith(expected), name


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_or_refused_with_what_is_wrong(photo: Path, name: str) -> None:
    content, expected = TABLES[name]
    table = photo / "manifest.csv"
    table.write_bytes(content)
    if expected == USED:
        result = bad_input.read_manifest(table, photo)
        assert result.samples["path"].to_list() == ["good.jpg"]
        assert result.rejected.empty
    else:
        with pytest.raises(DataError, match=rf"(?s)manifest\.csv.*{expected}"):
            bad_input.read_manifest(table, photo)


@pytest.mark.parametrize(
    "target", ["outside.jpg", "../outside.jpg", "link.jpg", "door/outside.jpg"]
)
def test_paths_leave_the_data_folder_only_where_that_is_allowed(photo: Path, target: str) -> None:
    (photo / "link.jpg").symlink_to("../outside.jpg")
    (photo / "door").symlink_to("..", target_is_directory=True)
    path = str(photo.parent / target) if target == "outside.jpg" else target
    table = photo / "manifest.csv"
    table.write_text(f'path,identity,age\ngood.jpg,a,30\n"{path}",b,31\n')
    refused = bad_input.read_manifest(table, photo)
    assert refused.samples["path"].to_list() == ["good.jpg"]
    assert refused.rejected["path"].to_list() == [path]
    assert refused.rejected["reason"][0].startswith(manifest.OUTSIDE)
    assert path not in manifest.list_images(table, photo)
    allowed = bad_input.read_manifest(table, photo, outside=True)
    assert allowed.rejected.empty
    assert set(allowed.samples["age"]) == {30, 31}
    assert set(allowed.samples["path"]) == {"good.jpg", path}


def test_links_inside_the_data_folder_are_taken(photo: Path) -> None:
    (photo / "again.jpg").symlink_to("good.jpg")
    (photo.parent / "other name").symlink_to(photo, target_is_directory=True)
    table = photo / "manifest.csv"
    table.write_text("path,identity,age\nagain.jpg,a,30\n")
    for raw_root in (photo, photo.parent / "other name"):
        assert len(bad_input.read_manifest(table, raw_root).samples) == 1


def test_links_in_a_loop_add_no_file_and_every_folder_is_read_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("b/one.png", "a/two.png", "z/three.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "a/to b").symlink_to(root / "b", target_is_directory=True)
    (root / "b/to a").symlink_to(root / "a", target_is_directory=True)
    (root / "a/to all").symlink_to(root, target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/four.png").touch()
    (tmp_path / "elsewhere/back").symlink_to(root, target_is_directory=True)
    for name in ("y", "x"):
        (root / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    files, passed_over = reading.scan(root)
    assert sorted(files) == ["a/two.png", "b/one.png", "x/four.png", "z/three.png"]
    assert sorted(passed_over["path"]) == ["a/to all", "a/to b", "b/to a", "x/back", "y"]


def test_the_folders_around_a_source_are_not_read_through_a_link(tmp_path: Path) -> None:
    bad_input.face().save(tmp_path / "secret.jpg")
    (tmp_path / "fgnet/images").mkdir(parents=True)
    bad_input.face().save(tmp_path / "fgnet/images/001A02.JPG")
    (tmp_path / "fgnet/images/up").symlink_to(tmp_path, target_is_directory=True)
    assert fgnet.list_images(tmp_path / "fgnet") == ["images/001A02.JPG"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A photo and a folder that this process may not read, beside one that it may."""
    with system_folder() as folder:
        yield from _closed_in(folder)


def _closed_in(folder: Path) -> Iterator[Path]:
    folder.chmod(0o755)
    for name in ("1_0_0_20170101.jpg", "2_0_0_20170101.jpg", "sub/3_0_0_20170101.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        bad_input.face().save(folder / name)
    inspect(folder)  # imports what Pillow and pandas import when first used
    (folder / "2_0_0_20170101.jpg").chmod(0)
    (folder / "sub").chmod(0)
    root = os.geteuid() == 0
    if root:  # permissions do not stop root, so be nobody
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    (folder / "sub").chmod(0o755)


def test_a_photo_or_folder_without_permission_is_listed(closed: Path) -> None:
    result = utkface.read(closed, inspect(closed))
    assert result.samples["path"].to_list() == ["1_0_0_20170101.jpg"]
    assert bad_input.reasons(result) == {
        "2_0_0_20170101.jpg": "unreadable: permission denied",
        "sub": "unreadable: permission denied",
    }


@pytest.mark.parametrize("made", ["nothing", "file", "empty folder", "closed folder"])
def test_a_raw_folder_that_cannot_be_used_is_named(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_root = tmp_path / "raw"
    if made == "file":
        raw_root.touch()
    elif made != "nothing":
        raw_root.mkdir()
    said = {
        "nothing": "does not exist",
        "file": "is a file and no folder",
        "empty folder": "holds no image files",
        "closed folder": "cannot be read",
    }[made]
    if made == "closed folder":
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match=rf"{raw_root}.*{said}"):
        utkface.list_images(raw_root)


PTS = "version: 1\nn_points: 68\n{\n" + "10 20\n" * 67
BAD_POINTS = {
    "too few": PTS + "}",
    "not numbers": PTS + "ten twenty\n}",
    "not finite": PTS + "1e999 nan\n}",
    "no braces": "1 2 3",
    "empty": "",
    "zero bytes": "\0" * 500,
}


@pytest.mark.parametrize("name", [*BAD_POINTS, "folder", "pipe", "binary"])
def test_unusable_points_leave_the_photo_to_the_detector(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    points = tmp_path / "points"
    points.mkdir()
    path = points / "001a02.pts"
    if name in BAD_POINTS:
        path.write_text(BAD_POINTS[name], encoding="utf-8")
    elif name == "binary":
        path.write_bytes(bytes(range(256)))
    else:
        os.mkfifo(path) if name == "pipe" else path.mkdir()
    samples = pd.DataFrame({"sample_id": ["images/001A02"], "path": ["images/001A02.JPG"]})
    assert fgnet.read_points(tmp_path, samples).empty
    assert "001a02" in caplog.text.lower()
