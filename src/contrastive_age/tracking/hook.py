"""Kedro's hook that tracks runs in MLflow: it leads through the run tree, and logs what is made.

kedro-mlflow is configured here and its own hook is not used: that makes one run a command, and logs
every parameter that a node takes.
"""

import subprocess
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
from contrastive_age.parameters.setting import Learning
from contrastive_age.processes import command_line
from contrastive_age.protocols.namespaces import is_fold, parted
from contrastive_age.tracking import database, run_tree
from contrastive_age.tracking.results import Result, log_fold, log_result, may_log_faces
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

    @hook_impl
    @while_reachable
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start or re-enter the setting's run; without a node that is tracked, none is made."""
        self._result: Result | None = None
        self._names = pipeline.datasets()
        self._folds: dict[str, str] = {}
        tracker.fold_id = None
        if not tracker.is_worker:
            tracker.setting_id = None
        parameters = self._context.config_loader["parameters"]
        # Protocols that are trained, evaluated or reported on, or the pretraining.
        names = {node.name.partition(".")[0] for node in pipeline.nodes if _is_tracked(node)}
        settings = [each for name, each in settings_of(parameters).items() if name in names]
        if len(settings) != 1:
            return
        (setting,) = settings
        run_tree.enter_experiment(self._context, setting.protocol)
        if not tracker.is_worker:
            tracker.setting_id = self._begin(setting, run_params)
        self._result = Result(catalog, setting, setting.key, may_log_faces(parameters, setting))

    def _begin(self, setting: Learning, run_params: dict[str, Any]) -> str:
        """Be at the run of a setting, and say what it is."""
        run_id = run_tree.setting_run(setting.key, resolve_tags())
        run_tree.begin(run_id)
        tags = {name: value for name, value in run_params.items() if value} | {
            "kedro_command": command_line(),
            "git_revision": _git_revision(self._context.project_path),
        }
        if tracker.sweep_id is not None:
            tags[run_tree.PARENT] = tracker.sweep_id
        run_tree.log_setting(run_id, setting, tags)
        run_tree.close_abandoned()
        return run_id

    @hook_impl
    @while_reachable
    def before_node_run(self, node: Node) -> None:
        """Enter the fold's child run before a node of its namespace that is tracked."""
        if is_fold(node.namespace) and _is_tracked(node):
            self._enter(node.namespace)

    @hook_impl
    @while_reachable
    def after_node_run(self) -> None:
        """Leave the fold's child run."""
        self._leave("FINISHED")

    @hook_impl
    @while_reachable
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Mark the fold's child run as failed."""
        if is_fold(node.namespace):
            fold_id = self._enter(node.namespace)
            if fold_id is not None:
                MlflowClient().set_tag(fold_id, "error", str(error)[:5000])
            self._leave("FAILED")

    @hook_impl
    @while_reachable
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Log what has been written of a fold."""
        namespace, _ = parted(dataset_name)
        if self._result and namespace in self._folds and self._result.kind(dataset_name) == "fold":
            log_fold(self._result, str(tracker.setting_id), parted(namespace)[1])

    @hook_impl
    @while_reachable
    def after_pipeline_run(self) -> None:
        """Log what has been written of the setting, and end its run."""
        self._end("FINISHED")

    @hook_impl
    @while_reachable
    def on_pipeline_error(self) -> None:
        """Log what has been written all the same, and end the runs as failed."""
        self._leave("FAILED")
        self._end("FAILED")

    def _enter(self, namespace: str) -> str | None:
        """Be at the run of a fold below the setting's run, which is made at its first node."""
        if self._result and tracker.setting_id and tracker.fold_id is None:
            if namespace not in self._folds:
                fold_id = run_tree.fold_run(tracker.setting_id, parted(namespace)[1])
                self._folds[namespace] = fold_id
            run_tree.begin(self._folds[namespace])
            tracker.fold_id = self._folds[namespace]
        return tracker.fold_id

    def _leave(self, status: str) -> None:
        """End the fold's run that this process is at, if there is one."""
        if tracker.fold_id is not None:
            wait_for_curves()
            fold_id, tracker.fold_id = tracker.fold_id, None
            MlflowClient().set_terminated(fold_id, status)

    def _end(self, status: str) -> None:
        """Log the setting's result and end its run, if it is this process that holds it open."""
        if self._result and tracker.setting_id and not tracker.is_worker:
            log_result(self._result, tracker.setting_id, self._names)
            run_id, tracker.setting_id = tracker.setting_id, None
            MlflowClient().set_terminated(run_id, status)


def _is_tracked(node: Node) -> bool:
    return bool(node.tags & {"training", "evaluation", "reporting"})


def _git_revision(project: Path) -> str:
    """The revision of the code, `-dirty` where it was changed; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(  # noqa: S603
        command, cwd=project, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"
