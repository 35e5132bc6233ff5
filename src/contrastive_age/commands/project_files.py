"""Which files are the project's code and configuration, with git and without."""

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

PARTS = ("benchmarks", "conf", "docs", "notebooks", "src", "tests")
"""Folders of the project, where git does not say what belongs to it."""

NAMES = ("LICENSE", "Makefile", ".telemetry")
SUFFIXES = {".md", ".toml", ".txt", ".yml"}
"""Files in the project's root, likewise."""


def project_files(root: Path) -> list[PurePosixPath]:
    """List the files of code and configuration, from the project's root.

    Those that git knows, with new ones of `src` and `conf`; without git the project's folders. Of
    `conf/local` only parameters, which decide results; nothing of `data`.

    Args:
        root: The project's root.
    """
    known = _known_to_git(root, "--cached")
    if PurePosixPath("pyproject.toml") in known:
        known += _known_to_git(root, "--others", "--exclude-standard", "--", "src", "conf")
    else:
        files = [own for own in root.iterdir() if own.name in NAMES or own.suffix in SUFFIXES]
        files += [own for part in PARTS for own in (root / part).rglob("*")]
        known = [PurePosixPath(own.relative_to(root).as_posix()) for own in files]
    local = root / "conf" / "local"
    known += [PurePosixPath(own.relative_to(root).as_posix()) for own in local.rglob("*")]
    return sorted({own for own in known if _travels(own) and (root / own).is_file()})


def _known_to_git(root: Path, *options: str) -> list[PurePosixPath]:
    git = shutil.which("git")
    if git is None:
        return []
    command = [git, "-C", str(root), "ls-files", "-z", *options]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return [PurePosixPath(os.fsdecode(own)) for own in done.stdout.split(b"\0") if own]


def _travels(path: PurePosixPath) -> bool:
    parts = path.parts
    if "__pycache__" in parts or any(own.endswith(".egg-info") for own in parts):
        return False
    if parts[0] == "data" or "credentials" in path.name:
        return False
    if parts[:2] == ("conf", "local"):
        return any(own.startswith("parameters") for own in parts[2:])
    return True
