"""The graph of the pretraining."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.parameters.setting import PRETRAIN
from contrastive_age.pipelines.pretraining import nodes
from contrastive_age.protocols.namespaces import namespace_of


def create_pipeline(sources: list[str]) -> Pipeline:
    """Samples, files, audits and faces of all sources -> network -> weights with their card.

    The training is in the namespace `pretrain.final`, which gives it a folder and a child run as a
    fold has them.
    """
    tables = [f"{source}.{name}" for source in sources for name in nodes.TABLES]
    setting, final = "params:effective.pretraining", namespace_of(PRETRAIN, None)
    return Pipeline(
        [
            Node(
                nodes.train,
                inputs=[
                    setting,
                    "params:effective.sources",
                    "params:effective.computing",
                    f"{PRETRAIN}.training_folder",
                    *tables,
                ],
                outputs=[f"{final}.model", f"{final}.history"],
                name="train",
                namespace=final,
                tags=["training"],
            ),
            Node(
                nodes.write_weights,
                inputs=[setting, f"{final}.model", f"{PRETRAIN}.training_folder", *tables],
                outputs=[f"{PRETRAIN}.weights", f"{PRETRAIN}.card", f"{PRETRAIN}.card_text"],
                name="write_weights",
                namespace=PRETRAIN,
                tags=["reporting"],
            ),
        ]
    )
