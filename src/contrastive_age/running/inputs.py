"""Files that parameters name, and that a run needs: they are there before anything is run."""

from collections.abc import Mapping
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import project_path
from contrastive_age.parameters.setting import NAMED_WEIGHTS, PRETRAIN


class Inputs:
    """Kedro's hook that names a missing file.

    What such files hold names the setting and its folders. Without them a run would look for the
    results of another one, and say that these are missing.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the parameters."""
        self._parameters: dict[str, Any] = context.config_loader["parameters"]

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse to run without the files that the parameters name for this pipeline.

        Raises:
            DataError: One is missing.
        """
        for parameter, path in input_files(self._parameters["effective"], pipeline):
            if not project_path(path).is_file():
                raise DataError(f"{project_path(path)}: no such file; correct {parameter}")


def learnings(effective: Mapping[str, Any], pipeline: Pipeline) -> list[dict[str, Any]]:
    """Give the values of each protocol in a pipeline, and of the pretraining."""
    owners = _owners(pipeline)
    protocols = [values for name, values in effective["protocols"].items() if name in owners]
    return protocols + ([effective["pretraining"]] if PRETRAIN in owners else [])


def input_files(effective: Mapping[str, Any], pipeline: Pipeline) -> list[tuple[str, str]]:
    """Give the files that parameters name for a pipeline, each with the parameter's dotted name.

    Args:
        effective: The parameters' block of that name.
        pipeline: The pipeline.
    """
    learning = learnings(effective, pipeline)
    sources = _owners(pipeline).union(
        *(values.get("sources", [values.get("source")]) for values in learning)
    )
    files = [
        ("manifest", values["manifest"])
        for name, values in effective["sources"].items()
        if name in sources
    ]
    for values in learning:
        files.append(("splitting.folds_file", values.get("splitting", {}).get("folds_file")))
        files.append(("model.weights", values["model"]["weights"]))
    return [(name, path) for name, path in files if path not in (None, *NAMED_WEIGHTS)]


def _owners(pipeline: Pipeline) -> set[str]:
    """The sources and protocols whose nodes are in a pipeline, which are named by them."""
    return {node.name.partition(".")[0] for node in pipeline.nodes}
