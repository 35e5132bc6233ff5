"""The graph of the final model, behind that of its protocol."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.final_model import nodes
from contrastive_age.protocols.namespaces import namespace_of


def create_pipeline(protocol: str, source: str) -> Pipeline:
    """Network, metrics and predictions of the cross-validation -> the model's file and its card."""
    final = namespace_of(protocol, None)
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
                    f"{final}.model",
                    f"{final}.history",
                    f"{final}.photos",
                    f"{protocol}.training_folder",
                    "params:final_model.temperature",
                ],
                outputs=[f"{protocol}.age_model", f"{protocol}.model_card"],
                name="assemble",
                namespace=protocol,
                tags=["reporting"],
            )
        ]
    )
