"""docs/extend.md, block by block: a loss, a head, a data set, a protocol, a section, all run."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from conftest import ROOT, SMALL, TINY, Project, make_project, run_tree
from contrastive_age.drawn.face import draw_face

BLOCK = re.compile(r'^```(python|diff) title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(PAGE)
PEOPLE, AGES = ("anna", "bert", "carl", "dora"), (8, 20, 35, 50, 65)


def apply(kind: str, path: Path, text: str) -> None:
    """Write a file of its own, or change the lines of one that is there."""
    if kind == "python":
        assert not path.exists()
        path.write_text(text, encoding="utf-8")
        return
    lines = text.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, f"{path.name} does not hold these lines once:\n{before}"
    path.write_text(old.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with code of its own, in which all of the page was done and run."""
    root = make_project(tmp_path_factory.mktemp("extended")).root
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", root / "src", ignore=ignored, dirs_exist_ok=True)
    for kind, path, text in BLOCKS:
        apply(kind, root / path, text)
    local: dict[str, Any] = TINY | {"protocols": {"albums_se": {"folds": 2} | SMALL}}
    (root / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(local))
    albums = root / "data" / "01_raw" / "albums"
    albums.mkdir(parents=True)
    for person, name in enumerate(PEOPLE):
        for age in AGES:
            draw_face(person, age).save(albums / f"{name}_{age}.jpg")
    project = Project(root, root / "src")
    project.command("run", "--pipeline=albums_se", "--params=setting=absolute,model.head=hidden")
    project.command("run", "--pipeline=paper_report")
    return project


def test_what_is_touched() -> None:
    places = {
        title: {path for _, path, _ in BLOCK.findall(section)}
        for title, _, section in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
    }
    assert {title: len(paths) for title, paths in places.items()} == {
        "A loss": 3,
        "A head": 2,
        "A data set": 3,
        "A protocol": 1,
        "A section of the report": 2,
    }


def test_the_data_set_is_read(extended: Project) -> None:
    samples = pd.read_parquet(extended.one("02_intermediate/albums/samples.parquet"))
    assert len(samples) == len(PEOPLE) * len(AGES)
    assert set(samples["identity"]) == set(PEOPLE)
    assert set(samples["age"]) == set(AGES)


def test_the_protocol_divides_it(extended: Project) -> None:
    folds = pd.read_parquet(extended.one("05_model_input/albums_se/folds.parquet"))
    assert folds.groupby("identity")["fold"].nunique().eq(1).all()
    predictions = extended.one("07_model_output/albums_se/absolute-*/predictions.parquet")
    assert len(pd.read_parquet(predictions)) == len(PEOPLE) * len(AGES)


def test_the_loss_is_trained_shown_and_named(extended: Project) -> None:
    history = pd.read_parquet(extended.one("06_models/albums_se/absolute-*/fold_0/history.parquet"))
    assert (history["absolute"] > 0).all()
    total = history["softmax"] + history["absolute"]
    assert history["total"].to_list() == pytest.approx(total.to_list())
    runs = run_tree(extended)
    assert any(run["params"].get("lambda_a") == "1.0" for run in runs.values())
    assert any(name == "absolute" for run in runs.values() for name, *_ in run["metrics"])


def test_the_head_is_trained_and_named(extended: Project) -> None:
    path = extended.one("06_models/albums_se/absolute-*/fold_0/model.pth")
    state = torch.load(path, weights_only=True)
    assert state["fc.hidden.weight"].shape == (256, 512)
    assert state["fc.linear.weight"].shape == (101, 256)
    assert any(run["params"].get("head") == "hidden" for run in run_tree(extended).values())


def test_its_weight_can_be_given_without_any_yaml(extended: Project) -> None:
    extended.command(
        *("run", "--pipeline=albums_se", "--tags=training"),
        "--params=setting=ce,loss.lambda_a=0.5",
    )
    history = pd.read_parquet(extended.one("06_models/albums_se/ce-*/fold_0/history.parquet"))
    total = history["softmax"] + 0.5 * history["absolute"]
    assert history["total"].to_list() == pytest.approx(total.to_list())


def test_its_setting_stands_beside_other_methods(extended: Project) -> None:
    table = pd.read_csv(extended.one("08_reporting/tables/methods.csv"))
    assert table["setting"].to_list() == ["absolute"]


def test_the_section_is_on_the_page(extended: Project) -> None:
    html = extended.one("08_reporting/report.html").read_text(encoding="utf-8")
    section = html.partition('id="oldest"')[2]
    assert "The oldest" in section
    assert "CE + Absolute error (λ" in section
    assert "65.00" in section
