"""Spellings of one person, words that name nobody, and numbers that differ by zeros."""

import unicodedata
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.sources import identities

# Letters whose upper and lower case fold alike; ß, İ and ı of some languages do not.
NAMES = st.lists(
    st.text(st.sampled_from("abzÅéüñçЖжΩω年0123456789"), min_size=1, max_size=5),
    min_size=1,
    max_size=3,
)


def column(*texts: str) -> pd.Series:
    return pd.Series(texts, dtype="str")


@given(NAMES, st.sampled_from([" ", "  ", "\t", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}"]))
def test_a_person_is_known_in_every_spelling(words: list[str], blank: str) -> None:
    name = " ".join(words)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        for spelling in (name, name.upper(), name.lower(), blank + blank.join(words) + blank):
            assert identities.key(unicodedata.normalize(form, spelling)) == identities.key(name)
    assert identities.key(identities.key(name)) == identities.key(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "1."),
        ("20", "20.000"),
        ("007", "007.0"),
        ("12", "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}"),
        ("Anna Lee", "\N{ZERO WIDTH NO-BREAK SPACE}Anna\N{ZERO WIDTH SPACE} Lee"),
        ("Strasse", "straße"),
    ],
)
def test_two_spellings_are_one_person(one: str, other: str) -> None:
    assert identities.key(one) == identities.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("7", "007"), ("1.0", "10"), ("1.5", "1"), ("1.05", "1"), ("Anna Lee", "AnnaLee"), ("é", "e"),
     ("a1.0", "a1"), (".0", "0"), ("1.0 ", "1.0 a")],
)  # fmt: skip
def test_two_people_stay_two(one: str, other: str) -> None:
    assert identities.key(one) != identities.key(other)


@pytest.mark.parametrize(
    "identity",
    [
        "nan",
        "NaN",
        " None",
        "NULL",
        "null",
        "N/A",
        "#N/A",
        "#NV",
        "#N/D",
        "#BEZUG!",
        "#NAME?",
        "?",
        "-",
        "__",
        "NA",
        "<NA>",
        "\N{FULLWIDTH LATIN SMALL LETTER N}an",
    ],
)
def test_a_word_for_a_missing_value_names_nobody(identity: str) -> None:
    (fault,) = identities.faults(column(identity))
    assert fault.startswith(f"the identity '{identity}' stands for a missing one")


@pytest.mark.parametrize("identity", ["", "  ", "\N{ZERO WIDTH SPACE}"])
def test_what_shows_nothing_names_nobody(identity: str) -> None:
    assert identities.faults(column(identity)).to_list() == ["the identity is empty"]


@pytest.mark.parametrize("identity", ["0", "Nan Goldin", "None Such", "Nana", "nan1"])
def test_names_that_hold_such_a_word_are_names(identity: str) -> None:
    assert identities.faults(column(identity)).to_list() == [""]


def test_a_value_that_is_missing_itself_names_nobody() -> None:
    absent = pd.Series(["a", None], dtype="str")
    assert identities.faults(absent).to_list() == ["", "the identity is empty"]


@given(st.lists(st.sampled_from(["Anna", "anna", "ANNA", "1", "1.0", "2"]), min_size=1), st.data())
def test_the_commonest_then_the_smallest_spelling_is_kept_in_any_order(written, data) -> None:
    shuffled = data.draw(st.permutations(written))
    kept, joined = identities.join(column(*shuffled))
    counts = Counter(written)
    expected = {}
    for person in (["Anna", "anna", "ANNA"], ["1", "1.0"], ["2"]):
        found = sorted(spelling for spelling in person if spelling in counts)
        for spelling in found:
            expected[spelling] = max(found, key=counts.__getitem__)
    assert kept.to_list() == [expected[spelling] for spelling in shuffled]
    assert joined.to_dict("records") == [
        {"identity": one, "spellings": {way: counts[way] for way in ways}}
        for one in sorted(set(expected.values()))
        if len(ways := sorted(way for way in expected if expected[way] == one)) > 1
    ]


def test_the_rows_keep_their_index_and_an_only_spelling_is_left_as_written() -> None:
    written = pd.Series(["Anna  Lee", "b"], index=[7, 3], dtype="str")
    kept, joined = identities.join(written)
    pd.testing.assert_series_equal(kept, written)
    assert joined.empty


def test_people_who_differ_by_leading_zeros_are_listed() -> None:
    people = column("007", "7", "70", "0070.0", "8", "07", "0", "000", "s7", "s07")
    assert identities.differing_by_zeros(people)["identities"].to_list() == [
        ["0", "000"], ["007", "07", "7"], ["0070.0", "70"],
    ]  # fmt: skip
