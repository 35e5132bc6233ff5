"""The notebook runs from top to bottom over a finished run."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from conftest import Project
from servers import PATIENCE

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "walkthrough.ipynb"


def test_the_notebook_runs(finished: Project) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        startup_timeout=PATIENCE,
        iopub_timeout=PATIENCE,
        resources={"metadata": {"path": str(finished.root)}},
    )
    done = client.execute()
    text = "".join(
        output.get("text", "") for cell in done.cells for output in cell.get("outputs", [])
    )
    assert "MAE" in text
    assert "24 images of 6 identities" in text
