"""Running several folds of a protocol at once, each in a process of its own.

Processes and not threads: torch's deterministic mode is one for a process, and Python's steps of
several folds would wait for each other.
"""

import logging
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from contrastive_age.errors import DataError, TrainingError
from contrastive_age.model.architecture import RESNET18
from contrastive_age.model.losses import views
from contrastive_age.parameters.loader import (
    ProjectConfigLoader,
    project_parameters,
    settings_of,
)
from contrastive_age.parameters.setting import PRETRAIN
from contrastive_age.processes import (
    end_with_parent,
    interrupts_held,
    stop,
    warm_start,
)
from contrastive_age.protocols.namespaces import FINAL, is_fold, namespace_of, parted
from contrastive_age.running.console import Trainings
from contrastive_age.running.faults import explain
from contrastive_age.running.once import TRAINING, Once, said_once
from contrastive_age.running.place import Place
from contrastive_age.tracking.tracker import active_run_id, tracker
from contrastive_age.training.recipe import Computing, Recipe

logger = logging.getLogger(__name__)

Catalog = CatalogProtocol[Any, Any]


@dataclass(frozen=True)
class Job:
    """What a worker process needs to open the session of its employer again.

    Attributes:
        place: The project with its configuration.
        given: What `--params` gave.
        run_id: The setting's MLflow run; None where nothing is tracked.
        keys: Of the setting of each protocol and the pretraining, which name their results.
    """

    place: Place
    given: dict[str, Any]
    run_id: str | None
    keys: dict[str, str]


KEDROS = logging.getLogger("kedro.runner")
"""Whose level decides whether each node that is done is said, as by Kedro's own runners."""

PRELOADED = "contrastive_age.running.preloaded"
"""What workers have imported when they begin."""


class FoldRunner(SequentialRunner):
    """Kedro's sequential runner, that runs `folds_at_once` folds side by side.

    What all folds share runs before them, and what needs them all after them. One fold at once runs
    in this process, and is tested before the next one begins.
    """

    _logger = KEDROS

    def _run(
        self,
        pipeline: Pipeline,
        catalog: Catalog,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        before, folds, after = split(pipeline)
        computing = Computing(**project_parameters()["effective"]["computing"])
        if len(folds) > 1 and computing.folds_at_once not in {1, "auto"}:
            warm_start(PRELOADED)  # beside what runs before them
        super()._run(before, catalog, hook_manager, run_id)
        at_once = _at_once(computing, folds, catalog) if len(folds) > 1 else 1
        with said_once() as said:
            if at_once > 1:
                logger.info("Folds at once: %d of %d", at_once, len(folds))
                _run_folds(folds, at_once, Trainings(pipeline, catalog), said)
            else:
                for names in folds.values():
                    super()._run(pipeline.only_nodes(*names), catalog, hook_manager, run_id)
        super()._run(after, catalog, hook_manager, run_id)


def split(pipeline: Pipeline) -> tuple[Pipeline, dict[str, list[str]], Pipeline]:
    """Give what runs before all folds, the names of each fold's nodes, and what runs after.

    The folds come in the order of their numbers, and the training on all samples last.
    """
    folds: dict[str, list[str]] = {}
    for node in pipeline.nodes:
        if is_fold(node.namespace):
            folds.setdefault(node.namespace, []).append(node.name)
    by_number = sorted(folds, key=lambda name: (name.endswith(FINAL), len(name), name))
    folds = {name: folds[name] for name in by_number}
    inside = [name for names in folds.values() for name in names]
    since = pipeline.from_nodes(*inside)
    return pipeline - since, folds, since - pipeline.only_nodes(*inside)


def _at_once(computing: Computing, folds: Mapping[str, Any], catalog: Catalog) -> int:
    """Give how many folds run at once, when all that they share is made."""
    import torch

    if computing.folds_at_once != "auto":
        return min(computing.folds_at_once, len(folds))
    if computing.device == "cpu" or not torch.cuda.is_available():
        return 1
    protocol, _ = parted(next(iter(folds)))
    setting = settings_of(project_parameters())[protocol]
    samples = len(catalog.load(f"{protocol}.folds"))
    # Whoever asks a GPU holds some of it to its end, and this process computes nothing there.
    with ProcessPoolExecutor(1, warm_start(PRELOADED)) as pool:
        with interrupts_held():
            asked = pool.submit(that_pay, computing, setting.recipe, len(folds), samples)
        return asked.result()


def that_pay(computing: Computing, recipe: Recipe, folds: int, samples: int) -> int:
    """Give how many folds are worth running at once on the device.

    Args:
        computing: Where and how.
        recipe: Of each fold.
        folds: Their number.
        samples: Of all folds.
    """
    from contrastive_age.training.acceleration import resolve, trainings_at_once
    from contrastive_age.training.augmentation import frame_size
    from contrastive_age.training.loop import choose_device

    if recipe.architecture.backbone != RESNET18:
        return 1  # how much memory another's steps take has not been measured
    size = recipe.training.image_size
    device, faces = choose_device(computing.device), 3 * frame_size(size) ** 2 * samples
    images = recipe.training.batch_size * (3 if recipe.triplets == "explicit" else 1)
    forwarded = images * views(recipe.loss)
    precision = resolve(computing.acceleration, device, faces).precision
    return trainings_at_once(device, folds, faces, forwarded * size**2, precision)


def _run_folds(folds: dict[str, list[str]], at_once: int, trainings: Trainings, said: Path) -> None:
    """Run folds in a pool of processes.

    When one fails, those under way are waited for, and no other begins.

    Args:
        folds: The names of each namespace's nodes.
        at_once: The number of processes.
        trainings: Is told of each that is done.
        said: As `said_once` gives it.

    Raises:
        TrainingError: A process died, or the loss of a fold is not finite.
    """
    import torch

    job = present_job()
    job = replace(job, given={**job.given, "folds_at_once": at_once})
    threads = max(1, torch.get_num_threads() // at_once)
    waiting = deque(folds)
    running: dict[Future[None], str] = {}
    first: BaseException | None = None
    pool = ProcessPoolExecutor(
        at_once, warm_start(PRELOADED), _start_worker, (threads, dict(os.environ), said)
    )
    try:
        while waiting or running:
            # No more than one fold a worker: what is submitted cannot always be taken back.
            while waiting and len(running) < at_once:
                name = waiting.popleft()
                with interrupts_held():
                    running[pool.submit(work, job, name, folds[name])] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                failed = future.exception()
                if isinstance(failed, BrokenProcessPool):
                    raise failed
                if failed is None:
                    trainings.done(name)
                    continue
                waiting.clear()
                under_way = ", ".join(running.values())
                first = first or failed
                logger.warning("%s failed%s", name, f"; waiting for {under_way}" * bool(running))
                # Why the first one did is said at the end, and mostly all fail for one reason.
                logger.debug("%s", failed)
        if first is not None:
            raise first
    except BrokenProcessPool as error:
        if first is not None:
            raise first from error
        raise TrainingError(
            f"One of the {at_once} processes that ran folds died, perhaps for want of memory; "
            "lower folds_at_once and run again: it goes on from the last checkpoints"
        ) from error
    except KeyboardInterrupt:
        stop(pool)
        raise
    finally:
        pool.shutdown()


def present_job() -> Job:
    """What workers need to open the session of this process again.

    Raises:
        RuntimeError: No session of this project has been opened here.
    """
    loader = ProjectConfigLoader.latest
    if loader is None:
        raise RuntimeError("Folds can run at once in a session of this project only")
    return Job(
        place=Place(loader.root, loader.env, str(loader.conf_source)),
        given=loader.runtime_params or {},
        run_id=active_run_id(),
        keys={name: setting.key for name, setting in settings_of(loader["parameters"]).items()},
    )


def _start_worker(threads: int, environment: dict[str, str], said: Path) -> None:
    """Be ready for all folds of one run: with its share of the cores, and until it ends."""
    import torch

    logging.captureWarnings(True)
    torch.set_num_threads(threads)
    # The server that made this process may have been started in another environment.
    os.environ.clear()
    os.environ.update(environment)
    ProjectConfigLoader.keep()
    logging.getLogger(TRAINING).addFilter(Once(said))
    end_with_parent()


def work(job: Job, namespace: str, node_names: list[str]) -> None:
    """Run the nodes of a fold for another process, which is told in words what is at fault.

    What led to an error does not come along to it.

    Raises:
        DataError: A fault that `faults.explain` knows.
    """
    try:
        run_fold(job, namespace, node_names)
    except (DataError, TrainingError):
        raise
    except Exception as error:
        said = explain(error)
        if said is None:
            raise
        raise DataError(said) from error


def run_fold(job: Job, namespace: str, node_names: list[str]) -> None:
    """Run the nodes of a fold in a session of their own."""
    from kedro.framework.startup import bootstrap_project

    if not ProjectConfigLoader.kept:  # it is not a further fold of one run
        bootstrap_project(job.place.project)
    tracker.work_for(job.run_id)
    with job.place.session(job.given) as session:
        protocol, _ = parted(namespace)
        parameters = session.load_context().config_loader["parameters"]
        if settings_of(parameters)[protocol].key != job.keys[protocol]:
            raise DataError(
                f"{namespace} would be of another setting than the run that it belongs to: the "
                "weights, the manifest, the split list or the parameters were changed since it "
                "began, or are others on this machine; start the command again"
            )
        # A protocol's pipeline has its folds; another one has the training on all samples.
        is_final = namespace == namespace_of(protocol, None) and protocol != PRETRAIN
        session.run(pipeline_names=["final_model" if is_final else protocol], node_names=node_names)
