"""Weights from faces: whatever reads weights reads them, and their card comes along."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contrastive_age.inference.pretrained import (
    Pretrained,
    keep_known_ages,
    read_pretrained,
    with_card,
)
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeClasses, AgeNetwork
from contrastive_age.protocols.overlap import Fingerprints
from inference.models import untrained_model

CARD = {
    "name": "pretrain ternary-0",
    "sources": ["utkface"],
    "n": 3,
    "licence": "for «research»",
} | {
    "age_min": 0,
    "age_max": 69,
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    photos = Fingerprints(*rng.integers(0, 256, (2, 3, 32), np.uint8))
    path = tmp_path / "weights.pth"
    torch.save(with_card(untrained_model().state, Pretrained(CARD, photos)), path)
    return path


def test_the_card_and_the_photos_come_back(weights: Path) -> None:
    found = read_pretrained(weights)
    assert found is not None
    assert found.card == CARD
    expected = np.random.default_rng(0).integers(0, 256, (2, 3, 32), np.uint8)
    assert np.array_equal(found.photos.digests, expected[0])
    assert np.array_equal(found.photos.hashes, expected[1])


def test_a_network_starts_from_them_as_from_any_weights(weights: Path) -> None:
    network = AgeNetwork(AgeClasses(0, 69))
    report = load_initial_weights(network, str(weights), seed=5)
    assert not report.missing
    assert not report.resized
    assert len(report.unused) == 3
    expected = untrained_model().state
    assert all(torch.equal(own, expected[name]) for name, own in network.state_dict().items())


@pytest.mark.parametrize("ages", [(0, 69), (16, 77), (3, 40), (80, 90)])
def test_the_classifier_keeps_the_ages_that_both_know(weights: Path, ages: tuple[int, int]) -> None:
    classes = AgeClasses(*ages)
    network = AgeNetwork(classes)
    load_initial_weights(network, str(weights), seed=5)
    drawn = network.fc.weight.clone()
    kept = [age for age in range(ages[0], ages[1] + 1) if age <= 69]
    assert keep_known_ages(network, classes, weights) == len(kept)
    state = untrained_model().state
    for place, age in enumerate(range(ages[0], ages[1] + 1)):
        expected = state["fc.weight"][age] if age in kept else drawn[place]
        assert torch.equal(network.fc.weight[place], expected)
        if age in kept:
            assert network.fc.bias[place] == state["fc.bias"][age]


def test_a_classifier_without_a_card_has_no_ages_to_keep(tmp_path: Path) -> None:
    torch.save(dict(untrained_model().state), tmp_path / "plain.pth")
    network = AgeNetwork(AgeClasses(0, 69))
    before = network.fc.weight.clone()
    assert keep_known_ages(network, AgeClasses(0, 69), tmp_path / "plain.pth") == 0
    assert torch.equal(network.fc.weight, before)


def test_weights_without_a_card_say_nothing(tmp_path: Path, weights: Path) -> None:
    torch.save(dict(untrained_model().state), tmp_path / "plain.pth")
    assert read_pretrained(tmp_path / "plain.pth") is None
    assert read_pretrained(tmp_path / "missing.pth") is None
    weights.write_bytes(weights.read_bytes()[:5000])
    assert read_pretrained(weights) is None
