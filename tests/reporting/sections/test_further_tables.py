"""Comparisons, statistics, curves and selections as tables."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_age.evaluation.comparison import holm
from contrastive_age.evaluation.groups import age_thresholds, group_report
from contrastive_age.reporting import page, sections, wording
from contrastive_age.reporting.groups import FAMILY
from contrastive_age.reporting.papers import GIVEN_SPREAD, MARKS, THEIRS
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import Contents
from reporting.runs import FACES, PAPERS, SMALL, TRANSFER, evidence, made_up_theirs

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
        # what one side has beyond the other's seeds is left out
        seeds = min(len(runs[ours]), len(runs[theirs]))
        gain = errors(runs[ours][:seeds]) - errors(runs[theirs][:seeds])
        assert row["seeds"] == row["reference_seeds"] == ", ".join(map(str, range(seeds)))
        by_subject = gain.groupby(runs["mv"][0].predictions["identity"]).mean()
        assert row["difference"] == pytest.approx(gain.mean())
        assert row["subjects_improved"] == (by_subject < 0).sum()
        assert row["subjects_worsened"] == (by_subject > 0).sum()
        assert row["status"] == "measured"
        # three folds
        assert row["networks"] == 3 * min(len(runs[ours]), len(runs[theirs]))
        if "binary" in (ours, theirs):
            assert row["verdict"] == "cannot be told from one seed"
            assert pd.isna(
                [row[name] for name in ("low", "high", "p", "p_holm", "detectable")]
            ).all()
        else:
            assert row["low"] < row["difference"] < row["high"]
            assert row["verdict"] == wording.NO_DIFFERENCE
            assert 0.05 < row["p"] <= 1
            assert row["p_holm"] == row["p"]
            assert row["detectable"] > row["high"] - row["difference"]


def test_p_values_are_adjusted_for_the_comparisons_of_their_family(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    names = ("mv", "binary", "ternary", "ce")
    runs = [make_run(setting=name, seed=seed) for name in names for seed in (0, 1)]
    # one that tells nothing takes no part
    runs.append(make_run(setting="kld", seed=0))
    runs += [make_run(setting=n, seed=seed, budget=small) for n in names[:2] for seed in (0, 1)]
    table = sections.comparisons.make(evidence(runs))
    own, other = (rows for _, rows in table.groupby("budget", sort=False))
    own = own[own["p"].notna()]
    of_claims = dict(list(own.groupby("claim")))
    # with MV three, and the ternary with the binary; ce with each of these two
    assert {claim: len(rows) for claim, rows in of_claims.items()} == {"MV": 4, "each other": 2}
    for rows in of_claims.values():
        assert rows["p_holm"].tolist() == holm(rows["p"].tolist()).tolist()
    assert other["p_holm"].tolist() == other["p"].tolist()


@pytest.mark.parametrize(("settings", "claimed"), [(2, True), (6, False)])
def test_what_one_comparison_claims_a_family_may_not(
    make_run: MakeRun, settings: int, claimed: bool
) -> None:
    names = ("mv", "ce", "binary", "ternary", "kld", "triplet")[:settings]
    runs = [make_run(setting=name, seed=seed) for name in names for seed in (0, 1)]
    off = {0: 1.3, 1: 0.7}
    for run in runs[:4]:
        n = len(run.predictions)
        wave = np.cos(np.arange(n) + run.seed)
        moved = 5 + wave + (off[run.seed] if run.setting == "ce" else 0.0)
        run.predictions["predicted_age"] = run.predictions["age"] + moved
    table = sections.comparisons.make(evidence(runs))
    row = table[table["claim"] == "MV"].set_index("losses").loc["CE"]
    assert row["p"] < 0.05
    assert (row["verdict"] == wording.WORSE) == claimed


def errors(runs: list[Measured]) -> pd.Series:
    tables = [run.predictions for run in runs]
    sizes = [(table["predicted_age"] - table["age"]).abs() for table in tables]
    return sum(sizes[1:], sizes[0]) / len(sizes)


@pytest.mark.parametrize(
    ("off", "verdict"),
    [(1.0, wording.BETTER), (3.0, wording.WORSE), (2.0, wording.NO_DIFFERENCE)],
)
def test_a_difference_that_no_seed_or_subject_varies_is_claimed(
    make_run: MakeRun, off: float, verdict: str
) -> None:
    runs = [
        make_run(setting=setting, seed=seed, off=own)
        for setting, own in (("mv", 2.0), ("ce", off))
        for seed in (0, 1)
    ]
    (row,) = sections.comparisons.make(evidence(runs)).to_dict("records")
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(off - 2.0)


def test_other_budgets_are_not_compared(make_run: MakeRun, small: dict[str, Any]) -> None:
    known = evidence([make_run(setting="mv"), make_run(setting="ternary", budget=small)])
    (row,) = sections.comparisons.make(known).to_dict("records")
    assert row["status"] == "not run"
    assert row["command"].startswith("kedro run --pipeline=fgnet_se --params=setting=mv,")
    assert "training.epochs=8" in row["command"]


def test_the_command_of_mv_has_as_many_seeds_as_it_is_compared_with(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    runs = [make_run(setting="ternary", seed=seed, budget=small) for seed in (0, 1, 2)]
    runs.append(make_run(setting="ce", budget=small))
    row, compared = sections.comparisons.make(evidence(runs)).to_dict("records")
    assert row["command"].startswith("kedro sweep --pipeline=fgnet_se --params=setting=mv,")
    assert row["command"].endswith(" --seeds=3")
    assert (compared["setting"], compared["reference_setting"]) == ("ternary", "ce")


def test_settings_of_a_sweep_are_compared_with_one_another_without_mv(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    weights = (1.0, 4.0, 8.0)
    runs = [make_run(seed=seed, loss={"lambda_c": c}) for c in weights for seed in (0, 1)]
    # of another budget
    runs += [make_run(seed=seed, budget=small) for seed in (0, 1)]
    table = sections.comparisons.make(evidence(runs))
    compared = table[table["status"] == "measured"]
    names = [f"MV + Cosine + Triplet (λ_c {weight:g}, λ_t 1)" for weight in weights]
    pairs = list(zip(compared["losses"], compared["reference"], strict=True))
    assert pairs == [(names[1], names[0]), (names[2], names[0]), (names[2], names[1])]
    assert len(set(compared["budget"])) == 1
    assert compared["p_holm"].tolist() == holm(compared["p"].tolist()).tolist()
    assert set(compared["setting"]) == set(compared["reference_setting"]) == {"ternary"}


def test_of_many_settings_each_is_held_against_the_smallest_weights(make_run: MakeRun) -> None:
    weights = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    runs = [make_run(loss={"lambda_c": c}) for c in weights]
    table = sections.comparisons.make(evidence(runs))
    compared = table[table["status"] == "measured"]
    assert len(compared) == 6
    assert set(compared["reference"]) == {"MV + Cosine + Triplet (λ_c 1, λ_t 1)"}


def test_a_command_says_what_is_not_usual_alone(make_run: MakeRun, small: dict[str, Any]) -> None:
    usual = {"fgnet_se": {"mv": make_run(setting="mv", budget=small).parameters}}
    runs = [make_run(budget={**small, "training": {**small["training"], "lr": 0.01}})]
    (row,) = sections.comparisons.make(evidence(runs, usual=usual)).to_dict("records")
    assert row["command"] == ("kedro run --pipeline=fgnet_se --params=setting=mv,training.lr=0.01")


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

    def missing(table: pd.DataFrame) -> list[str]:
        return table.loc[table["status"] == "not run", "parameter"].tolist()

    table = sections.sweeps.make(evidence(curve(external=faces)))
    drawn = table[table["status"] == "measured"]
    assert (drawn["pretraining"] != "").all()
    assert missing(table) == ["loss.lambda_c", "loss.lambda_t"]
    both = sections.sweeps.make(evidence([*curve(external=faces), *curve()]))
    assert missing(both) == ["loss.lambda_t"]
    points = both[both["status"] == "measured"].groupby(list(FAMILY)).size()
    assert points.tolist() == [3, 3]


def test_few_subjects_have_no_interval_and_no_verdict(make_run: MakeRun) -> None:
    known = evidence(
        make_run(setting=setting, seed=seed, subjects=3, off=off)
        for setting, off in (("mv", None), ("ce", 9.0))
        for seed in (0, 1)
    )
    (row,) = sections.comparisons.make(known).to_dict("records")
    assert pd.isna(row["low"])
    assert row["verdict"] == "cannot be told from so few subjects"


@pytest.fixture
def labels(make_run: MakeRun) -> pd.DataFrame:
    """Of everyone the sex, and of some the race."""
    samples = make_run().predictions[["sample_id"]]
    return samples.assign(sex=["F", "M", "M"] * 20, race=["Asian", None] * 30)


def test_groups_of_several_seeds_have_the_intervals_of_their_means(
    make_run: MakeRun, labels: pd.DataFrame
) -> None:
    runs = [replace(make_run(seed=seed), labels=labels) for seed in (0, 1, 2)]
    table = sections.groups.make(evidence(runs))
    report = group_report([run.predictions for run in runs], labels)
    assert list(report) == ["age_bin", "decade", "sex", "race"]
    assert table["seeds"].unique().tolist() == ["0, 1, 2"]
    expected = [part | {"kind": kind} for kind, parts in report.items() for part in parts]
    own = table.drop(columns="subjects").rename(columns={"group_subjects": "subjects"})
    found = own.to_dict("records")
    for row, part in zip(found, expected, strict=True):
        assert {name: row[name] for name in part} == pytest.approx(part, nan_ok=True)
    # nothing is wider than the widest of the seeds
    of_each = [group_report(run.predictions, labels)["age_bin"][0] for run in runs]
    width = expected[0]["mae_high"] - expected[0]["mae_low"]
    assert width < max(one["mae_high"] - one["mae_low"] for one in of_each)


def test_sex_and_race_have_no_interval_where_labels_are_not_known_to_be_the_same(
    make_run: MakeRun, labels: pd.DataFrame
) -> None:
    told = [
        {"sex": group_report(make_run(seed=seed).predictions, labels)["sex"]} for seed in (0, 1)
    ]
    runs = [make_run(seed=seed, groups=told[seed]) for seed in (0, 1)]
    for known in (runs, [replace(runs[0], labels=labels), runs[1]]):
        table = sections.groups.make(evidence(known))
        assert list(table["kind"].unique()) == ["age_bin", "decade", "sex"]
        assert table.loc[table["kind"] != "sex", "mae_low"].notna().any()
        sex = table[table["kind"] == "sex"]
        assert sex[["mae_low", "mae_high"]].isna().to_numpy().all()
        means = [sum(told[n]["sex"][place]["mae"] for n in (0, 1)) / 2 for place in (0, 1)]
        assert sex["mae"].tolist() == pytest.approx(means)


def test_a_group_without_images_has_no_number(make_run: MakeRun) -> None:
    table = sections.groups.make(evidence([make_run(n=5, subjects=5)]))
    row = table[table["group"] == "60-69"].iloc[0]
    assert (row["kind"], row["n"]) == ("decade", 0)
    assert pd.isna(row["mae"])


def test_the_ages_that_are_never_predicted_are_said_below_the_groups(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv"), make_run(setting="ce", off=-20.0)]
    table = sections.groups.make(evidence(runs))
    tail = (
        "No one is predicted above 43.0 years, though the people on "
        "18 of 60 images are older, up to 63 years."
    )
    assert set(table.loc[table["losses"] == "CE", "tail"]) == {tail}
    assert set(table.loc[table["losses"] == "MV", "tail"]) == {""}
    tables = page.tables(evidence(runs))
    assert f"ce, CE: {tail}" in page.render(tables, PAPERS)


def test_thresholds_are_means_over_seeds_with_their_intervals(make_run: MakeRun) -> None:
    runs = [make_run(seed=0), make_run(seed=1)]
    table = sections.thresholds.make(evidence(runs))
    expected = age_thresholds([run.predictions for run in runs])
    assert table[list(expected[0])].to_dict("records") == expected
    assert (table["under_n"] + table["over_n"] == 60).all()


def test_the_identity_lookup_stands_beside_the_random_split(make_run: MakeRun) -> None:
    table = sections.baselines.make(evidence([make_run("morph_rs"), make_run("morph_se")]))
    shares = table.set_index("protocol")[["mae_lookup", "leaked_share"]]
    assert shares.loc["morph_rs"].tolist() == [1.04, 96.0]
    assert shares.loc["morph_se", "leaked_share"] == 0


def test_predictive_intervals_are_given_for_all_and_each_age_bin(make_run: MakeRun) -> None:
    table = sections.intervals.make(evidence([make_run(seed=0), make_run(seed=1)]))
    assert table["ages"].value_counts().to_dict() == {"true": 2 * 5, "predicted": 2 * 3}
    everyone = table[(table["group"] == "all") & (table["ages"] == "true")].set_index("level")
    assert everyone["coverage"].to_dict() == {80.0: 80.5, 95.0: 95.5}
    assert everyone["coverage_by_subject"].to_dict() == {80.0: 80.0, 95.0: 95.0}
    assert set(everyone["n"]) == {60}


def test_predictive_intervals_by_predicted_age_come_first_and_are_means(make_run: MakeRun) -> None:
    table = sections.intervals.make(evidence([make_run(seed=0), make_run(seed=1)]))
    first = table[table["level"] == 80].head(3).set_index("group")
    assert (first["ages"] == "predicted").all()
    assert first["n"].to_dict() == {"all": 60, "0-9": 21, "10-19": 39}
    assert first["coverage"].to_dict() == {"all": 80.5, "0-9": 79.5, "10-19": 80.0}
    layout = sections.intervals.LAYOUT
    grids = list(layout.grids(table))
    assert [[column.of for column in grid.columns[2:]] for grid in grids[:1]] == [
        ["all", "0-9", "10-19"]
    ]
    assert len(grids) == 4


def test_predictive_intervals_of_before_have_their_table_by_true_age(make_run: MakeRun) -> None:
    old = make_run(seed=0).metrics["conformal"]
    before = {
        level: {name: value for name, value in known.items() if name != "by_predicted"}
        for level, known in old.items()
    }
    table = sections.intervals.make(evidence([make_run(seed=0, conformal=before)]))
    assert set(table["ages"]) == {"true"}
    assert len(table) == 2 * 5
    mixed = sections.intervals.make(
        evidence([make_run(seed=0, conformal=before), make_run(seed=1)])
    )
    predicted = mixed[mixed["ages"] == "predicted"]
    assert set(predicted["seeds"]) == {"1"}
    assert set(mixed[mixed["ages"] == "true"]["seeds"]) == {"0, 1"}


def test_calibration_is_a_mean_over_seeds_before_and_after(make_run: MakeRun) -> None:
    (row,) = sections.calibration.make(evidence([make_run(seed=0), make_run(seed=1)])).to_dict(
        "records"
    )
    assert (row["crps"], row["crps_tempered"]) == (4.5, 3.75)
    assert (row["central_80"], row["central_80_tempered"]) == (49.0, 79.0)
    assert (row["mae"], row["mae_tempered"]) == (5.5, 6.0)
    assert (row["temperature"], row["reason"]) == (2.75, "")


def test_a_softmax_that_is_a_gaussian_of_one_year_by_construction_is_marked(
    make_run: MakeRun,
) -> None:
    known = evidence(make_run(setting=setting) for setting in ("mv", "l1", "bmse"))
    table = sections.calibration.make(known).set_index("setting")
    assert table["mark"].to_dict() == {"mv": "", "l1": GIVEN_SPREAD, "bmse": GIVEN_SPREAD}
    (part,) = sections.calibration.SECTION.blocks(Contents(page.tables(known), PAPERS, {}))
    assert part.blocks[0].notes == [MARKS[GIVEN_SPREAD]]


def test_without_a_temperature_its_reason_is_given(make_run: MakeRun) -> None:
    (row,) = sections.calibration.make(evidence([make_run("morph_rs")])).to_dict("records")
    assert row["central_80"] == 49.0
    assert pd.isna(row["central_80_tempered"])
    assert pd.isna(row["temperature"])
    assert row["reason"] == "people have photos in several folds"


def test_results_without_further_statistics_give_no_rows(make_run: MakeRun) -> None:
    known = evidence([make_run(groups=None, thresholds=None, conformal=None, calibration=None)])
    for analyse in (
        sections.intervals.make,
        sections.identity.make,
        sections.attention.make,
    ):
        assert analyse(known).empty


def test_a_seed_without_further_statistics_is_passed_over(make_run: MakeRun) -> None:
    runs = [make_run(seed=0), make_run(seed=1, groups=None, thresholds=None, conformal=None)]
    known = evidence(runs)
    assert len(sections.intervals.make(known)) == 16
    # what can be told from the predictions is
    assert set(sections.groups.make(known)["seeds"]) == {"0, 1"}
    assert set(sections.thresholds.make(known)["seeds"]) == {"0, 1"}


def test_the_papers_curves_that_were_not_run_have_the_command_that_would() -> None:
    table = sections.sweeps.make(evidence([], environment="demo"))
    assert table["command"].tolist() == [
        "kedro sweep --env=demo --preset=fig3a",
        "kedro sweep --env=demo --preset=fig3b",
    ]


def test_your_runs_are_best_first_on_the_same_images(make_run: MakeRun) -> None:
    slower = {"training": {"lr": 0.01}}
    runs = [
        make_run("fgnet_se", "mv", off=3.0),
        make_run("fgnet_se", "ce", off=2.0),
        *(make_run("fgnet_se", "ternary", seed, off=off) for seed, off in ((0, 2.0), (1, 3.0))),
        make_run("fgnet_se", "mv", off=12.0, budget=slower),
        make_run("morph_se", "mv", off=1.0),
        make_run("morph_rs", "mv", off=0.5, demo=True),
        make_run("fgnet_se", "mv", off=0.1, external=FACES),
    ]
    table = sections.your_runs.make(evidence(runs))
    told = table[["protocol", "setting", "mae", "seeds", "best", "differing"]]
    assert told.to_numpy().tolist() == [
        ["morph_se", "mv", 1.0, "0", True, ""],
        ["fgnet_se", "ce", 2.0, "0", True, ""],
        ["fgnet_se", "ternary", 2.5, "0, 1", False, ""],
        ["fgnet_se", "mv", 3.0, "0", False, ""],
        ["fgnet_se", "mv", 12.0, "0", False, "lr 0.01"],
        ["morph_rs", "mv", 0.5, "0", True, ""],
        ["fgnet_se", "mv", pytest.approx(0.1), "0", True, ""],
    ]
    assert table.loc[2, "weights"] == "λ_m 0.2, λ_v 0.05, λ_c 1, λ_t 1, margin 0.2"
    assert table.loc[1, "weights"] == "softmax alone"
    html = page.render(page.tables(evidence(runs)), PAPERS)
    assert html.count("not beaten") == 1


def test_other_images_are_ranked_apart_and_other_folds_are_told(make_run: MakeRun) -> None:
    def changed(run: Measured, **columns: Any) -> Measured:
        return replace(run, predictions=run.predictions.assign(**columns))

    first, second = make_run(setting="mv", off=2.0), make_run(setting="ce", off=3.0)
    others = first.predictions["sample_id"] + "x"
    drawn_otherwise = make_run(setting="mv", off=4.0, budget={"splitting": {"seed": 1}})
    runs = [
        first,
        changed(second, fold=second.predictions.index % 5),
        changed(drawn_otherwise, sample_id=others),
    ]
    table = sections.your_runs.make(evidence(runs))
    assert table[["mae", "best", "differing"]].to_numpy().tolist() == [
        [2.0, True, ""],
        [3.0, False, "other folds"],
        [4.0, True, "splitting seed 1"],
    ]


def test_theirs_is_marked_and_best_only_beside_ours(make_run: MakeRun) -> None:
    ours = [make_run("fgnet_se", "mv", off=3.0), make_run("fgnet_se", "ce", off=4.0)]
    theirs = [
        made_up_theirs(ours[0], "all", off=2.0),
        made_up_theirs(ours[0], "some", off=1.0, n=50),
        made_up_theirs(ours[0], "last", off=5.0),
    ]
    table = sections.your_runs.make(evidence(ours, theirs=theirs))
    told = table[["setting", "mae", "best", "differing", "mark"]]
    assert told.to_numpy().tolist() == [
        ["theirs: some", 1.0, False, "on 50 of 60 photos", THEIRS],
        ["theirs: all", 2.0, True, "", THEIRS],
        ["mv", 3.0, False, "", ""],
        ["ce", 4.0, False, "", ""],
        ["theirs: last", 5.0, False, "", THEIRS],
    ]
    html = page.render(page.tables(evidence(ours, theirs=theirs)), PAPERS)
    assert "<strong>theirs: all</strong>" in html
    assert "on 50 of 60 photos" in html
    odd = made_up_theirs(ours[0], "<i>{{ x }}", off=2.0)
    assert "theirs: &lt;i&gt;{{ x }}" in page.render(
        page.tables(evidence(ours, theirs=[odd])), PAPERS
    )
    alone = sections.your_runs.make(evidence([], theirs=theirs[:1]))
    assert alone["best"].tolist() == [False]


def test_every_setting_on_their_photos_is_held_against_theirs(make_run: MakeRun) -> None:
    seeds = (0, 1)
    ours = [make_run("fgnet_se", name, seed) for name in ("mv", "ce") for seed in seeds]
    ours += [make_run("fgnet_se", "mv", seed, budget=SMALL) for seed in seeds]
    ours += [make_run("fgnet_se", "mv", external=FACES, budget=SMALL)]
    others = [
        make_run("morph_se", "mv"),
        make_run("fgnet_se", "binary", demo=True),
        make_run("fgnet_se", "binary", manifest_hash="another"),
        make_run("fgnet_se", "ternary", n=30, budget={"max_samples": 30}),
    ]
    theirs = made_up_theirs(ours[0], "some", off=1.0, n=50)
    table = sections.comparisons.make(evidence(ours + others, theirs=[theirs]))
    held = table[table["claim"] == "theirs"].set_index(["setting", "budget", "pretraining"])
    assert len(held) == 4
    assert set(held["reference_setting"]) == {"theirs: some"}
    assert set(held["reference"]) == {"on 50 of 60 photos"}
    for (setting, budget, before), row in held.iterrows():
        (group,) = (
            group
            for group in evidence(ours).groups
            if [group.columns[name] for name in ("setting", "budget", "pretraining")]
            == [setting, budget, before]
        )
        tables = [run.predictions.iloc[:50] for run in group.runs]
        maes = [(part["predicted_age"] - part["age"]).abs().mean() for part in tables]
        assert row["difference"] == pytest.approx(np.mean(maes) - 1.0)
    p = held["p"].dropna()
    assert len(p) == 3  # of faces there is one seed
    assert held.loc[p.index, "p_holm"].to_numpy() == pytest.approx(holm(p))


def test_maps_of_few_cells_are_left_out_of_the_page(
    make_run: MakeRun, gradcam: dict[str, Any]
) -> None:
    runs = [
        make_run(setting="mv", gradcam=gradcam),
        make_run(setting="ce", gradcam=gradcam | {"grid": [7, 7]}),
    ]
    tables = page.tables(evidence(runs))
    assert set(tables["attention"]["grid"]) == {"2×2", "7×7"}
    html = page.render(tables, PAPERS)
    assert "ce, CE: mass of Grad-CAM maps of 7×7 cells" in html
    assert "2×2 cells" not in html


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
    # Of documents of earlier versions the seeds are not known.
    assert table["seeds"].tolist() == ["", ""]
    several = document | {"seeds": [0, 1], "seed_sd": 0.3}
    table = sections.selection.make(evidence([], selections=[several]))
    assert table["seeds"].tolist() == ["0, 1"] * 2
    assert table["seed_sd"].tolist() == [0.3] * 2


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


def test_a_choice_among_settings_with_seeds_knows_their_pretraining(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    runs = [make_run(setting="ce", external=faces, seed=seed) for seed in (0, 1)]
    document = {
        "protocol": "fgnet_se",
        "candidates": {"ce-seeds-1": {}},
        "runs": {"ce-seeds-1": [run.key for run in runs]},
        "by_fold": [{"fold": 0, "chosen": "ce-seeds-1", "validation_mae": {"ce-seeds-1": 4.0}}],
        "mae": 4.9,
    }
    (row,) = sections.selection.make(evidence(runs, selections=[document])).to_dict("records")
    assert row["candidates"] == row["chosen"] == "ce-seeds-1"
    assert row["pretraining"] == "UTKFace, 11,672 images, 18 epochs, 64 px"


def test_a_transfer_stands_beside_what_others_published_of_it(make_run: MakeRun) -> None:
    runs = [make_run("fgnet_se", "mv"), make_run("utkface_to_fgnet", "mv", budget=TRANSFER)]
    tables = page.tables(evidence(runs))
    assert tables["transfers"]["protocol"].tolist() == ["utkface_to_fgnet"]
    assert tables["transfers"]["mae_constant"].tolist() == [9.71]
    (part,) = sections.transfers.SECTION.blocks(Contents(tables, PAPERS, {}))
    (grid,) = part.blocks
    assert [line["mae"] for line in grid.lines[:3]] == [7.71, 6.63, 4.94]
    assert grid.lines[3]["mae"] == tables["transfers"]["mae"].iloc[0]
    assert any("one public rerun" in note.lower() for note in grid.notes)
