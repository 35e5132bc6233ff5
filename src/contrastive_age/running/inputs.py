"""What a run needs, and what it cannot work with: said before anything is run."""

import difflib
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from contrastive_age.errors import DataError
from contrastive_age.model.architecture import (
    EFFICIENTNET_LITE0,
    NAMED_WEIGHTS,
    NO_WEIGHTS,
    RESNET18,
)
from contrastive_age.parameters.loader import project_parameters, project_path, settings_of
from contrastive_age.parameters.setting import Learning, Pretraining, Setting
from contrastive_age.protocols.namespaces import FINAL, is_fold, namespace_of, parted
from contrastive_age.tracking.tracker import tracker
from contrastive_age.training.recipe import Testing

logger = logging.getLogger(__name__)

REFUSED = ("ParallelRunner", "ThreadRunner")
"""Kedro's own runners of several nodes at once.

Threads log the epochs of one fold to another's run. Processes do not share the cores or the device,
and do not look whether weights, manifest or split list changed since the run began.
"""


class Inputs:
    """Kedro's hook that names a missing file, and a runner that does not run folds as they are.

    What such files hold names the setting and its folders. Without them a run would look for the
    results of another one, and say that these are missing.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Refuse to run without the files that the parameters name for this pipeline.

        Raises:
            DataError: One is missing, the runner is one of `REFUSED`, or see `require_networks`,
                `refuse_contradictions` and `require_whole_starts`.
        """
        # Kedro gives the runner in words.
        refused = [name for name in REFUSED if f".{name} " in str(run_params["runner"])]
        if refused:
            raise DataError(
                f"{refused[0]} cannot run this project's folds: leave --runner away, and give "
                "--params=folds_at_once=2 for two folds at once"
            )
        refuse_what_is_not_tested(project_parameters(), pipeline)
        for parameter, path in input_files(project_parameters(), pipeline):
            existing_file(parameter, path)
        chosen = learnings(project_parameters(), pipeline)
        require_networks(chosen)
        for setting in chosen:
            refuse_contradictions(setting, pipeline)
        if not tracker.is_worker:
            require_whole_starts(chosen, pipeline)
            warn_of_unknown_photos(project_parameters(), pipeline)


def refuse_what_is_not_tested(parameters: Mapping[str, Any], pipeline: Pipeline) -> None:
    """Refuse to be asked how networks are tested where none is, or not in that way.

    Raises:
        DataError: A final model is to carry the error of another way of predicting than it has, or
            a pretraining is to test anybody; the message says what to leave.
    """
    final = {protocol for protocol, fold in _trained(pipeline) if fold == FINAL}
    for setting in learnings(parameters, pipeline) if final else []:
        # What is asked of tests is no part of a pretraining's values.
        tests = [setting.training.watch_test, *parameters["testing"].values()]
        if isinstance(setting, Pretraining) and any(tests):
            raise DataError(
                "Nobody is tested in pretraining: leave training.watch_test, testing.mirrored and "
                "testing.rounded at false for --pipeline=pretrain"
            )
        if (
            isinstance(setting, Setting)
            and setting.protocol in final
            and setting.testing != Testing()
        ):
            raise DataError(
                "A final model predicts from one view and rounds no age, and carries the error of "
                "that: leave testing.mirrored and testing.rounded at false for "
                "--pipeline=final_model"
            )


def require_networks(learning: Iterable[Learning]) -> None:
    """Refuse networks that cannot be made here, and weights that are not theirs or not there.

    Args:
        learning: The values of trainings.

    Raises:
        DataError: There is one.
    """
    for setting in learning:
        weights, backbone = setting.model.weights, setting.model.backbone
        # Commands start quickly without these.
        if backbone != RESNET18:
            from contrastive_age.model.backbones import require_backbone

            require_backbone(backbone)
        if NAMED_WEIGHTS.get(weights) not in {None, backbone}:
            others = [name for name, own in NAMED_WEIGHTS.items() if own in {None, backbone}]
            raise DataError(
                f"model.weights={weights} are those of model.backbone={NAMED_WEIGHTS[weights]}; "
                f"for {backbone} give {', '.join(others)} or the path of a file"
            )
        if weights == EFFICIENTNET_LITE0:
            from contrastive_age.model.efficientnet_lite0 import weights_file

            weights_file()


def refuse_contradictions(setting: Learning, pipeline: Pipeline) -> None:
    """Refuse what parameters that are each right cannot mean together.

    Args:
        setting: The values of a protocol in the pipeline, or of the pretraining.
        pipeline: That is run.

    Raises:
        DataError: A transfer is to have validation parts or a split list; or nothing is to be
            trained where there are no weights to test, where all samples are to train, or where it
            is said how; or a head alone on a backbone that is random.
    """
    name = setting.protocol
    if isinstance(setting, Setting) and setting.split == "transfer":
        given = {
            "validation": (setting.validation, "has no subjects to validate on"),
            "splitting.folds_file": (setting.splitting.folds_file, "has no folds to list"),
        }
        for parameter, (value, why) in given.items():
            if value is not None:
                raise DataError(f"{name} is a transfer, which {why}: leave out {parameter}={value}")
    training = setting.training
    if not training.epochs and training.head_epochs and setting.model.weights == NO_WEIGHTS:
        raise DataError(
            f"training.epochs=0 trains a head alone, on the backbone that {name} starts from, and "
            "model.weights=none draws all of that at random: give other weights, or training.epochs"
        )
    if training.trains:
        return
    if setting.model.weights in NAMED_WEIGHTS:
        raise DataError(
            f"training.epochs=0 tests the initial weights of {name} as they are, and "
            f"model.weights={setting.model.weights} tells no ages: give a file, such as `kedro run "
            "--pipeline=pretrain` makes"
        )
    if any(node.namespace == namespace_of(name, None) for node in pipeline.nodes):
        raise DataError(
            f"training.epochs=0 trains nothing, and {name} is to train on all samples: give "
            "training.epochs"
        )
    changes = training.changes
    if changes:
        said = ", ".join(f"training.{change}={value}" for change, value in changes.items())
        raise DataError(
            f"training.epochs=0 trains nothing of {name}, so that {said} would have no effect: "
            "leave that out, or give training.epochs or training.head_epochs"
        )


def require_whole_starts(learning: Iterable[Learning], pipeline: Pipeline) -> None:
    """Refuse files of weights that lack what no epoch trains, before faces are made for hours.

    Args:
        learning: The values of each protocol in the pipeline, and of the pretraining.
        pipeline: Where it has no training, nothing is looked at.

    Raises:
        DataError: There is one, or it cannot be used.
    """
    trained = {protocol for protocol, _ in _trained(pipeline)}
    for setting in learning:
        given = setting.model.weights not in NAMED_WEIGHTS
        if given and setting.protocol in trained and not setting.training.epochs:
            # Commands start quickly without these.
            from contrastive_age.parameters.origins import located_start
            from contrastive_age.training.fold import started

            started(setting.recipe, located_start(setting))


def warn_of_unknown_photos(parameters: Mapping[str, Any], pipeline: Pipeline) -> None:
    """Say where test photos cannot be looked for among those that initial weights have seen.

    Args:
        parameters: All parameters.
        pipeline: Without a training whose network is tested, nothing is said.
    """
    tested = {protocol for protocol, fold in _trained(pipeline) if fold != FINAL}
    if not tested:
        return
    from contrastive_age.parameters.origins import start_of

    for setting in learnings(parameters, pipeline):
        if setting.protocol in tested and setting.model.weights not in NAMED_WEIGHTS:
            start = None
            with suppress(DataError):  # a file that cannot be read is said where a network needs it
                start = start_of(setting)
            other = isinstance(setting, Setting) and setting.trained_on
            known = start.seen.sources if start is not None and start.seen is not None else ()
            if other and known and not setting.training.trains and other not in known:
                logger.warning(
                    "%s: trained on %s and not on %s, as %s says",
                    setting.model.weights,
                    ", ".join(known),
                    other,
                    setting.protocol,
                )
            if start is not None and start.seen is None:
                logger.warning(
                    "%s: nothing is known of the photos that it was trained on, so that no test "
                    "photo can be looked for among them",
                    start.name,
                )


def existing_file(parameter: str, given: str | Path) -> Path:
    """Resolve the path of a file that a parameter names.

    Args:
        parameter: Its dotted name.
        given: Its value; where it is relative, it starts at the project's root.

    Raises:
        DataError: It is not there; the message says where it was looked for.
    """
    path = project_path(given)
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path} is a folder; let {parameter} name a file in it")
    said = f"{path}: no such file; correct {parameter}"
    named = NAMED_WEIGHTS if parameter == "model.weights" else ()
    if near := difflib.get_close_matches(path.name, named, 1, 0.8):
        said += f"; did you mean {near[0]}?"
    here = Path(os.path.normpath(Path.cwd() / os.path.relpath(path, project_path("."))))
    if here.is_file():
        said += f"; relative paths start at the project's root: the one here is {parameter}={here}"
    raise DataError(said)


def learnings(parameters: Mapping[str, Any], pipeline: Pipeline) -> list[Learning]:
    """Give the values of each protocol in a pipeline, and of the pretraining."""
    owners = _owners(pipeline)
    return [values for name, values in settings_of(parameters).items() if name in owners]


def input_files(parameters: Mapping[str, Any], pipeline: Pipeline) -> list[tuple[str, str]]:
    """Give the files that parameters name for a pipeline, each with the parameter's dotted name.

    Args:
        parameters: All parameters.
        pipeline: The pipeline.
    """
    learning = learnings(parameters, pipeline)
    sources = _owners(pipeline).union(*(values.sources for values in learning))
    files = [
        ("manifest", values["manifest"])
        for name, values in parameters["effective"]["sources"].items()
        if name in sources and values["manifest"] is not None
    ]
    return files + [place for values in learning for place in values.places.items()]


def _trained(pipeline: Pipeline) -> set[tuple[str, str]]:
    """The protocols and folds of the trainings in a pipeline."""
    namespaces = {node.namespace for node in pipeline.nodes if "training" in node.tags}
    return {parted(name) for name in namespaces if is_fold(name)}


def _owners(pipeline: Pipeline) -> set[str]:
    """The sources and protocols whose nodes are in a pipeline, which are named by them."""
    return {node.name.partition(".")[0] for node in pipeline.nodes}
