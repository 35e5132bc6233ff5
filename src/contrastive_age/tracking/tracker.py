"""What this process tracks, and what its nodes log to the run that is under way.

Tracking never stops a run: when the tracking server fails, training goes on without it. The first
failure is said once; from then on this process tracks nothing. What was measured is in the files,
and `kedro upload-runs` brings it to the server later.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from contrastive_age.errors import leading_to
from contrastive_age.tracking import database

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

FAILURES = (MlflowException, OSError)
"""What MLflow's client raises when a server, a proxy, a disk or a database fails."""


@dataclass
class Tracker:
    """The runs that this process is at.

    MLflow's own active runs are none of it: they are of one thread each, and a run cannot be left
    without asking a server that may be gone.

    Attributes:
        is_worker: Whether this process runs folds for another one.
        experiment_id: The experiment that was entered last.
        sweep_id: The run of the sweep under way.
        is_sweep: Whether one is under way, tracked or not.
        setting_id: The run of the setting under way; a worker's is held open by its employer.
        fold_id: The run of the fold under way.
        logged: By run, the total loss of each epoch that it had when this process began.
        served: The URI of the final model that was logged last.
        lost: Why this process tracks no more; None while it does.
    """

    is_worker: bool = False
    experiment_id: str = ""
    sweep_id: str | None = None
    is_sweep: bool = False
    setting_id: str | None = None
    fold_id: str | None = None
    logged: dict[str, dict[int, float]] = field(default_factory=dict)
    served: str | None = None
    lost: str | None = None

    def work_for(self, setting_id: str | None) -> None:
        """Run folds of a setting for another process.

        Args:
            setting_id: The setting's run; None where that process tracks nothing.
        """
        self.is_worker, self.setting_id = True, setting_id
        if setting_id is None:
            self.lost = "the process that this one works for tracks nothing"


tracker = Tracker()
"""The one of this process."""

_losing = threading.Lock()

# Curves are sent beside the training, one epoch after the other.
_sender = ThreadPoolExecutor(1)
_under_way: list[Future[Any]] = []


def active_run_id() -> str | None:
    """The run of the fold under way, else that of the setting, if there is one."""
    return None if tracker.lost else tracker.fold_id or tracker.setting_id


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
        if tracker.lost is not None:
            return None
        try:
            return function(*args, **kwargs)
        except FAILURES as error:
            _lose(error)
            return None

    return guarded


def _lose(error: Exception) -> None:
    """Say once what failed."""
    with _losing:
        if tracker.lost is not None:
            return
        of_database = next(filter(None, map(database.explain, leading_to(error))), None)
        words = " ".join(str(error).split())[:400]
        tracker.lost = of_database or without_password(f"{mlflow.get_tracking_uri()}: {words}")
    logger.warning(
        "Tracking stops here, and nothing else. Results are kept in files; bring them to MLflow "
        "later with `kedro upload-runs`. What failed is %s",
        tracker.lost,
    )


def without_password(text: str) -> str:
    """Take out of a text what stands before the @ in the address of the tracking server."""
    secret = urlsplit(mlflow.get_tracking_uri()).netloc.rpartition("@")[0]
    return text.replace(f"{secret}@", "") if secret else text


def log_epoch(epoch: int, values: Mapping[str, float]) -> None:
    """Add one epoch to the curves of the run under way, if there is one.

    An epoch that the run has already, since it was killed after it, is left as it is.

    Args:
        epoch: Epochs done, from 1.
        values: The epoch's entry of the history: loss terms, learning rate, seconds.
    """
    run_id = active_run_id()
    known = tracker.logged.get(run_id or "", {})
    if run_id is not None and known.get(epoch) != values["total"]:
        now = int(time.time() * 1000)
        curves = [
            Metric(name, float(value), now, epoch)
            for name, value in values.items()
            if name != "epoch"
        ]
        send = while_reachable(mlflow.MlflowClient().log_batch)
        _under_way.append(_sender.submit(send, run_id, curves))


def wait_for_curves(seconds: float | None = None) -> None:
    """Wait for the curves that are under way; what has not begun in this time is given up."""
    for late in wait(_under_way, seconds).not_done:
        late.cancel()
    _under_way.clear()
