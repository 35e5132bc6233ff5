"""Values of a training check themselves when they are made by hand."""

from dataclasses import replace
from typing import Any

import pytest

from contrastive_age.faces.store import Wanted
from contrastive_age.model.losses import LossWeights
from contrastive_age.training.recipe import Acceleration, Augmentation, Computing
from training.recipes import SMALL, varied


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("epochs", -1, "greater than or equal to 0"),
        ("epochs", 2.5, "valid integer"),
        ("batch_size", 1, "greater than 1"),
        ("image_size", 31, "greater than or equal to 32"),
        ("image_size", 225, "less than or equal to 224"),
        ("lr", 0, "greater than 0"),
        ("lr", float("inf"), "finite"),
        ("weight_decay", -1, "greater than or equal to 0"),
        ("schedule", "warm", "'step'"),
        ("average", 1, "less than 1"),
        ("reweight", "inverse", "'none' or 'lds'"),
        ("head_epochs", -1, "greater than or equal to 0"),
        ("keep", "first", "'last' or 'best'"),
        ("validated_on", "subjects", "'people' or 'images'"),
        ("supervise", "none", "'anchor' or 'all'"),
    ],
)
def test_a_value_out_of_its_bounds_is_named_with_them(name: str, value: Any, bound: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s){name}.*{bound}.*input_value={value!r}"):
        varied(**{name: value})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LossWeights(lambda_c=-1, margin=0.2), "lambda_c"),
        (lambda: LossWeights(lambda_t=float("nan"), margin=0.2), "lambda_t"),
        (lambda: LossWeights(lambda_x=1, margin=0.2), "lambda_x"),
        (lambda: LossWeights(lambda_t=1), "margin"),
        (lambda: replace(SMALL.augmentation, scale=1), "scale"),
        (lambda: replace(SMALL.augmentation, flip="both"), "flip"),
        (lambda: Acceleration(precision="float16"), "precision"),
        *(
            (lambda count=count: Computing(folds_at_once=count), "folds_at_once")
            for count in (0, -1, 1.5, True, "all", None)
        ),
        (lambda: Wanted(coverage=9), "coverage"),
        (lambda: Wanted(coverage=1.35, min_face=11), "min_face"),
    ],
)
def test_so_do_all_others(make: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


def test_the_best_epoch_is_one_that_was_validated() -> None:
    with pytest.raises(ValueError, match=r"training\.keep=best .* give training\.validated_on"):
        varied(keep="best")
    assert varied(keep="best", validated_on="images").training.keep == "best"


def test_no_value_of_the_paper_is_a_default() -> None:
    for kind in (Augmentation, type(SMALL.training)):
        with pytest.raises(ValueError, match=r"Missing required argument|Field required"):
            kind()


def test_folds_share_the_memory_evenly() -> None:
    shares = [Computing(folds_at_once=count).share for count in ("auto", 1, 4)]
    assert shares == [1, 1, 0.25]


def test_what_is_left_to_the_device_is_not_given() -> None:
    assert Acceleration().given == {}
    assert Acceleration(fused=False, residence="host").given == {
        "fused": False,
        "residence": "host",
    }
