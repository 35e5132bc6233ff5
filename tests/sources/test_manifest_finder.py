"""Paths looked up in another case or Unicode form, held against a search through all files."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.sources.manifest import finder

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
NAMES = ["a", "A", COMPOSED, DECOMPOSED, "É", "b"]
TREE = ["a/a", "a/A", "A/a", f"{COMPOSED}/b", f"{DECOMPOSED}/b", f"É/{COMPOSED}", "b/A", "b/É"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for path in TREE:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    found = {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}
    if found != set(TREE):
        pytest.skip("this file system changes names, or ignores their case")
    return folder


@given(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map("/".join))
def test_the_paths_found_are_those_of_a_search_through_all(tree: Path, path: str) -> None:
    def folded(text: str) -> str:
        return unicodedata.normalize("NFD", text).lower()

    expected = [each for each in TREE if folded(each) == folded(path)]
    found = finder(tree)(path)
    assert sorted(found) == ([path] if path in TREE else sorted(expected))


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lone")
    (folder / "a.jpg").touch()
    (folder / "loop").symlink_to("loop")
    return folder


@given(st.text(min_size=1))
def test_no_name_is_too_odd(lone: Path, path: str) -> None:
    assert finder(lone)(path) in ([], [path], ["a.jpg"])


@pytest.mark.parametrize(
    "path",
    ["x/" * 5000 + "x", "x" * 5000, "a\0b", "\0/a", "a.jpg/a", "loop/a", ".", "..", "\udce9"],
)
def test_what_is_no_file_is_not_found(lone: Path, path: str) -> None:
    assert finder(lone)(path) in ([], [path])


def test_each_folder_is_listed_once_and_no_file_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"{folder}/{number}.jpg" for folder in "xy" for number in range(50)]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    listed = []
    listing = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: listed.append(place) or listing(place))
    find = finder(tmp_path)
    assert [find(path) for path in [*paths, *paths]] == [[path] for path in [*paths, *paths]]
    assert len(listed) == 3


def test_folders_outside_are_listed_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "a.jpg").touch()
    (tmp_path / "base" / "door").symlink_to("..", target_is_directory=True)
    for path in ("door/A.JPG", "../A.JPG", f"{tmp_path.as_posix()}/A.JPG"):
        assert finder(tmp_path / "base")(path) == []
        (found,) = finder(tmp_path / "base", outside=True)(path)
        assert found == path.replace("A.JPG", "a.jpg")


def test_a_folder_that_cannot_be_listed_is_left_alone(tmp_path: Path) -> None:
    assert finder(tmp_path / "absent")("a.jpg") == []
