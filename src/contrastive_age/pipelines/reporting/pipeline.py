"""The graph of stage 7."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.reporting import nodes
from contrastive_age.protocols.namespaces import namespace_of


def create_pipeline(protocol: str, source: str, folds: int) -> Pipeline:
    """Predictions -> metrics, summary and figures."""
    of_folds = [namespace_of(protocol, fold) for fold in range(folds)]
    return Pipeline(
        [
            Node(
                nodes.summarise,
                inputs=[
                    f"{source}.samples",
                    f"{source}.faces",
                    f"{protocol}.folds",
                    f"{protocol}.predictions",
                    f"{protocol}.leakage",
                    f"{source}.audit",
                    f"params:effective.protocols.{protocol}",
                    "params:effective.explanation",
                    *(f"{fold}.outputs" for fold in of_folds),
                    *(f"{fold}.history" for fold in of_folds),
                ],
                outputs=[f"{protocol}.metrics", f"{protocol}.summary", f"{protocol}.intervals"],
                name="summarise",
                namespace=protocol,
                tags=["reporting"],
            ),
            Node(
                nodes.identify,
                inputs=[
                    f"{protocol}.predictions",
                    f"params:effective.protocols.{protocol}",
                    *(f"{fold}.outputs" for fold in of_folds),
                ],
                outputs=f"{protocol}.identity",
                name="identify",
                namespace=protocol,
                tags=["reporting"],
            ),
            Node(
                nodes.explain,
                inputs=[
                    f"{source}.samples",
                    f"{source}.faces",
                    f"{protocol}.predictions",
                    f"params:effective.protocols.{protocol}",
                    *(f"{fold}.gradcam_maps" for fold in of_folds),
                ],
                outputs=[f"{protocol}.gradcam", f"{protocol}.attention"],
                name="explain",
                namespace=protocol,
                tags=["reporting"],
            ),
            Node(
                nodes.draw,
                inputs=[
                    f"{source}.samples",
                    f"{source}.faces",
                    f"{protocol}.predictions",
                    f"{protocol}.metrics",
                    f"params:effective.protocols.{protocol}",
                    *(f"{fold}.history" for fold in of_folds),
                ],
                outputs={
                    name: f"{protocol}.{name}"
                    for name in (
                        *("scatter", "cs_curve", "error_by_age", "calibration"),
                        *("losses", "faces_sheet"),
                    )
                },
                name="draw",
                namespace=protocol,
                tags=["reporting"],
            ),
        ]
    )
