"""The notebooks as they are committed show what they do, and nothing of who ran them."""

import re
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

PLACE = re.compile(r"(?<![\w.])(/[\w.-]+){2,}|[A-Z]:\\\\|file://|~/")
"""Where something lies on a machine."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_there_and_are_nobodys(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = [output.get("text", "") for output in outputs]
    said += [output.get("data", {}).get("text/plain", "") for output in outputs]
    assert not PLACE.findall("\n".join(said))
    assert not [cell for cell in notebook.cells if "execution" in cell.metadata]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert path.stat().st_size < 400_000
