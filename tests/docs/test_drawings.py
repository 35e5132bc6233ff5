"""The drawings in the documentation are those of the code as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.endurance
def test_the_drawings_are_of_this_code(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "docs" / "drawings.py", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert sorted(drawn) == ["house.svg", "way.svg"]
    for name, drawing in drawn.items():
        kept = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
        assert kept == drawing, f"{name} is of other code: run python docs/drawings.py"
    assert ">detect<" in drawn["way.svg"]
    assert ">triplets<" in drawn["house.svg"]
