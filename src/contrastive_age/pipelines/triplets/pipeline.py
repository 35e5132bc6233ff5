"""The part of the fold template that indexes triplets."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.triplets import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples and folds -> index of the training part of one fold."""

    def index(samples: Any, folds: Any, setting: Setting) -> Any:
        return nodes.index(samples, folds, setting, fold)

    inputs = ["samples", "folds", "params:effective"]
    return Pipeline(
        [Node(index, inputs=inputs, outputs="triplets", name="index", tags=["triplets"])]
    )
