"""The part of the fold template that trains."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines import of_fold
from contrastive_age.pipelines.training import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples, looks, faces, folds, triplets -> model, history, photos, by way of checkpoints.

    Those that train are named for themselves: in a transfer they are of another source.
    """
    return Pipeline(
        [
            Node(
                of_fold(nodes.train, fold),
                inputs=[
                    "samples",
                    "looks",
                    "faces",
                    "training_samples",
                    "training_looks",
                    "training_faces",
                    "folds",
                    "triplets",
                    "params:effective",
                    "params:computing",
                    "params:sources",
                    "training_folder",
                ],
                outputs=["model", "history", "photos"],
                name="train",
                tags=["training"],
            )
        ]
    )
