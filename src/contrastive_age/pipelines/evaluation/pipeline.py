"""The part of the fold template that predicts, and the node that puts all folds together."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.evaluation import nodes
from contrastive_age.training.recipe import Computing


def create_pipeline(fold: int) -> Pipeline:
    """Model and the fold's test part -> predictions, the network's outputs and Grad-CAM maps."""

    def evaluate(
        samples: Any,
        faces: Any,
        folds: Any,
        model: Any,
        setting: Setting,
        computing: Computing,
        explanation: Explanation,
        training_folder: Path,
    ) -> Any:
        return nodes.evaluate(
            samples, faces, folds, model, setting, computing, explanation, training_folder, fold
        )

    return Pipeline(
        [
            Node(
                evaluate,
                inputs=[
                    "samples",
                    "faces",
                    "folds",
                    "model",
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
                    *(f"{protocol}.fold_{fold}.predictions" for fold in range(folds)),
                ],
                outputs=f"{protocol}.predictions",
                name=f"{protocol}.collect",
                tags=["evaluation"],
            )
        ]
    )
