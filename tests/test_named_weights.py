"""Initial weights that are known by a name have all that is said of them, wherever it is said."""

import numpy as np
import pytest

from contrastive_age.model.architecture import NAMED_WEIGHTS, NO_WEIGHTS, RESNET18
from contrastive_age.model.seen import CARD
from contrastive_age.model.weights import NAMED, Weights, grown
from contrastive_age.parameters.effective import named_settings
from contrastive_age.parameters.origins import training_facts
from contrastive_age.protocols.copies import Photos
from contrastive_age.reporting.papers import describe_start
from contrastive_age.reporting.wording import tags
from reporting.runs import configuration

NAMES = sorted(NAMED_WEIGHTS)
OF_FILES = [name for name in NAMES if name != NO_WEIGHTS]


def test_all_but_none_are_read() -> None:
    assert sorted(NAMED) == OF_FILES


@pytest.mark.parametrize("name", OF_FILES)
def test_their_terms_are_in_the_card_of_what_is_trained_from_them(name: str) -> None:
    nothing = np.zeros((0, 32), np.uint8)
    photos = Photos(nothing, nothing, nothing, np.zeros(0, bool))
    seen = grown(Weights(name, {}, "", ()), dict.fromkeys(CARD, "own"), photos)
    assert seen.licence.startswith("own; initial weights: ")
    assert "not stated" not in seen.licence


@pytest.mark.parametrize("name", NAMES)
def test_cards_and_the_report_have_words_for_them(name: str) -> None:
    given = configuration()
    given["model"] |= {"weights": name, "backbone": NAMED_WEIGHTS[name] or RESNET18}
    facts = training_facts(named_settings(given)["fgnet_se"]["mv"], None)
    assert facts["started_from"] != name
    start = describe_start(name)
    assert name not in start
    row = {"start": start, "pretraining": "", "budget": "", "drawn_faces": False, "mark": ""}
    assert "not ImageNet" not in tags(row)
