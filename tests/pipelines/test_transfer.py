"""A transfer runs end to end: one source trains, or weights are tested as they are."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from conftest import SMALL, TINY, Project, make_project
from contrastive_age.commands.compare import key_of
from contrastive_age.evaluation import theirs
from contrastive_age.protocols.parts import TRAINS

# A layout in which faces can be drawn stands in for UTKFace's own.
DRAWN = {"layout": "fgnet", "synthetic": {"identities": 6, "images": 24, "seed": 5}}
PIPELINE = "--pipeline=utkface_to_fgnet"


@pytest.fixture(scope="module")
def transfers(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose transfer has run once."""
    project = make_project(tmp_path_factory.mktemp("transfers"))
    own = TINY | {
        "sources": TINY["sources"] | {"utkface": DRAWN},
        "pretrain": {"sources": "utkface"} | SMALL,
    }
    (project.root / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(own))
    project.kedro("run", PIPELINE)
    return project


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_all_of_one_source_trains_and_all_of_another_is_tested(transfers: Project) -> None:
    (metrics,) = map(
        _read, transfers.root.glob("data/08_reporting/utkface_to_fgnet/*/metrics.json")
    )
    assert (metrics["n"], metrics["folds"]) == (16, 1)
    assert metrics["parameters"]["trained_on"] == "utkface"
    assert metrics["conformal"] is None
    folds = pd.read_parquet(transfers.one("05_model_input/utkface_to_fgnet/folds.parquet"))
    trained, tested = folds[folds["fold"] == TRAINS], folds[folds["fold"] == 0]
    assert (len(trained), len(tested)) == (24, 16)
    assert trained["sample_id"].str.startswith("utkface/").all()
    leakage = _read(transfers.one("05_model_input/utkface_to_fgnet/leakage.json"))
    assert [(fold["n_train"], fold["n_test"]) for fold in leakage["folds"]] == [(24, 16)]
    constant = (tested["age"] - trained["age"].median()).abs().mean()
    assert leakage["mae_constant"] == metrics["mae_constant"] == pytest.approx(constant)


def test_of_no_epochs_the_weights_are_tested_as_they_are_and_nothing_else_is_made(
    transfers: Project,
) -> None:
    transfers.kedro("run", "--pipeline=pretrain")
    weights = transfers.one("06_models/pretrain/*/weights.pth")
    for layer in ("02_intermediate", "03_primary"):
        shutil.rmtree(transfers.root / "data" / layer / "utkface")
    before = set((transfers.root / "data/06_models/utkface_to_fgnet").iterdir())
    given = f"--params=training.epochs=0,model.weights={weights}"
    done = transfers.kedro("run", PIPELINE, given)
    assert "not trained" in done.said
    assert not (transfers.root / "data/02_intermediate/utkface").exists()
    (made,) = set((transfers.root / "data/06_models/utkface_to_fgnet").iterdir()) - before
    state, start = (torch.load(path) for path in (made / "fold_0" / "model.pth", weights))
    # The protocol's classes are some of the weights'.
    ages = len(state["fc.bias"])
    for name, tensor in state.items():
        wanted = start[name][:ages] if name.startswith("fc.") else start[name]
        assert torch.equal(tensor, wanted), name
    metrics = _read(transfers.root / f"data/08_reporting/utkface_to_fgnet/{made.name}/metrics.json")
    assert metrics["external"]["sources"] == ["utkface"]


def test_a_fresh_head_alone_is_trained_on_the_other_source(transfers: Project) -> None:
    transfers.kedro("run", "--pipeline=pretrain")
    weights = transfers.one("06_models/pretrain/*/weights.pth")
    before = set((transfers.root / "data/06_models/utkface_to_fgnet").iterdir())
    given = f"--params=training.epochs=0,training.head_epochs=2,model.weights={weights}"
    transfers.kedro("run", PIPELINE, given)
    (made,) = set((transfers.root / "data/06_models/utkface_to_fgnet").iterdir()) - before
    state, start = (torch.load(path) for path in (made / "fold_0" / "model.pth", weights))
    for name, tensor in state.items():
        taken = start[name][: len(state["fc.bias"])] if name.startswith("fc.") else start[name]
        assert torch.equal(tensor, taken) != name.startswith("fc."), name
    history = pd.read_parquet(made / "fold_0" / "history.parquet")
    assert history["epoch"].tolist() == [1, 2]
    folds = pd.read_parquet(transfers.one("05_model_input/utkface_to_fgnet/folds.parquet"))
    assert (folds["fold"] == TRAINS).sum() == 24


def test_predictions_from_elsewhere_are_measured_on_what_is_tested_alone(
    transfers: Project,
) -> None:
    folds = pd.read_parquet(transfers.one("05_model_input/utkface_to_fgnet/folds.parquet"))
    trains = folds["fold"] == TRAINS
    # Photos that train are known to the year, and count for nothing.
    ages = folds["age"] + np.where(trains, 0, 10)
    table = folds[["sample_id"]].assign(predicted_age=ages)
    for name, given in {"all": table, "tested": table[~trains]}.items():
        given.to_csv(transfers.root / f"{name}.csv", index=False)
        predictions = f"--predictions={transfers.root / name}.csv"
        done = transfers.kedro("compare", PIPELINE, predictions, f"--name={name}")
        assert "Ours minus theirs" in done.stdout
        key = f"08_reporting/utkface_to_fgnet/{key_of(name)}/theirs.json"
        document = _read(transfers.one(key))
        assert (document["n"], document["test_photos"], document["mae"]) == (16, 16, 10.0)
        left = {theirs.UNKNOWN: 24} if name == "all" else {}
        assert {problem: told["n"] for problem, told in document["left_out"].items()} == left


def test_people_are_held_out_of_the_source_that_trains(transfers: Project) -> None:
    before = set(transfers.root.glob("data/06_models/*/*/*/history.parquet"))
    for pipeline in (PIPELINE, "--pipeline=pretrain"):
        transfers.kedro("run", pipeline, "--params=training.validated_on=people")
    made = set(transfers.root.glob("data/06_models/*/*/*/history.parquet")) - before
    assert {path.parts[-4] for path in made} == {"utkface_to_fgnet", "pretrain"}
    assert all(pd.read_parquet(path)["validation_mae"].notna().all() for path in made)


def test_photos_of_both_sources_are_refused(transfers: Project) -> None:
    same = ",".join(
        f"sources.utkface.synthetic.{name}={value}"
        for name, value in TINY["sources"]["fgnet"]["synthetic"].items()
    )
    done = transfers.kedro("run", PIPELINE, f"--params={same}", check=False)
    assert done.status
    assert "16 of 16 test photos are copies of photos that train" in done.said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((PIPELINE, "--params=validation=0.2"), "is a transfer, which has no subjects to validate"),
        ((PIPELINE, "--params=training.epochs=0"), "tests the initial weights of utkface_to_fgnet"),
        (
            ("--pipeline=final_model", "--params=final_model.protocol=utkface_to_fgnet"),
            "is a transfer, whose network is of another source than it is tested on",
        ),
    ],
)
def test_what_a_transfer_cannot_do_is_one_line(
    transfers: Project, arguments: tuple[str, ...], words: str
) -> None:
    done = transfers.kedro("run", *arguments, check=False)
    assert done.status
    assert words in done.said
    assert "Traceback" not in done.said
