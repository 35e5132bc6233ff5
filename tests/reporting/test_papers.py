"""What the paper set, and losses, budgets and starts in words."""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import yaml

from contrastive_age.parameters import effective as params
from contrastive_age.reporting.papers import (
    GIVEN_SPREAD,
    KLD_HARDLY_PULLS,
    MARKS,
    PAPERS_PROTOCOLS,
    PRINTED_HARDLY_PULLS,
    PROTOCOLS,
    SETTINGS,
    TWO_VIEWS,
    describe_start,
    in_words,
    mark,
    value_in_words,
)
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import meanings
from reporting.runs import CONF, PAPERS

MakeRun = Callable[..., Measured]


@pytest.mark.parametrize(("name", "setting"), SETTINGS.items())
@pytest.mark.parametrize("protocol", PAPERS_PROTOCOLS)
def test_losses_and_budget_of_the_paper_are_those_of_the_configuration(
    given: dict[str, Any], name: str, setting: str, protocol: str
) -> None:
    effective = params.effective(given | {"setting": setting}, protocol).model_dump(mode="json")
    assert PAPERS.losses(name, protocol) == effective["loss"]
    assert PAPERS.unlike(effective) == {}
    assert PAPERS.describe(effective) == PAPERS.budget


@pytest.mark.parametrize(
    ("protocol", "cosine"), [("fgnet_lopo", 1), ("morph_rs", 10), ("morph_se", 10), ("gone", 1)]
)
def test_the_weights_are_those_that_the_paper_prints(protocol: str, cosine: float) -> None:
    assert PAPERS.losses("MV + Cosine + Triplet", protocol) == {
        "lambda_m": 0.2,
        "lambda_v": 0.05,
        "lambda_c": cosine,
        "lambda_t": 1.0,
        "lambda_k": 0.0,
        "margin": 0.2,
    }


def test_photos_of_one_person_are_parted_by_the_papers_random_split_alone() -> None:
    for protocol in PROTOCOLS:
        parameters = copy.deepcopy(dict(PAPERS.settings["morph_se"]["mv"])) | {"protocol": protocol}
        parameters["splitting"]["group_copies"] = protocol != "morph_rs"
        assert PAPERS.unlike(parameters) == {}
        parameters["splitting"]["group_copies"] = protocol == "morph_rs"
        assert list(PAPERS.unlike(parameters)) == ["splitting.group_copies"]


def test_a_budget_that_a_protocol_has_of_its_own_is_not_the_papers() -> None:
    drawn = PAPERS.settings["synthetic_se"]["mv"]
    assert PAPERS.unlike(drawn)["training.epochs"] == drawn["training"]["epochs"]
    assert PAPERS.unlike(PAPERS.settings["fgnet_se"]["mv"]) == {"triplets.mode": "shared"}


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ({"lambda_m": 0.0, "lambda_v": 0.0}, "CE"),
        ({}, "MV"),
        ({"lambda_m": 0.1}, "MV (λ_m 0.1, λ_v 0.05)"),
        ({"lambda_k": 0.5}, "MV + KLD (λ_k 0.5)"),
        ({"lambda_k_printed": 1.0}, "MV + KLD as printed (λ_k_printed 1)"),
        ({"lambda_k_printed": 1.0, "margin": 0.5}, "MV + KLD as printed (λ_k_printed 1)"),
        ({"lambda_c": 4.0}, "MV + Cosine (λ_c 4)"),
        ({"lambda_t": 1.0, "lambda_c": 10.0}, "MV + Cosine + Triplet (λ_c 10, λ_t 1)"),
        ({"lambda_t": 1.0, "margin": 0.5}, "MV + Triplet (λ_t 1, margin 0.5)"),
        ({"margin": 0.5}, "MV"),
        ({"lambda_s": 1.0, "lambda_rnc": 0.0}, "MV"),
        ({"lambda_s": 0.5}, "MV (λ_s 0.5)"),
        ({"lambda_s": 0.0}, "MV without CE"),
        ({"smoothing": 0.1}, "MV (smoothing 0.1)"),
        ({"lambda_rnc": 1.0}, "MV + Rank-N-Contrast (λ_rnc 1)"),
        (
            {"lambda_rnc": 0.5, "rnc_temperature": 1.0, "lambda_t": 1.0},
            "MV + Triplet + Rank-N-Contrast (λ_t 1, λ_rnc 0.5, rnc_temperature 1)",
        ),
        ({"lambda_m": 0.0, "lambda_v": 0.0, "lambda_s": 0.0, "lambda_sord": 1}, "SORD (λ_sord 1)"),
        (
            {"lambda_m": 0.0, "lambda_v": 0.0, "lambda_unimodal": 1000.0},
            "CE + Unimodal (λ_unimodal 1000)",
        ),
        ({"lambda_x": 0.0}, "MV"),
        ({"lambda_x": 0.5}, "MV + x (λ_x 0.5)"),
        ({"lambda_x": 0.5, "lambda_t": 2.0}, "MV + Triplet + x (λ_t 2, λ_x 0.5)"),
    ],
)
def test_losses_have_the_papers_names(loss: dict[str, float], name: str) -> None:
    assert PAPERS.name(PAPERS.losses("MV", "morph_se") | loss) == name


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({}, ""),
        ({"lambda_k": 1.0}, KLD_HARDLY_PULLS),
        ({"lambda_k": 1.0, "lambda_t": 1.0}, KLD_HARDLY_PULLS),
        ({"lambda_k": 3.0}, ""),
        ({"lambda_k_printed": 1.0}, PRINTED_HARDLY_PULLS),
        ({"lambda_k_printed": 3.0}, ""),
        ({"lambda_k_printed": 1.0, "lambda_k": 10.0}, ""),
        ({"lambda_k_printed": 10.0, "lambda_k": 1.0}, ""),
        ({"lambda_k_printed": 0.4, "lambda_k": 0.4}, KLD_HARDLY_PULLS),
    ],
)
def test_a_weight_of_kl_that_is_too_small_is_marked(loss: dict[str, float], expected: str) -> None:
    assert mark(PAPERS.losses("MV", "morph_se") | loss) == expected


@pytest.mark.parametrize(
    ("setting", "more", "head", "expected"),
    [
        ("rnc", {}, "linear", [TWO_VIEWS]),
        ("supcon", {}, "linear", [TWO_VIEWS]),
        ("conr", {"lambda_k": 1.0}, "linear", [KLD_HARDLY_PULLS, TWO_VIEWS]),
        ("ordinal_entropy", {}, "dropout", []),
        ("coral", {}, "linear", []),
        ("l1", {}, "linear", [GIVEN_SPREAD]),
        ("bmse", {"lambda_rnc": 1.0}, "linear", [TWO_VIEWS, GIVEN_SPREAD]),
        ("mv", {}, "noisy", [GIVEN_SPREAD]),
    ],
)
def test_a_second_view_and_a_spread_that_nothing_learns_are_marked(
    setting: str, more: dict[str, float], head: str, expected: list[str]
) -> None:
    loss = PAPERS.settings["fgnet_lopo"][setting]["loss"] | more
    assert mark(loss, head) == "; ".join(expected)
    assert meanings(pd.DataFrame({"mark": [mark(loss, head), ""]})) == [
        MARKS[each] for each in expected
    ]


@pytest.mark.parametrize(
    ("marked", "weight"),
    [(KLD_HARDLY_PULLS, "lambda_k"), (PRINTED_HARDLY_PULLS, "lambda_k_printed")],
)
def test_a_mark_names_the_grid_that_sweeps_its_weight(marked: str, weight: str) -> None:
    preset = re.search(r"--preset=(\w+)", MARKS[marked])
    assert preset
    known = yaml.safe_load((CONF / "sweeps.yml").read_text(encoding="utf-8"))
    grid = params.preset_of(known, preset[1]).set
    assert grid[f"loss.{weight}"] == [1, 3, 10, 30]
    (setting,) = grid["setting"]
    assert mark(PAPERS.settings["fgnet_lopo"][setting]["loss"] | {weight: 1.0}) == marked


def test_a_budget_in_words(make_run: MakeRun, small: dict[str, Any]) -> None:
    words = "48 px, 8 epochs, one-cycle, shared triplets, "
    words += "weights resnet18_imagenet_partial.pth (not ImageNet)"
    assert PAPERS.describe(make_run(budget=small).parameters) == words
    assert PAPERS.budget == (
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
    words = PAPERS.describe(parameters).split(", ")
    assert words[:6] == [
        *["224 px", "1 epoch", "constant rate", "explicit triplets", "all images supervised"],
        "random weights (not pre-trained)",
    ]
    assert sorted(words[6:]) == [
        *["batch size 32", "flip vertical", "images ≤ 500", "published folds five folds.csv"],
        "validation 0.2",
    ]
    # in one order, whatever that of a document is
    assert PAPERS.describe(dict(reversed(parameters.items()))).split(", ") == words


def test_changes_of_the_recipe_are_said(make_run: MakeRun) -> None:
    changes = {
        "average": 0.999,
        "reweight": "lds",
        "head_epochs": 5,
        "keep": "best",
        "validated_on": "people",
        "schedule": "step",
    }
    run = make_run(budget={"training": changes, "testing": {"mirrored": True}})
    words = PAPERS.describe(run.parameters).split(", ")
    assert words[2] == "stepped rate"
    assert sorted(words[5:]) == [
        *["5 epochs of the head", "best epoch kept", "mirror images tested"],
        *["reweighted by lds", "validated on people", "weights averaged 0.999"],
    ]


def test_one_epoch_is_not_many() -> None:
    assert value_in_words("training.epochs", 1) == "1 epoch"
    assert value_in_words("training.head_epochs", 1) == "1 epoch of the head"
    assert value_in_words("training.head_epochs", 5) == "5 epochs of the head"


def test_what_is_switched_on_needs_no_value_and_what_is_off_no_word(make_run: MakeRun) -> None:
    changed = {"training": {"watch_test": True}, "testing": {"mirrored": False, "rounded": True}}
    words = PAPERS.describe(make_run(budget=changed).parameters)
    assert words == f"{PAPERS.budget}, ages rounded"


def test_a_pretraining_is_told_in_words(faces: Mapping[str, Any]) -> None:
    assert in_words(faces) == "UTKFace, 11,672 images, 18 epochs, 64 px"


def test_several_sources_and_unknown_ones_are_all_named(faces: Mapping[str, Any]) -> None:
    given = {**faces, "sources": ["utkface", "custom", "attic"], "epochs": 1}
    assert in_words(given) == "UTKFace and Own photos and attic, 11,672 images, 1 epoch, 64 px"


@pytest.mark.parametrize("told", [{}, {"external": None}])
def test_a_document_that_tells_nothing_has_none(make_run: MakeRun, told: Mapping[str, Any]) -> None:
    run = make_run()
    without = {name: value for name, value in run.metrics.items() if name != "external"}
    assert replace(run, metrics=without | told).pretraining is None


def test_what_a_document_tells_is_its_start(make_run: MakeRun, faces: Mapping[str, Any]) -> None:
    assert make_run(external=faces).pretraining == faces


def test_a_file_is_of_faces_only_where_that_is_told(faces: Mapping[str, Any]) -> None:
    assert describe_start("weights/faces.pt") == "faces.pt (not ImageNet)"
    assert describe_start("weights/faces.pt", faces) == "weights 5e6f7a8b pre-trained on faces (F)"
    assert describe_start("imagenet", faces) != "ImageNet"
