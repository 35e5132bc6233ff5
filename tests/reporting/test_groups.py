"""Grouping of seeds, equal losses, the paper's cells, and commands that can be run."""

import copy
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import yaml

from contrastive_age.evaluation.confidence import mae_interval
from contrastive_age.parameters import effective as params
from contrastive_age.reporting import groups
from contrastive_age.reporting.groups import Group
from contrastive_age.reporting.papers import SETTINGS
from contrastive_age.reporting.results import Measured
from reporting.runs import PAPERS, evidence

MakeRun = Callable[..., Measured]
BUDGET = ("training", "triplets", "model", "augmentation", "alignment", "splitting", "overlap")


def group_seeds(runs: Iterable[Measured]) -> list[Group]:
    return groups.group_seeds(runs, PAPERS)


def test_seeds_of_a_setting_are_one_group(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in (2, 0, 1)]
    (group,) = group_seeds(runs)
    maes = [run.metrics["mae"] for run in runs]
    assert [run.seed for run in group.runs] == [0, 1, 2]
    assert group.columns["mae"] == pytest.approx(sum(maes) / 3)
    assert group.columns["seed_sd"] == pytest.approx(np.std(maes, ddof=1))
    interval = mae_interval([run.predictions for run in group.runs])
    assert interval is not None
    ends = [group.columns[name] for name in ("mae_low", "mae_high")]
    assert ends == [interval.low, interval.high]


def test_one_seed_has_no_spread_and_the_interval_of_its_predictions(make_run: MakeRun) -> None:
    # earlier versions measured another interval
    run = make_run(mae_interval=[3.5, 4.5])
    (group,) = group_seeds([run])
    assert group.columns["seed_sd"] is None
    interval = mae_interval(run.predictions)
    assert interval is not None
    assert (group.columns["mae_low"], group.columns["mae_high"]) == (interval.low, interval.high)


def test_binary_without_cosine_is_mv(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv"), make_run(setting="binary", seed=1, loss={"lambda_c": 0.0})]
    (group,) = group_seeds(runs)
    assert [run.setting for run in group.runs] == ["mv", "binary"]
    assert group.columns["losses"] == "MV"


def test_a_seed_run_under_two_names_counts_once(make_run: MakeRun) -> None:
    mv, other = make_run(setting="mv"), make_run(setting="binary", loss={"lambda_c": 0.0})
    for runs in ([mv, other], [other, mv]):
        (group,) = group_seeds(runs)
        assert group.runs == (other,)
        assert group.repeats == (mv,)
        assert group.columns["mae"] == other.metrics["mae"]


def test_a_seed_whose_test_part_was_watched_or_not_counts_once(make_run: MakeRun) -> None:
    plain = [make_run(seed=seed) for seed in (0, 1)]
    watch = {"budget": {"training": {"watch_test": True}}, "picked_on_test": 2.0}
    watched = make_run(seed=0, **watch)
    for runs in ([*plain, watched], [watched, *plain]):
        (group,) = group_seeds(runs)
        assert group.runs == (watched, plain[1])
        assert group.repeats == (plain[0],)
        assert group.usual
    other = make_run(setting="mv", **watch)
    assert [len(family) for family in groups.families(group_seeds([*plain, other]))] == [2]
    assert group_seeds([other])[0].columns["budget"] == group.columns["budget"]


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": "fgnet_lopo"},
        {"loss": {"lambda_c": 4.0}},
        {"loss": {"margin": 0.5}},
        {"budget": {"training": {"epochs": 8}}},
        {"budget": {"alignment": {"coverage": 1.0}}},
        {"budget": {"splitting": {"seed": 1}}},
        {"budget": {"max_samples": 500}},
        {"demo": True},
        {"manifest_hash": "other"},
        {"made_from": {"decided_by": {"folds": "other", "faces": "f", "weights": "w"}}},
        {"made_from": {"folds": "as earlier versions say it", "faces": "f", "weights": "w"}},
    ],
)
def test_what_decides_a_result_divides_groups(make_run: MakeRun, changed: dict[str, Any]) -> None:
    assert len(group_seeds([make_run(), make_run(seed=1, **changed)])) == 2


@pytest.mark.parametrize(
    "other", [None, {"weights": "ffff" * 16}, {"weights": "ffff" * 16, "data_hash": "other"}]
)
def test_another_pretraining_is_another_group(
    make_run: MakeRun, faces: Mapping[str, Any], other: Mapping[str, Any] | None
) -> None:
    external = other and {**faces, **other}
    runs = [make_run(external=faces), make_run(seed=1, external=external)]
    several = group_seeds(runs)
    assert [len(group.runs) for group in several] == [1, 1]
    assert len(groups.families(several)) == 2
    for name in ("start", "budget"):
        assert len({group.columns[name] for group in several}) == 2


def test_copies_of_one_file_of_faces_are_one_start(
    make_run: MakeRun, faces: Mapping[str, Any]
) -> None:
    budgets = [{"model": {"weights": path}} for path in ("a/faces.pt", "/b/copy.pt")]
    runs = [make_run(seed=seed, budget=own, external=faces) for seed, own in enumerate(budgets)]
    (group,) = group_seeds(runs)
    assert group.first.pretraining is not None
    assert [run.seed for run in group.runs] == [0, 1]
    # of a file of which nothing is told, the name is all that is known
    assert len(group_seeds(make_run(budget=own) for own in budgets)) == 2


def test_what_was_pretrained_on_faces_comes_last_and_is_never_imagenets(
    make_run: MakeRun, faces: Mapping[str, Any], small: dict[str, Any]
) -> None:
    runs = [make_run(external=faces), make_run(budget=small), make_run("morph_se")]
    several = group_seeds(runs)
    assert [(group.first.pretraining is not None) for group in several] == [False, True, False]
    assert [group.columns["start"] == "ImageNet" for group in several] == [False, False, True]
    assert (
        several[1].columns["budget"].endswith("triplets, weights 5e6f7a8b pre-trained on faces (F)")
    )


def test_a_margin_without_triplets_decides_nothing(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv"), make_run(setting="mv", seed=1, loss={"margin": 0.5})]
    assert len(group_seeds(runs)) == 1


def test_families_differ_in_their_losses_alone(make_run: MakeRun, small: dict[str, Any]) -> None:
    runs = [
        make_run(setting=setting, seed=seed, budget=budget)
        for setting in ("mv", "ternary", "ce")
        for seed in (0, 1)
        for budget in (small, None)
    ]
    families = groups.families(group_seeds(runs))
    assert [[group.columns["losses"] for group in family] for family in families] == 2 * [
        ["CE", "MV", "MV + Cosine + Triplet (λ_c 1, λ_t 1)"]
    ]
    # the paper's budget comes first
    assert [f[0].usual for f in families] == [True, False]


def test_groups_come_in_the_order_of_protocols(make_run: MakeRun) -> None:
    protocols = ["unheard_of", "synthetic_se", "morph_se", "fgnet_lopo"]
    several = group_seeds(make_run(protocol) for protocol in protocols)
    assert [group.first.protocol for group in several] == protocols[::-1]


def test_the_cell_of_a_table_is_found_by_protocol_and_losses(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    several = group_seeds(
        [
            make_run("morph_se", "binary"),
            make_run("morph_se", "binary", budget=small),
            make_run("morph_se", "ternary", loss={"lambda_t": 0.0}, seed=1),
            make_run("morph_se", "binary", loss={"lambda_c": 8.0}),
            make_run("morph_rs", "binary"),
        ]
    )
    losses = PAPERS.losses("MV + Cosine", "morph_se")
    found = groups.find(several, "morph_se", losses)
    assert [len(group.runs) for group in found] == [2, 1]
    assert all(group.losses["lambda_c"] == 10 for group in found)


@pytest.mark.parametrize(
    ("loss", "answers"),
    [
        ({"lambda_x": 0.0}, True),
        ({"lambda_x": 0.0, "width": 3.0}, True),
        ({"lambda_x": 0.5}, False),
        ({"lambda_x": 0.5, "lambda_c": 0.0}, False),
    ],
)
def test_only_a_further_loss_that_acts_keeps_a_run_from_the_papers_cell(
    make_run: MakeRun, loss: dict[str, float], answers: bool
) -> None:
    (group,) = group_seeds([make_run("morph_se", "binary", loss=loss)])
    wanted = PAPERS.losses("MV + Cosine", "morph_se")
    assert groups.find([group], "morph_se", wanted) == ([group] if answers else [])
    assert ("λ_x" in group.columns["losses"]) == (not answers)


def test_a_run_of_before_a_loss_was_added_fills_its_cell(make_run: MakeRun) -> None:
    old, new = make_run("morph_se", "mv"), make_run("morph_se", "mv", seed=1, loss={"lambda_x": 0})
    (group,) = group_seeds([old, new])
    wanted = PAPERS.losses("MV", "morph_se")
    for known in (wanted, wanted | {"lambda_x": 0.0}):
        assert groups.find([group], "morph_se", known) == [group]
    assert groups.find([group], "morph_se", wanted | {"lambda_x": 1.0}) == []


def test_what_a_further_loss_is_given_divides_groups_where_it_acts(make_run: MakeRun) -> None:
    def of_widths(weight: float) -> list[Group]:
        losses = ({"lambda_x": weight, "width": width} for width in (1.0, 2.0))
        return group_seeds(make_run(seed=n, loss=loss) for n, loss in enumerate(losses))

    assert len(of_widths(0.0)) == 1
    assert len(of_widths(0.5)) == 2


@pytest.mark.parametrize("weights", ["none", "imagenet.pth", "a/resnet18-imagenet.pth"])
def test_no_file_stands_for_imagenet(make_run: MakeRun, weights: str) -> None:
    (group,) = group_seeds([make_run(budget={"model": {"weights": weights}})])
    assert group.columns["start"] != "ImageNet"
    assert "not" in group.columns["start"]


def test_commands_of_the_papers_cells_are_plain() -> None:
    assert evidence([]).not_run("morph_se", "MV + Cosine")["command"] == (
        "kedro run --pipeline=morph_se --params=setting=binary"
    )
    assert evidence([], environment="demo").not_run("fgnet_se", "MV")["command"] == (
        "kedro run --env=demo --pipeline=fgnet_se --params=setting=mv"
    )


@pytest.mark.parametrize("environment", ["base", "demo"])
@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"training": {"epochs": 8, "lr": 0.01}, "model": {"weights": "some weights.pth"}},
        {"triplets": {"mode": "shared"}, "splitting": {"seed": 3}, "max_samples": 500},
    ],
)
def test_a_command_for_another_runs_budget_gives_that_budget(
    make_run: MakeRun, given: dict[str, Any], budget: Mapping[str, Any], environment: str
) -> None:
    wanted = make_run("morph_se", "ternary", budget=budget).parameters
    call = evidence([], environment=environment).not_run("morph_se", "MV", wanted)["command"]
    effective = params.effective(parameters_of(call, given), "morph_se").model_dump(mode="json")
    for name in BUDGET:
        assert effective[name].items() >= wanted[name].items()
    assert effective["max_samples"] == wanted["max_samples"]
    assert effective["loss"] == PAPERS.losses("MV", "morph_se")


LOCAL: Mapping[str, Any] = {
    "loss": {"lambda_c": 10.0, "lambda_t": 0.0, "margin": 0.5},
    "max_samples": 40,
    "detection": {"min_face": 30},
    "training": {"epochs": 3},
    "model": {"weights": "none", "backbone": "timm/resnet34", "head": "dropout"},
    "acceleration": {"compile": True, "precision": "bfloat16"},
}
"""What someone may have in `conf/local`."""


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_command_undoes_what_the_configuration_gives(
    make_run: MakeRun, given: dict[str, Any], name: str, whole: bool
) -> None:
    for block, values in LOCAL.items():
        given[block] = given[block] | values if isinstance(values, Mapping) else values
    usual = {
        protocol: {key: setting.model_dump(mode="json") for key, setting in settings.items()}
        for protocol, settings in params.named_settings(given, all_of_them=False).items()
    }
    wanted = make_run("morph_se").parameters if whole else None
    call = evidence([], usual=usual).not_run("morph_se", name, wanted)["command"]
    effective = params.effective(parameters_of(call, given), "morph_se").model_dump(mode="json")
    assert effective["loss"] == PAPERS.losses(name, "morph_se")
    assert effective["model"]["weights"] == "imagenet"
    assert not {"backbone", "head"} & effective["model"].keys()
    if wanted is None:
        assert effective["training"]["epochs"] == 3
        return
    for block in BUDGET:
        assert effective[block].items() >= wanted[block].items()
    assert effective["max_samples"] is None
    assert "detection" not in effective
    assert "acceleration" not in effective


def test_a_command_says_no_paths_that_the_configuration_has(make_run: MakeRun) -> None:
    own = make_run("custom_se", budget={"manifest": "1a2b" * 16}).parameters
    for digest, said in (("1a2b" * 16, False), ("ffff" * 16, True)):
        usual = {"custom_se": {"mv": own | {"setting": "mv", "manifest": digest}}}
        usual["custom_se"]["mv"]["loss"] = PAPERS.losses("MV", "custom_se")
        call = evidence([], usual=usual).not_run("custom_se", "MV", own)["command"]
        assert ("manifest=FILE.csv" in call) == ("raw_root=FOLDER" in call) == said
        assert call.startswith("kedro run --pipeline=custom_se --params=setting=mv")


def test_a_command_for_own_photos_has_places_for_their_paths(
    make_run: MakeRun, given: dict[str, Any]
) -> None:
    own = make_run("custom_se", budget={"manifest": "1a2b" * 16}).parameters
    call = evidence([]).not_run("custom_se", "MV", own)["command"]
    assert "1a2b" not in call
    values = parameters_of(call, given)
    assert (values["raw_root"], values["manifest"]) == ("FOLDER", "FILE.csv")
    photos = make_run("fgnet_se").parameters
    assert "FILE" not in evidence([]).not_run("fgnet_se", "MV", photos)["command"]


def parameters_of(call: str, given: dict[str, Any]) -> dict[str, Any]:
    """The project's parameters with those of a command."""
    given = copy.deepcopy(given)
    *_, values = shlex.split(call)
    assert values.startswith("--params=")
    for pair in values.removeprefix("--params=").split(","):
        path, value = pair.split("=")
        *blocks, name = path.split(".")
        place = given
        for block in blocks:
            place = place[block]
        place[name] = yaml.safe_load(value)
    return given
