"""What is told of a network's start."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from contrastive_age.reporting.papers import describe_start, in_words
from contrastive_age.reporting.results import Measured


def test_a_pretraining_is_told_in_words(faces: Mapping[str, Any]) -> None:
    assert in_words(faces) == "UTKFace, 11,672 images, 18 epochs, 64 px"


def test_several_sources_and_unknown_ones_are_all_named(faces: Mapping[str, Any]) -> None:
    given = {**faces, "sources": ["utkface", "custom", "attic"], "epochs": 1}
    assert in_words(given) == "UTKFace and Own photos and attic, 11,672 images, 1 epoch, 64 px"


@pytest.mark.parametrize("told", [{}, {"external": None}])
def test_a_document_that_tells_nothing_has_none(
    make_run: Callable[..., Measured], told: Mapping[str, Any]
) -> None:
    run = make_run()
    without = {name: value for name, value in run.metrics.items() if name != "external"}
    assert replace(run, metrics=without | told).pretraining is None


def test_what_a_document_tells_is_its_start(
    make_run: Callable[..., Measured], faces: Mapping[str, Any]
) -> None:
    assert make_run(external=faces).pretraining == faces


def test_a_file_is_of_faces_only_where_that_is_told(faces: Mapping[str, Any]) -> None:
    assert describe_start("weights/faces.pt") == "faces.pt (not ImageNet)"
    assert describe_start("weights/faces.pt", faces) == "weights 5e6f7a8b pre-trained on faces (F)"
    assert describe_start("imagenet", faces) != "ImageNet"
