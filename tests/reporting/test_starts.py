"""What is told of a network's start."""

from collections.abc import Mapping
from typing import Any

import pytest

from contrastive_age.reporting.starts import Pretraining, describe_start


def test_a_pretraining_is_told_in_words(faces: Mapping[str, Any]) -> None:
    told = Pretraining.of({"external": faces})
    assert told is not None
    assert told.words == "UTKFace, 11,672 images, 18 epochs, 64 px"
    assert told.start == "weights 5e6f7a8b pre-trained on faces (F)"
    assert (told.name, told.identities) == ("pretrain ternary-1234abcd", 11671)
    assert told.licence == "non-commercial research only"


def test_several_sources_and_unknown_ones_are_all_named(faces: Mapping[str, Any]) -> None:
    given = {**faces, "sources": ["utkface", "custom", "attic"], "epochs": 1}
    told = Pretraining.of({"external": given})
    assert told is not None
    assert told.words == "UTKFace and Own photos and attic, 11,672 images, 1 epoch, 64 px"


@pytest.mark.parametrize("metrics", [{}, {"external": None}])
def test_a_document_that_tells_nothing_has_none(metrics: Mapping[str, Any]) -> None:
    assert Pretraining.of(metrics) is None


def test_a_file_is_of_faces_only_where_that_is_told(faces: Mapping[str, Any]) -> None:
    assert describe_start("weights/faces.pt") == "faces.pt (not ImageNet)"
    told = Pretraining.of({"external": faces})
    assert describe_start("weights/faces.pt", told) == "weights 5e6f7a8b pre-trained on faces (F)"
    assert describe_start("imagenet", told) != "ImageNet"
