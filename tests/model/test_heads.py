"""Tests of the heads: what logits they make of scores, and how they start."""

import itertools
import math

import pytest
import torch
from torch import nn

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import HEAD_NAMES, Architecture
from contrastive_age.model.heads import HEADS, Coral, Noisy, Number, Ordinal, Regression, draw
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork, expected_age

FEATURES, CLASSES = 6, 5
AGES = torch.arange(float(CLASSES))


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def made(head, seed=1):
    module = HEADS[head](FEATURES, CLASSES) if isinstance(head, str) else head
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        draw(module)
    return module.eval()


def test_every_head_has_its_name():
    assert tuple(HEADS) == HEAD_NAMES


@pytest.mark.parametrize("head", HEADS)
def test_logits_are_over_the_classes_and_their_gradient_reaches_every_weight(head):
    module = made(head)
    logits, scores = module(normal(7, FEATURES))
    assert logits.shape == (7, CLASSES)
    assert scores is None or len(scores) == 7
    some = (logits * normal(7, CLASSES)).sum()
    (some if scores is None else some + (scores * normal(*scores.shape)).sum()).backward()
    assert all(own.grad is not None and (own.grad != 0).any() for own in module.parameters())


@pytest.mark.parametrize("head", ["ordinal", "coral"])
def test_a_class_is_where_falling_answers_stop_and_the_mean_counts_them(head):
    logits, scores = made(head)(3 * normal(7, FEATURES))
    assert scores.shape == (7, CLASSES - 1)
    for row in range(7):
        passed = [1.0, *sorted(scores[row].sigmoid().tolist(), reverse=True), 0.0]
        expected = [before - after for before, after in itertools.pairwise(passed)]
        assert logits[row].exp().tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    mean, _ = expected_age(logits, AGES)
    torch.testing.assert_close(mean, scores.sigmoid().sum(dim=1), rtol=0, atol=1e-5)


def test_an_example_of_answers():
    """Older than 0, 1, 2, 3 with 0.9, 0.3, 0.6 and 0.2: in falling order 0.9, 0.6, 0.3, 0.2."""
    head = Ordinal(FEATURES, CLASSES)
    nn.init.zeros_(head.linear.weight)
    with torch.no_grad():
        head.linear.bias.copy_(torch.tensor([0.9, 0.3, 0.6, 0.2]).logit())
    logits, _ = head(normal(1, FEATURES))
    assert logits.exp()[0].tolist() == pytest.approx([0.1, 0.3, 0.3, 0.1, 0.2], abs=1e-6)


def test_equal_answers_leave_finite_logits_and_gradients():
    head = Ordinal(FEATURES, CLASSES)
    nn.init.zeros_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    logits, scores = head(normal(2, FEATURES))
    mean, _ = expected_age(logits, AGES)
    torch.testing.assert_close(mean, scores.sigmoid().sum(dim=1), rtol=0, atol=1e-5)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert head.linear.bias.grad.isfinite().all()


def test_sure_answers_make_a_sure_class():
    head = Ordinal(FEATURES, CLASSES)
    nn.init.zeros_(head.linear.weight)
    with torch.no_grad():
        head.linear.bias.copy_(torch.tensor([50.0, 50, 50, -50]))
    logits, _ = head(normal(1, FEATURES))
    mean, std = expected_age(logits, AGES)
    assert (mean.item(), std.item()) == pytest.approx((3, 0), abs=1e-5)


def test_of_corals_scores_one_direction_is_all_that_differs():
    head = made("coral")
    _, scores = head(normal(7, FEATURES))
    difference = scores - scores[0]
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference))


def test_of_a_new_coral_all_classes_are_alike():
    logits, _ = made("coral")(torch.zeros(1, FEATURES))
    torch.testing.assert_close(logits.softmax(dim=1), torch.full((1, CLASSES), 1 / CLASSES))


@pytest.mark.parametrize("head", ["regression", "noisy"])
def test_a_regressions_softmax_has_its_number_for_a_mean(head):
    classes = 70
    module = {"regression": Regression, "noisy": Noisy}[head](1, classes)
    module.value.weight.data.fill_(1)
    module.value.bias.data.fill_(0)
    values = torch.tensor([3.0, 3.4, 20.7, 34.5, 66.0])
    logits, scores = module((values - 34.5)[:, None])
    torch.testing.assert_close(scores[:, 0], values)
    mean, std = expected_age(logits, torch.arange(float(classes)))
    torch.testing.assert_close(mean, values, rtol=0, atol=2e-3)
    torch.testing.assert_close(std, torch.ones(5), rtol=0, atol=5e-3)


def test_a_regression_outside_the_classes_stays_inside_them():
    module = Regression(1, 70)
    module.value.weight.data.fill_(1)
    module.value.bias.data.fill_(0)
    values = torch.tensor([-300.0, -8.0, 0.0, 1.0, 2.0, 69.0, 77.0, 400.0])
    logits, _ = module((values - 34.5)[:, None])
    mean, _ = expected_age(logits, torch.arange(70.0))
    expected = [0, 0, 0.5201, 1.1294, 2.0139, 68.4799, 69, 69]
    assert mean.tolist() == pytest.approx(expected, abs=1e-3)


def test_a_new_regression_is_about_the_middle_class():
    logits, scores = made(Regression(512, 70))(torch.rand(20, 512))
    assert (scores - 34.5).abs().max() < 2
    mean, _ = expected_age(logits, torch.arange(70.0))
    torch.testing.assert_close(mean, scores[:, 0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("head", [Regression(512, 70), Noisy(512, 70), Coral(512, 70)])
def test_numbers_are_exact_in_bfloat16(head):
    made(head)
    features = torch.rand(20, 512).bfloat16()
    logits, scores = head(features.float())
    with torch.autocast("cpu", torch.bfloat16):
        rounded, own = head(features)
    torch.testing.assert_close(own, scores)
    torch.testing.assert_close(rounded, logits)


def test_a_number_is_a_linear_layer_of_one_output():
    layer = Number(FEATURES)
    features = normal(7, FEATURES)
    expected = nn.functional.linear(features, layer.weight, layer.bias)[:, 0]
    torch.testing.assert_close(layer(features), expected)


def test_the_noise_is_one_number_of_10_years_that_is_learned():
    module = made("noisy")
    _, scores = module(normal(7, FEATURES))
    torch.testing.assert_close(scores[:, 1].exp(), torch.full((7,), 10.0))
    scores[:, 1].sum().backward()
    assert module.log_sigma.grad.item() == 7


@pytest.mark.parametrize("head", HEADS)
def test_a_head_follows_from_its_seed_alone(head):
    classes, architecture = AgeClasses(20, 24), Architecture(head=head)

    def state(seed):
        network = AgeNetwork.undrawn(classes, architecture)
        load_initial_weights(network, classes, None, seed)
        return {name: x for name, x in network.state_dict().items() if name.startswith("fc.")}

    first, again, other = state(5), state(5), state(6)
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if not torch.equal(first[name], other[name])]
    assert sum(name.endswith("weight") for name in drawn) == 1
    assert all(torch.isfinite(tensor).all() for tensor in first.values())


@pytest.mark.parametrize("head", HEADS)
def test_the_linear_layer_of_every_head_is_drawn_as_torchs(head):
    layers = [module for module in made(head).modules() if isinstance(module, nn.Linear)]
    (layer,) = layers
    bound = 1 / math.sqrt(FEATURES)
    assert layer.weight.abs().max() <= bound
    assert layer.weight.std() > bound / 4


@pytest.mark.parametrize("head", HEADS)
def test_a_state_dict_brings_a_head_back(head):
    one, other = made(head, seed=1), made(head, seed=2)
    other.load_state_dict(one.state_dict())
    features = normal(3, FEATURES)
    torch.testing.assert_close(other(features)[0], one(features)[0])
