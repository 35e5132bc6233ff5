"""Running the folds of a protocol on the machines of a Ray cluster.

Each fold is one task with its share of a machine. A fold whose worker or machine died goes on
elsewhere from its last checkpoint, if all machines see the same folder of work.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any

from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from contrastive_age.errors import DataError, TrainingError, library
from contrastive_age.parameters.given import RayShare
from contrastive_age.processes import command_line
from contrastive_age.running.console import Trainings
from contrastive_age.running.faults import explain
from contrastive_age.running.runners import KEDROS, Job, present_job, run_fold, split

logger = logging.getLogger(__name__)


class PassingError(RuntimeError):
    """A fold failed for a reason that may have gone when it is tried again.

    Such as a disk or a server that does not answer, or a GPU whose memory others have taken.
    """


class RayRunner(SequentialRunner):
    """Kedro's sequential runner, that runs the folds as tasks of a Ray cluster.

    What all folds share runs before them in this process, and what needs them all after them. When
    a fold fails the others are finished first.
    """

    _logger = KEDROS

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        before, folds, after = split(pipeline)
        super()._run(before, catalog, hook_manager, run_id)
        if folds:
            share = RayShare.model_validate(catalog.load("params:effective.ray"))
            work = partial(
                run_fold_here,
                _job_of_workers(share),
                folds,
                max(1, int(share.cpus_per_fold)),
                os.environ.get("MLFLOW_TRACKING_URI"),
            )
            trainings = Trainings(pipeline, catalog)
            failed: dict[str, Exception] = {}
            with cluster(share):
                for name, error in run_tasks(work, list(folds), share):
                    if error is None:
                        trainings.done(name)
                    else:
                        logger.warning("%s failed; why is said at the end", name)
                        failed[name] = error
            if failed:
                raise TrainingError(_account(failed, len(folds)))
        super()._run(after, catalog, hook_manager, run_id)


def run_fold_here(
    job: Job,
    nodes: Mapping[str, Sequence[str]],
    threads: int,
    tracking_uri: str | None,
    fold: str,
) -> None:
    """Run the nodes of a fold in a session of their own, in a worker of the cluster.

    Args:
        job: How to open the employer's session.
        nodes: The names of each fold's nodes.
        threads: torch's threads; sums round as they do with as many threads elsewhere.
        tracking_uri: The employer's MLflow server; None where it uses the project's own database.
        fold: The namespace.
    """
    import torch

    if tracking_uri:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    torch.set_num_threads(threads)
    run_fold(job, fold, list(nodes[fold]))


@contextmanager
def cluster(share: RayShare) -> Iterator[None]:
    """Be connected to a Ray cluster.

    The one that this process is connected to already, else the one at `share.address` or at
    `RAY_ADDRESS`, else one that is started on this machine, for this machine alone, and ended.

    Args:
        share: Where the cluster is, and what a fold needs.

    Raises:
        DataError: Ray is missing, the cluster does not answer, or this machine has not enough.
    """
    address = share.address or os.environ.get("RAY_ADDRESS") or "local"
    if address.partition(":")[0] in {"local", "localhost", "127.0.0.1"}:
        # Read when Ray is imported: it then keeps to loopback, as it does on Windows and macOS.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = _import_ray()
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address,
            include_dashboard=False if address == "local" else None,
            logging_level="WARNING",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DataError(
            f"No Ray cluster answers at {address} ({error}); start one there, or leave ray.address "
            "out to use this machine alone"
        ) from error
    try:
        if address == "local":
            _check_fits(ray.cluster_resources(), share)
        yield
    finally:
        ray.shutdown()


def run_tasks(
    work: Callable[[str], None], names: Sequence[str], share: RayShare
) -> Iterator[tuple[str, Exception | None]]:
    """Do work for each name as a task of the cluster that this process is connected to.

    Args:
        work: Called with a name in a worker process.
        names: What to do, in the order in which it begins.
        share: What a task needs, and how often it is tried again.

    Yields:
        Each name when it is done or has failed for good, then with the error.
    """
    ray = _import_ray()
    task = ray.remote(
        num_cpus=share.cpus_per_fold,
        num_gpus=share.gpus_per_fold,
        max_retries=share.retries,
        retry_exceptions=[PassingError],
    )(_attempt)
    waiting = {task.options(name=name).remote(work, name): name for name in names}
    try:
        while waiting:
            (ready,), _ = ray.wait(list(waiting))
            name = waiting.pop(ready)
            yield name, _error(ray, ready, share.retries + 1)
    finally:
        for unfinished in waiting:
            ray.cancel(unfinished, force=True)


def _attempt(work: Callable[[str], None], name: str) -> None:
    """Do the work, and say which failures are worth another attempt."""
    try:
        work(name)
    except Exception as error:
        if _may_pass(error):
            said = explain(error) or f"{type(error).__name__}: {error}"
            raise PassingError(said) from error
        raise


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed: not where data or parameters are at fault."""
    import torch
    from mlflow.exceptions import MlflowException

    if isinstance(error, DatasetError) and isinstance(error.__cause__, DataError | TrainingError):
        return False
    return isinstance(error, OSError | DatasetError | MlflowException | torch.OutOfMemoryError)


def _error(ray: Any, reference: Any, attempts: int) -> Exception | None:
    """Why a task failed, in the worker's words where it had any."""
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, Exception) else error
    except ray.exceptions.RayError as error:
        first = str(error).strip().partition("\n")[0]
        return TrainingError(f"its worker died, and {attempts} attempts are allowed ({first})")
    return None


def _account(failed: Mapping[str, Exception], folds: int) -> str:
    """Name the folds that failed, and the command that goes on."""
    reasons = "; ".join(f"{name}: {_reason(error)}" for name, error in sorted(failed.items()))
    return (
        f"{len(failed)} of {folds} folds failed, the others are done. {reasons}. Mend this, then "
        f"go on with: {command_line()}"
    )


def _reason(error: Exception) -> str:
    told = isinstance(error, DataError | TrainingError | PassingError)
    return str(error) if told else f"{type(error).__name__}: {error}"


def _job_of_workers(share: RayShare) -> Job:
    """This session, but that folds which share a GPU count on their part of its memory."""
    job = present_job()
    at_once = ceil(1 / share.gpus_per_fold) if share.gpus_per_fold else 1
    return replace(job, given={**job.given, "folds_at_once": at_once})


def _check_fits(resources: Mapping[str, float], share: RayShare) -> None:
    """Refuse what this machine alone can never give; a cluster may still grow."""
    for kind, needed in {"CPU": share.cpus_per_fold, "GPU": share.gpus_per_fold}.items():
        there = resources.get(kind, 0.0)
        if needed > there:
            raise DataError(
                f"ray.{kind.lower()}s_per_fold={needed:g}, but this machine has {there:g}; lower "
                "it, or give ray.address of a cluster that has more"
            )


def _import_ray() -> Any:
    # Before Ray is imported: nothing about a run leaves this machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return library("ray", "ray")
