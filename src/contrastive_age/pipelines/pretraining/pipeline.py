"""The graph of the pretraining."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline

from contrastive_age.parameters.setting import PRETRAIN, Pretraining
from contrastive_age.pipelines.pretraining import nodes
from contrastive_age.training.recipe import Computing


def create_pipeline(sources: list[str]) -> Pipeline:
    """Samples, files, audits and faces of all sources -> network -> weights with their card.

    The training is in the namespace `pretrain.final`, which gives it a folder and a child run as a
    fold has them.
    """
    tables = [f"{source}.{name}" for source in sources for name in nodes.TABLES]
    setting, final = "params:effective.pretraining", f"{PRETRAIN}.final"

    def train(
        setting: Pretraining,
        sources: dict[str, Any],
        computing: Computing,
        folder: Path,
        *tables: Any,
    ) -> Any:
        gathered = nodes.gather(setting, *tables)
        return nodes.train(setting, sources, computing, folder, gathered)

    def write(
        setting: Pretraining,
        sources: dict[str, Any],
        model: Any,
        history: Any,
        folder: Path,
        *tables: Any,
    ) -> Any:
        gathered = nodes.gather(setting, *tables)
        return nodes.write_weights(setting, sources, model, history, folder, gathered)

    return Pipeline(
        [
            Node(
                train,
                inputs=[
                    setting,
                    "params:effective.sources",
                    "params:effective.computing",
                    f"{final}.training_folder",
                    *tables,
                ],
                outputs=[f"{final}.model", f"{final}.history"],
                name="train",
                namespace=final,
                tags=["training"],
            ),
            Node(
                write,
                inputs=[
                    setting,
                    "params:effective.sources",
                    f"{final}.model",
                    f"{final}.history",
                    f"{final}.training_folder",
                    *tables,
                ],
                outputs=[f"{PRETRAIN}.weights", f"{PRETRAIN}.card", f"{PRETRAIN}.card_text"],
                name=f"{PRETRAIN}.write_weights",
                tags=["reporting"],
            ),
        ]
    )
