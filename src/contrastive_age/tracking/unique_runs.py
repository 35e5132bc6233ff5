"""One MLflow run for one thing, however many processes on however many machines ask for it at once.

MLflow cannot make a run unless there is one, and its start times are the clocks of the machines.
What it can do is to refuse a second value of a parameter. So a run counts once it carries its name
as the parameter `key`, and whoever makes it so has first marked every other candidate as a double:

1. Search. Where there is none, take back the one that counted and was deleted, or else make one;
   search again.
2. Choose the one that counts, or else the oldest; mark all others as doubles, and let the chosen
   one count. Where another process was faster, a mark is refused: go back to 1.
3. Delete the doubles.

Whoever sees the later one of two runs sees the earlier one too. So to let the later one count, it
has to mark the earlier one as a double first, and cannot where that counts already: never do both
count, whatever the clocks say. A process that dies half-way leaves candidates for the next one.

A run that counted and that a user deleted is seen by all, so all take the same one back. Where a
user takes one back beside another that counts by now, the older one stays.
"""

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    TEMPORARILY_UNAVAILABLE,
    ErrorCode,
)

KEY = "key"
DOUBLE = "(double)"

ATTEMPTS = 8
CONFLICTS = {
    ErrorCode.Name(code) for code in (BAD_REQUEST, RESOURCE_ALREADY_EXISTS, TEMPORARILY_UNAVAILABLE)
}
REFUSED = ErrorCode.Name(INVALID_PARAMETER_VALUE)


def find(client: MlflowClient, experiment_id: str, identity: Mapping[str, str]) -> str | None:
    """Give the run that carries these tags, if there is one.

    Args:
        client: Of the tracking server.
        experiment_id: Where to look.
        identity: Tags that no two runs share.
    """
    runs, _ = _search(client, experiment_id, identity)
    first = min((run for run in runs if _key(run) != DOUBLE), key=_rank, default=None)
    return None if first is None else str(first.info.run_id)


def find_or_make(
    client: MlflowClient,
    experiment_id: str,
    identity: Mapping[str, str],
    name: str,
    **values: Any,
) -> str:
    """Give the one run that carries these tags; one that was deleted is restored, else it is made.

    Args:
        client: Of the tracking server.
        experiment_id: Where to look.
        identity: Tags that no two runs share.
        name: Of the run; also its parameter `key`.
        values: Further arguments of `create_run` where it is made, such as more `tags`.

    Returns:
        The run's id, the same for every process.
    """
    tags = {**values.pop("tags", {}), **identity}
    while True:
        runs, deleted = _search(client, experiment_id, identity)
        candidates = [run for run in runs if _key(run) != DOUBLE]
        if not candidates:
            # Not a candidate that never counted: that may have been deleted as a double.
            last = max((run for run in deleted if _key(run) == name), key=_rank, default=None)
            if last is None:
                client.create_run(experiment_id, run_name=name, tags=tags, **values)
            else:
                _accepted(partial(client.restore_run, last.info.run_id))
            continue
        first = min(candidates, key=_rank)
        others = [run for run in runs if run is not first]
        run_id = str(first.info.run_id)
        # One that counts, too, cannot be marked; deleting it is enough.
        marked = (
            _key(other) == name or set_once(client, other.info.run_id, KEY, DOUBLE)
            for other in others
        )
        if all(marked) and (_key(first) == name or set_once(client, run_id, KEY, name)):
            for other in others:
                # Another process may have done so already.
                _accepted(partial(client.delete_run, other.info.run_id))
            return run_id


def set_once(client: MlflowClient, run_id: str, parameter: str, value: str) -> bool:
    """Set a parameter of a run unless it has a value, and say whether it is this one.

    Args:
        client: Of the tracking server.
        run_id: The run.
        parameter: Its name.
        value: What it is set to. Of several processes that set different values one succeeds.
    """
    # It is refused where it has another value, or the run is deleted.
    return _accepted(lambda: client.log_param(run_id, parameter, value))


def _accepted(function: Callable[[], Any]) -> bool:
    """Ask the server for something, and say whether what is there allowed it."""
    try:
        again(function)
    except MlflowException as error:
        if error.error_code != REFUSED:
            raise
        return False
    return True


def again(function: Callable[[], Any]) -> Any:
    """Call a function until no other process writes the same rows at the same time.

    Args:
        function: May be called twice. Two processes that add the same row at once make one of the
            calls fail, though both want the same.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return function()
        except MlflowException as error:
            if error.error_code not in CONFLICTS:
                raise
            time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311
    return function()


def _search(
    client: MlflowClient, experiment_id: str, identity: Mapping[str, str]
) -> tuple[list[Run], list[Run]]:
    """The runs with these tags, and those that were deleted, all at one moment."""
    condition = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in identity.items())
    runs: dict[bool, list[Run]] = {True: [], False: []}
    for run in client.search_runs([experiment_id], condition, ViewType.ALL):
        runs[run.info.lifecycle_stage == LifecycleStage.ACTIVE].append(run)
    return runs[True], runs[False]


def _key(run: Run) -> str | None:
    value: str | None = run.data.params.get(KEY)
    return value


def _rank(run: Run) -> tuple[bool, int, str]:
    """Order runs alike in every process: the one that counts, then the oldest."""
    return _key(run) is None, run.info.start_time, run.info.run_id
