"""Code and configuration travel; data, credentials and what belongs to one machine do not."""

import subprocess
from pathlib import Path

import pytest

from contrastive_age.commands.project_files import project_files

TRAVEL = ["README.md", "conf/base/a.yml", "conf/local/parameters.yml", "pyproject.toml", "src/a.py"]
STAY = [
    *("data/01_raw/photo.jpg", "conf/local/globals.yml", "conf/local/credentials.yml"),
    *("conf/base/credentials.yml", "src/__pycache__/a.pyc", "src/a.egg-info/PKG-INFO"),
    *("photos/anna.jpg", "anna.jpg", "ages.csv"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in [*TRAVEL, *STAY]:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "project"


def _names(root: Path) -> list[str]:
    return [str(path) for path in project_files(root)]


def test_without_git(root: Path) -> None:
    assert _names(root) == TRAVEL


def test_with_git_what_it_knows_and_what_is_new_in_the_code(root: Path) -> None:
    (root / ".gitignore").write_text("*.egg-info/\n__pycache__/\n/src/scratch.py\n")
    (root / "extra").mkdir()
    (root / "extra/known.py").touch()
    for command in (["init", "-q"], ["add", "pyproject.toml", "README.md", "conf", "extra"]):
        subprocess.run(["git", "-C", root, *command], check=True)
    (root / "src/scratch.py").touch()
    assert _names(root) == sorted([*TRAVEL, "extra/known.py"])
    (root / "README.md").unlink()
    assert "README.md" not in _names(root)


def test_in_the_folder_of_another_repository(root: Path) -> None:
    subprocess.run(["git", "-C", root.parent, "init", "-q"], check=True)
    assert _names(root) == TRAVEL
