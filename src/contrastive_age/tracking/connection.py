"""Tracking never stops a run: when the tracking server fails, training goes on without it.

The first failure is said once; from then on this process tracks nothing. What was measured is in
the files, and `kedro upload-runs` brings it to the server later.
"""

import functools
import logging
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import MlflowException

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

FAILURES = (MlflowException, OSError)
"""What MLflow's client raises when a server, a proxy, a disk or a database fails."""


class _Connection:
    """The state of this process."""

    def __init__(self) -> None:
        self.lost: str | None = None
        self.lock = threading.Lock()


_connection = _Connection()


def why_lost() -> str | None:
    """Say why this process tracks no more; None while it does."""
    return _connection.lost


def find_again() -> None:
    """Let this process try the tracking server once more."""
    _connection.lost = None


def while_reachable(
    function: Callable[Arguments, Result],
) -> Callable[Arguments, Result | None]:
    """Skip a function once tracking has failed, and let its own failure be the last.

    Args:
        function: Talks to the tracking server.

    Returns:
        The same, which gives None where it was skipped or failed.
    """

    @functools.wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | None:
        if _connection.lost is not None:
            return None
        try:
            return function(*args, **kwargs)
        except FAILURES as error:
            _lose(error)
            return None

    return guarded


def _lose(error: Exception) -> None:
    """Say once what failed, and leave all runs without asking the server."""
    with _connection.lock:
        if _connection.lost is not None:
            return
        words = " ".join(str(error).split())[:400]
        _connection.lost = without_password(f"{mlflow.get_tracking_uri()}: {words}")
    logger.warning(
        "Tracking stops here, and nothing else. Results are kept in files; bring them to MLflow "
        "later with `kedro upload-runs`. What failed is %s",
        _connection.lost,
    )
    # The public way to leave a run is to tell the server, and wait for it, for each of them.
    for stack in mlflow.tracking.fluent._active_run_stack.get_all_thread_values().values():
        stack.clear()


def without_password(text: str) -> str:
    """Take out of a text what stands before the @ in the address of the tracking server."""
    secret = urlsplit(mlflow.get_tracking_uri()).netloc.rpartition("@")[0]
    return text.replace(f"{secret}@", "") if secret else text
