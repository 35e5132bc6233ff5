"""The notebook on prediction runs from top to bottom, without a model or a run."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from servers import PATIENCE

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "predict.ipynb"


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (tmp_path / "conf").mkdir()
    client = NotebookClient(
        notebook,
        startup_timeout=PATIENCE,
        iopub_timeout=PATIENCE,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    done = client.execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "random weights over the ages" in text
    assert "image 2" in text
    assert any(
        "no face found" in output.get("data", {}).get("text/plain", "") for output in outputs
    )
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
