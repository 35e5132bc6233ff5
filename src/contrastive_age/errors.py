"""The errors that a user can mend, apart from programming errors."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any


class DataError(ValueError):
    """Something in the user's data, folders or files is wrong.

    The message names the file or folder, says what is wrong with it and what to do.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, for example because a loss is not finite."""


def library(name: str, extra: str) -> Any:
    """Import a library that comes with one of this project's extras.

    Raises:
        DataError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise DataError(
            f"{name} is needed and not installed: python -m pip install 'contrastive-age[{extra}]'"
        ) from error


def leading_to(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those that led to it, from the last one back.

    What was being handled when an error came up did not lead to it, unless that says so.
    """
    while error is not None:
        yield error
        error = error.__cause__
