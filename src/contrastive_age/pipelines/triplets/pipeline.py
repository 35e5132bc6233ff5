"""The part of the fold template that indexes triplets."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.triplets import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples and folds -> index of the training part of one fold."""
    return Pipeline(
        [
            Node(
                update_wrapper(partial(nodes.index, fold=fold), nodes.index),
                inputs=["samples", "folds", "params:effective"],
                outputs="triplets",
                name="index",
                tags=["triplets"],
            )
        ]
    )
