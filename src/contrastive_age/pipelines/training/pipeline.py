"""The part of the fold template that trains."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.params import Computing, Effective
from contrastive_age.pipelines.training import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples, faces, folds and triplets -> model and history, by way of checkpoints."""

    def train(
        samples: Any,
        looks: Any,
        faces: Any,
        folds: Any,
        triplets: Any,
        setting: Effective,
        computing: Computing,
        training_folder: Path,
    ) -> Any:
        return nodes.train(
            samples,
            looks,
            faces,
            folds,
            triplets,
            setting,
            computing,
            training_folder,
            fold,
        )

    return Pipeline(
        [
            Node(
                train,
                inputs=[
                    "samples",
                    "looks",
                    "faces",
                    "folds",
                    "triplets",
                    "params:effective",
                    "params:computing",
                    "training_folder",
                ],
                outputs=["model", "history"],
                name="train",
                tags=["training"],
            )
        ]
    )
