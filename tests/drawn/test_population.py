from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from contrastive_age.drawn.population import fgnet_population, morph2_population


@pytest.mark.parametrize(("identities", "images"), [(2, 9), (12, 96), (40, 600), (82, 1002)])
def test_fgnet_counts_ages_and_names(identities: int, images: int) -> None:
    shots = fgnet_population(identities, images, seed=0)
    assert len(shots) == images
    assert {shot.identity for shot in shots} == set(range(1, identities + 1))
    assert len({shot.name for shot in shots}) == images
    assert all(0 <= shot.age <= 69 for shot in shots)
    own = np.bincount([shot.identity for shot in shots])[1:]
    assert own.max() - own.min() <= 1


def test_fgnet_ages_are_young_and_shared() -> None:
    shots = fgnet_population(40, 600, seed=3)
    ages = np.array([shot.age for shot in shots])
    assert 0.5 < np.mean(ages < 20) < 0.75
    assert np.mean(ages >= 40) > 0.04
    assert np.abs(ages - np.median(ages)).mean() > 9
    holders, spans = defaultdict(set), defaultdict(list)
    for shot in shots:
        holders[shot.age].add(shot.identity)
        spans[shot.identity].append(shot.age)
    assert min(len(who) for who in holders.values()) >= 2
    assert len(holders) >= 45
    assert np.median([np.ptp(own) for own in spans.values()]) > 15


def test_fgnet_letters_only_where_an_age_repeats() -> None:
    shots = fgnet_population(3, 60, seed=0)
    by_age = defaultdict(list)
    for shot in shots:
        by_age[shot.identity, shot.age].append(shot.name)
    for (identity, age), names in by_age.items():
        stem = f"images/{identity:03d}A{age:02d}"
        letters = "abcdefghijklmnopqrstuvwxyz"[: len(names)] if len(names) > 1 else [""]
        assert names == [f"{stem}{letter}.JPG" for letter in letters]


def test_one_identity_keeps_its_ages() -> None:
    assert len({shot.age for shot in fgnet_population(1, 10, seed=0)}) > 3


def test_seeds_give_other_populations() -> None:
    assert fgnet_population(5, 50, 0) == fgnet_population(5, 50, 0)
    assert fgnet_population(5, 50, 0) != fgnet_population(5, 50, 1)
    assert morph2_population(5, 20, 0) == morph2_population(5, 20, 0)
    assert morph2_population(5, 20, 0) != morph2_population(5, 20, 1)


@pytest.mark.parametrize("plan", [fgnet_population, morph2_population])
@pytest.mark.parametrize(("identities", "images"), [(5, 4), (0, 3)])
def test_impossible_numbers(plan, identities: int, images: int) -> None:
    with pytest.raises(ValueError, match="cannot show"):
        plan(identities, images, seed=0)


def test_limits_of_fgnet_names() -> None:
    with pytest.raises(ValueError, match="three digits"):
        fgnet_population(1000, 1000, seed=0)
    with pytest.raises(ValueError, match="letters end at z"):
        fgnet_population(1, 2000, seed=0)


def test_morph2_rows_agree_with_each_other() -> None:
    arrests = morph2_population(150, 600, seed=0)
    ages = np.array([arrest.shot.age for arrest in arrests])
    assert len(arrests) == 600
    assert 16 <= ages.min() <= 18 and 60 < ages.max() <= 77
    assert 30 <= np.median(ages) <= 36
    by_identity = defaultdict(list)
    for arrest in arrests:
        by_identity[arrest.shot.identity].append(arrest)
    assert sorted(by_identity) == list(range(1, 151))
    for identity, own in by_identity.items():
        assert [arrest.shot.picture for arrest in own] == list(range(len(own)))
        assert len({(arrest.sex, arrest.born) for arrest in own}) == 1
        assert own[-1].shot.age - own[0].shot.age <= 6
        for before, after in pairwise(own):
            assert (after.taken - before.taken).days == after.days_since_last > 0
        for arrest in own:
            birthdays = arrest.taken.year - arrest.born.year
            had = (arrest.taken.month, arrest.taken.day) >= (arrest.born.month, arrest.born.day)
            age = birthdays if had else birthdays - 1
            assert arrest.shot.age == age
            picture = arrest.shot.picture
            assert arrest.shot.name == f"Album2/{identity:06d}_{picture}{arrest.sex}{age:02d}.JPG"
