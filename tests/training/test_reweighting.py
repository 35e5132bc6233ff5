"""Weights of images by how rare their age is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.model.architecture import Architecture
from contrastive_age.model.heads import HEADS
from contrastive_age.model.losses import LOSSES, LossWeights, head
from contrastive_age.training import loop
from contrastive_age.training.reweighting import lds_weights
from training.recipes import varied
from training.small import RECIPE, people, run, same, start


def test_a_small_example_by_hand():
    """Eight images of class 1, one of class 3 and one of class 9, of ten classes."""
    ages = np.array([1] * 8 + [3, 9])
    near, far = np.exp(-1 / 8), np.exp(-1 / 2)
    assert near == pytest.approx(0.8825, abs=1e-4)
    smoothed = {1: 8 + far, 3: 1 + 8 * far, 9: 1}  # of one year apart there is nobody
    raw = np.array([1 / np.sqrt(smoothed[age]) for age in ages])
    weights = lds_weights(ages, 10)
    np.testing.assert_allclose(weights, raw / raw.mean(), rtol=1e-6)
    # The rare age beside the frequent one is no longer that rare.
    assert weights[0] < weights[8] < weights[9]


@given(st.lists(st.integers(0, 19), min_size=1, max_size=60))
def test_as_a_loop_over_its_definition_gives(ages):
    expected = []
    for age in ages:
        near = [np.exp(-((other - age) ** 2) / 8) for other in ages if abs(other - age) <= 2]
        expected.append(1 / np.sqrt(sum(near)))
    weights = lds_weights(np.array(ages), 20)
    np.testing.assert_allclose(weights, np.array(expected) / np.mean(expected), rtol=1e-5)
    assert weights.mean() == pytest.approx(1)
    assert weights.dtype == np.float32


def test_ages_that_are_alike_frequent_weigh_the_same_but_at_the_ends():
    weights = lds_weights(np.repeat(np.arange(9), 5), 9)
    assert np.ptp(weights[10:35]) == 0
    assert weights[0] > weights[5] > weights[10]


@pytest.mark.parametrize("supervise", ["anchor", "all"])
def test_a_training_weighs_the_terms_over_images_and_no_others(monkeypatch, supervise):
    fold, seen, real = people(), [], loop.total_loss

    def observed(outputs, ages, *rest, importance):
        terms = real(outputs, ages, *rest, importance=importance)
        plain = real(outputs, ages, *rest, importance=None)
        seen.append((ages, importance, terms, plain, outputs.logits.detach(), rest[0]))
        return terms

    monkeypatch.setattr(loop, "total_loss", observed)
    network = start()
    run(fold, network, varied(RECIPE, reweight="lds", supervise=supervise, epochs=1))
    of_age = dict(zip(fold.ages - 20, lds_weights(fold.ages - 20, 5), strict=True))
    for ages, importance, terms, plain, logits, triplets in seen:
        assert importance.tolist() == [pytest.approx(of_age[age]) for age in ages.tolist()]
        losses = torch.nn.functional.cross_entropy(logits, ages, reduction="none")
        counted = triplets.anchor if supervise == "anchor" else torch.arange(len(ages))
        expected = sum(importance[i] * losses[i] for i in counted) / len(counted)
        torch.testing.assert_close(terms["softmax"].detach(), expected)
        assert not torch.equal(terms["mean"], plain["mean"])
        assert torch.equal(terms["cosine"], plain["cosine"])
        assert torch.equal(terms["triplet"], plain["triplet"])


@pytest.mark.parametrize(
    "term",
    [term for term in LOSSES.values() if term.over == "images" or term.head],
    ids=lambda term: term.name,
)
@pytest.mark.parametrize("changed", [{"reweight": "lds"}, {"supervise": "all"}], ids=str)
def test_a_term_over_images_learns_otherwise(term, changed):
    """By rare ages, or by all images in place of the anchors: what is in a key changes a network.

    On the heads that terms have of their own, too.
    """
    loss = LossWeights(**{"lambda_s": 0.0, term.weight: 1.0}, margin=0.2)
    plain = varied(RECIPE, loss=loss, architecture=Architecture(head=head(loss)), epochs=1)
    networks = []
    for recipe in (plain, varied(plain, **changed)):
        network = start()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            network.fc = HEADS[head(loss)](8, RECIPE.classes.number)
        run(people(), network, recipe)
        networks.append(network)
    assert not same(*networks)
