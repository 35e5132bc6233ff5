"""The MLflow run tree: experiment = protocol, one run a setting, one child run a fold.

A sweep's run is the parent of its settings' runs.

A setting's run is found again by its key, however often `kedro run` is called; a fold's child run
likewise. They are found by tags, never by their names, which are for people. Each run names the
process that is at it, so that others can close it when that was killed.
"""

import logging
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import psutil
from kedro.framework.context import KedroContext
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from mlflow import MlflowClient, set_experiment
from mlflow.entities import Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from contrastive_age.files import fingerprint
from contrastive_age.parameters.setting import Learning, Setting
from contrastive_age.processes import command_line
from contrastive_age.tracking import artifacts, descriptions, unique_runs, views
from contrastive_age.tracking.tracker import tracker, wait_for_curves, while_reachable

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
PROCESS = "process"
GROUP = "group"
ERROR = "error"
CLOCK_STEP = 60.0
"""Seconds by which the system's clock may have been set since a process began."""
TOTAL = "total"
"""The metric of an epoch's loss: an epoch is logged whole or not at all, so it tells for all."""
PATIENCE = 5.0
"""Seconds that an interrupted process waits for curves that are under way."""
_LONGEST_AXIS = 24
"""Characters of what a sweep's name says of one axis."""


def this_process() -> str:
    """Name this process, so that others can tell whether it still runs: host, number, start."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.0f}"


def has_ended(process: str) -> bool:
    """Whether a process that `this_process` named has ended for certain.

    Args:
        process: A name; of another machine or unknown, it may still run for all that is known here.
    """
    host, number, started = (*process.rsplit("/", 2), "", "")[:3]
    if host != socket.gethostname() or not (number.isdecimal() and started.isdecimal()):
        return False
    try:
        running = psutil.Process(int(number))
        # The number may have been given to another since.
        other = abs(running.create_time() - int(started)) > CLOCK_STEP
        return bool(other or running.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def enter_experiment(context: KedroContext, protocol: str) -> None:
    """Let runs be made in the protocol's experiment; drawn faces of the demo have their own."""
    config: KedroMlflowConfig = context.mlflow  # type: ignore[attr-defined]
    name = f"{protocol}{views.DEMO}" if context.env == "demo" else protocol
    config.tracking.experiment.name = name
    unique_runs.again(lambda: config.setup(context))
    experiment = set_experiment(name)
    views.prepare(experiment)
    tracker.experiment_id = experiment.experiment_id


def setting_run(key: str, tags: Mapping[str, str] | None = None) -> str:
    """Find or make the run of a setting in the experiment; `tags` are further ones of a new run."""
    run_id = _find_or_make(_of_setting(key), key, tags)
    artifacts.keep_beside(run_id)
    artifacts.say_strays()
    return run_id


def fold_run(parent: str, fold: str, **values: Any) -> str:
    """Find or make the run of a fold, such as `fold_3`, below a setting's run.

    It is made in the experiment that was entered, with `values` as further arguments of
    `create_run`.
    """
    return _find_or_make({PARENT: parent, "fold": fold, "level": "fold"}, fold, **values)


def _of_setting(key: str) -> dict[str, str]:
    return {"level": "setting", "setting_key": key}


def _find_or_make(
    identity: Mapping[str, str], name: str, tags: Mapping[str, str] | None = None, **values: Any
) -> str:
    """Find or make a run; one that is made names this process from its first moment."""
    tags = {**(tags or {}), PROCESS: this_process()}
    return unique_runs.find_or_make(
        MlflowClient(), tracker.experiment_id, identity, name, tags=tags, **values
    )


def begin(run_id: str) -> Run:
    """Be at a run, and say so, that others can tell when it was abandoned.

    Returns:
        The run as it was found.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    # One that was just made is as it should be.
    if run.data.tags.get(PROCESS) != this_process():
        unique_runs.again(lambda: client.set_tag(run_id, PROCESS, this_process()))
    if run.info.status != "RUNNING":
        client.update_run(run_id, "RUNNING")
    if ERROR in run.data.tags:  # why it failed the last time
        client.delete_tag(run_id, ERROR)
    return run


def losses_of(run: Run) -> dict[int, float]:
    """The total loss of each epoch that a run has."""
    if TOTAL not in run.data.metrics:
        return {}
    points = MlflowClient().get_metric_history(run.info.run_id, TOTAL)
    points.sort(key=lambda point: point.timestamp)
    return {point.step: point.value for point in points}


def is_named_by(run: Run, key: str) -> bool:
    """Whether nobody has given a run a name yet."""
    return run.info.run_name in {None, "", key}


def fail(run_id: str, error: Exception) -> None:
    """End a run as `FAILED`, and say why."""
    MlflowClient().set_tag(run_id, ERROR, str(error)[:5000])
    MlflowClient().set_terminated(run_id, "FAILED")


def is_whole(key: str, folds: int) -> bool:
    """Whether the run of a setting, as this version logs it, and its folds' have ended well.

    Args:
        key: The setting's key.
        folds: Their number.
    """
    client = MlflowClient()
    run_id = unique_runs.find(client, tracker.experiment_id, _of_setting(key))
    if run_id is None:
        return False
    run = client.get_run(run_id)
    # One that an earlier version logged says nothing of itself in words.
    note = run.data.tags.get(MLFLOW_RUN_NOTE, "")
    if run.info.status != "FINISHED" or descriptions.LINE not in note:
        return False
    ended = [run for run in _folds_of(run_id) if run.info.status == "FINISHED"]
    return len(ended) >= folds


def log_setting(run_id: str, setting: Learning, tags: Mapping[str, Any]) -> None:
    """Log the values of a setting, each λ in a column of its own, and the group of its seeds.

    Args:
        run_id: The setting's run.
        setting: The protocol's effective values.
        tags: Further tags.
    """
    params = [Param(name, str(value)) for name, value in setting.columns().items()]
    places = {f"{name.rpartition('.')[2]}_path": path for name, path in setting.places.items()}
    known = {**tags, **places, "seed": setting.seed, GROUP: setting.group}
    as_tags = [RunTag(name, str(value)) for name, value in known.items()]
    unique_runs.again(lambda: MlflowClient().log_batch(run_id, params=params, tags=as_tags))


def is_abandoned(run: Run) -> bool:
    """Whether no other process can be at a run: it was begun by one that has ended, or by this."""
    owner = run.data.tags.get(PROCESS, "")
    return owner == this_process() or has_ended(owner)


def close_folds(setting_id: str, folds: Collection[str], is_made: Callable[[str], bool]) -> None:
    """End as `KILLED` the runs of folds that a failure of another one has stopped.

    Args:
        setting_id: The setting's run, which failed.
        folds: Those that it was to make, as in `fold_3`.
        is_made: Whether a fold's result is there. One that an earlier run has finished is left as
            it is while its result is.
    """
    client = MlflowClient()
    for run in _folds_of(setting_id):
        status, fold = run.info.status, run.data.tags["fold"]
        is_begun = status == "RUNNING" and is_abandoned(run)
        if fold in folds and (is_begun or (status == "FINISHED" and not is_made(fold))):
            client.set_terminated(run.info.run_id, "KILLED")


def _folds_of(setting_id: str) -> list[Run]:
    condition = f"tags.`{PARENT}` = '{setting_id}' and tags.level = 'fold'"
    return list(MlflowClient().search_runs([tracker.experiment_id], condition))


def close_abandoned(*, with_ours: bool = False) -> None:
    """End as `KILLED` the runs of the experiment whose process has ended without a word.

    Only processes of this machine are judged; what others have left is closed from there, or when
    it is run again.

    Args:
        with_ours: Whether this process has been interrupted, so that its own runs end, too.
    """
    client = MlflowClient()
    for run in client.search_runs([tracker.experiment_id], "attributes.status = 'RUNNING'"):
        owner = run.data.tags.get(PROCESS, "")
        if has_ended(owner) or (with_ours and owner == this_process()):
            client.set_terminated(run.info.run_id, "KILLED")
            logger.info("The run %s is closed: it was killed", run.info.run_name)


@while_reachable
def interrupt() -> None:
    """End as `KILLED` whatever this process and its workers had under way."""
    if tracker.experiment_id and not tracker.is_worker:
        wait_for_curves(PATIENCE)
        close_abandoned(with_ours=True)


class SweepRun:
    """The run of a sweep in its protocol's experiment, found again when the sweep is run again.

    As a context it is the parent of every setting that is run within, and ends as `FINISHED`,
    `FAILED` when an error leaves it, or `KILLED` when it is interrupted.
    """

    run_id = ""
    failed: Sequence[str] = ()
    """The settings' keys that failed; with any, the run ends as `FAILED`."""

    @while_reachable
    def __init__(
        self, context: KedroContext, protocol: str, keys: Sequence[str], axes: Mapping[str, Any]
    ) -> None:
        """Find or make the run, and begin it.

        Args:
            context: Of a session of the project.
            protocol: Names the experiment.
            keys: The settings' keys, which name the sweep.
            axes: What is varied, logged as parameters.
        """
        enter_experiment(context, protocol)
        key = f"sweep-{fingerprint(sorted(keys))[:8]}"
        self.run_id = _find_or_make({"level": "sweep", "key": key}, key)
        artifacts.keep_beside(self.run_id)
        for axis, values in axes.items():
            text = ", ".join(map(str, values))[:500]
            unique_runs.set_once(MlflowClient(), self.run_id, axis, text)
        if is_named_by(begin(self.run_id), key):
            MlflowClient().set_tag(self.run_id, MLFLOW_RUN_NAME, sweep_title(axes))

    def __enter__(self) -> "SweepRun":
        """Become the parent of the settings that are run."""
        tracker.is_sweep, tracker.sweep_id = True, self.run_id or None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the run."""
        tracker.is_sweep, tracker.sweep_id = False, None
        if kind is None:
            self._end("FAILED" if self.failed else "FINISHED")
        else:
            self._end("FAILED" if issubclass(kind, Exception) else "KILLED")

    @while_reachable
    def _end(self, status: str) -> None:
        client = MlflowClient()
        before = client.get_run(self.run_id).data.tags.get(MLFLOW_RUN_NOTE)
        text = descriptions.of_sweep(command_line(), self._rows())
        for name, value in {
            "failed": ", ".join(self.failed) or "none",
            MLFLOW_RUN_NOTE: descriptions.with_notes(text, before),
        }.items():
            client.set_tag(self.run_id, name, value)
        client.set_terminated(self.run_id, status)

    def _rows(self) -> list[list[str]]:
        """Its settings with their errors, the best first."""
        condition = f"tags.`{PARENT}` = '{self.run_id}' and tags.level = 'setting'"
        runs = MlflowClient().search_runs(
            [tracker.experiment_id], condition, order_by=["metrics.mae ASC"]
        )
        return [
            [
                f"[{run.info.run_name}]({views.run_page(run)})",
                *descriptions.error_cells(run.data.metrics),
                run.info.status.lower(),
            ]
            for run in runs
        ]

    @while_reachable
    def adopt(self, setting: Setting) -> None:
        """Take the run of a setting that is kept."""
        run_id = setting_run(setting.key)
        MlflowClient().set_tag(run_id, PARENT, self.run_id)
        # One that an earlier version logged lacks it.
        MlflowClient().set_tag(run_id, GROUP, setting.group)

    @while_reachable
    def log_selection(self, name: str, document: Mapping[str, Any]) -> None:
        """Make or find the child run of what was chosen on validation parts, and log its error."""
        client = MlflowClient()
        run_id = _find_or_make({"level": "selection", "key": name}, name)
        client.set_tag(run_id, PARENT, self.run_id)
        if is_named_by(client.get_run(run_id), name):
            count = len(document["candidates"])
            title = f"best of {count} on validation {document['validation']:g}"
            client.set_tag(run_id, MLFLOW_RUN_NAME, title)
        for fold in document["by_fold"]:
            client.set_tag(run_id, f"chosen_in_fold_{fold['fold']}", fold["chosen"])
        client.log_metric(run_id, "mae", document["mae"])
        client.log_dict(run_id, dict(document), "tables/selection.json")
        client.set_terminated(run_id)


def sweep_title(axes: Mapping[str, Sequence[Any]]) -> str:
    """Name a sweep by what is varied, such as "sweep λc=0,2,4 × seed=0,1,2"."""
    texts = []
    for axis, values in axes.items():
        name = axis.rpartition(".")[2].replace("lambda_", "λ")
        text = f"{name}={','.join(map(str, values))}"
        texts.append(text if len(text) <= _LONGEST_AXIS else f"{len(values)} values of {name}")
    return f"sweep {' × '.join(texts)}"
