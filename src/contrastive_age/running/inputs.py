"""Files that parameters name, and that a run needs: they are there before anything is run."""

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
        effective = self._parameters["effective"]
        owners = {node.name.partition(".")[0] for node in pipeline.nodes}
        protocols = [own for name, own in effective["protocols"].items() if name in owners]
        learning = protocols + ([effective["pretraining"]] if PRETRAIN in owners else [])
        sources = owners.union(
            *(own.get("sources", ()) for own in learning),
            (own["source"] for own in protocols),
        )
        for name in sources & set(effective["sources"]):
            _require("manifest", effective["sources"][name]["manifest"])
        for own in protocols:
            _require("splitting.folds_file", own["splitting"]["folds_file"])
        for own in learning:
            weights = own["model"]["weights"]
            _require("model.weights", None if weights in NAMED_WEIGHTS else weights)


def _require(parameter: str, path: str | None) -> None:
    if path is not None and not project_path(path).is_file():
        raise DataError(f"{project_path(path)}: no such file; correct {parameter}")
