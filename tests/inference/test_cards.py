"""The cards of weights and models say what is known of them, and nothing that is not."""

import math
from typing import Any

import numpy as np
import pytest

from contrastive_age.evaluation.conformal import Radii
from contrastive_age.inference.cards import error_words, model_card, weights_card
from contrastive_age.model.seen import Seen
from contrastive_age.protocols.copies import Photos

TRAINING = {
    "setting": "ternary",
    "losses": "lambda_m 0.2",
    "age_min": 0,
    "age_max": 69,
    "epochs": 3,
    "image_size": 32,
    "coverage": 1.35,
    "triplets": "shared",
    "seed": 0,
    "started_from": "random weights",
    "seconds": 60.0,
    "device": "cpu",
    "versions": {"numpy": "2.5"},
}
SOFTMAX = {"crps": 3.25, "nll": 3.5, "mae": 4.5, "central_80": 49.0}


def training(name: str, source: str) -> dict[str, Any]:
    own = {"source": source, "n": 5, "identities": 2, "terms": "mine", "manifest_hash": "ab" * 8}
    return TRAINING | {
        "name": name,
        "sources": [source],
        "n": 5,
        "identities": 2,
        "data": [own],
        "data_hash": "cafe",
        "licence": f"{source}: mine",
    }


def test_weights_name_the_data_and_terms_of_all_trainings() -> None:
    none = np.empty((7, 32), np.uint8)
    photos = Photos(none, none, none, np.zeros(7, bool))
    card = weights_card(Seen((training("second", "custom"), training("first", "fgnet")), photos))
    assert card.startswith("# Weights second")
    assert "**custom: mine; fgnet: mine**" in card
    assert "| `first` | fgnet | 5 | 3 |" in card
    assert "all 7 photos" in card
    alone = weights_card(Seen((training("first", "fgnet"),), photos))
    assert "other weights" not in alone
    assert "**fgnet: mine**" in alone


def facts(radii: Radii, conformal: Any, leaked_share: float) -> dict[str, Any]:
    ages = {"n": 6, "mae": 4.0, "bias": 0.5, "mae_low": None, "mae_high": None}
    return TRAINING | {
        "name": "morph_rs ternary-0",
        "protocol": "morph_rs",
        "split": "rs",
        "licence": "morph2: by licence",
        "trained_on": {"n": 12, "identities": 4, "source": "morph2", "manifest_hash": "ab" * 8},
        "pretrained_on": None,
        "radii": radii.as_json(),
        "groups": {"age_bin": [ages | {"group": name} for name in ("0-19", "20-39")]},
        "thresholds": [],
        "calibration": {"before": SOFTMAX, "after": SOFTMAX | {"central_80": 79.0}, "reason": None},
        "temperature": 1.0,
        "cross_validation": {
            "folds": 2,
            "n": 12,
            "mae": 4.0,
            "mae_interval": None,
            "mae_by_age": 6.5,
            "mae_constant": 9.0,
            "cs5": 60.0,
            "cs5_interval": None,
            "predicted_range": {
                "lowest": 2.0,
                "highest": 36.0,
                "oldest": 69.0,
                "n": 12,
                "older_n": 0,
            },
            "conformal": conformal,
            "leaked_share": leaked_share,
            "leaked_copies_share": 0.0,
            "without_leaks": None,
            "mae_lookup": 1.25,
        },
    }


def conformal(width: float | None) -> dict[str, Any]:
    bins = {
        "0-19": {"n": 6, "coverage": 83.3, "width": 8.0},
        "20-39": {"n": 6, "coverage": 100.0, "width": width},
    }
    decades = {
        "0-9": {"n": 0, "coverage": None, "width": None},
        "20-29": {"n": 12, "coverage": 91.7, "width": width},
    }
    return {level: {"by_age_bin": bins, "by_predicted": decades} for level in ("80", "95")}


def test_people_in_several_folds_leave_no_intervals() -> None:
    card = model_card(facts(Radii(), None, 0.975))
    assert "**97.5% of these images show people" in card
    assert "errs by 1.25 years" in card
    assert "None are given" in card
    assert "±" not in card
    assert "%|" not in card
    assert "| true age | images | MAE (years) | bias (years) |\n|---|---|---|---|\n| 0-19 |" in card
    assert "| 0-19 | 6 | 4.00 | 0.50 |\n| 20-39 | 6 | 4.00 | 0.50 |\n" in card


@pytest.mark.parametrize(("width", "shown"), [(9.0, "100.0%"), (None, "–")])
def test_intervals_without_an_end_hold_nobody(width: float | None, shown: str) -> None:
    radii = Radii((10.0, 20.0), {"80": (2.0, 4.0), "95": (math.inf, math.inf)})
    card = model_card(facts(radii, conformal(width), 0.0))
    assert (
        "| predicted age | 80% interval | 95% interval |\n|---|---|---|\n"
        "| 5 | ± 2.00 years | ± ∞ years |\n| 15 | ± 3.00 years | ± ∞ years |\n"
        "| 25 | ± 4.00 years | ± ∞ years |\n"
    ) in card
    shown_of_decade = "–" if width is None else "91.7%"
    assert (
        "| in 95% interval |\n|---|---|---|---|\n"
        f"| 20-29 | 12 | {shown_of_decade} | {shown_of_decade} |\n\n"
    ) in card
    assert "At a *true* age no such interval can promise anything" in card
    assert "| in 80% interval | in 95% interval |\n|---|---|---|---|---|---|\n| 0-19 |" in card
    assert f"| 0-19 | 6 | 4.00 | 0.50 | 83.3% | 83.3% |\n| 20-39 | 6 | 4.00 | 0.50 | {shown} |" in (
        card
    )
    assert "each person weighing one" in card
    assert "show people whom" not in card


def test_intervals_decades_and_the_tail_are_told() -> None:
    known = facts(Radii(), None, 0.0)
    assert "**4.00 years** |" in model_card(known)
    assert "No one is predicted" not in model_card(known)
    known["cross_validation"] |= {"mae_interval": [3.2, 4.8], "cs5_interval": [51.0, 69.05]}
    known["cross_validation"]["predicted_range"] |= {"older_n": 3}
    decade = {"group": "0-9", "n": 6, "mae": 4.0, "bias": 0.5, "mae_low": 1.0, "mae_high": 7.0}
    known["groups"] = {
        "age_bin": [decade | {"group": "0-19", "mae_low": 2.0}, *known["groups"]["age_bin"][1:]],
        "decade": [decade, decade | {"group": "10-19", "mae_low": None, "mae_high": None}],
    }
    known["thresholds"] = [
        {
            "age": 18,
            **{"under_n": 5, "under_predicted_over": 20.0, "under_low": 3.0, "under_high": 51.0},
            **{"over_n": 7, "over_predicted_under": 0.0, "over_low": None, "over_high": None},
        }
    ]
    card = model_card(known)
    assert "**4.00 years** [3.20, 4.80] |\n| each age weighing one | 6.50 years |\n" in card
    assert "60.0% [51.0, 69.0] of 12 images" in card
    assert "| 0-19 | 6 | 4.00 [2.00, 7.00] | 0.50 |\n| 20-39 | 6 | 4.00 | 0.50 |\n" in card
    assert "By age_bin" not in card
    assert "networks of one seed" in card
    assert "By decade of the true age:\n\n| decade | images | MAE (years) |" in card
    assert "| 0-9 | 6 | 4.00 [1.00, 7.00] | 0.50 |\n| 10-19 | 6 | 4.00 | 0.50 |\n" in card
    assert "| 18 years | 20.0% [3.0, 51.0] of 5 | 0.0% of 7 |" in card
    tail = (
        "No one is predicted above 36.0 years, though the people on "
        "3 of 12 images are older, up to 69 years."
    )
    assert f"\n\n**{tail}**\n\n| true age |" in card


def test_all_trainings_before_it_are_named() -> None:
    before = {
        "n": 9,
        "sources": ["utkface", "custom"],
        "generations": [{"name": "b"}, {"name": "a"}],
    }
    card = model_card(facts(Radii(), None, 0.0) | {"pretrained_on": before})
    assert "9 other faces (utkface, custom)" in card
    assert "`b`, from `a`." in card


def test_a_card_says_what_the_probabilities_are_worth_and_whether_they_are_tempered() -> None:
    known = facts(Radii(), None, 0.0)
    plain = model_card(known)
    assert "held 49.0% of the true ages (CRPS 3.25 years, NLL 3.50 nats)" in plain
    assert "this model has no temperature" in plain
    assert "79.0%" not in plain
    tempered = model_card(known | {"temperature": 2.125})
    assert "divided by 2.125" in tempered
    assert "held 79.0%" in tempered
    calibration = known["calibration"] | {"after": None, "reason": "people are everywhere"}
    none = model_card(known | {"calibration": calibration})
    assert "could be fitted: people are everywhere." in none


def test_the_error_of_the_model_is_said_with_its_interval_or_not_at_all() -> None:
    measured = {"cross_validation": {"mae": 4.567, "mae_interval": [4.1, 5.04]}}
    assert "4.57 years on average" in error_words(measured)
    assert "(95% interval 4.10 to 5.04, one seed)" in error_words(measured)
    bare = error_words({"cross_validation": {"mae": 4.567, "mae_interval": None}})
    assert "4.57 years" in bare and "interval" not in bare
    assert "does not say" in error_words({})
    leaked = error_words({"cross_validation": {"mae": 4.567, "leaked_share": 0.5}})
    assert "in part on people whom it knew" in leaked


def test_a_model_of_drawn_faces_or_worse_than_a_constant_says_so_wherever_its_error_is_said() -> (
    None
):
    measured = {"mae": 9.7, "mae_interval": None, "mae_constant": 9.38}
    poor = {"cross_validation": measured, "parameters": {"drawn": True}}
    assert error_words(poor).startswith(
        "Trained on drawn faces: no real ages. Worse than giving everyone one age, which errs by "
        "9.38 years: train longer. Off by 9.70 years"
    )
    assert "9.70 years on average on drawn faces in cross-validation" in error_words(poor)
    assert error_words({"parameters": {"drawn": True}}).startswith("Trained on drawn faces")
    sound = {"cross_validation": measured | {"mae": 9.3}, "parameters": {"drawn": False}}
    assert error_words(sound).startswith("Off by 9.30 years on average in cross-validation")
    known = facts(Radii(), None, 0.0)
    assert "| mean absolute error | **4.00 years** |" in model_card(known)
    card = model_card(known | {"parameters": {"drawn": True}})
    assert "**Trained on drawn faces: no real ages.**" in card
    assert "| mean absolute error on drawn faces | **4.00 years** |" in card
