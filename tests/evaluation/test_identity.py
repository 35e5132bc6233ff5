"""What identity measures give on known features, by loops, and when a network learns identity."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from contrastive_age.drawn.face import draw_face
from contrastive_age.evaluation import identity as measures
from contrastive_age.evaluation.identity import (
    age_without_identity,
    identity_probe,
    measure_fold,
    pool,
    retrieval,
    variance_ratio,
    variance_within,
)
from contrastive_age.evaluation.outputs import predict
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training.augmentation import centre_crop

VALUES = np.arange(10.0, 60.0)


def people(sizes, seed=0):
    """Identity numbers, and ages that an identity spans some fifteen years of."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    ages = np.round(rng.uniform(10, 45, len(sizes))[codes] + rng.uniform(0, 15, len(codes)))
    order = rng.permutation(len(codes))
    return codes[order], ages[order]


def fold(sizes, share=0.5, seed=0):
    """A fold whose outputs follow identity to some share and age for the rest, with noise."""
    codes, ages = people(sizes, seed)
    rng = np.random.default_rng((seed, 1))
    by_age = (ages[:, None] - 30) / 10 * rng.standard_normal(24)
    by_who = 2 * rng.standard_normal((len(sizes), 24))[codes]
    noise = rng.standard_normal((len(codes), 24))
    features = (1 - share) * by_age + share * by_who + 0.7 * noise
    home = rng.uniform(10, 60, len(sizes))[codes]
    seen = (1 - share) * ages + share * home + noise[:, 0]
    logits = -0.1 * (VALUES - seen[:, None]) ** 2
    names = np.array([f"{code:03d}" for code in codes])
    return names, ages, features.astype(np.float32), logits.astype(np.float32)


def loop_mean(values):
    return math.fsum(values) / len(values)


def loop_variance(values):
    mean = loop_mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def test_variance_within_agrees_with_loops():
    codes, ages = people([3, 1, 2, 5])
    values = np.random.default_rng(1).standard_normal((len(codes), 4))
    found = variance_within(codes, {"features": values, "true_age": ages})
    expected, expected_age = [], []
    for code in range(4):
        rows = [row for row in range(len(codes)) if codes[row] == code]
        if len(rows) < 2:
            continue
        columns = [[values[row, column] for row in rows] for column in range(4)]
        expected.append(loop_mean([loop_variance(column) for column in columns]))
        expected_age.append(loop_variance([ages[row] for row in rows]))
    assert (found["identities"], found["images"], found["ddof"]) == (3, 10, 1)
    assert found["features"] == pytest.approx(loop_mean(expected))
    assert found["true_age"] == pytest.approx(loop_mean(expected_age))


def test_each_identity_weighs_the_same_in_the_variance():
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    ages = np.array([20.0, 20, 20, 20, 20, 20, 30, 34])
    assert variance_within(codes, {"true_age": ages})["true_age"] == pytest.approx((0 + 8) / 2)


def test_variance_ratio_agrees_with_loops():
    codes, ages = people([3, 1, 2, 5])
    features = np.random.default_rng(2).standard_normal((len(codes), 6))
    rows = [row for row in range(len(codes)) if codes[row] != 1]
    unit = {row: features[row] / math.sqrt(sum(x * x for x in features[row])) for row in rows}

    def spread(members):
        mean = sum(unit[row] for row in members) / len(members)
        return math.fsum(float(((unit[row] - mean) ** 2).sum()) for row in members)

    within = sum(spread([row for row in rows if codes[row] == code]) for code in (0, 2, 3))
    found = variance_ratio(codes, ages, features)
    expected = (within / (10 - 3)) / (spread(rows) / (10 - 1))
    assert found["features"] == pytest.approx(expected)
    assert (found["images"], found["identities"]) == (10, 3)


def test_variance_ratio_is_zero_for_identity_alone_and_one_for_noise():
    codes, ages = people([4] * 200)
    rng = np.random.default_rng(3)
    alone = variance_ratio(codes, ages, rng.standard_normal((200, 8))[codes])
    assert alone["features"] == pytest.approx(0, abs=1e-12)
    noise = variance_ratio(codes, ages, rng.standard_normal((800, 8)))
    assert noise["features"] == pytest.approx(1, abs=0.02)


def test_features_of_age_alone_have_the_ratio_of_the_age():
    codes, ages = people([5] * 30)
    # On a short arc the unit-length feature is nearly linear in age.
    features = np.column_stack([np.cos(ages / 1e4), np.sin(ages / 1e4)])
    found = variance_ratio(codes, ages, features)
    assert found["features"] == pytest.approx(found["true_age"], rel=1e-3)
    assert 0 < found["true_age"] < 0.5


def loop_retrieval(codes, ages, features, years):
    hits, chances = [], []
    for query in range(len(codes)):
        near = [
            other
            for other in range(len(codes))
            if other != query and abs(ages[other] - ages[query]) <= years
        ]
        same = [other for other in near if codes[other] == codes[query]]
        if not same or len(same) == len(near):
            continue

        def cosine(other, query=query):
            a, b = features[query], features[other]
            return float(a @ b / math.sqrt((a @ a) * (b @ b)))

        hits.append(max(near, key=cosine) in same)
        chances.append(len(same) / len(near))
    return len(hits), loop_mean(hits), loop_mean(chances)


@pytest.mark.parametrize("years", [1, 5, 100])
@pytest.mark.parametrize("at_a_time", [7, 512])
def test_retrieval_agrees_with_loops(monkeypatch, years, at_a_time):
    monkeypatch.setattr(measures, "_QUERIES_AT_A_TIME", at_a_time)
    codes, ages = people([1, 2, 3, 4, 5, 6, 7, 8])
    rng = np.random.default_rng(5)
    features = rng.standard_normal((8, 12))[codes] + 2 * rng.standard_normal((len(codes), 12))
    queries, accuracy, chance = loop_retrieval(codes, ages, features, years)
    found = retrieval(codes, ages, features, years)
    assert (found["queries"], found["similar_age"]) == (queries, years)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["chance"] == pytest.approx(chance)


def test_features_that_say_nothing_retrieve_at_chance():
    codes, ages = people([2, 3, 4, 5])
    found = retrieval(codes, ages, np.zeros((14, 8)), 100)
    assert found["accuracy"] == pytest.approx(found["chance"])


def test_retrieval_compares_only_faces_of_a_similar_age():
    codes, ages = np.array([0, 0, 1, 1]), np.array([20.0, 26.0, 20.0, 25.0])
    features = np.eye(4)
    assert retrieval(codes, ages, features, 6)["queries"] == 4
    # Identity 0's pictures are six years apart; those of identity 1 are five, with one of
    # identity 0 near each.
    assert retrieval(codes, ages, features, 5)["queries"] == 2
    assert "reason" in retrieval(codes, ages, features, 1)


def test_the_probe_finds_what_is_linear_and_nothing_in_noise():
    codes, ages = people([6] * 8)
    rng = np.random.default_rng(6)
    clear = identity_probe(codes, ages, np.eye(8)[codes] + 0.05 * rng.standard_normal((48, 8)))
    assert clear["accuracy"] == 1
    assert (clear["identities"], clear["images"], clear["chance"]) == (8, 48, 1 / 8)
    noise = identity_probe(codes, ages, rng.standard_normal((48, 8)))
    assert noise["accuracy"] < 0.3


def test_the_probe_says_how_far_age_alone_gives_identity_away():
    codes = np.repeat(np.arange(5), 4)
    apart = identity_probe(codes, 10.0 * codes + np.tile([0, 1, 2, 3], 5), np.zeros((20, 3)))
    assert apart["accuracy_from_age"] == 1
    alike = identity_probe(codes, np.full(20, 30.0), np.zeros((20, 3)))
    assert alike["accuracy_from_age"] == alike["chance"] == 0.2


def test_the_probe_takes_identities_with_enough_images_up_to_a_limit():
    sizes = [3, 4, 5, 6, 7, 8]
    codes, ages = people(sizes)
    features = np.random.default_rng(7).standard_normal((len(codes), 4))
    assert identity_probe(codes, ages, features)["images"] == 4 + 5 + 6 + 7 + 8
    few = [identity_probe(codes, ages, features, seed, at_most=2) for seed in range(6)]
    assert all(found["identities"] == 2 for found in few)
    assert len({found["images"] for found in few}) > 1
    assert few[3] == identity_probe(codes, ages, features, 3, at_most=2)


def test_age_is_read_from_features_that_move_with_it():
    codes, ages = people([5] * 12)
    rng = np.random.default_rng(8)
    way, who = rng.standard_normal(20), 30 * rng.standard_normal((12, 20))
    found = age_without_identity(codes, ages, ages[:, None] * way + who[codes])
    assert found["r2"] == pytest.approx(1, abs=1e-3)
    assert found["mae"] < 0.05 * found["mae_zero"]
    blind = age_without_identity(codes, ages, who[codes] + rng.standard_normal((60, 20)))
    assert blind["r2"] < 0.1


def test_the_error_of_predicting_zero_agrees_with_loops():
    codes, ages = people([1, 2, 3, 4, 5])
    found = age_without_identity(codes, ages, np.zeros((15, 3)))
    target = []
    for code in range(1, 5):
        own = [age for age, other in zip(ages, codes, strict=True) if other == code]
        target += [age - loop_mean(own) for age in own]
    assert (found["images"], found["identities"]) == (14, 4)
    assert found["mae"] == found["mae_zero"] == pytest.approx(loop_mean([abs(x) for x in target]))
    assert found["mse_zero"] == pytest.approx(loop_mean([x * x for x in target]))
    assert found["r2"] == 0


def test_age_is_read_across_identities_and_not_learned_for_each():
    codes, ages = people([6] * 10)
    # Each identity ages along a direction of its own, which others teach nothing about.
    found = age_without_identity(codes, ages, np.eye(10)[codes] * ages[:, None])
    assert found["r2"] < 0.05


def test_measures_rise_and_fall_with_the_share_of_identity():
    found = [measure_fold(*fold([5] * 12, share), VALUES) for share in (0, 0.4, 0.8)]

    def curve(measure, value):
        return [step[measure][value] for step in found]

    rising = [curve("retrieval", "accuracy"), curve("probe", "accuracy")]
    rising.append(curve("age_without_identity", "mae"))
    falling = [curve("variance_ratio", "features"), curve("age_without_identity", "r2")]
    falling += [curve("variance", name) for name in ("features", "logits", "predicted_age")]
    for values in rising:
        assert values == sorted(values)
        assert values[-1] > 1.5 * values[0]
    for values in falling:
        assert values == sorted(values, reverse=True)
        assert values[-1] < values[0] / 1.3


def test_only_the_variance_depends_on_the_scale_of_features():
    names, ages, features, logits = fold([5] * 8)
    small = measure_fold(names, ages, features, logits, VALUES)
    large = measure_fold(names, ages, 64 * features, logits, VALUES)
    assert large["variance"]["features"] == pytest.approx(64**2 * small["variance"]["features"])
    for name in ("variance_ratio", "retrieval", "probe", "age_without_identity"):
        assert large[name] == pytest.approx(small[name])


def test_outputs_are_those_of_the_network():
    names, ages, features, logits = fold([4] * 3)
    found = measure_fold(names, ages, features, logits, VALUES)["variance"]
    probabilities = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    codes = np.unique(names, return_inverse=True)[1]
    outputs = {
        "features": features.astype(float),
        "logits": logits.astype(float),
        "probabilities": probabilities,
        "predicted_age": probabilities @ VALUES,
        "true_age": ages,
    }
    assert found == pytest.approx(variance_within(codes, outputs))


def test_a_fold_of_one_identity_has_table_five_and_reasons_for_the_rest():
    found = measure_fold(*fold([7]), VALUES)
    assert found["variance"]["features"] > 0
    for name in ("variance_ratio", "retrieval", "probe", "age_without_identity"):
        values = {key: value for key, value in found[name].items() if key != "similar_age"}
        assert values.pop("reason")
        assert set(values.values()) == {None}


def test_identities_of_a_single_image_allow_no_measure():
    found = measure_fold(*fold([1] * 9), VALUES)
    assert all("reason" in measure for measure in found.values())
    pooled = pool([found, found])
    assert pooled["variance"]["features"] is None
    assert pooled["variance"]["reason"] == "no identity has two images"
    assert (pooled["folds"], pooled["variance"]["folds"]) == (2, 0)


def test_equal_features_and_equal_ages_are_told():
    codes, ages = people([4] * 5)
    equal = np.full((20, 6), 0.1)
    assert "equal" in variance_ratio(codes, ages, equal)["reason"]
    same_age = np.full(20, 30.0)
    assert "single age" in age_without_identity(codes, same_age, np.eye(20))["reason"]
    assert variance_ratio(codes, same_age, np.eye(20))["true_age"] is None


def test_pooling_weighs_each_measure_by_what_it_counts():
    folds = [
        measure_fold(*fold(sizes, 1, seed), VALUES)
        for seed, sizes in enumerate(([4] * 6, [7] * 4 + [2] * 5, [5, 9, 6, 4]))
    ]
    pooled = pool(folds)
    for measure, value, weight in (
        ("variance", "features", "identities"),
        ("variance", "predicted_age", "identities"),
        ("variance_ratio", "features", "images"),
        ("retrieval", "accuracy", "queries"),
        ("retrieval", "chance", "queries"),
        ("probe", "accuracy", "images"),
        ("age_without_identity", "mae", "images"),
    ):
        weights = [part[measure][weight] for part in folds]
        terms = [part[measure][value] * w for part, w in zip(folds, weights, strict=True)]
        assert pooled[measure][value] == pytest.approx(sum(terms) / sum(weights))
        assert pooled[measure][weight] == sum(weights)
        assert pooled[measure]["folds"] == 3
    ages = pooled["age_without_identity"]
    assert ages["r2"] == pytest.approx(1 - ages["mse"] / ages["mse_zero"])
    assert (pooled["variance"]["ddof"], pooled["retrieval"]["similar_age"]) == (1, 5)


def test_folds_without_a_measure_do_not_weigh_in():
    full, lone = measure_fold(*fold([4] * 6), VALUES), measure_fold(*fold([9], seed=1), VALUES)
    pooled = pool([lone, full])
    for name in ("variance_ratio", "retrieval", "probe", "age_without_identity"):
        assert pooled[name] == pytest.approx(full[name] | {"folds": 1})
    assert pooled["variance"]["identities"] == 7
    alone = pool([lone, lone])
    assert alone["probe"]["accuracy"] is None
    assert alone["probe"]["reason"] == lone["probe"]["reason"]
    assert alone["variance"]["features"] == pytest.approx(lone["variance"]["features"])


@pytest.mark.parametrize("sizes", [[4] * 6, [9], [1, 1]])
def test_fold_and_pooled_measures_survive_json(sizes):
    found = measure_fold(*fold(sizes), VALUES)
    for report in (found, pool([found, found])):
        assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_no_folds_is_an_error():
    with pytest.raises(ValueError, match="no folds"):
        pool([])


def test_shapes_that_do_not_fit_are_an_error():
    names, ages, features, logits = fold([4] * 3)
    with pytest.raises(ValueError, match="do not go together"):
        measure_fold(names, ages[:-1], features, logits, VALUES)
    with pytest.raises(ValueError, match="do not go together"):
        measure_fold(names, ages, features, logits, VALUES[:-1])
    features[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        measure_fold(names, ages, features, logits, VALUES)


def drawn_faces():
    """Eight people at four ages, twice each: uint8 (64, 3, 48, 48), who it is, and how old."""
    shots = [(who, age, k) for who in range(8) for age in (8, 24, 40, 60) for k in range(2)]
    faces = [np.asarray(draw_face(who, age, picture=k, size=48)) for who, age, k in shots]
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
    return images, np.array([shot[0] for shot in shots]), np.array([shot[1] for shot in shots])


def trained(images, who, ages, weight_of_identity, classes):
    """A network that learns age and, through a second linear layer on its features, identity."""
    torch.manual_seed(0)
    network, names = AgeNetwork(classes).train(), torch.nn.Linear(512, 8)
    adam = torch.optim.Adam([*network.parameters(), *names.parameters()], fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=24)
    who, ages = torch.from_numpy(who), torch.from_numpy(ages)
    for _ in range(6):
        for rows in torch.randperm(len(images)).split(16):
            features, logits, _ = network(centre_crop(images[rows], 32))
            loss = cross_entropy(logits, ages[rows])
            loss = loss + weight_of_identity * cross_entropy(names(features), who[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()
            rates.step()
    return network


def test_each_measure_shows_that_a_network_was_taught_identity():
    images, who, ages = drawn_faces()
    classes = AgeClasses(0, 69)
    found = []
    for weight_of_identity in (0.0, 4.0):
        network = trained(images, who, ages, weight_of_identity, classes)
        features, logits, _ = predict(network, images, 32)
        found.append(measure_fold(who, ages, features, logits, classes.values.numpy()))
    by_age, by_both = found
    for output in ("features", "logits", "probabilities", "predicted_age"):
        assert by_both["variance"][output] < by_age["variance"][output]
    assert by_both["variance"]["true_age"] == by_age["variance"]["true_age"]
    assert by_both["variance_ratio"]["features"] < by_age["variance_ratio"]["features"]
    assert by_both["retrieval"]["accuracy"] > by_age["retrieval"]["accuracy"]
    assert by_both["probe"]["accuracy"] > by_age["probe"]["accuracy"]
    assert by_both["age_without_identity"]["r2"] < by_age["age_without_identity"]["r2"]
    assert by_both["age_without_identity"]["mae"] > by_age["age_without_identity"]["mae"]
