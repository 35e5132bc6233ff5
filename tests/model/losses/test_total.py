"""Tests of the weighted sum of the loss terms."""

import pickle
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contrastive_age.model.heads import HEADS
from contrastive_age.model.losses import (
    LOSSES,
    PAPERS,
    LossWeights,
    Term,
    TripletPositions,
    defaults,
    head,
    reported,
    stated,
    titles,
    total_loss,
    views,
)
from contrastive_age.model.losses.cosine import cosine_loss
from contrastive_age.model.losses.kl import kl_loss
from contrastive_age.model.losses.kl_printed import kl_printed_loss
from contrastive_age.model.losses.mean import mean_loss
from contrastive_age.model.losses.registry import weights_of
from contrastive_age.model.losses.softmax import softmax_loss
from contrastive_age.model.losses.term import class_numbers
from contrastive_age.model.losses.triplet import triplet_loss
from contrastive_age.model.losses.variance import variance_loss
from contrastive_age.model.network import Outputs

ALL = LossWeights(
    lambda_m=0.2,
    lambda_v=0.05,
    lambda_c=10,
    lambda_t=1.5,
    lambda_k=0.7,
    lambda_k_printed=0.4,
    margin=0.3,
)
AGES = torch.tensor([4, 0, 2, 2, 4, 1, 3])


def positions(has_positive=(True, False, True, True), has_negative=(True, True, False, True)):
    return TripletPositions(
        anchor=torch.tensor([0, 1, 2, 3]),
        positive=torch.tensor([4, 1, 3, 2]),
        negative=torch.tensor([5, 6, 2, 5]),
        has_positive=torch.tensor(has_positive),
        has_negative=torch.tensor(has_negative),
    )


def outputs(normal, dtype=torch.float64):
    return Outputs(normal(7, 8, dtype=dtype, grad=True), normal(7, 5, dtype=dtype, grad=True))


def by_loop(outputs, triplets, weights, supervise):
    """Recompute every term, image by image and triplet by triplet."""
    features, logits, _ = outputs
    s, log_s = logits.softmax(dim=1), logits.log_softmax(dim=1)
    rows = triplets.anchor.tolist() if supervise == "anchor" else range(len(AGES))
    terms = {name: [] for name in by_history()[1:]}
    for i in rows:
        one = slice(i, i + 1)
        expected = s[one] @ class_numbers(s)
        terms["softmax"].append(softmax_loss(log_s[one], AGES[one]).item())
        terms["mean"].append(mean_loss(expected, AGES[one]).item())
        terms["variance"].append(variance_loss(s[one], expected).item())
    for a, p, n, has_p, has_n in zip(*(x.tolist() for x in triplets), strict=True):
        if has_p:
            terms["cosine"].append(cosine_loss(features[a : a + 1], features[p : p + 1]).item())
            pair = log_s[a : a + 1], log_s[p : p + 1]
            terms["kl"].append(kl_loss(*pair).item())
            terms["kl_printed"].append(kl_printed_loss(*pair).item())
        if has_p and has_n:
            triplet = triplet_loss(s[a : a + 1], s[p : p + 1], s[n : n + 1], weights.margin)
            terms["triplet"].append(triplet.item())
    means = {name: sum(x) / len(x) if x else 0.0 for name, x in terms.items()}
    means["total"] = (
        means["softmax"]
        + weights.lambda_m * means["mean"]
        + weights.lambda_v * means["variance"]
        + weights.lambda_c * means["cosine"]
        + weights.lambda_t * means["triplet"]
        + weights.lambda_k * means["kl"]
        + weights.lambda_k_printed * means["kl_printed"]
    )
    return means


@pytest.mark.parametrize("supervise", ["anchor", "all"])
@pytest.mark.parametrize("weights", [ALL, LossWeights(margin=0.2)], ids=["all", "cross entropy"])
def test_equals_a_loop_over_images_and_triplets(normal, dtype, supervise, weights):
    out = outputs(normal, dtype)
    found = total_loss(out, AGES, positions(), weights, supervise)
    expected = by_loop(out, positions(), weights, supervise)
    assert {name: x.item() for name, x in found.items()} == pytest.approx(expected, rel=1e-4)
    assert found["total"].dtype == dtype


@pytest.mark.parametrize("supervise", ["anchor", "all"])
def test_gradient(normal, supervise):
    def loss(features, logits):
        return total_loss(Outputs(features, logits), AGES, positions(), ALL, supervise)["total"]

    assert torch.autograd.gradcheck(loss, outputs(normal)[:2])


def test_without_any_pair_the_pair_terms_are_zero_and_training_goes_on(normal):
    out = outputs(normal)
    none = positions(has_positive=(False,) * 4, has_negative=(False,) * 4)
    terms = total_loss(out, AGES, none, ALL, "anchor")
    assert [terms[name].item() for name in by_history()[4:]] == [0, 0, 0, 0]
    features, logits = torch.autograd.grad(terms["total"], out[:2])
    assert features.abs().sum().item() == 0
    assert torch.isfinite(logits).all()
    assert logits.abs().sum().item() > 0


def test_terms_of_weight_zero_are_reported_without_gradient(normal):
    weights = LossWeights(lambda_t=1, margin=0.2)
    terms = total_loss(outputs(normal), AGES, positions(), weights, "anchor")
    assert terms["softmax"].requires_grad
    assert terms["triplet"].requires_grad
    for name in ("mean", "variance", "cosine", "kl", "kl_printed"):
        assert not terms[name].requires_grad
        assert terms[name].item() != 0


class Kernels(TorchDispatchMode):
    """Names what is computed; views and new memory, which a GPU need not be told of, left out."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not (function.is_view or "empty" in function.name()):
            self.names.append(function.name().removeprefix("aten::").partition(".")[0])
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("supervise", ["anchor", "all"])
def test_the_terms_are_few_kernels_which_sum_in_one_order(normal, supervise):
    """By indices they were 236, and gradients were sorted before they were summed."""
    out = outputs(normal)
    with Kernels() as kernels:
        total_loss(out, AGES, positions(), ALL, supervise)["total"].backward()
    assert 50 < len(kernels.names) < 190
    assert not [name for name in kernels.names if "index" in name or "scatter" in name]
    assert "_local_scalar_dense" not in kernels.names  # a look at a value


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_partners_are_chosen_exactly_and_terms_are_those_of_a_cpu(normal):
    """A product in TF32 would round what it picks."""
    drawn = outputs(normal, torch.float32)
    expected = total_loss(drawn, AGES, positions(), ALL, "all")
    there = Outputs(*(x.detach().cuda() for x in drawn[:2]))
    places = TripletPositions(*(x.cuda() for x in positions()))
    found = total_loss(there, AGES.cuda(), places, ALL, "all")
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value.detach())


def test_an_empty_batch_costs_nothing():
    empty = Outputs(torch.zeros(0, 8, requires_grad=True), torch.zeros(0, 5, requires_grad=True))
    rows, flags = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
    triplets = TripletPositions(rows, rows, rows, flags, flags)
    assert [x.item() for x in total_loss(empty, rows, triplets, ALL, "all").values()] == [0] * 8


def test_a_loss_is_its_term_in_the_registry(normal, monkeypatch):
    toy = Term(
        "toy", "Toy", "lambda_toy", lambda x: x.pairs(x.features)[0].square().sum(1), "pairs"
    )
    monkeypatch.setitem(LOSSES, "toy", toy)
    weights = weights_of(LOSSES.values())(lambda_toy=0.5, margin=0)
    out = outputs(normal)
    terms = total_loss(out, AGES, positions(), weights, "anchor")
    assert list(terms) == [*by_history(), "toy"]
    assert titles()["toy"] == "Toy"
    expected = out.features[[0, 2, 3]].square().sum(1).mean()
    torch.testing.assert_close(terms["toy"], expected)
    torch.testing.assert_close(terms["total"], terms["softmax"] + 0.5 * expected)


def by_history():
    return ["total", "softmax", "mean", "variance", "cosine", "triplet", "kl", "kl_printed"]


def test_each_term_has_its_weight_and_options_and_each_of_these_its_term():
    named = [name for term in LOSSES.values() for name in (term.weight, *term.options)]
    assert [*named, "margin"] == [field.name for field in fields(LossWeights)]
    assert len(set(named)) == len(named)
    assert {name: getattr(LossWeights(margin=0), name) for name in named} == defaults()
    assert list(titles()) == ["total", *LOSSES]
    assert by_history() == ["total", *PAPERS]


def test_every_head_that_a_term_needs_is_one():
    assert {term.head for term in LOSSES.values()} - {None} <= HEADS.keys()


@pytest.mark.parametrize(
    ("values", "of_history", "needed", "number"),
    [
        ({}, [], "linear", 1),
        ({"lambda_c": 1, "lambda_dldl": 1}, ["dldl"], "linear", 1),
        ({"lambda_s": 0, "lambda_coral": 1}, ["coral"], "coral", 1),
        ({"lambda_l1": 1, "lambda_rnc": 2}, ["rnc", "l1"], "regression", 2),
    ],
)
def test_what_acts_is_reported_and_decides_head_and_views(values, of_history, needed, number):
    weights = LossWeights(**values, margin=0.2)
    assert sorted(reported(weights)) == sorted([*by_history()[1:], *of_history])
    assert (head(weights), views(weights)) == (needed, number)
    told = stated(weights)
    assert told.items() >= values.items()
    paper = {"lambda_m", "lambda_v", "lambda_c", "lambda_t", "lambda_k", "lambda_k_printed"}
    assert told.keys() == {*values, *paper, "margin"}


def test_what_a_term_sees(normal, monkeypatch):
    """One of a batch gives its number itself, and any term the weights and the head's scores."""
    seen = []
    toy = Term(
        "toy",
        "Toy",
        "lambda_toy",
        lambda batch: seen.append(batch) or batch.weights.toy_size * batch.scores.sum(),
        over="batch",
        options={"toy_size": 2.0},
    )
    monkeypatch.setitem(LOSSES, "toy", toy)
    make = weights_of(LOSSES.values())
    out = outputs(normal)._replace(scores=normal(7, 3))
    total_loss(out, AGES, positions(), make(margin=0), "all")
    assert not seen
    terms = total_loss(out, AGES, positions(), make(lambda_toy=0.5, toy_size=3, margin=0), "all")
    torch.testing.assert_close(terms["toy"], 3 * out.scores.sum())
    torch.testing.assert_close(terms["total"], terms["softmax"] + 0.5 * terms["toy"])
    assert seen[0].scores is out.scores
    assert seen[0].supervised.tolist() == [True] * 7
    total_loss(out, AGES, positions(), make(lambda_toy=0.5, margin=0), "anchor")
    assert seen[1].supervised.tolist() == [True] * 4 + [False] * 3


def test_without_the_softmax_loss_another_trains_alone(normal):
    weights = LossWeights(lambda_s=0, lambda_m=0.2, margin=0)
    terms = total_loss(outputs(normal), AGES, positions(), weights, "all")
    torch.testing.assert_close(terms["total"], 0.2 * terms["mean"])
    assert terms["softmax"].item() > 0
    assert not terms["softmax"].requires_grad


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lambda_m": -1, "margin": 0}, "lambda_m"),
        ({"lambda_c": float("inf"), "margin": 0}, "lambda_c"),
        ({"lambda_x": 1, "margin": 0}, "lambda_x"),
        ({"lambda_m": 1}, "margin"),
        ({"lambda_s": 0, "margin": 0.2}, "no loss has a weight"),
        ({"rnc_temperature": 1, "margin": 0}, "no effect without loss.lambda_rnc"),
        ({"lambda_s": 0, "smoothing": 0.1, "lambda_m": 1, "margin": 0}, "loss.lambda_s"),
        ({"lambda_rnc": 1, "rnc_temperature": 0, "margin": 0}, "rnc_temperature"),
        ({"smoothing": 1, "margin": 0}, "smoothing"),
        ({"lambda_l1": 1, "lambda_coral": 1, "margin": 0}, r"different heads .*coral, regression"),
    ],
)
def test_weights_check_themselves(values, message):
    with pytest.raises(ValueError, match=message):
        LossWeights(**values)


def test_weights_never_change_and_travel_to_other_processes():
    with pytest.raises(FrozenInstanceError):
        ALL.lambda_m = 3
    assert pickle.loads(pickle.dumps(ALL)) == ALL
