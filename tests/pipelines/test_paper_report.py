"""What the report reads, and where the example figures of each start go."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_age.evaluation.groups import labels_digest
from contrastive_age.parameters.given import Report
from contrastive_age.pipelines.paper_report import nodes
from contrastive_age.provenance import Record, table_digest
from contrastive_age.reporting import pictures, results
from contrastive_age.reporting.groups import Evidence, Group, group_seeds
from contrastive_age.reporting.pictures import Picture, Shown
from reporting.runs import PAPERS

FACES = {
    "name": "pretrain ternary-1234abcd",
    "sources": ["utkface"],
    "n": 90,
    "identities": 90,
    "data_hash": "0a1b2c3d" * 8,
    "weights": "5e6f7a8b" * 8,
    "epochs": 2,
    "image_size": 48,
    "licence": "non-commercial research only",
}


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Three results of one setting and budget: an old document, another start, and from faces."""
    parameters = {
        **PAPERS.settings["fgnet_lopo"]["mv"],
        "protocol": "fgnet_se",
        "source": "fgnet",
        "seed": 0,
    }
    parameters["model"] = {"weights": "weights/some.pt"}
    told: dict[str, dict[str, Any]] = {
        "old": {},
        "other": {"external": None},
        "faces": {"external": FACES},
    }
    age = np.arange(12)
    predictions = pd.DataFrame(
        {
            "sample_id": [f"s{number}" for number in age],
            "identity": [f"{number % 4}" for number in age],
            "fold": age % 4 % 2,
            "age": age,
            "predicted_age": age + 1.0,
            "predicted_std": 3.0,
        }
    )
    for key, external in told.items():
        outputs = tmp_path / "07_model_output" / "fgnet_se" / key
        reports = tmp_path / "08_reporting" / "fgnet_se" / key
        outputs.mkdir(parents=True)
        reports.mkdir(parents=True)
        predictions.to_parquet(outputs / "predictions.parquet")
        written = pd.read_parquet(outputs / "predictions.parquet")
        document = {
            "protocol": "fgnet_se",
            "setting": "mv",
            "key": key,
            "parameters": parameters,
            "run_id": None,
            "manifest_hash": "m",
            "mae": 1.0,
            **{"n": 12, "subjects": 4, "folds": 2, "mae_constant": 9.7, "mae_lookup": 9.7},
            "leaked_share": 0.0,
            "predictions": table_digest(written),
        }
        (reports / "metrics.json").write_text(json.dumps(document | external), encoding="utf-8")
    return tmp_path


def groups_of(data_folder: Path) -> list[Group]:
    return group_seeds(results.read_results(data_folder, set()), PAPERS)


def test_only_a_document_that_tells_of_faces_is_of_faces(data_folder: Path) -> None:
    groups = groups_of(data_folder)
    assert [[run.key for run in group.runs + group.repeats] for group in groups] == [
        ["old", "other"],
        ["faces"],
    ]
    assert [group.first.pretraining is not None for group in groups] == [False, True]
    assert groups[0].columns["start"] == "some.pt (not ImageNet)"


def test_example_figures_of_networks_pretrained_on_faces_are_not_among_those_of_fig_2(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(_: Path, group: Group, *__: object) -> Shown:
        return Shown(
            pd.DataFrame(), np.empty(0, np.uint8), {}, group.columns["budget"], photos=False
        )

    def drawn(family: Shown, *_: object) -> list[tuple[str, Picture]]:
        picture = Picture(b"", family.about, "")
        return [("figure_2", picture), ("attention", picture)]

    monkeypatch.setattr(pictures, "_shown", shown)
    monkeypatch.setattr(pictures, "draw_family", drawn)
    groups = groups_of(data_folder)
    drawings = pictures.draw(data_folder, Evidence(groups, PAPERS), ["mv"], 2)
    captions = {name: [picture.caption for picture in some] for name, some in drawings.items()}
    assert captions == {
        "figure_2": [groups[0].columns["budget"]],
        "attention": [groups[0].columns["budget"]],
        "calibration": [],
        "on_faces": [groups[1].columns["budget"]] * 2,
    }
    assert "pre-trained on faces (F)" in groups[1].columns["budget"]


def test_a_report_of_results_without_their_faces_has_no_examples(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = {"fgnet": {"synthetic": None}}
    shown = Report(settings=["mv"], faces=2)
    html, tables = nodes.make_report(data_folder, sources, dict(PAPERS.settings), shown)
    assert "No examples were drawn" in html
    assert "fgnet_se: no example faces" in caplog.text
    assert len(tables["measured"]) == 2


def test_labels_are_those_that_the_result_was_measured_by(data_folder: Path) -> None:
    predictions = pd.read_parquet(
        data_folder / "07_model_output" / "fgnet_se" / "old" / "predictions.parquet"
    )
    ids = predictions["sample_id"]
    samples = pd.DataFrame({"sample_id": [*ids, "untested"], "sex": "F", "race": None})
    folder = data_folder / "02_intermediate" / "fgnet"
    folder.mkdir(parents=True)
    path = data_folder / "08_reporting" / "fgnet_se" / "old" / "metrics.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    decided_by = {"sex and race": labels_digest(samples, ids)}
    made_from = {"made_from": Record(decided_by, {}).document}
    path.write_text(json.dumps(document | made_from), encoding="utf-8")

    def known() -> dict[str, bool]:
        runs = results.read_results(data_folder, set())
        return {run.key: run.labels is not None for run in runs}

    assert not any(known().values())
    samples.to_parquet(folder / "samples.parquet")
    # the others do not say by which labels
    assert known() == {"old": True, "other": False, "faces": False}
    samples.assign(sex=["M", *["F"] * len(ids)]).to_parquet(folder / "samples.parquet")
    assert not any(known().values())
    (folder / "samples.parquet").write_bytes(b"damaged")
    assert not any(known().values())
