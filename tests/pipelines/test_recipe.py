"""Changes of the recipe end to end: what each changes of a result, and what it leaves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from conftest import Project

STAGES = "--tags=triplets,training,evaluation,reporting"


@dataclass
class Result:
    """What a run of `synthetic_se` has made; the network is that of its first fold."""

    metrics: dict[str, Any]
    network: dict[str, torch.Tensor]
    histories: list[pd.DataFrame]
    predictions: pd.DataFrame
    outputs: list[dict[str, Any]]
    said: str

    def trained_like(self, other: "Result") -> bool:
        pairs = zip(self.network.values(), other.network.values(), strict=True)
        return all(torch.equal(one, another) for one, another in pairs)

    @property
    def ages(self) -> pd.Series:
        return self.predictions.set_index("sample_id")["predicted_age"]


class Runs:
    """Runs of one project, which shares its faces."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.known: set[Path] = set()

    def __call__(self, *changes: str, pipeline: str = "synthetic_se") -> Result:
        asked = ["training.epochs=3", *changes]
        stages = [STAGES] if self.known else []
        options = [f"--pipeline={pipeline}", f"--params={','.join(asked)}", *stages]
        said = self.project.kedro("run", *options).said
        data = self.project.root / "data"
        made = set(data.glob("08_reporting/synthetic_se/*/metrics.json"))
        (path,) = made - self.known
        self.known = made
        key = path.parent.name
        models = sorted(data.glob(f"06_models/synthetic_se/{key}/fold_*"))
        outputs = sorted(data.glob(f"07_model_output/synthetic_se/{key}/fold_*/outputs.npz"))
        return Result(
            json.loads(path.read_text(encoding="utf-8")),
            torch.load(models[0] / "model.pth", weights_only=True),
            [pd.read_parquet(folder / "history.parquet") for folder in models],
            pd.read_parquet(data / f"07_model_output/synthetic_se/{key}/predictions.parquet"),
            [dict(np.load(file)) for file in outputs],
            said,
        )


@pytest.mark.endurance
def test_each_change_of_the_recipe_does_what_it_says_and_no_more(project: Project) -> None:
    run = Runs(project)
    plain = run()
    assert "picked_on_test" not in plain.metrics

    # Of a final model nobody is tested, and its error is that of the folds.
    watched = run("training.watch_test=true", pipeline="final_model")
    assert watched.trained_like(plain)
    sizes = watched.predictions.groupby("fold").size().to_numpy()
    errors = np.array([history["test_mae"] for history in watched.histories])
    assert errors.shape == (2, 3)
    assert watched.metrics["mae"] == pytest.approx(np.average(errors[:, -1], weights=sizes), 1e-5)
    picked = np.average(errors.min(axis=1), weights=sizes)
    assert watched.metrics["picked_on_test"] == pytest.approx(picked)
    assert f"{picked:.2f} years" in watched.said
    assert "picking epochs on the test part" in watched.said
    assert "picking epochs on the test part" not in plain.said

    tested = run("testing.mirrored=true", "testing.rounded=true")
    assert tested.trained_like(plain)
    for of_plain, outputs in zip(plain.outputs, tested.outputs, strict=True):
        probabilities = softmax(outputs["logits"], axis=1)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        assert not np.allclose(probabilities, softmax(of_plain["logits"], axis=1))
        expected = (probabilities @ np.arange(70)).round()
        assert (tested.ages[outputs["sample_id"]] == expected).all()

    headed = run("training.head_epochs=2")
    assert headed.histories[0]["epoch"].tolist() == [1, 2, 3, 4, 5]
    same = [
        name for name, value in plain.network.items() if torch.equal(value, headed.network[name])
    ]
    assert same == [name for name in plain.network if name.startswith("backbone.")]

    changes = (
        "training.epochs=5",
        *("training.average=0.5", "training.reweight=lds", "training.schedule=step"),
        *("training.validated_on=people", "training.keep=best"),
    )
    others = run(*changes)
    assert not others.trained_like(plain)
    for history in others.histories:
        assert history["validation_mae"].notna().all()
        assert history["lr"].tolist() == pytest.approx([1e-3] * 4 + [1e-4])

    # The epoch that is kept does not follow from how the test part is predicted.
    tested = run(*changes, "testing.mirrored=true", "testing.rounded=true")
    assert tested.trained_like(others)
    for one, another in zip(tested.histories, others.histories, strict=True):
        assert one["validation_mae"].tolist() == another["validation_mae"].tolist()
