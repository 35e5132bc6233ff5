"""The part of the fold template that indexes triplets."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines import of_fold
from contrastive_age.pipelines.triplets import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples and folds -> index of the training part of one fold."""
    return Pipeline(
        [
            Node(
                of_fold(nodes.index, fold),
                inputs=["samples", "folds", "params:effective"],
                outputs="triplets",
                name="index",
                tags=["triplets"],
            )
        ]
    )
