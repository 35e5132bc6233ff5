"""Draws and batches against the definitions of P(x) and N(x), member by member."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.triplets import sampling
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import Batch, batches

# age, identity, batch
people = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=25
)
lopsided = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 0, 0, 0, 1, 2]), st.just(0)),
    min_size=1,
    max_size=40,
)
sizes = st.integers(2, 9)
seeds = st.integers(0, 2**31 - 1)
modes = st.sampled_from(["explicit", "shared"])


def members(drawn, x: int, *, same_age: bool) -> list[int]:
    """P(x) or N(x) by the definition, within the batch of x."""
    age, identity, batch = drawn[x]
    return [
        row
        for row, other in enumerate(drawn)
        if (other[0] == age) == same_age and other[1] != identity and other[2] == batch
    ]


def index_of(drawn):
    ages, identities, batch = np.array(drawn).T
    return build_index(ages, identities, batch=batch)


class Ranks:
    """Stands in for the generator: gives the ranks it was made with, and notes what it may give."""

    def __init__(self, ranks):
        self.ranks = ranks

    def integers(self, low, high):
        self.high = np.array(high)
        return low + np.minimum(self.ranks, self.high - 1)


@settings(deadline=None, max_examples=60)
@given(people)
def test_every_rank_is_another_positive(drawn) -> None:
    """With ranks drawn uniformly, draws are exactly uniform if each rank is another member."""
    index = index_of(drawn)
    for place, x in enumerate(index.order):
        expected = members(drawn, x, same_age=True)
        rng = Ranks(np.arange(max(len(expected), 1)))
        found = sampling.sample_positives(index, np.full(len(rng.ranks), place), rng)
        assert found.dtype == np.int64
        assert sorted(found.tolist()) == (expected or [-1])
        assert set(rng.high.tolist()) == {len(rng.ranks)}


@settings(deadline=None, max_examples=60)
@given(people)
def test_every_rank_that_is_not_refused_is_another_negative(drawn) -> None:
    """What is drawn of the rows of another age is drawn again, or is each member for one rank."""
    index = index_of(drawn)
    for place, x in enumerate(index.order):
        expected = members(drawn, x, same_age=False)
        others = int(index.batch_rows[place] - index.age_rows[place])
        first = []
        for rank in range(others if expected else 1):
            rng = Ranks(np.array([rank]))
            (found,) = sampling.sample_negatives(index, np.array([place]), rng).tolist()
            if not expected:
                assert found == -1
            elif rng.high.tolist() == [others]:  # accepted, not drawn from a list in the end
                first.append(found)
        assert sorted(first) == expected


@settings(deadline=None, max_examples=60)
@given(people | lopsided)
def test_every_rank_of_a_list_is_another_negative(drawn) -> None:
    index = index_of(drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_ROUNDS", 0)
        for place, x in enumerate(index.order):
            expected = members(drawn, x, same_age=False)
            rng = Ranks(np.arange(max(len(expected), 1)))
            places = np.full(len(rng.ranks), place)
            found = sampling.sample_negatives(index, places, rng).tolist()
            assert sorted(found) == (expected or [-1])
            assert not expected or set(rng.high.tolist()) == {len(expected)}
        everyone = np.arange(len(drawn))
        found = sampling.sample_negatives(index, everyone, np.random.default_rng(0))
    for x, row in zip(index.order, found.tolist(), strict=True):
        expected = members(drawn, x, same_age=False)
        assert row in expected if expected else row == -1


@pytest.mark.parametrize("rounds", [0, 1, 2, 30])
def test_draws_are_uniform(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_ROUNDS", rounds)
    drawn = [(0, 0, 0)] * 3 + [(0, 1, 0)] * 2 + [(0, 2, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0)]
    drawn += [(3, 2, 0)] * 6
    index, rng = index_of(drawn), np.random.default_rng(0)
    places = np.repeat(np.flatnonzero(index.order == 5), 30_000)
    for draw, same_age in ((sampling.sample_positives, True), (sampling.sample_negatives, False)):
        expected = members(drawn, 5, same_age=same_age)
        found = Counter(draw(index, places, rng).tolist())
        assert sorted(found) == expected
        mean = 30_000 / len(expected)
        assert sum((count - mean) ** 2 / mean for count in found.values()) < 25


@pytest.mark.parametrize("shape", ["a person with most rows", "an age with most rows", "crossed"])
@pytest.mark.parametrize("mode", ["explicit", "shared"])
def test_labels_with_few_negatives_come_to_an_end(shape: str, mode) -> None:
    n, rng = 20_000, np.random.default_rng(0)
    few, half = np.arange(n) % 100 == 0, np.arange(n) % 2 == 0
    ages, identities = rng.integers(0, 60, n), rng.integers(1, n // 4, n)
    if shape == "a person with most rows":
        identities = np.where(few, identities, 0)
    elif shape == "an age with most rows":
        ages = np.where(few, ages, 30)
    else:  # who is 0 at 1 meets almost only people 0 at other ages, and other people at 1
        ages = np.where(half & ~few, 1, ages)
        identities = np.where(~half, 0, identities)
    started = time.perf_counter()
    for batch in batches(build_index(ages, identities), mode, 64, rng):
        for name in ("positive", "negative"):
            partner = batch.rows[getattr(batch, name)]
            has, x = getattr(batch, f"has_{name}"), batch.rows[batch.anchor]
            same = ages[partner] == ages[x]
            assert (same[has] == (name == "positive")).all()
            assert (identities[partner] != identities[x])[has].all()
    assert time.perf_counter() - started < 10


def check_batch(batch: Batch, drawn) -> None:
    """Every mark and every triplet of a batch is what it says."""
    b = len(batch.anchor)
    for values in (batch.rows, batch.anchor, batch.positive, batch.negative):
        assert values.dtype == np.int64
    for mask in (batch.has_positive, batch.has_negative):
        assert mask.dtype == np.bool_
        assert mask.shape == (b,)
    for name, same_age in (("positive", True), ("negative", False)):
        position, has = getattr(batch, name), getattr(batch, f"has_{name}")
        assert position.shape == (b,)
        np.testing.assert_array_equal(position[~has], batch.anchor[~has])
        for k in np.flatnonzero(has):
            x = batch.rows[batch.anchor[k]]
            assert batch.rows[position[k]] in members(drawn, x, same_age=same_age)


def anchors_of(epoch: list[Batch]) -> list[int]:
    return np.concatenate([batch.rows[batch.anchor] for batch in epoch]).tolist()


@settings(deadline=None, max_examples=60)
@given(people | lopsided, sizes, seeds, modes)
def test_every_row_is_anchor_once(drawn, size: int, seed: int, mode) -> None:
    drawn = [(age, identity, 0) for age, identity, _ in drawn]
    index = index_of(drawn)
    epoch = list(batches(index, mode, size, np.random.default_rng(seed)))
    assert sorted(anchors_of(epoch)) == list(range(len(drawn)))
    assert len(epoch) <= -(-len(drawn) // size)
    assert all(len(batch.anchor) > 1 for batch in epoch) or len(drawn) == 1
    for batch in epoch:
        check_batch(batch, drawn)


@settings(deadline=None, max_examples=60)
@given(people, sizes, seeds)
def test_explicit_batches(drawn, size: int, seed: int) -> None:
    drawn = [(age, identity, 0) for age, identity, _ in drawn]
    epoch = list(sampling.explicit_batches(index_of(drawn), size, np.random.default_rng(seed)))
    n = len(drawn)
    expected = [min(size, n - start) for start in range(0, n, size)]
    if expected[-1] == 1 and n > 1:
        expected = [*expected[:-2], size + 1]
    assert [len(batch.anchor) for batch in epoch] == expected
    for batch in epoch:
        b = len(batch.anchor)
        assert batch.anchor.tolist() == list(range(b))
        assert len(batch.rows) == b + batch.has_positive.sum() + batch.has_negative.sum()
        used = np.concatenate((batch.anchor, batch.positive, batch.negative))
        assert set(used.tolist()) == set(range(len(batch.rows)))
        for k in range(b):
            x = batch.rows[k]
            assert batch.has_positive[k] == bool(members(drawn, x, same_age=True))
            assert batch.has_negative[k] == bool(members(drawn, x, same_age=False))


@settings(deadline=None, max_examples=60)
@given(people | lopsided, sizes, seeds)
def test_shared_batches(drawn, size: int, seed: int) -> None:
    drawn = [(age, identity, 0) for age, identity, _ in drawn]
    epoch = list(sampling.shared_batches(index_of(drawn), size, np.random.default_rng(seed)))
    for batch in epoch:
        assert batch.anchor.tolist() == list(range(len(batch.rows)))
        inside = set(batch.rows.tolist())
        for k, x in enumerate(batch.rows):
            # a partner wherever the whole training part has one
            assert batch.has_positive[k] == bool(members(drawn, x, same_age=True))
            in_batch = inside.intersection(members(drawn, x, same_age=False))
            assert batch.has_negative[k] == bool(in_batch)


@settings(deadline=None, max_examples=60)
@given(people | lopsided, seeds)
def test_groups_are_small_and_hold_two_identities(drawn, seed: int) -> None:
    drawn = [(age, identity, 0) for age, identity, _ in drawn]
    rows, group = sampling._groups(index_of(drawn), np.random.default_rng(seed))
    assert sorted(rows.tolist()) == list(range(len(drawn)))
    assert sorted(set(group.tolist())) == list(range(group.max() + 1))
    for number in range(group.max() + 1):
        together = [drawn[row] for row in rows[group == number]]
        (age,) = {member[0] for member in together}
        identities = Counter(member[1] for member in drawn if member[0] == age)
        images, commonest = identities.total(), max(identities.values())
        if len(identities) == 1:
            assert len(together) == 1
            continue
        assert len({member[1] for member in together}) > 1
        odd = images % 2
        star = -(-commonest // (images - commonest)) + 1
        assert len(together) <= max(2 + odd, star)


def test_shared_positives_are_drawn_among_all_of_the_batch() -> None:
    """Not only within the group: in one large batch every member of P(x) serves."""
    drawn = [(0, identity, 0) for identity in range(8)]
    index, rng = index_of(drawn), np.random.default_rng(0)
    found: Counter[tuple[int, int]] = Counter()
    for _ in range(300):
        (batch,) = sampling.shared_batches(index, 8, rng)
        found.update(zip(batch.rows.tolist(), batch.rows[batch.positive].tolist(), strict=True))
    assert len(found) == 8 * 7
    mean = 300 / 7
    assert sum((count - mean) ** 2 / mean for count in found.values()) < 100


def test_every_image_of_a_repeated_identity_meets_every_other() -> None:
    """Pairs are not always made of the same images of two identities."""
    drawn = [(0, 0, 0)] * 3 + [(0, 1, 0)] * 3
    index, rng = index_of(drawn), np.random.default_rng(0)
    met: Counter[tuple[int, int]] = Counter()
    for _ in range(900):
        rows, group = sampling._groups(index, rng)
        for number in range(3):
            met[tuple(sorted(rows[group == number].tolist()))] += 1
    assert set(met) == {(a, b) for a in range(3) for b in range(3, 6)}
    assert min(met.values()) > 200


@pytest.mark.parametrize("mode", ["explicit", "shared"])
def test_batches_drawn_in_one_go_leave_no_seam(mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_AT_ONCE", 3)
    source = np.random.default_rng(1)
    drawn = [(int(a), int(i), 0) for a, i in source.integers(0, [6, 30], (300, 2))]
    epoch = list(batches(index_of(drawn), mode, 8, np.random.default_rng(0)))
    assert sorted(anchors_of(epoch)) == list(range(300))
    assert all(6 <= len(batch.anchor) <= 10 for batch in epoch[:-1])
    for batch in epoch:
        check_batch(batch, drawn)


@pytest.mark.parametrize("mode", ["explicit", "shared"])
def test_epochs_differ_and_seeds_repeat(mode) -> None:
    drawn = [(row % 5, row % 7, 0) for row in range(200)]
    index = index_of(drawn)

    def epoch(rng: np.random.Generator) -> list[list[int]]:
        return [
            [*batch.rows, *batch.positive, *batch.negative]
            for batch in batches(index, mode, 16, rng)
        ]

    rng = np.random.default_rng(3)
    first, second = epoch(rng), epoch(rng)
    assert first != second
    assert epoch(np.random.default_rng(3)) == first
    assert epoch(np.random.default_rng(4)) != first


def test_a_star_larger_than_the_batch_stays_whole() -> None:
    drawn = [(0, 0, 0)] * 30 + [(0, 1, 0)] + [(1, identity, 0) for identity in range(6)]
    epoch = list(sampling.shared_batches(index_of(drawn), 4, np.random.default_rng(0)))
    assert sorted(anchors_of(epoch)) == list(range(37))
    assert max(len(batch.rows) for batch in epoch) >= 31
    assert all(batch.has_positive.all() for batch in epoch)


def test_wrong_arguments_are_refused() -> None:
    index = build_index([1, 1], [0, 1])
    with pytest.raises(ValueError, match="'both'; choose one of explicit, shared"):
        batches(index, "both", 8, np.random.default_rng(0))
    with pytest.raises(ValueError, match="batch_size is 1"):
        batches(index, "shared", 1, np.random.default_rng(0))
