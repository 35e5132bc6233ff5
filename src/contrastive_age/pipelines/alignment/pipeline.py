"""The graph of stage 2."""

from kedro.pipeline import Node, Pipeline

from contrastive_age.pipelines.alignment import nodes


def create_pipeline(source: str) -> Pipeline:
    """Samples -> landmarks -> faces; both nodes keep what is unchanged in the alignment folder."""
    photos = [f"params:effective.sources.{source}", f"{source}.samples", f"{source}.files"]
    folder = f"{source}.alignment_folder"
    return Pipeline(
        [
            Node(
                nodes.detect,
                inputs=[*photos, folder, "params:detection", "params:effective.computing"],
                outputs=[f"{source}.landmarks", f"{source}.face_audit"],
                name="detect",
                namespace=source,
                tags=["detection", "alignment"],
            ),
            Node(
                nodes.align,
                inputs=[
                    *photos,
                    f"{source}.landmarks",
                    folder,
                    "params:alignment",
                    "params:detection",
                ],
                outputs=[f"{source}.faces", f"{source}.looks"],
                name="align",
                namespace=source,
                tags=["alignment"],
            ),
        ]
    )
