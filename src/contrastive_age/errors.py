"""The errors that a user can mend, apart from programming errors."""

from collections.abc import Iterator


class DataError(ValueError):
    """Something in the user's data, folders or files is wrong.

    The message names the file or folder, says what is wrong with it and what to do.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, for example because a loss is not finite."""


def leading_to(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those that led to it, from the last one back.

    What was being handled when an error came up did not lead to it, unless that says so. torch's
    writer alone does not say it: its RuntimeError follows from the system's error.
    """
    while error is not None:
        yield error
        context = error.__context__ if isinstance(error, RuntimeError) else None
        error = error.__cause__ or context
