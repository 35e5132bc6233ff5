"""The part of the fold template that trains."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.training import nodes
from contrastive_age.training.recipe import Computing


def create_pipeline(fold: int | None) -> Pipeline:
    """Samples, looks, faces, folds, triplets -> model, history, photos, by way of checkpoints."""

    def train(
        samples: Any,
        looks: Any,
        faces: Any,
        folds: Any,
        triplets: Any,
        setting: Setting,
        computing: Computing,
        sources: Any,
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
            sources,
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
                    "params:sources",
                    "training_folder",
                ],
                outputs=["model", "history", "photos"],
                name="train",
                tags=["training"],
            )
        ]
    )
