"""docs/tutorial.md, block by block, on a smaller budget: it does what it says."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from conftest import ROOT, Project, make_project

pytestmark = pytest.mark.endurance

BLOCK = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))


def shorter(text: str) -> str:
    """Forty people, six epochs and three seeds take minutes; these take seconds."""
    for long, short in (("range(40)", "range(10)"), ("epochs: 6", "epochs: 1"), ("48", "32")):
        text = text.replace(long, short)
    return text.replace("--seeds=3", "--seeds=2").replace("person_07", "person_03")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The project in which all of the page was done, and what the commands said."""
    project = make_project(tmp_path_factory.mktemp("tutorial"))
    said = []
    for kind, title, text in BLOCKS:
        if title:
            (project.root / title).parent.mkdir(parents=True, exist_ok=True)
            (project.root / title).write_text(shorter(text), encoding="utf-8")
        for line in shorter(text).splitlines() if kind == "sh" else []:
            program, *arguments = line.split()
            if program == "python":
                environment = os.environ | {"PYTHONPATH": str(project.code)}
                command = [sys.executable, *arguments]
                subprocess.run(command, cwd=project.root, check=True, env=environment)
            else:
                assert program == "kedro"
                said.append(project.command(*arguments))
    return project, "\n".join(said)


def test_the_album_becomes_a_table_of_people_and_ages(walked: tuple[Project, str]) -> None:
    project, said = walked
    table = pd.read_csv(project.root / "manifest.csv")
    assert table["identity"].nunique() == 10
    assert table["age"].between(5, 70).all()
    assert "the folder: 10 people" in said


def test_the_question_is_answered_on_the_page(walked: tuple[Project, str]) -> None:
    project, _ = walked
    page = (project.root / "data" / "08_reporting" / "report.html").read_text(encoding="utf-8")
    assert "Your runs" in page
    rows = pd.read_csv(project.one("08_reporting/**/your_runs.csv"))
    assert len(rows) == 2
    compared = pd.read_csv(project.one("08_reporting/**/comparisons.csv"))
    assert len(compared) == 1


def test_the_model_looks_at_photos(walked: tuple[Project, str]) -> None:
    project, _ = walked
    ages = pd.read_csv(project.root / "ages.csv")
    assert len(ages) == len(list((project.root / "album" / "person_03").iterdir()))
    assert len(list((project.root / "drawn").rglob("*.jpg"))) == ages["file"].nunique()
