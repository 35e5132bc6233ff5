"""The graph of stage 3."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.splitting import nodes


def create_pipeline(protocol: str, source: str) -> Pipeline:
    """Samples and their looks -> folds and the report on what leaks between them."""
    return Pipeline(
        [
            Node(
                nodes.split,
                inputs=[
                    f"{source}.samples",
                    f"{source}.looks",
                    f"params:effective.protocols.{protocol}",
                    f"{protocol}.splitting_folder",
                ],
                outputs=[f"{protocol}.folds", f"{protocol}.leakage"],
                name="split",
                namespace=protocol,
                tags=["splitting"],
            )
        ]
    )
