"""Files are whole or not there, and fingerprints name values."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from contrastive_age.files import (
    fingerprint,
    remove_unfinished,
    replacing,
    replacing_folder,
    sync_folder,
    why_not_writable,
)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.parquet"
    with replacing(path) as beside:
        assert beside.suffix == ".parquet"
        beside.write_text("old")

    def fail() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_folder_is_not_left(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "pack"

    def fill(*, fail: bool) -> None:
        with replacing_folder(folder) as beside:
            beside.mkdir()
            (beside / "file").write_text("new")
            if fail:
                raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill(fail=True)
    assert list(folder.parent.iterdir()) == []
    fill(fail=False)
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_fingerprints_depend_on_values_and_not_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_only_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    for name in ("table.parquet", ".gitkeep", ".fold_0.lock", ".1-2.txt"):
        (tmp_path / name).touch()
    with replacing(tmp_path / "table.parquet") as beside:
        beside.write_text("whole")
        left = tmp_path / beside.name.replace("table", "model")
        left.touch()
        old = tmp_path / beside.name.replace("table", "old")
        old.touch()
        os.utime(old, (0, 0))
        remove_unfinished(tmp_path, older_than=1000)
        assert beside.exists()
        assert left.exists()
        assert not old.exists()
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "missing")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"table.parquet", ".gitkeep", ".fold_0.lock", ".1-2.txt"}


@pytest.mark.parametrize("letter", ["n", "\N{CYRILLIC SMALL LETTER YA}"])
def test_a_name_may_have_all_the_bytes_that_a_system_takes(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (250 // len(letter.encode())) + ".json")
    with replacing(path) as beside:
        beside.write_text("whole")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["whole"]


def test_what_cannot_be_written_is_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    good = [tmp_path / name for name in ("file", "new", "deep/er/new", "folder/new", "link")]
    assert [why_not_writable(path) for path in good] == [""] * 5
    assert why_not_writable(tmp_path / "folder") == "it is a folder; name a file"
    for folder in (True, False):
        for path in (tmp_path / "file" / "new", tmp_path / "file" / "deep" / "new"):
            assert "file is no folder" in why_not_writable(path, folder=folder)
        assert "link is no folder" in why_not_writable(tmp_path / "link" / "new", folder=folder)
        assert "too long" in why_not_writable(tmp_path / ("n" * 300), folder=folder)
    assert "file is no folder" in why_not_writable(tmp_path / "file", folder=True)
    for path in (tmp_path / "folder", tmp_path / "new", tmp_path / "deep" / "new"):
        assert why_not_writable(path, folder=True) == ""

    def closed(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    assert why_not_writable(tmp_path / "new") == "Permission denied; name another place"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | str]]:
    """What was asked of the disk, in its order: the inode that it had to keep, the new name."""
    order: list[tuple[str, int | str]] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(opened: int) -> None:
        order.append(("fsync", os.fstat(opened).st_ino))
        fsync(opened)

    def noted_replace(self: Path, target: Path) -> Path:
        order.append(("replace", target.name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return order


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, asked: list[tuple[str, int | str]]
) -> None:
    path = tmp_path / "table.parquet"
    with replacing(path) as beside:
        beside.write_text("whole")
    assert asked == [
        ("fsync", path.stat().st_ino),
        ("replace", path.name),
        ("fsync", tmp_path.stat().st_ino),
    ]


def test_all_files_of_a_folder_are_on_the_disk_before_its_name(
    tmp_path: Path, asked: list[tuple[str, int | str]]
) -> None:
    folder = tmp_path / "pack"
    with replacing_folder(folder) as beside:
        (beside / "deep").mkdir(parents=True)
        files = [beside / "file", beside / "deep" / "file"]
        for file in files:
            file.write_text("whole")
        inside = {path.stat().st_ino for path in (*files, beside, beside / "deep")}
    assert {inode for what, inode in asked[:-2] if what == "fsync"} == inside
    assert asked[-2:] == [("replace", "pack"), ("fsync", tmp_path.stat().st_ino)]


def test_copies_that_may_not_be_written_are_put_in_place_all_the_same(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    (original / "a").write_text("read only")
    (original / "a").chmod(0o444)
    with replacing_folder(tmp_path / "copy") as beside:
        shutil.copytree(original, beside)
    assert (tmp_path / "copy" / "a").read_text() == "read only"


def test_what_the_disk_did_not_take_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("old")

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error") as error, replacing(path) as beside:
        beside.write_text("new")
    assert error.value.filename == str(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_system_that_cannot_sync_folders_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if number == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)
