"""The array of faces on disk: resumed, changed, damaged and foreign files, against one by one."""

import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from conftest import Terminal
from contrastive_age import files
from contrastive_age.errors import DataError
from contrastive_age.faces import looks, store
from contrastive_age.faces.alignment import (
    DEFAULT_COVERAGE,
    LANDMARK_COLUMNS,
    align,
    five_point_template,
    landmark_array,
    load_image,
)
from contrastive_age.faces.array_file import FaceFile
from contrastive_age.faces.store import (
    BuildReport,
    Wanted,
    build_faces,
    faces_digest,
    looks_of,
    open_faces,
    photos_digest,
    photos_of,
    record_of,
    rows_of,
    sound,
)

COUNT = 7
WANTED = Wanted(DEFAULT_COVERAGE)


def write_photo(path: Path, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((90, 80), Image.Resampling.BICUBIC).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_table(folder: Path, count: int = COUNT) -> pd.DataFrame:
    rows = []
    for index in range(count):
        path = f"photos/{index:03d}.png"
        points = five_point_template(size=60) + np.array([10 + index, 5 + 0.25 * index])
        rows.append((path[:-4], path, write_photo(folder / path, index), *points.ravel()))
    return pd.DataFrame(rows, columns=["sample_id", "path", "digest", *LANDMARK_COLUMNS])


def one_by_one(
    folder: Path, table: pd.DataFrame, coverage: float = DEFAULT_COVERAGE
) -> npt.NDArray[np.uint8]:
    return np.stack(
        [
            align(load_image(folder / path), points, coverage)
            for path, points in zip(table["path"], landmark_array(table), strict=True)
        ]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def table(folder: Path) -> pd.DataFrame:
    return make_table(folder)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_SIZE", 2)


def build(
    folder: Path, table: pd.DataFrame, work: Path, wanted: Wanted = WANTED, **options: Any
) -> BuildReport:
    return build_faces(folder, table, work, wanted, progress=False, **options)


def samples_of(table: pd.DataFrame) -> pd.DataFrame:
    """The samples whose photos these are."""
    samples = table[["sample_id"]].copy()
    samples.attrs["photos"] = photos_digest(table["sample_id"], table["digest"])
    return samples


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `count` faces be aligned, then fail as Control-C would."""
    calls = iter(range(count))

    @functools.wraps(align)
    def align_some(*args: Any) -> npt.NDArray[np.uint8]:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return align(*args)

    monkeypatch.setattr(store, "align", align_some)


@pytest.fixture
def interrupted(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four faces of an unfinished file are there."""
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            build(folder, table, work, workers=1)


def check(
    report: BuildReport, folder: Path, table: pd.DataFrame, coverage: float = DEFAULT_COVERAGE
) -> None:
    expected = one_by_one(folder, table, coverage)
    np.testing.assert_array_equal(np.load(report.path, mmap_mode="r"), expected)
    wanted = Wanted(coverage)
    np.testing.assert_array_equal(open_faces(report.path, samples_of(table), wanted), expected)
    assert report.processed + report.reused == len(table)
    assert [path.name for path in report.path.parent.iterdir()] == ["faces.npy"]


def test_faces_are_those_aligned_one_by_one(folder: Path, table: pd.DataFrame, work: Path) -> None:
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (COUNT, 0)
    check(report, folder, table)
    faces = open_faces(report.path, samples_of(table), WANTED)
    assert faces.shape == (COUNT, 256, 256, 3)
    assert faces.dtype == np.uint8
    assert not faces.flags.writeable


def test_nothing_new_leaves_the_file_alone(folder: Path, table: pd.DataFrame, work: Path) -> None:
    first = build(folder, table, work)
    before = first.path.stat()
    shutil.rmtree(folder)  # not even the photos are needed
    second = build(folder, table, work)
    assert (second.processed, second.reused) == (0, COUNT)
    after = first.path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_only_changed_photos_are_processed(folder: Path, table: pd.DataFrame, work: Path) -> None:
    build(folder, table, work)
    table.loc[2, "digest"] = write_photo(folder / table.loc[2, "path"], 99)
    table.loc[4, "nose_x"] += 1.5
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (2, COUNT - 2)
    check(report, folder, table)


@pytest.mark.parametrize("rows", [[3, 1], [6, 5, 4, 3, 2, 1, 0], [0, 0, 2]])
def test_rows_follow_the_table(
    folder: Path, table: pd.DataFrame, work: Path, rows: list[int]
) -> None:
    build(folder, table, work)
    chosen = table.iloc[rows].reset_index(drop=True)
    report = build(folder, chosen, work)
    assert report.processed == 0
    check(report, folder, chosen)


def test_added_photos_are_processed_alone(folder: Path, table: pd.DataFrame, work: Path) -> None:
    build(folder, table.iloc[1:4], work)
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (COUNT - 3, 3)
    check(report, folder, table)


def test_renamed_samples_keep_their_faces(folder: Path, table: pd.DataFrame, work: Path) -> None:
    build(folder, table, work)
    table["sample_id"] = "other/" + table["sample_id"]
    report = build(folder, table, work)
    assert report.processed == 0
    check(report, folder, table)


def test_coverage_changes_all_faces(folder: Path, table: pd.DataFrame, work: Path) -> None:
    build(folder, table, work)
    report = build(folder, table, work, Wanted(1.0))
    assert report.processed == COUNT
    check(report, folder, table, 1.0)


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_interrupted_work_goes_on(
    folder: Path, table: pd.DataFrame, work: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(count, patch)
        with pytest.raises(KeyboardInterrupt):
            build(folder, table, work, workers=1)
    assert not (work / "faces.npy").exists()
    report = build(folder, table, work)
    assert report.reused == count // 2 * 2  # whole chunks of two
    check(report, folder, table)


def test_interrupted_update_goes_on_for_another_table(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, table, work)
    other = table.copy()
    other["nose_y"] += 1
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            build(folder, other, work, workers=1)
    np.testing.assert_array_equal(  # the earlier faces are whole until the new ones are
        open_faces(work / "faces.npy", samples_of(table), WANTED), one_by_one(folder, table)
    )
    mixed = pd.concat([other.iloc[:1], table.iloc[1:]]).reset_index(drop=True)
    report = build(folder, mixed, work)
    assert report.processed == 0
    check(report, folder, mixed)


def test_overwritten_rows_do_not_keep_their_label(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table A is begun, then B, then A again: rows that B spoiled must be redone."""
    other = table.copy()
    other["nose_y"] += 1
    for some, count in ((table, 4), (other, 2)):
        with monkeypatch.context() as patch:
            interrupt_after(count, patch)
            with pytest.raises(KeyboardInterrupt):
                build(folder, some, work, workers=1)
    report = build(folder, table, work)
    assert report.processed == COUNT
    check(report, folder, table)


def test_a_killed_process_loses_no_more_than_a_chunk(
    folder: Path, table: pd.DataFrame, work: Path, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "table.parquet")
    script = f"""
import functools, os, signal
from pathlib import Path
import pandas as pd
from contrastive_age.faces import looks, store
align, calls = store.align, iter(range(5))
@functools.wraps(align)
def align_some(*args):
    if next(calls, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return align(*args)
store.align, store.CHUNK_SIZE = align_some, 2
table = pd.read_parquet({str(tmp_path / "table.parquet")!r})
wanted = store.Wanted({DEFAULT_COVERAGE})
store.build_faces(
    Path({str(folder)!r}), table, Path({str(work)!r}), wanted, workers=1, progress=False
)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (3, 4)
    check(report, folder, table)


def resize(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size + size)


def replace_with_plain_array(path: Path) -> None:
    np.save(path, np.zeros((COUNT, 256, 256, 3), np.uint8))


def replace_with_other_shape(path: Path) -> None:
    np.save(path, np.zeros((COUNT, 8, 8, 3), np.uint8))


def replace_with_text(path: Path) -> None:
    path.write_text("faces")


DAMAGES = [
    lambda path: resize(path, -1),
    lambda path: resize(path, -200_000),
    lambda path: resize(path, 1),
    lambda path: os.truncate(path, 0),
    replace_with_plain_array,
    replace_with_other_shape,
    replace_with_text,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_foreign_files_are_noticed_and_redone(
    folder: Path, table: pd.DataFrame, work: Path, damage: Any
) -> None:
    path = build(folder, table, work).path
    damage(path)
    with pytest.raises(DataError, match=r"faces\.npy is .*; run the alignment again"):
        open_faces(path, samples_of(table), WANTED)
    report = build(folder, table, work)
    assert report.processed == COUNT
    check(report, folder, table)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_unfinished_files_are_begun_again(
    folder: Path, table: pd.DataFrame, work: Path, damage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            build(folder, table, work, workers=1)
    damage(work / "faces.partial.npy")
    report = build(folder, table, work)
    assert report.processed == COUNT
    check(report, folder, table)


def flip_a_bit(path: Path, row: int) -> None:
    pixels = np.lib.format.open_memmap(path, "r+")
    pixels[row, 100, 100, 1] ^= 4
    pixels.flush()


def test_a_face_that_was_sound_is_read_once_more_only_where_its_file_is_another(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(folder, table, work).path
    faces = open_faces(path, samples_of(table), WANTED)
    checked: list[list[int]] = []
    are_sound = FaceFile.are_sound
    monkeypatch.setattr(
        FaceFile,
        "are_sound",
        lambda own, rows: (checked.append(rows.tolist()), are_sound(own, rows))[1],
    )
    monkeypatch.setattr(files, "TICK", 0)
    for rows in ([0, 2, 4], [2, 5, 0]):
        sound(faces, np.array(rows))
    flip_a_bit(path, 2)
    os.utime(path, ns=(0, 0))  # so soon it may have the times that it had
    with pytest.raises(DataError, match="1 of 2 faces are damaged, the first in row 2"):
        sound(faces, np.array([0, 2]))
    assert checked == [[0, 2, 4], [5], [0, 2]]
    # As long as it may have been changed twice in one tick, nothing is known of it.
    monkeypatch.setattr(files, "TICK", 1e18)
    assert files.state_of(path) != files.state_of(path)


def test_a_damaged_face_is_refused_where_it_is_used(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    path = build(folder, table, work).path
    flip_a_bit(path, 3)
    faces = open_faces(path, samples_of(table), WANTED)
    others = np.array([6, 0, 4])
    assert sound(faces, others) is others
    with pytest.raises(DataError, match=r"npy: 1 of 2 faces are damaged, the first in row 3"):
        sound(faces, np.array([2, 3]))
    assert sound(np.array(faces), np.array([3])).tolist() == [3]
    # Nor is it taken over into another file.
    fewer = table.iloc[1:5].reset_index(drop=True)
    report = build(folder, fewer, work)
    assert (report.processed, report.reused) == (1, 3)
    check(report, folder, fewer)


def test_a_damaged_face_of_an_unfinished_file_is_made_again(
    folder: Path, table: pd.DataFrame, work: Path, interrupted: None
) -> None:
    flip_a_bit(work / "faces.partial.npy", 1)
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (COUNT - 3, 3)
    check(report, folder, table)


def test_unfinished_file_of_another_length_is_begun_again(
    folder: Path, table: pd.DataFrame, work: Path, interrupted: None
) -> None:
    report = build(folder, table.iloc[:3], work)
    check(report, folder, table.iloc[:3])


def test_open_refuses_other_samples(folder: Path, table: pd.DataFrame, work: Path) -> None:
    path = build(folder, table, work).path
    for samples in (table.iloc[::-1], table.iloc[:-1], table.iloc[:0]):
        with pytest.raises(DataError, match="other samples"):
            open_faces(path, samples, WANTED)
    with pytest.raises(DataError, match="is missing; run the alignment"):
        open_faces(work / "absent.npy", table, WANTED)


def test_open_refuses_unfinished_faces(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(4, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build(folder, table, work, workers=1)
    with pytest.raises(DataError):
        open_faces(work / "faces.partial.npy", samples_of(table), WANTED)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(1.0), r"coverage was 1\.35 and is now 1\.0"),
        (Wanted(DEFAULT_COVERAGE, 30), "min_face was None and is now 30"),
    ],
)
def test_open_refuses_faces_made_otherwise(
    folder: Path, table: pd.DataFrame, work: Path, wanted: Wanted, said: str
) -> None:
    path = build(folder, table, work).path
    faces = open_faces(path, samples_of(table), WANTED)
    for read in (open_faces(path, samples_of(table), WANTED), np.load(path, mmap_mode="r")):
        assert np.array_equal(faces, read)
        with pytest.raises(DataError, match=said):
            rows_of(samples_of(table), read, table, wanted)


def test_open_refuses_the_faces_of_other_photos(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    path = build(folder, table, work).path
    table.loc[2, "digest"] = "1" * 64
    with pytest.raises(DataError, match="faces of other photos"):
        open_faces(path, samples_of(table), WANTED)


def test_open_refuses_faces_that_other_code_made(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(folder, table, work).path
    monkeypatch.setattr(store, "code_of", lambda *_: "other")
    with pytest.raises(DataError, match=r"code of alignment was \w{16} and is now other"):
        open_faces(path, samples_of(table), WANTED)
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (COUNT, 0)


def test_other_libraries_are_said_and_nothing_is_done_again(
    folder: Path,
    table: pd.DataFrame,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "made_with", lambda *_: {"pillow": "1.0", "machine": "Abacus"})
        path = build(folder, table, work).path
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (0, COUNT)
    assert "made elsewhere, with pillow 1.0 (here " in caplog.text
    caplog.clear()
    open_faces(path, samples_of(table), WANTED)  # once a process is enough
    assert caplog.text == ""


def test_faces_of_another_smallest_face_are_named_anew_and_not_aligned_again(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    build(folder, table, work)
    other = Wanted(DEFAULT_COVERAGE, 40)
    report = build(folder, table, work, other)
    assert (report.processed, report.reused) == (0, COUNT)
    open_faces(report.path, samples_of(table), other)


@pytest.mark.parametrize("coverage", [DEFAULT_COVERAGE, 1.0])
def test_looks_do_not_depend_on_the_coverage(
    folder: Path, table: pd.DataFrame, work: Path, coverage: float
) -> None:
    table["status"] = ["detected"] * (COUNT - 1) + ["fallback"]
    Image.new("RGB", (90, 90), "grey").save(folder / table.loc[1, "path"])
    path = build(folder, table, work, Wanted(coverage)).path
    found = looks_of(path, table)
    assert found["digest"].equals(table["digest"])
    assert found["look"].eq("").tolist() == [False, True, *[False] * (COUNT - 3), True]
    known = found[found["look"] != ""]
    points = dict(zip(table["sample_id"], landmark_array(table), strict=True))
    for sample, look, mirrored in zip(
        known["sample_id"], known["look"], known["mirrored"], strict=True
    ):
        face = align(load_image(folder / f"{sample}.png"), points[sample], looks.COVERAGE)
        expected = looks.look_of(face)
        assert [look, mirrored] == [own.tobytes().hex() for own in expected]


def test_a_photo_that_can_no_longer_be_read_ends_the_work_and_costs_no_other_face(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    photo = folder / table.loc[3, "path"]
    content = photo.read_bytes()
    photo.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"003\.png cannot be read.*\(1 such photos in all\)"):
        build(folder, table, work)
    assert not (work / "faces.npy").exists()
    photo.write_bytes(content)
    report = build(folder, table, work)
    assert (report.processed, report.reused) == (1, len(table) - 1)
    faces = open_faces(report.path, samples_of(table), WANTED)
    np.testing.assert_array_equal(faces, one_by_one(folder, table))


def test_what_cannot_be_built_is_said(
    folder: Path, table: pd.DataFrame, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no photos"):
        build(folder, table.iloc[:0], work)

    spoilt = table.copy()
    spoilt.loc[1, "left_eye_x"] = np.nan
    with pytest.raises(DataError, match="photos/001"):
        build(folder, spoilt, work)

    (folder / table.loc[5, "path"]).unlink()
    with pytest.raises(DataError, match=r"005\.png is missing \(1 missing"):
        build(folder, table, work)

    usage = shutil.disk_usage(folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="make room"):
        build(folder, table, work / "elsewhere")


def test_progress_is_drawn_while_there_is_something_to_do(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    for words in ("Aligning faces: 100%", ""):
        with redirect_stderr(Terminal()) as shown:
            build_faces(folder, table, work, WANTED)
        assert (words in shown.getvalue()) if words else not shown.getvalue()


def test_a_file_of_faces_says_what_decided_it_and_has_a_name(
    folder: Path, table: pd.DataFrame, work: Path
) -> None:
    path = build(folder, table, work).path
    assert record_of(path).decided_by == WANTED.decided_by
    faces = open_faces(path, samples_of(table), WANTED)
    name = faces_digest(faces)
    assert name is not None
    assert faces_digest(np.array(faces)) is None
    other = build(folder, table, work, Wanted(1.0)).path
    assert faces_digest(open_faces(other, samples_of(table), Wanted(1.0))) != name


def test_photos_are_in_the_order_of_the_samples(table: pd.DataFrame) -> None:
    samples = table[["sample_id", "path"]].iloc[::-1].reset_index(drop=True)
    photos = photos_of(samples, table[["path", "digest"]])
    assert photos["sample_id"].equals(samples["sample_id"])
    assert photos["digest"].tolist() == table["digest"].tolist()[::-1]
