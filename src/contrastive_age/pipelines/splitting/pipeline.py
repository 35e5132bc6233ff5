"""The graph of stage 3."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.splitting import nodes


def create_pipeline(protocol: str, source: str, learns_from: str | None = None) -> Pipeline:
    """Samples and their looks -> folds and the report on what leaks between them.

    In a transfer, also those of the source that it learns from.
    """
    training = [] if learns_from is None else [f"{learns_from}.samples", f"{learns_from}.looks"]
    return Pipeline(
        [
            Node(
                nodes.split,
                inputs=[
                    f"{source}.samples",
                    f"{source}.looks",
                    f"params:effective.protocols.{protocol}",
                    f"{protocol}.splitting_folder",
                    *training,
                ],
                outputs=[f"{protocol}.folds", f"{protocol}.leakage"],
                name="split",
                namespace=protocol,
                tags=["splitting"],
            )
        ]
    )
