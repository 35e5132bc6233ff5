"""The paper's tables with ours beside them: nothing published lost, nothing of ours misplaced."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
import pytest

from contrastive_age.evaluation.confidence import cs_intervals
from contrastive_age.evaluation.metrics import summarise
from contrastive_age.parameters import effective as params
from contrastive_age.reporting import published, sections
from contrastive_age.reporting.groups import Evidence
from contrastive_age.reporting.papers import KLD_HARDLY_PULLS, MARKS, acting_losses
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import meanings
from reporting.runs import PAPERS, evidence

MakeRun = Callable[..., Measured]

TABLES = {
    2: sections.table_2.SECTION.make,
    3: sections.table_3.SECTION.make,
    4: sections.table_4.SECTION.make,
}
AUDIT = {
    "n": 1002,
    "identities": 82,
    "age_bins": {"0-19": 710, "20-39": 223, "40-59": 61, "60+": 8},
    "manifest_hash": "abcd" * 16,
}


@pytest.fixture
def known(several: list[Measured]) -> Evidence:
    return evidence(several)


def all_tables(known: Evidence) -> dict[str, pd.DataFrame]:
    return {
        "2": sections.table_2.SECTION.make(known),
        "3": sections.table_3.SECTION.make(known),
        "4": sections.table_4.SECTION.make(known),
        "5": sections.table_5.make(known),
        "6": sections.table_6.make(known),
    }


def test_table_1_sets_counts_beside_the_published() -> None:
    table = sections.table_1.make(evidence([], audits={"fgnet": AUDIT})).set_index(
        ["data_set", "origin"]
    )
    bins = ["0-19", "20-39", "40-59", "60+", "total"]
    assert table.loc[("MORPH II", "published"), bins].tolist() == [7469, 31682, 15649, 334, 55134]
    assert table.loc[("FG-NET", "here"), bins].tolist() == [710, 223, 61, 8, 1002]
    assert table.loc[("FG-NET", "here"), "difference"] == "none"
    assert table.loc[("MORPH II", "here"), "status"] == "not run"
    assert table.loc[("MORPH II", "here"), "command"] == (
        "kedro run --pipeline=morph_se --tags=ingestion"
    )


def test_table_1_says_where_counts_differ_and_what_is_drawn() -> None:
    audit = AUDIT | {"age_bins": {"0-19": 700, "20-39": 224, "40-59": 61, "60+": 8}}
    other = AUDIT | {"n": 5}
    table = sections.table_1.make(
        evidence([], audits={"fgnet": audit, "utkface": other}, drawn={"fgnet"})
    )
    here = table[table["origin"] == "here"].set_index("data_set")
    assert here.loc["FG-NET", "difference"] == "0-19: -10, 20-39: +1"
    assert bool(here.loc["FG-NET", "drawn_faces"])
    assert here.loc["UTKFace", "total"] == 5
    assert here.loc["UTKFace", "difference"] == ""


@pytest.mark.parametrize("number", TABLES)
@pytest.mark.parametrize("nothing", [True, False])
def test_every_published_number_stands_once(number: int, nothing: bool, known: Evidence) -> None:
    table = TABLES[number](evidence([]) if nothing else known)
    printed = published.table(number)
    for column in printed["column"].unique():
        wanted = printed[printed["column"] == column].set_index("row")["value"]
        found = table[table[column].notna()].set_index("method")[column]
        assert found.to_dict() == wanted.to_dict()
        assert len(found) == len(wanted)


@pytest.mark.parametrize("nothing", [True, False])
def test_every_published_number_of_tables_5_and_6_stands_once(
    nothing: bool, known: Evidence
) -> None:
    found = all_tables(evidence([]) if nothing else known)
    for number, row in ((5, "row"), (6, "loss")):
        table = found[str(number)].dropna(subset="published")
        wanted = published.table(number).set_index(["row", "column"])["value"]
        assert table.set_index([row, "column"])["published"].to_dict() == wanted.to_dict()
        assert len(table) == len(wanted)


def test_with_nothing_run_every_cell_of_ours_has_a_command_that_would(
    given: dict[str, Any],
) -> None:
    cells = {"2": 4, "3": 4, "4": 4, "5": 8, "6": 28}
    for name, table in all_tables(evidence([])).items():
        missing = table[table["status"] == "not run"]
        assert len(missing) == cells[name]
        assert not (table["status"] == "measured").any()
        for call, losses in zip(missing["command"], missing["losses"], strict=True):
            assert_runs(call, losses, given)
        assert (table.loc[table["status"] == "", "command"] == "").all()


def assert_runs(call: str, losses: str, given: dict[str, Any]) -> None:
    words = shlex.split(call)
    assert words[:2] == ["kedro", "run"]
    options = dict(word.removeprefix("--").split("=", 1) for word in words[2:])
    name, setting = options["params"].split("=")
    assert name == "setting"
    effective = params.effective(given | {"setting": setting}, options["pipeline"])
    assert effective.model.weights == "imagenet"
    wanted = PAPERS.losses(losses, options["pipeline"])
    assert acting_losses(asdict(effective.loss)) == acting_losses(wanted)


def test_a_measured_cell_says_where_it_comes_from(make_run: MakeRun, small: dict[str, Any]) -> None:
    runs = [
        make_run("morph_se", "binary", seed, run_id=f"r{seed}", mae_interval=None)
        for seed in (0, 1)
    ]
    known = evidence(runs)
    (group,) = known.groups
    table = sections.table_3.SECTION.make(known).set_index("method")
    cell = table.loc["Ours (binary loss)"]
    assert cell["SE(I)"] == 2.43
    assert cell["status"] == "measured"
    assert cell["mae"] == pytest.approx(sum(run.metrics["mae"] for run in runs) / 2)
    assert cell["mae_low"] < cell["mae"] < cell["mae_high"]
    assert cell["seed_sd"] == pytest.approx(group.columns["seed_sd"])
    assert (cell["seeds"], cell["start"], cell["command"]) == ("0, 1", "ImageNet", "")
    assert cell["budget"].startswith("224 px, 100 epochs")
    assert (cell["images"], cell["subjects"], cell["folds"]) == (60, 12, 3)
    assert not cell["drawn_faces"]
    assert cell["manifest_hash"] == runs[0].metrics["manifest_hash"]
    assert cell["runs"] == "; ".join(f"{run.key} (MLflow {run.run_id})" for run in runs)


@pytest.mark.parametrize(
    "model",
    [
        {"weights": "efficientnet_lite0", "backbone": "timm/tf_efficientnet_lite0"},
        {"weights": "imagenet", "head": "dropout"},
        {"weights": "none", "backbone": "timm/resnet34"},
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_another_network_stands_in_none_of_the_papers_tables(
    make_run: MakeRun, faces: Mapping[str, Any], model: Mapping[str, Any], before: bool
) -> None:
    more = {"external": faces} if before else {}
    run = make_run("morph_se", "mv", budget={"model": model}, **more)
    for table in all_tables(evidence([run])).values():
        assert not (table["status"] == "measured").any()
    rows = sections.your_runs.SECTION.make(evidence([run]))
    own = [f"{name} {model[name]}" for name in ("backbone", "head") if name in model]
    assert all(word in rows["budget"].item().split(", ") for word in own)
    if model["weights"] == "efficientnet_lite0" and not before:
        assert rows["start"].item() == "EfficientNet-Lite0 of ImageNet"


def test_a_stand_in_leaves_the_cell_of_imagenet_not_run(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    table = sections.table_3.SECTION.make(evidence([make_run("morph_se", "mv", budget=small)]))
    ours = table[table["method"] == "MV, our network"]
    assert ours["status"].tolist() == ["not run", "measured"]
    assert ours["start"].iloc[1] == "resnet18_imagenet_partial.pth (not ImageNet)"
    assert table["SE(I)"].notna().sum() == 4


@pytest.mark.parametrize(
    ("number", "protocol", "columns"),
    [
        (2, "morph_rs", ("RS(I)", "RS(F)")),
        (3, "morph_se", ("SE(I)", "SE(F)")),
        (4, "fgnet_lopo", ("LOPO(I)", "LOPO(F)")),
    ],
)
def test_what_was_pretrained_on_faces_answers_the_columns_f(
    make_run: MakeRun,
    faces: dict[str, Any],
    small: dict[str, Any],
    number: int,
    protocol: str,
    columns: tuple[str, str],
) -> None:
    runs = [make_run(protocol, "binary", external=faces, off=1.25)]
    ours = rows_of_method(TABLES[number](evidence(runs)), "Ours (binary loss)")
    # the paper's way is still to be run
    assert ours["status"].tolist() == ["not run", "measured"]
    assert ours["answers"].tolist() == list(columns)
    cell = ours.iloc[1]
    assert cell["mae"] == pytest.approx(1.25)
    assert cell["pretraining"] == "UTKFace, 11,672 images, 18 epochs, 64 px"
    assert cell["start"] == "weights 5e6f7a8b pre-trained on faces (F)"

    runs += [make_run(protocol, "binary"), make_run(protocol, "binary", budget=small)]
    ours = rows_of_method(TABLES[number](evidence(runs)), "Ours (binary loss)")
    assert ours["answers"].tolist() == [columns[0], "", columns[1]]
    assert ours["pretraining"].ne("").tolist() == [False, False, True]


def rows_of_method(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """The rows of a method, where the published number stands once and in its own column."""
    rows = table[table["method"] == method]
    assert rows[[name for name in rows if name.endswith("(I)")]].notna().sum().tolist() == [1]
    assert rows[[name for name in rows if name.endswith("(F)")]].isna().all(axis=None)
    return rows


def test_the_flag_alone_moves_a_result_between_the_columns(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    for told, column in ((None, "SE(I)"), (faces, "SE(F)")):
        table = sections.table_3.SECTION.make(evidence([make_run("morph_se", "mv", external=told)]))
        (cell,) = table[table["status"] == "measured"].to_dict("records")
        assert cell["answers"] == column
        assert bool(cell["pretraining"]) == (column == "SE(F)")


def test_nothing_pretrained_on_faces_is_in_tables_5_and_6(
    make_run: MakeRun, faces: dict[str, Any], identity: dict[str, Any], small: dict[str, Any]
) -> None:
    runs = [
        make_run(protocol, setting, budget=small, identity=identity, external=told)
        for protocol in ("fgnet_se", "fgnet_lopo", "morph_rs", "morph_se")
        for setting in ("mv", "ternary", "kld")
        for told in (faces, None)
    ]
    without = [run for run in runs if run.pretraining is None]
    assert len(without) * 2 == len(runs)
    for make in (sections.table_5.make, sections.table_6.make):
        table = make(evidence(runs))
        assert (table["pretraining"] == "").all()
        pd.testing.assert_frame_equal(table, make(evidence(without)))
        alone = make(evidence(run for run in runs if run.pretraining is not None))
        pd.testing.assert_frame_equal(alone, make(evidence([])))


def test_faces_answer_for_no_start_of_another_environment(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    run = make_run("morph_se", "mv", demo=True, external=faces)
    table = sections.table_3.SECTION.make(evidence([run], environment="demo"))
    assert table[table["method"] == "MV, our network"]["status"].tolist() == ["not run", "measured"]


def test_pretrainings_are_listed_once_with_what_started_from_them(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    other = faces | {"weights": "ffff" * 16, "sources": ["utkface", "custom"]}
    runs = [make_run("morph_se", external=faces), make_run("fgnet_se", "mv", external=faces)]
    runs += [make_run("fgnet_se", seed=1, external=other), make_run("morph_se")]
    table = sections.on_faces.make(evidence(runs)).set_index("weights")
    assert table.index.tolist() == [faces["weights"], other["weights"]]
    first = table.loc[faces["weights"]]
    assert (first["sources"], first["images"], first["identities"]) == ("UTKFace", 11672, 11671)
    assert (first["epochs"], first["image_size"]) == (18, 64)
    assert (first["licence"], first["data_hash"]) == (faces["licence"], faces["data_hash"])
    assert first["runs"] == f"fgnet_se {runs[1].key}; morph_se {runs[0].key}"
    assert table.loc[other["weights"], "sources"] == "UTKFace and Own photos"


def test_a_kld_that_hardly_pulls_is_marked(make_run: MakeRun) -> None:
    runs = [make_run("morph_se", "kld", loss=loss) for loss in ({}, {"lambda_k": 10.0})]
    runs += [make_run("morph_se", "kld_ternary"), make_run("morph_se", "mv")]
    known = evidence(runs)
    sixth, measured = sections.table_6.make(known), sections.measured.make(known)
    column = sixth[(sixth["column"] == "MORPH II (SE)") & (sixth["status"] == "measured")]
    marks = column.set_index("loss")["mark"].to_dict()
    assert marks == {
        "MV + KLD": KLD_HARDLY_PULLS,
        "MV + KLD + Triplet": KLD_HARDLY_PULLS,
        "MV, our network": "",
    }
    marks = measured.set_index("losses")["mark"].to_dict()
    assert marks["MV + KLD (λ_k 10)"] == marks["MV"] == ""
    assert marks["MV + KLD (λ_k 1)"] == KLD_HARDLY_PULLS
    assert meanings(measured) == [MARKS[KLD_HARDLY_PULLS]]
    assert meanings(measured[measured["mark"] == ""]) == []


def test_what_mv_published_and_what_our_network_does_are_different_rows(
    make_run: MakeRun,
) -> None:
    known = evidence([make_run("morph_se", "mv"), make_run("morph_se", "ce")])
    for table, column in (
        (sections.table_3.SECTION.make(known), "method"),
        (sections.table_6.make(known), "loss"),
    ):
        measured = table[table["status"] == "measured"]
        assert set(measured[column]) == {"MV, our network", "CE, our network"}
    sixth = sections.table_6.make(known).set_index(["loss", "column"])
    assert (sixth.loc["MV", "status"] == "").all()
    assert "another network" in sixth.loc[("MV", "MORPH II (SE)"), "note"]


def test_five_folds_of_fgnet_have_a_column_of_their_own(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    known = evidence([make_run("fgnet_se", "triplet", budget=small)])
    table = sections.table_6.make(known)
    (cell,) = table[table["status"] == "measured"].to_dict("records")
    assert (cell["loss"], cell["column"]) == ("MV + Triplet", "FG-NET (SE)")
    assert pd.isna(cell["published"])
    fourth = sections.table_4.SECTION.make(known)
    assert not (fourth["status"] == "measured").any()


def test_other_weights_of_the_losses_are_in_no_cell(make_run: MakeRun) -> None:
    known = evidence([make_run("morph_se", "binary", loss={"lambda_c": 8.0})])
    for table in all_tables(known).values():
        assert not (table["status"] == "measured").any()
    (row,) = sections.measured.make(known).to_dict("records")
    assert row["losses"] == "MV + Cosine (λ_c 8)"


def test_several_budgets_of_a_cell_are_all_there(make_run: MakeRun, small: dict[str, Any]) -> None:
    shorter = {"training": {"epochs": 10}}
    known = evidence(make_run("morph_se", "mv", budget=budget) for budget in (small, shorter, None))
    table = sections.table_3.SECTION.make(known)
    ours = table[table["method"] == "MV, our network"]
    assert ours["budget"].str.split(",").str[1].tolist() == [
        " 100 epochs",
        " 10 epochs",
        " 8 epochs",
    ]


def test_in_another_environment_its_own_budget_is_what_is_asked_for(make_run: MakeRun) -> None:
    drawn = make_run("morph_se", "mv", budget={"model": {"weights": "none"}}, demo=True)
    table = sections.table_3.SECTION.make(evidence([drawn], environment="demo"))
    ours = table[table["method"].str.endswith("network")].set_index("method")
    assert ours.loc["MV, our network", "status"] == "measured"
    assert bool(ours.loc["MV, our network", "drawn_faces"])
    assert ours.loc["CE, our network", "command"] == (
        "kedro run --env=demo --pipeline=morph_se --params=setting=ce"
    )


def test_table_5_lays_variances_beside_the_published(
    make_run: MakeRun, identity: dict[str, Any], small: dict[str, Any]
) -> None:
    other = identity | {"variance": identity["variance"] | {"features": 0.5}}
    known = evidence(
        [
            make_run("morph_se", "mv", 0, identity=identity),
            make_run("morph_se", "mv", 1, identity=other),
            make_run("morph_se", "mv", 2),
            make_run("fgnet_se", "ternary", budget=small, identity=identity),
            make_run("fgnet_se", "binary", budget=small, identity=identity),
        ]
    )
    table = sections.table_5.make(known)
    measured = table[table["status"] == "measured"].set_index(["row", "column"])
    assert measured["here"].to_dict() == pytest.approx(
        {
            ("MORPH II μ(V_f)", "MV"): 0.4,
            ("MORPH II μ(V_s)", "MV"): 0.0004,
            ("FG-NET μ(V_f)", "Ours"): 0.3,
            ("FG-NET μ(V_s)", "Ours"): 0.0004,
        }
    )
    # five folds stand beside the paper's protocol, not for it
    ours = table[(table["row"] == "FG-NET μ(V_f)") & (table["column"] == "Ours")]
    assert ours["protocol"].tolist() == ["fgnet_lopo", "fgnet_se"]
    assert ours["status"].tolist() == ["not run", "measured"]


def test_everything_that_was_run_is_listed_once(known: Evidence, several: list[Measured]) -> None:
    table = sections.measured.make(known)
    assert len(table) == len(known.groups)
    keys = [run.key for run in several]
    assert sorted(word.split()[0] for runs in table["runs"] for word in runs.split("; ")) == sorted(
        keys
    )
    assert sections.measured.make(evidence([])).empty


def test_means_over_seeds_are_those_of_a_loop(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in (0, 1, 2)]
    (row,) = sections.measured.make(evidence(runs)).to_dict("records")
    for name in ("bias", "cs5", "mae_by_subject", "mae_constant"):
        assert row[name] == pytest.approx(sum(run.metrics[name] for run in runs) / 3)
    by_age = [summarise(run.predictions, 9.7)["mae_by_age"] for run in runs]
    assert row["mae_by_age"] == pytest.approx(sum(by_age) / 3)
    scores = cs_intervals([run.predictions for run in runs])
    assert [row["cs5_low"], row["cs5_high"]] == scores["5"]
    assert row["cs5_low"] < row["cs5"] < row["cs5_high"]
