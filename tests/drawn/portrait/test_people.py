from dataclasses import fields

import numpy as np

from contrastive_age.drawn.portrait.people import Traits, moment, stage, traits


def test_traits_and_moments_are_reproducible() -> None:
    assert traits(3, 0) == traits(3, 0)
    assert moment(3, 20, 1, 0) == moment(3, 20, 1, 0)


def test_other_numbers_give_others() -> None:
    assert traits(3, 0) != traits(4, 0)
    assert traits(3, 0) != traits(3, 1)
    assert len({moment(3, 20, picture, 0).angle for picture in range(5)}) == 5


def test_every_trait_varies_in_a_population() -> None:
    people = [traits(identity, 0) for identity in range(80)]
    for field in fields(Traits):
        assert len({getattr(person, field.name) for person in people}) > 1, field.name


def test_stages_only_go_forward() -> None:
    for identity in range(12):
        stages = [stage(traits(identity, 0), age) for age in range(78)]
        for name in ("years", "growth", "maturity", "ageing", "grey", "hair", "recession", "wear"):
            values = np.array([getattr(now, name) for now in stages])
            assert (np.diff(values) >= -1e-12).all(), name


def test_age_is_noisy_but_not_much() -> None:
    person = traits(5, 0)
    ages = np.array([stage(person, 40, moment(5, 40, k, 0).age_noise).years for k in range(60)])
    assert 0.5 < ages.std() < 3
    assert stage(person, 0, -2).years == 0
