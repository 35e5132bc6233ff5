"""The errors that a user can mend, apart from programming errors."""


class DataError(ValueError):
    """Something in the user's data, folders or files is wrong.

    The message names the file or folder, says what is wrong with it and what to do.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, for example because a loss is not finite."""
