"""The graph of stage 1."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.ingestion import nodes


def create_pipeline(source: str) -> Pipeline:
    """(faces drawn, where asked for) -> raw folder -> samples, files, audit."""
    return Pipeline(
        [
            Node(
                nodes.ingest,
                inputs=[f"params:effective.sources.{source}", f"{source}.ingestion_folder"],
                outputs=[f"{source}.samples", f"{source}.files", f"{source}.audit"],
                name="ingest",
                namespace=source,
                tags=["ingestion"],
            )
        ]
    )
