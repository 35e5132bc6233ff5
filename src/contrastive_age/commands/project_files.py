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
    files = list((root / "conf" / "local").rglob("*"))
    known = _known_to_git(root, "--cached")
    if PurePosixPath("pyproject.toml") in known:
        known += _known_to_git(root, "--others", "--exclude-standard", "--", "src", "conf")
    else:
        files += [path for path in root.iterdir() if path.name in NAMES or path.suffix in SUFFIXES]
        files += [path for part in PARTS for path in (root / part).rglob("*")]
    known += [PurePosixPath(path.relative_to(root).as_posix()) for path in files]
    return sorted({path for path in known if _travels(path) and (root / path).is_file()})


def _known_to_git(root: Path, *options: str) -> list[PurePosixPath]:
    git = shutil.which("git")
    if git is None:
        return []
    command = [git, "-C", str(root), "ls-files", "-z", *options]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return [PurePosixPath(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


def _travels(path: PurePosixPath) -> bool:
    parts = path.parts
    built = any(part == "__pycache__" or part.endswith(".egg-info") for part in parts)
    if built or parts[0] == "data" or "credentials" in path.name:
        return False
    if parts[:2] == ("conf", "local"):
        return any(part.startswith("parameters") for part in parts[2:])
    return True
