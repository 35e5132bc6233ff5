"""The part of the fold template that trains."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.params import Computing, Effective, Overlap
from contrastive_age.pipelines.training import nodes


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples, faces, folds and triplets -> model and history, by way of checkpoints."""

    def train(
        samples: Any,
        files: Any,
        faces: Any,
        folds: Any,
        triplets: Any,
        setting: Effective,
        computing: Computing,
        overlap: Overlap,
        training_folder: Path,
    ) -> Any:
        return nodes.train(
            samples,
            files,
            faces,
            folds,
            triplets,
            setting,
            computing,
            overlap,
            training_folder,
            fold,
        )

    return Pipeline(
        [
            Node(
                train,
                inputs=[
                    "samples",
                    "files",
                    "faces",
                    "folds",
                    "triplets",
                    "params:effective",
                    "params:computing",
                    "params:overlap",
                    "training_folder",
                ],
                outputs=["model", "history"],
                name="train",
                tags=["training"],
            )
        ]
    )
