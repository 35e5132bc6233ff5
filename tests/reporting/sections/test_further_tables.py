"""Comparisons, statistics, curves and selections as tables."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from contrastive_age.reporting import sections, wording
from contrastive_age.reporting.groups import FAMILY
from contrastive_age.reporting.results import Measured
from reporting.runs import evidence

MakeRun = Callable[..., Measured]


def test_settings_are_compared_with_mv_on_the_same_images(make_run: MakeRun) -> None:
    runs = {
        setting: [make_run("morph_se", setting, seed) for seed in seeds]
        for setting, seeds in {"mv": (0, 1), "binary": (0,), "ternary": (0, 1)}.items()
    }
    table = sections.comparisons.make(evidence(run for listed in runs.values() for run in listed))
    names = {"binary": "MV + Cosine (λ_c 10)", "ternary": "MV + Cosine + Triplet (λ_c 10, λ_t 1)"}
    pairs = [("binary", "mv"), ("ternary", "mv"), ("ternary", "binary")]
    assert list(zip(table["losses"], table["reference"], strict=True)) == [
        (names[ours], names.get(theirs, "MV")) for ours, theirs in pairs
    ]
    for (ours, theirs), row in zip(pairs, table.to_dict("records"), strict=True):
        gain = errors(runs[ours]) - errors(runs[theirs])
        by_subject = gain.groupby(runs["mv"][0].predictions["identity"]).mean()
        assert row["difference"] == pytest.approx(gain.mean())
        assert row["low"] < row["difference"] < row["high"]
        assert row["subjects_improved"] == (by_subject < 0).sum()
        assert row["subjects_worsened"] == (by_subject > 0).sum()
        assert row["status"] == "measured"


def errors(runs: list[Measured]) -> pd.Series:
    tables = [run.predictions for run in runs]
    sizes = [(table["predicted_age"] - table["age"]).abs() for table in tables]
    return sum(sizes[1:], sizes[0]) / len(sizes)


@pytest.mark.parametrize(
    ("off", "verdict"),
    [(1.0, wording.BETTER), (3.0, wording.WORSE), (2.0, wording.NO_DIFFERENCE)],
)
def test_a_difference_is_claimed_when_its_interval_leaves_out_zero(
    make_run: MakeRun, off: float, verdict: str
) -> None:
    known = evidence([make_run(setting="mv", off=2.0), make_run(setting="ce", off=off)])
    (row,) = sections.comparisons.make(known).to_dict("records")
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(off - 2.0)


def test_other_budgets_are_not_compared(make_run: MakeRun, small: dict[str, Any]) -> None:
    known = evidence([make_run(setting="mv"), make_run(setting="ternary", budget=small)])
    (row,) = sections.comparisons.make(known).to_dict("records")
    assert row["status"] == "not run"
    assert row["command"].startswith("kedro run --pipeline=fgnet_se --params=setting=mv,")
    assert "training.epochs=8" in row["command"]


def test_networks_pretrained_on_faces_are_compared_with_one_another_only(
    make_run: MakeRun, faces: dict[str, Any], small: dict[str, Any]
) -> None:
    other = faces | {"weights": "ffff" * 16}
    runs = [make_run(setting="mv", budget=small), make_run(setting="ce", budget=small)]
    runs += [make_run(setting=name, budget=small, external=faces) for name in ("mv", "ternary")]
    runs.append(make_run(setting="binary", budget=small, external=other))
    table = sections.comparisons.make(evidence(runs))
    measured = table[table["status"] == "measured"].set_index("losses")
    assert measured["pretraining"].to_dict() == {
        "CE": "",
        "MV + Cosine + Triplet (λ_c 1, λ_t 1)": "UTKFace, 11,672 images, 18 epochs, 64 px",
    }
    (missing,) = table[table["status"] == "not run"].to_dict("records")
    assert missing["start"] == "weights ffffffff pre-trained on faces (F)"


def test_every_table_tells_whether_its_settings_were_pretrained_on_faces(
    make_run: MakeRun,
    faces: dict[str, Any],
    identity: dict[str, Any],
    gradcam: dict[str, Any],
) -> None:
    more = {"identity": identity, "gradcam": gradcam}
    known = evidence([make_run(**more), make_run(**more, external=faces)])
    for analyse in (
        sections.comparisons.make,
        sections.groups.make,
        sections.thresholds.make,
        sections.baselines.make,
        sections.intervals.make,
        sections.calibration.make,
        sections.identity.make,
        sections.attention.make,
    ):
        table = analyse(known)
        on_faces = table["pretraining"] != ""
        assert on_faces.sum() * 2 == len(table) > 0
        # the others first, and nothing in between
        assert on_faces.is_monotonic_increasing
        assert not set(table[on_faces]["start"]) & set(table[~on_faces]["start"])


def test_curves_of_networks_pretrained_on_faces_are_not_the_papers(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    def curve(**more: Any) -> list[Measured]:
        weights = (1.0, 4.0, 10.0)
        return [make_run("morph_se", "binary", loss={"lambda_c": c}, **more) for c in weights]

    table = sections.figure_3.make(evidence(curve(external=faces)))
    drawn = table[table["status"] == "measured"]
    assert (drawn["pretraining"] != "").all()
    assert table[table["status"] == "not run"]["curve"].tolist() == ["c", "t"]
    both = sections.figure_3.make(evidence([*curve(external=faces), *curve()]))
    assert both[both["status"] == "not run"]["curve"].tolist() == ["t"]
    points = both[both["status"] == "measured"].groupby(list(FAMILY)).size()
    assert points.tolist() == [3, 3]


def test_one_subject_has_no_interval_and_no_verdict(make_run: MakeRun) -> None:
    known = evidence(
        [make_run(setting="mv", subjects=1), make_run(setting="ce", off=9.0, subjects=1)]
    )
    (row,) = sections.comparisons.make(known).to_dict("records")
    assert pd.isna(row["low"])
    assert row["verdict"] == wording.NO_DIFFERENCE


def test_statistics_are_means_over_seeds_and_their_intervals_reach_from_end_to_end(
    make_run: MakeRun,
) -> None:
    table = sections.groups.make(evidence([make_run(seed=0), make_run(seed=1)]))
    assert table["group"].tolist() == ["0-19", "20-39", "40-59", "60+"]
    assert table["mae"].tolist() == [4.5] * 4
    assert (table["mae_low"].iloc[0], table["mae_high"].iloc[0]) == (3.0, 6.0)


def test_a_group_without_images_has_no_number(make_run: MakeRun) -> None:
    empty = {"group": "F", "n": 0, "subjects": 0, "mae": None, "mae_low": None}
    run = make_run(groups={"sex": [empty | {"mae_high": None, "bias": None}]})
    (row,) = sections.groups.make(evidence([run])).to_dict("records")
    assert (row["kind"], row["n"]) == ("sex", 0)
    assert pd.isna(row["mae"])


def test_thresholds_are_means_over_seeds(make_run: MakeRun) -> None:
    table = sections.thresholds.make(evidence([make_run(seed=0), make_run(seed=1)]))
    assert table["age"].tolist() == [18, 21, 25]
    assert table["under_predicted_over"].tolist() == [20.5] * 3
    assert (table["under_n"] + table["over_n"] == 60).all()


def test_the_identity_lookup_stands_beside_the_random_split(make_run: MakeRun) -> None:
    table = sections.baselines.make(evidence([make_run("morph_rs"), make_run("morph_se")]))
    shares = table.set_index("protocol")[["mae_lookup", "leaked_share"]]
    assert shares.loc["morph_rs"].tolist() == [1.04, 96.0]
    assert shares.loc["morph_se", "leaked_share"] == 0


def test_predictive_intervals_are_given_for_all_and_each_age_bin(make_run: MakeRun) -> None:
    table = sections.intervals.make(evidence([make_run(seed=0), make_run(seed=1)]))
    assert len(table) == 2 * 5
    everyone = table[table["group"] == "all"].set_index("level")
    assert everyone["coverage"].to_dict() == {80.0: 80.5, 95.0: 95.5}
    assert everyone["coverage_by_subject"].to_dict() == {80.0: 80.0, 95.0: 95.0}
    assert set(everyone["n"]) == {60}


def test_calibration_is_a_mean_over_seeds_before_and_after(make_run: MakeRun) -> None:
    (row,) = sections.calibration.make(evidence([make_run(seed=0), make_run(seed=1)])).to_dict(
        "records"
    )
    assert (row["crps"], row["crps_tempered"]) == (4.5, 3.75)
    assert (row["central_80"], row["central_80_tempered"]) == (49.0, 79.0)
    assert (row["mae"], row["mae_tempered"]) == (5.5, 6.0)
    assert (row["temperature"], row["reason"]) == (2.75, "")


def test_without_a_temperature_its_reason_is_given(make_run: MakeRun) -> None:
    (row,) = sections.calibration.make(evidence([make_run("morph_rs")])).to_dict("records")
    assert row["central_80"] == 49.0
    assert pd.isna(row["central_80_tempered"])
    assert pd.isna(row["temperature"])
    assert row["reason"] == "people have photos in several folds"


def test_results_without_further_statistics_give_no_rows(make_run: MakeRun) -> None:
    known = evidence([make_run(groups=None, thresholds=None, conformal=None, calibration=None)])
    for analyse in (
        sections.groups.make,
        sections.thresholds.make,
        sections.intervals.make,
        sections.identity.make,
        sections.attention.make,
    ):
        assert analyse(known).empty


def test_a_seed_without_further_statistics_is_passed_over(make_run: MakeRun) -> None:
    runs = [make_run(seed=0), make_run(seed=1, groups=None, thresholds=None, conformal=None)]
    known = evidence(runs)
    assert sections.groups.make(known)["mae"].tolist() == [4.0] * 4
    assert sections.thresholds.make(known)["under_predicted_over"].tolist() == [20.0] * 3
    assert len(sections.intervals.make(known)) == 10


def test_a_curve_has_at_least_three_values_of_one_budget(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    def cosine(weight: float, **more: Any) -> Measured:
        return make_run("morph_se", "binary", loss={"lambda_c": weight}, **more)

    runs = [cosine(10.0), cosine(4.0), cosine(8.0, budget=small)]
    assert (sections.figure_3.make(evidence(runs))["status"] == "not run").all()
    runs += [make_run("morph_se", "mv"), make_run("morph_se", "ternary")]
    table = sections.figure_3.make(evidence(runs))
    drawn = table[table["status"] == "measured"]
    assert drawn["curve"].tolist() == ["c"] * 3
    assert drawn["lambda_c"].tolist() == [0.0, 4.0, 10.0]
    assert (drawn["lambda_t"] == 0).all()


def test_a_triplet_curve_holds_the_cosine_weight_and_the_margin(make_run: MakeRun) -> None:
    weights = [(8, 0, 0.2), (8, 1, 0.2), (8, 2, 0.2), (8, 1, 0.5), (10, 1, 0.2), (10, 2, 0.2)]
    runs = [
        make_run("morph_se", loss={"lambda_c": float(c), "lambda_t": float(t), "margin": margin})
        for c, t, margin in weights
    ]
    table = sections.figure_3.make(evidence(runs))
    drawn = table[table["status"] == "measured"]
    assert drawn[["curve", "lambda_c", "lambda_t", "margin"]].to_numpy().tolist() == [
        ["t", 8.0, 0.0, 0.2],
        ["t", 8.0, 1.0, 0.2],
        ["t", 8.0, 2.0, 0.2],
    ]


def test_the_papers_curves_that_were_not_run_have_the_command_that_would() -> None:
    table = sections.figure_3.make(evidence([], environment="demo"))
    assert table["command"].tolist() == [
        "kedro sweep --env=demo --preset=fig3a",
        "kedro sweep --env=demo --preset=fig3b",
    ]


def test_identity_measures_are_means_over_the_seeds_that_have_them(
    make_run: MakeRun, identity: dict[str, Any]
) -> None:
    runs = [make_run(seed=0, identity=identity), make_run(seed=1)]
    (row,) = sections.identity.make(evidence(runs)).to_dict("records")
    assert row["seeds"] == "0"
    assert row["variance_logits"] == 12.0
    assert row["retrieval"] == pytest.approx(34.0)
    assert pd.isna(row["probe"])
    assert row["age_r2"] == 0.6


def test_attention_is_given_by_age_and_region(make_run: MakeRun, gradcam: dict[str, Any]) -> None:
    table = sections.attention.make(evidence([make_run(gradcam=gradcam)]))
    assert set(table["grid"]) == {"2×2"}
    found = table.set_index(["group", "region"])[["mass", "area"]]
    assert found.loc[("all", "forehead")].tolist() == [25.0, 40.0]
    assert found.loc[("0-12", "background"), "mass"] == 75.0
    assert pd.isna(found.loc[("50+", "forehead"), "mass"])


def test_what_was_chosen_is_listed_fold_by_fold() -> None:
    document = {
        "protocol": "fgnet_se",
        "candidates": {"mv-1": {}, "ternary-2": {}},
        "by_fold": [
            {"fold": 0, "chosen": "mv-1", "validation_mae": {"mv-1": 4.0, "ternary-2": 4.5}},
            {"fold": 1, "chosen": "ternary-2", "validation_mae": {"mv-1": 5.0, "ternary-2": 4.8}},
        ],
        "mae": 4.9,
        "mae_interval": [4.5, 5.4],
    }
    without = document | {"mae_interval": None}
    table = sections.selection.make(evidence([], selections=[document]))
    assert table["candidates"].tolist() == ["mv-1, ternary-2"] * 2
    assert table["validation_mae"].tolist() == [4.0, 4.8]
    assert table[["mae", "mae_low", "mae_high"]].iloc[0].tolist() == [4.9, 4.5, 5.4]
    assert sections.selection.make(evidence([], selections=[without]))["mae_low"].isna().all()
    assert sections.selection.make(evidence([])).empty


def test_a_choice_among_networks_pretrained_on_faces_says_so_and_comes_last(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    runs = [make_run(setting="mv"), make_run(setting="ce", external=faces)]
    groups = evidence(runs).groups
    documents = [
        {
            "protocol": "fgnet_se",
            "candidates": {group.first.key: {}},
            "by_fold": [
                {"fold": 0, "chosen": group.first.key, "validation_mae": {group.first.key: 4.0}}
            ],
            "mae": 4.9,
        }
        for group in groups[::-1]
    ]
    table = sections.selection.make(evidence(runs, selections=documents))
    assert table["candidates"].tolist() == [group.first.key for group in groups]
    assert table["pretraining"].tolist() == ["", "UTKFace, 11,672 images, 18 epochs, 64 px"]
