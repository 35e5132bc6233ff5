"""The part of the fold template that predicts, and the node that puts all folds together."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines import of_fold
from contrastive_age.pipelines.evaluation import nodes
from contrastive_age.protocols.namespaces import namespace_of


def create_pipeline(fold: int) -> Pipeline:
    """Model and the fold's test part -> predictions, the network's outputs and Grad-CAM maps."""
    return Pipeline(
        [
            Node(
                of_fold(nodes.evaluate, fold),
                inputs=[
                    "samples",
                    "faces",
                    "training_faces",
                    "folds",
                    "model",
                    "photos",
                    "params:effective",
                    "params:computing",
                    "params:explanation",
                    "training_folder",
                ],
                outputs=["predictions", "outputs", "gradcam_maps"],
                name="evaluate",
                tags=["evaluation"],
            )
        ]
    )


def create_collection(protocol: str, source: str, folds: int) -> Pipeline:
    """Predictions of all folds -> one table with every sample exactly once."""
    return Pipeline(
        [
            Node(
                nodes.collect,
                inputs=[
                    f"{source}.samples",
                    f"{protocol}.folds",
                    f"params:effective.protocols.{protocol}",
                    *(f"{namespace_of(protocol, fold)}.predictions" for fold in range(folds)),
                ],
                outputs=f"{protocol}.predictions",
                name="collect",
                namespace=protocol,
                tags=["evaluation"],
            )
        ]
    )
