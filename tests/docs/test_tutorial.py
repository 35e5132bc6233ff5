"""docs/tutorial.md, block by block, on a smaller budget: it does what it says."""

from pathlib import Path

import pandas as pd
import pytest

from docs.drawings import lay_out
from docs.pictures import TUTORIAL, walk

pytestmark = pytest.mark.endurance


def shorter(text: str) -> str:
    """Forty people, six epochs and three seeds take minutes; these take seconds."""
    for long, short in (
        ("range(40)", "range(10)"),
        ("epochs: 6", "epochs: 1"),
        ("image_size: 48", "image_size: 32"),
        ("--seeds=3", "--seeds=2"),
        ("person_07", "person_03"),
    ):
        assert long in text
        text = text.replace(long, short)
    return text


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The project in which all of the page was done, and what the commands said."""
    project = lay_out(tmp_path_factory.mktemp("tutorial") / "project")
    return project, "\n".join(walk(shorter(TUTORIAL), project).values())


def test_the_album_becomes_a_table_of_people_and_ages(walked: tuple[Path, str]) -> None:
    project, said = walked
    table = pd.read_csv(project / "manifest.csv")
    assert table.groupby("identity").size().tolist() == [6] * 10
    assert table["age"].between(5, 71).all()
    assert "the folder: 10 people" in said


def test_the_question_is_answered_on_the_page(walked: tuple[Path, str]) -> None:
    reports = walked[0] / "data" / "08_reporting"
    assert "Your runs" in (reports / "report.html").read_text(encoding="utf-8")
    runs, compared = (
        pd.read_csv(reports / "tables" / f"{name}.csv") for name in ("your_runs", "comparisons")
    )
    errors = runs.set_index("losses")["mae"]
    assert len(errors) == 2
    (answer,) = compared[compared["status"] == "measured"].itertuples()
    difference = errors[answer.losses] - errors[answer.reference]
    assert answer.difference == pytest.approx(difference)
    assert answer.low < difference < answer.high


def test_the_model_looks_at_photos(walked: tuple[Path, str]) -> None:
    project, said = walked
    ages = pd.read_csv(project / "ages.csv")
    assert ages["file"].nunique() == len(list((project / "album" / "person_03").iterdir())) == 6
    assert len(list((project / "drawn").rglob("*.jpg"))) == 6
    assert "in cross-validation" in said
