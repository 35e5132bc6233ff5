"""Grouping of seeds, equal losses, budgets in words and commands that can be run."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from contrastive_age.evaluation.bootstrap import mae_interval
from contrastive_age.parameters import effective as params
from contrastive_age.reporting import results
from contrastive_age.reporting.results import Measured

MakeRun = Callable[..., Measured]


def test_seeds_of_a_setting_are_one_group(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in (2, 0, 1)]
    (group,) = results.group_seeds(runs)
    maes = [run.metrics["mae"] for run in runs]
    assert [run.seed for run in group.runs] == [0, 1, 2]
    assert group.mae == pytest.approx(sum(maes) / 3)
    assert group.seed_sd == pytest.approx(np.std(maes, ddof=1))
    assert group.interval == mae_interval([run.predictions for run in group.runs])


def test_one_seed_has_no_spread_and_its_own_interval(make_run: MakeRun) -> None:
    (group,) = results.group_seeds([make_run(mae_interval=[3.5, 4.5])])
    assert group.seed_sd is None
    assert group.interval == results.Interval(3.5, 4.5)


def test_binary_without_cosine_is_mv(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv"), make_run(setting="binary", seed=1, loss={"lambda_c": 0.0})]
    (group,) = results.group_seeds(runs)
    assert [run.setting for run in group.runs] == ["mv", "binary"]
    assert group.name == "MV"


def test_a_seed_run_under_two_names_counts_once(make_run: MakeRun) -> None:
    mv, other = make_run(setting="mv"), make_run(setting="binary", loss={"lambda_c": 0.0})
    for runs in ([mv, other], [other, mv]):
        (group,) = results.group_seeds(runs)
        assert group.runs == (other,)
        assert group.repeats == (mv,)
        assert group.mae == other.metrics["mae"]


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
    assert len(results.group_seeds([make_run(), make_run(seed=1, **changed)])) == 2


@pytest.mark.parametrize(
    "other", [None, {"weights": "ffff" * 16}, {"weights": "ffff" * 16, "data_hash": "other"}]
)
def test_another_pretraining_is_another_group(
    make_run: MakeRun, faces: Mapping[str, Any], other: Mapping[str, Any] | None
) -> None:
    external = other and {**faces, **other}
    runs = [make_run(external=faces), make_run(seed=1, external=external)]
    groups = results.group_seeds(runs)
    assert [len(group.runs) for group in groups] == [1, 1]
    assert len(results.families(groups)) == 2
    assert len({group.start for group in groups}) == len({group.budget for group in groups}) == 2


def test_copies_of_one_file_of_faces_are_one_start(
    make_run: MakeRun, faces: Mapping[str, Any]
) -> None:
    budgets = [{"model": {"weights": path}} for path in ("a/faces.pt", "/b/copy.pt")]
    runs = [make_run(seed=seed, budget=own, external=faces) for seed, own in enumerate(budgets)]
    (group,) = results.group_seeds(runs)
    assert group.on_faces
    assert [run.seed for run in group.runs] == [0, 1]
    # of a file of which nothing is told, the name is all that is known
    assert len(results.group_seeds(make_run(budget=own) for own in budgets)) == 2


def test_what_was_pretrained_on_faces_comes_last_and_is_never_imagenets(
    make_run: MakeRun, faces: Mapping[str, Any], small: dict[str, Any]
) -> None:
    runs = [make_run(external=faces), make_run(budget=small), make_run("morph_se")]
    groups = results.group_seeds(runs)
    assert [group.on_faces for group in groups] == [False, True, False]
    assert [group.from_imagenet for group in groups] == [False, False, True]
    assert groups[1].budget.endswith("triplets, weights 5e6f7a8b pre-trained on faces (F)")


def test_a_margin_without_triplets_decides_nothing(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv"), make_run(setting="mv", seed=1, loss={"margin": 0.5})]
    assert len(results.group_seeds(runs)) == 1


def test_families_differ_in_their_losses_alone(make_run: MakeRun, small: dict[str, Any]) -> None:
    runs = [
        make_run(setting=setting, seed=seed, budget=budget)
        for setting in ("mv", "ternary", "ce")
        for seed in (0, 1)
        for budget in (small, None)
    ]
    families = results.families(results.group_seeds(runs))
    assert [[group.name for group in family] for family in families] == 2 * [
        ["CE", "MV", "MV + Cosine + Triplet (λ_c 1, λ_t 1)"]
    ]
    # the paper's budget comes first
    assert [results.has_papers_budget(f[0].first.parameters) for f in families] == [True, False]


def test_groups_come_in_the_order_of_protocols(make_run: MakeRun) -> None:
    protocols = ["unheard_of", "synthetic_se", "morph_se", "fgnet_lopo"]
    groups = results.group_seeds(make_run(protocol) for protocol in protocols)
    assert [group.protocol for group in groups] == protocols[::-1]


def test_the_cell_of_a_table_is_found_by_protocol_and_losses(
    make_run: MakeRun, small: dict[str, Any]
) -> None:
    groups = results.group_seeds(
        [
            make_run("morph_se", "binary"),
            make_run("morph_se", "binary", budget=small),
            make_run("morph_se", "ternary", loss={"lambda_t": 0.0}, seed=1),
            make_run("morph_se", "binary", loss={"lambda_c": 8.0}),
            make_run("morph_rs", "binary"),
        ]
    )
    losses = results.papers_losses("MV + Cosine", "morph_se")
    found = results.find(groups, "morph_se", losses)
    assert [len(group.runs) for group in found] == [2, 1]
    assert all(group.losses["lambda_c"] == 10 for group in found)


@pytest.mark.parametrize(("name", "setting"), results.SETTINGS.items())
@pytest.mark.parametrize("protocol", results.PAPERS_PROTOCOLS)
def test_losses_and_budget_of_the_paper_are_those_of_the_configuration(
    given: dict[str, Any], name: str, setting: str, protocol: str
) -> None:
    effective = params.effective(given | {"setting": setting}, protocol).model_dump()
    assert results.papers_losses(name, protocol) == effective["loss"]
    assert results.has_papers_budget(effective)
    for key, value in results.PAPER.items():
        assert not isinstance(value, dict) or effective[key].items() >= value.items()


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ({"lambda_m": 0.0, "lambda_v": 0.0}, "CE"),
        ({}, "MV"),
        ({"lambda_m": 0.1}, "MV (λ_m 0.1, λ_v 0.05)"),
        ({"lambda_k": 0.5}, "MV + KLD (λ_k 0.5)"),
        ({"lambda_c": 4.0}, "MV + Cosine (λ_c 4)"),
        ({"lambda_t": 1.0, "lambda_c": 10.0}, "MV + Cosine + Triplet (λ_c 10, λ_t 1)"),
        ({"lambda_t": 1.0, "margin": 0.5}, "MV + Triplet (λ_t 1, margin 0.5)"),
        ({"margin": 0.5}, "MV"),
    ],
)
def test_losses_have_the_papers_names(loss: dict[str, float], name: str) -> None:
    assert results.name_losses(results.papers_losses("MV", "morph_se") | loss) == name


def test_a_budget_in_words(make_run: MakeRun, small: dict[str, Any]) -> None:
    words = "48 px, 8 epochs, one-cycle, shared triplets, "
    words += "weights resnet18_imagenet_partial.pth (not ImageNet)"
    assert results.describe_budget(make_run(budget=small).parameters) == words
    assert results.describe_budget(results.PAPER) == (
        "224 px, 100 epochs, constant rate, explicit triplets, weights ImageNet"
    )


def test_what_is_unusual_about_a_budget_is_said(make_run: MakeRun) -> None:
    unusual = {
        "training": {"batch_size": 32, "supervise": "all", "epochs": 1},
        "model": {"weights": "none"},
        "augmentation": {"flip": "vertical"},
        "splitting": {"folds_file": "lists/five folds.csv"},
        "max_samples": 500,
        "validation": 0.2,
    }
    run = make_run(budget={k: v for k, v in unusual.items() if k != "validation"})
    parameters = {**run.parameters, "validation": 0.2}
    assert results.describe_budget(parameters) == (
        "224 px, 1 epoch, constant rate, explicit triplets, all images supervised, "
        "random weights (not pre-trained), batch size 32, flip vertical, "
        "published folds five folds.csv, images ≤ 500, validation 0.2"
    )


@pytest.mark.parametrize("weights", ["none", "imagenet.pth", "a/resnet18-imagenet.pth"])
def test_no_file_stands_for_imagenet(make_run: MakeRun, weights: str) -> None:
    (group,) = results.group_seeds([make_run(budget={"model": {"weights": weights}})])
    assert not group.from_imagenet
    assert "not" in group.start


def test_commands_of_the_papers_cells_are_plain() -> None:
    assert results.command("morph_se", "binary") == (
        "kedro run --pipeline=morph_se --params=setting=binary"
    )
    assert results.command("fgnet_se", "mv", "demo") == (
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
    call = results.command("morph_se", "mv", environment, wanted)
    found = params.effective(parameters_of(call, given), "morph_se").model_dump()
    for name, value in wanted.items():
        if name in results.PAPER and isinstance(value, dict):
            assert found[name].items() >= value.items()
        elif name in results.PAPER:
            assert found[name] == value
    assert found["loss"] == results.papers_losses("MV", "morph_se")


def parameters_of(call: str, given: dict[str, Any]) -> dict[str, Any]:
    """The project's parameters with those of a command."""
    *_, values = shlex.split(call)
    assert values.startswith("--params=")
    for pair in values.removeprefix("--params=").split(","):
        path, value = pair.split("=")
        *blocks, name = path.split(".")
        place = given
        for block in blocks:
            place = place[block]
        place[name] = value
    return given
