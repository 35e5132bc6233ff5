"""The part of the fold template that trains."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.params import Effective
from contrastive_age.pipelines.training import nodes


def create_pipeline(fold: int) -> Pipeline:
    """Samples, faces, folds and triplets -> model and history, by way of checkpoints."""

    def train(
        samples: Any,
        faces: Any,
        folds: Any,
        triplets: Any,
        setting: Effective,
        device: str,
        training_folder: Path,
    ) -> Any:
        return nodes.train(samples, faces, folds, triplets, setting, device, training_folder, fold)

    return Pipeline(
        [
            Node(
                train,
                inputs=[
                    "samples",
                    "faces",
                    "folds",
                    "triplets",
                    "params:effective",
                    "params:device",
                    "training_folder",
                ],
                outputs=["model", "history"],
                name="train",
                tags=["training"],
            )
        ]
    )
