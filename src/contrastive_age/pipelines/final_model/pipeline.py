"""The graph of the final model, behind that of its protocol."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.final_model import nodes
from contrastive_age.pipelines.training.pipeline import create_pipeline as training
from contrastive_age.pipelines.triplets.pipeline import create_pipeline as triplets


def create_training(protocol: str, source: str) -> Pipeline:
    """All samples -> triplets -> network, as a fold that tests nobody: `<protocol>.final`."""
    return Pipeline(
        [triplets(None), training(None)],
        namespace=f"{protocol}.final",
        inputs={
            **{name: f"{source}.{name}" for name in ("samples", "looks", "faces")},
            "folds": f"{protocol}.folds",
        },
        parameters={
            "params:effective": f"params:effective.protocols.{protocol}",
            "params:computing": "params:effective.computing",
            "params:sources": "params:effective.sources",
        },
    )


def create_pipeline(protocol: str, source: str) -> Pipeline:
    """Network, metrics and predictions of the cross-validation -> the model's file and its card."""
    return Pipeline(
        [
            Node(
                nodes.assemble,
                inputs=[
                    f"params:effective.protocols.{protocol}",
                    "params:effective.explanation",
                    f"{source}.samples",
                    f"{source}.faces",
                    f"{protocol}.folds",
                    f"{protocol}.metrics",
                    f"{protocol}.predictions",
                    f"{protocol}.final.model",
                    f"{protocol}.final.history",
                    f"{protocol}.final.photos",
                    f"{protocol}.final.training_folder",
                ],
                outputs=[f"{protocol}.age_model", f"{protocol}.model_card"],
                name=f"{protocol}.assemble",
                tags=["reporting"],
            )
        ]
    )
