"""The graph of the report."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.paper_report import nodes


def create_pipeline() -> Pipeline:
    """Whatever lies below the folder of all data -> one page, and its tables."""
    return Pipeline(
        [
            Node(
                nodes.make_report,
                inputs=[
                    "report.data_folder",
                    "params:effective.sources",
                    "params:effective.papers",
                    "params:report",
                ],
                outputs=["report.page", "report.tables"],
                name="paper_report",
                tags=["report"],
            )
        ]
    )
