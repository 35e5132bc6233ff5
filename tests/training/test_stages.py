"""A head that is trained anew when the features are learned."""

from dataclasses import replace

import pytest
import torch

from contrastive_age.model.heads import HEADS
from contrastive_age.model.losses import LOSSES, LossWeights
from contrastive_age.training.stages import of_head, stages
from training.recipes import varied
from training.small import RECIPE, people, run, start


def test_without_a_head_of_its_own_a_training_is_one_stage():
    [stage] = stages(RECIPE)
    assert (stage.recipe, stage.before, stage.last) == (RECIPE, 0, 3)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_backbone_stays_and_a_fresh_head_learns(average):
    recipe = varied(RECIPE, average=average, lr=0.01)
    features, both, drawn = start(), start(), start()
    alone = run(people(), features, recipe)
    history = run(people(), both, varied(recipe, head_epochs=4))
    before, after = features.state_dict(), both.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "body" in name)
    assert not any(
        torch.allclose(before[name], after[name], atol=1e-3) for name in before if "fc" in name
    )
    # Up to its start the training is the same, and its rates begin anew.
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert history.drop(columns="seconds").head(3).equals(alone.drop(columns="seconds"))
    assert history["lr"].iloc[3] > history["lr"].iloc[2]
    # It has learned from the draw that follows from the seed.
    stages(varied(recipe, head_epochs=4))[1].begin(drawn)
    assert history["softmax"].iloc[3] > history["softmax"].iloc[-1]
    assert all(parameter.requires_grad for parameter in both.parameters())
    assert not torch.equal(drawn.fc.weight, start().fc.weight)


def test_it_learns_by_terms_over_images_alone():
    weights = LossWeights(lambda_m=0.2, lambda_v=0.05, lambda_c=4, lambda_t=1, margin=0.2)
    assert of_head(weights) == replace(weights, lambda_c=0, lambda_t=0)
    rest = stages(varied(RECIPE, loss=weights, head_epochs=2))[1].recipe
    history = run(people(), start(), varied(RECIPE, loss=weights, head_epochs=2))
    head = history.iloc[3:]
    assert rest.loss == of_head(weights)
    total = head["softmax"] + 0.2 * head["mean"] + 0.05 * head["variance"]
    assert head["total"].tolist() == pytest.approx(total.tolist(), rel=1e-5)


def test_where_no_such_term_acts_it_learns_by_the_softmax_loss():
    weights = LossWeights(lambda_s=0, lambda_c=1, margin=0.2)
    assert of_head(weights) == LossWeights(margin=0.2)


@pytest.mark.parametrize("term", [term for term in LOSSES.values() if term.head])
def test_a_term_that_has_a_head_of_its_own_stays(term):
    weights = LossWeights(lambda_s=0, lambda_c=1, margin=0.2, **{term.weight: 1.0})
    assert of_head(weights) == replace(weights, lambda_c=0)


@pytest.mark.parametrize("views", ["lambda_rnc", "lambda_supcon"])
def test_losses_of_two_views_are_left_to_the_first_stage(views):
    weights = LossWeights(lambda_m=0.2, margin=0.2, **{views: 1.0})
    history = run(people(), start(), varied(RECIPE, loss=weights, head_epochs=2))
    name = views.removeprefix("lambda_")
    assert history[name].notna().tolist() == [True] * 3 + [False] * 2
    total = history["softmax"] + 0.2 * history["mean"] + history[name].fillna(0)
    assert history["total"].tolist() == pytest.approx(total.tolist(), rel=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_drawn_anew_as_it_is_made(head):
    network = start()
    network.fc = HEADS[head](8, 5)
    for tensor in network.fc.state_dict().values():
        tensor.fill_(7)
    stages(varied(RECIPE, head_epochs=1))[1].begin(network)
    with torch.random.fork_rng():
        torch.manual_seed(RECIPE.seed)
        expected = HEADS[head](8, 5).state_dict()
    found = network.fc.state_dict()
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }
