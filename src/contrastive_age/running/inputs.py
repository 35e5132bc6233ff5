"""Files that parameters name, and that a run needs: they are there before anything is run."""

from collections.abc import Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import project_parameters, project_path, settings_of
from contrastive_age.parameters.setting import Learning


class Inputs:
    """Kedro's hook that names a missing file.

    What such files hold names the setting and its folders. Without them a run would look for the
    results of another one, and say that these are missing.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse to run without the files that the parameters name for this pipeline.

        Raises:
            DataError: One is missing.
        """
        for parameter, path in input_files(project_parameters(), pipeline):
            if not project_path(path).is_file():
                raise DataError(f"{project_path(path)}: no such file; correct {parameter}")


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


def _owners(pipeline: Pipeline) -> set[str]:
    """The sources and protocols whose nodes are in a pipeline, which are named by them."""
    return {node.name.partition(".")[0] for node in pipeline.nodes}
