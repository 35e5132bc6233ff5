"""Kedro's hook that tracks runs in MLflow: it leads through the run tree, and logs what is made.

kedro-mlflow is configured here and its own hook is not used: that makes one run a command, and logs
every parameter that a node takes.
"""

import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags

from contrastive_age.parameters.loader import settings_of
from contrastive_age.processes import command_line
from contrastive_age.protocols.namespaces import is_fold, parted
from contrastive_age.tracking import artifacts, database, run_tree
from contrastive_age.tracking.results import Result, log_fold, log_result, log_values
from contrastive_age.tracking.tracker import tracker, wait_for_curves, while_reachable


class Tracking:
    """Makes, re-enters and ends the runs of a setting and of its folds, and logs their files.

    In a worker process it makes and ends the runs of folds, and leaves the setting's run, whose
    status and tags are the employer's, alone.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set MLflow up and remember the context."""
        self._context = context
        if tracker.lost is None:
            database.prepare()
            config = KedroMlflowConfig.model_validate(context.config_loader["mlflow"])
            while_reachable(config.setup)(context)
            # As kedro-mlflow's own hook does, for its commands.
            context.mlflow = config  # type: ignore[attr-defined]
            experiment = config.tracking.experiment
            artifacts.lead_new_runs(experiment.create_experiment_kwargs.artifact_location)

    @hook_impl
    @while_reachable
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start or re-enter the setting's run, once there are faces and folds to be tracked.

        Without a node that is tracked, or where the photos are at fault, none is made.
        """
        self._result: Result | None = None
        self._tags: dict[str, Any] | None = None
        self._node: Node | None = None
        self._names = pipeline.datasets()
        self._folds: dict[str, str] = {}
        self._unsaved: dict[str, set[str]] = {}
        self._ahead: set[str] = set()
        tracker.fold_id = None
        if not tracker.is_worker:
            tracker.setting_id = None
        parameters = self._context.config_loader["parameters"]
        # Protocols that are trained, evaluated or reported on, or the pretraining.
        tracked = [node.name for node in pipeline.nodes if _is_tracked(node)]
        names = {name.partition(".")[0] for name in tracked}
        settings = [each for name, each in settings_of(parameters).items() if name in names]
        if len(settings) != 1:
            return
        (setting,) = settings
        self._result = Result.of(catalog, setting, self._context.config_loader)
        for node in pipeline.nodes:
            if is_fold(node.namespace):
                self._unsaved.setdefault(node.namespace, set()).update(node.outputs)
        if tracker.is_worker:
            run_tree.enter_experiment(self._context, setting.protocol)
            return
        self._ahead = made_ahead(pipeline, tracked)
        if run_params.get("only_missing_outputs"):
            self._ahead = {name for name in self._ahead if not catalog.exists(name)}
        self._tags = self._of_command(run_params)
        if not self._ahead:
            self._begin()

    def _of_command(self, run_params: dict[str, Any]) -> dict[str, Any]:
        """What is said of a setting's run by the command that makes it."""
        known = {name: value for name, value in run_params.items() if value and name != "runner"}
        tags = known | {
            "kedro_command": command_line(),
            "git_revision": _git_revision(self._context.project_path),
        }
        return tags if tracker.sweep_id is None else tags | {run_tree.PARENT: tracker.sweep_id}

    def _begin(self) -> None:
        """Be at the run of the setting, and say what it is, unless that is done."""
        if self._result and self._tags is not None:
            tags, self._tags = self._tags, None
            setting = self._result.current
            run_tree.enter_experiment(self._context, setting.protocol)
            tracker.setting_id = run_tree.setting_run(setting.key, resolve_tags())
            run = run_tree.begin(tracker.setting_id)
            tracker.logged[tracker.setting_id] = run_tree.losses_of(run)
            log_values(self._result, run, setting, tags)
            run_tree.close_abandoned()

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Remember for what node this is, which is to blame if it cannot be loaded."""
        self._node = node

    @hook_impl
    @while_reachable
    def before_node_run(self, node: Node) -> None:
        """Enter the fold's child run before a node of its namespace that is tracked."""
        self._node = node
        if is_fold(node.namespace) and _is_tracked(node):
            self._enter(node.namespace)
        elif _is_tracked(node):
            self._begin()

    @hook_impl
    @while_reachable
    def after_node_run(self) -> None:
        """Leave the fold's child run, which goes on until all that is made of it is saved."""
        self._leave()

    @hook_impl
    @while_reachable
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Log what has been written of a fold, and end its run when that is all."""
        self._ahead.discard(dataset_name)
        if not self._ahead:
            self._begin()
        namespace, _ = parted(dataset_name)
        unsaved = self._unsaved.get(namespace, set())
        unsaved.discard(dataset_name)
        if self._result and namespace in self._folds:
            # All of it at once: each asks the server what it has.
            if self._is_logged(dataset_name) and not any(map(self._is_logged, unsaved)):
                self._log_fold(namespace)
            if not unsaved:
                MlflowClient().set_terminated(self._folds[namespace], "FINISHED")

    @hook_impl
    @while_reachable
    def after_pipeline_run(self) -> None:
        """Log what has been written of the setting, and end its run."""
        self._end("FINISHED")

    @hook_impl
    @while_reachable
    def on_pipeline_error(self, error: Exception) -> None:
        """Log what has been written all the same, and end the runs as failed."""
        node, fold_id = self._node, None
        if node and self._unsaved.get(node.namespace or "", set()).intersection(node.outputs):
            fold_id = self._enter(str(node.namespace))
            self._leave()
        # A fold may be trained and not be measured.
        for namespace in self._folds:
            logged = self._logged(namespace)
            if logged & self._unsaved[namespace] and logged - self._unsaved[namespace]:
                self._log_fold(namespace)
        if fold_id is not None:
            run_tree.fail(fold_id, error)
        self._end("FAILED")

    def _enter(self, namespace: str) -> str | None:
        """Be at the run of a fold below the setting's run, which is made at its first node."""
        self._begin()
        if self._result and tracker.setting_id and tracker.fold_id is None:
            if namespace not in self._folds:
                fold_id = run_tree.fold_run(tracker.setting_id, parted(namespace)[1])
                self._folds[namespace] = fold_id
                tracker.logged[fold_id] = run_tree.losses_of(run_tree.begin(fold_id))
            tracker.fold_id = self._folds[namespace]
        return tracker.fold_id

    def _leave(self) -> None:
        """Be at no fold's run any more, when its curves are sent."""
        if tracker.fold_id is not None:
            wait_for_curves()
            tracker.fold_id = None

    def _end(self, status: str) -> None:
        """Log the setting's result and end its run, if it is this process that holds it open."""
        if not self._result or not tracker.setting_id or tracker.is_worker:
            return
        run_id = tracker.setting_id
        log_result(self._result, run_id, self._names)
        tracker.setting_id = None
        folds = {parted(namespace)[1]: namespace for namespace in self._unsaved}
        if status != "FINISHED":
            run_tree.close_folds(run_id, folds, lambda fold: self._is_made(folds[fold]))
        MlflowClient().set_terminated(run_id, status)

    def _is_logged(self, name: str) -> bool:
        """Whether a fold's curves or its error are read from a dataset."""
        return self._result is not None and self._result.kind(name) == "fold"

    def _logged(self, namespace: str) -> set[str]:
        """All such datasets of a fold."""
        own = {name for name in self._names if parted(name)[0] == namespace}
        return set(filter(self._is_logged, own))

    def _log_fold(self, namespace: str) -> None:
        """Log what is written of a fold to its run."""
        if self._result:
            fold, run_id = parted(namespace)[1], self._folds[namespace]
            log_fold(self._result, str(tracker.setting_id), fold, run_id)

    def _is_made(self, namespace: str) -> bool:
        """Whether the files are there from which a fold's curves and its error are read."""
        result = self._result
        return result is not None and all(
            result.file(name).exists() for name in self._logged(namespace)
        )


def made_ahead(pipeline: Pipeline, tracked: Collection[str]) -> set[str]:
    """What a pipeline makes before anything of it is tracked, and outside of folds."""
    before = pipeline - pipeline.from_nodes(*tracked)
    return {name for node in before.nodes if not is_fold(node.namespace) for name in node.outputs}


def _is_tracked(node: Node) -> bool:
    return bool(node.tags & {"training", "evaluation", "reporting"})


def _git_revision(project: Path) -> str:
    """The revision of the code, `-dirty` where it was changed; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(  # noqa: S603
        command, cwd=project, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"
