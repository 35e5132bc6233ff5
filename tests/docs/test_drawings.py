"""The drawings in the documentation are those of the code as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from docs.drawings import lay_out


def test_what_is_drawn_lies_in_a_project_without_settings_of_its_own(tmp_path: Path) -> None:
    project = lay_out(tmp_path / "project")
    assert list((project / "conf" / "local").iterdir()) == []
    kept = {path.name for path in (ROOT / "conf" / "base").iterdir()}
    assert {path.name for path in (project / "conf" / "base").iterdir()} == kept


@pytest.mark.endurance
def test_the_drawings_are_of_this_code(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "docs" / "drawings.py", tmp_path]
    # What a machine has set for itself is not drawn.
    own = os.environ | {"KEDRO_ENV": "demo"}
    subprocess.run(command, cwd=ROOT, env=own, check=True, capture_output=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert sorted(drawn) == ["house.svg", "way.svg"]
    for name, drawing in drawn.items():
        kept = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
        assert kept == drawing, f"{name} is of other code: run python docs/drawings.py"
    assert ">detect<" in drawn["way.svg"]
    assert ">triplets<" in drawn["house.svg"]
