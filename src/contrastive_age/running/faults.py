"""Faults of the machine and of a command's choices, in one line that names the remedy."""

import errno
import os
import re
import traceback

from kedro.config import MissingConfigException
from kedro.io import DatasetError
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.parser import ParserError

from contrastive_age.errors import leading_to
from contrastive_age.tracking import database

DATA_ROOT = "name another folder as data_root in conf/local/globals.yml"

GONE = f"its disk is gone: connect it again, or {DATA_ROOT}"

REMEDIES = {
    errno.ENOSPC: f"make room, or {DATA_ROOT}",
    errno.EDQUOT: f"make room, or {DATA_ROOT}",
    errno.EFBIG: f"this disk takes no file so large: {DATA_ROOT}",
    errno.EROFS: f"mount it for writing, or {DATA_ROOT}",
    errno.EACCES: f"give yourself the right to it, or {DATA_ROOT}",
    errno.EPERM: f"give yourself the right to it, or {DATA_ROOT}",
    errno.EMFILE: "allow more open files (ulimit -n), or lower folds_at_once",
    errno.EIO: "check the disk, and restore the file from a copy",
    errno.ESTALE: GONE,
    errno.ENODEV: GONE,
    errno.ENXIO: GONE,
    errno.ENOENT: "put it in place, or correct the parameter that names it",
    errno.ENOTDIR: "a file lies where a folder is needed: move it away",
    errno.EISDIR: "a folder lies where a file is needed: move it away",
    errno.ENAMETOOLONG: "give it a shorter name, or correct the parameter that names it",
    errno.EEXIST: "a file lies where a folder is needed: move it away",
}
"""What to do about an error of the operating system."""


def explain(error: BaseException) -> str | None:
    """Say in one line what is wrong with a file, and what to do.

    Args:
        error: Any error.

    Returns:
        The line; None where neither the error nor one that led to it is a fault of a file, a disk,
        the database of runs, or a choice that Kedro refuses.
    """
    errors = list(leading_to(error))
    known = (database.explain, _system, _choice, _memory)
    said = [next(filter(None, (say(each) for say in known)), None) for each in reversed(errors)]
    return next(filter(None, [*said, *map(_dataset, errors)]), None)


def _choice(error: BaseException) -> str | None:
    """What Kedro says of a choice that it refuses, with the remedy."""
    if isinstance(error, MissingConfigException):
        remedy = "correct --env or --conf-source"
    elif isinstance(error, ConfigTypeError):
        remedy = "a block has names (a.b=1), and a list has none: write it as conf/base does"
    elif isinstance(error, OmegaConfBaseException):
        remedy = "${name} stands for another parameter; \\${name} means these very signs"
    elif isinstance(error, ParserError) and error.problem_mark is None:
        remedy = "correct that line, counted from 0"
    elif isinstance(error, ComposerError | ConstructorError):  # others Kedro names
        remedy = "correct that line of the file in conf/ that has it"
    elif isinstance(error, ValueError) and _raised_in(error, "kedro.framework.session.session"):
        remedy = "kedro registry list names the pipelines"
    elif isinstance(error, ValueError) and _raised_in(error, "kedro.pipeline.pipeline"):
        remedy = "correct --tags, --namespaces, --nodes, --from-nodes or the like"
    else:
        return None
    return f"{' '.join(str(error).split())} Remedy: {remedy}."


def _memory(error: BaseException) -> str | None:
    """What to do where a GPU is full; torch need not be imported to know its error."""
    if type(error).__name__ != "OutOfMemoryError":
        return None
    said = " ".join(str(error).split()).partition(". ")[0]
    return f"{said}. Remedy: lower folds_at_once or training.batch_size, or wait until it is free."


def _raised_in(error: BaseException, module: str) -> bool:
    """Whether a module raised an error itself: Kedro has no types for what a user chose."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals["__name__"] == module


def _system(error: BaseException) -> str | None:
    if not isinstance(error, OSError) or error.errno not in REMEDIES:
        return None
    path = error.filename2 or error.filename
    # What is written beside a file and renamed is a stage of that file.
    name = path and re.sub(
        r"(^|/)\.([^/]+)\.\d+(?:-[0-9a-f]+)?(\.\w+)$", r"\1\2\3", os.fsdecode(path)
    )
    said = f"{os.strerror(error.errno)}; {REMEDIES[error.errno]}"
    return f"{name}: {said}" if name else said


def _dataset(error: BaseException) -> str | None:
    """What Kedro says of a file that it cannot read or write."""
    if not isinstance(error, DatasetError):
        return None
    said = " ".join(str(error).split())
    return f"{said} Run all of the pipeline: what is missing or damaged is made again."
