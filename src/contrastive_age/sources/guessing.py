"""What the names of photos and their folders say of ages and people.

A guess, to be looked at before it is used: from what most names have in common. What is found in
them is told in words.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_MAX, AGE_MIN

_SUFFIXES = r"(\.(?:avif|bmp|chip|face|gif|hei[cf]|jfif|jp2|jpe?g|mpo|png|tiff?|webp))+\Z"
_MARKED = {
    "the year of the photo less the date of birth": (
        r"(?<!\d)(?P<born>1[89]\d\d|20\d\d)-(?P<month>\d\d?)-\d\d?[_ -]+(?P<taken>1[89]\d\d|20\d\d)"
    ),
    "the number after 'age'": r"(?<![a-z])age[ _=-]?(?P<age>\d{1,3})(?!\d)",
    "the number before 'y', 'yo' or 'years'": (
        r"(?<!\d)(?P<age>\d{1,3})[ _-]?y(?:o|rs?|ears?(?:[ _-]?old)?)?(?![a-z])"
    ),
    "the number after 'A'": r"(?<![a-z])A(?P<age>\d{1,3})(?!\d)",
    "the number after 'M' or 'F'": r"(?<![a-z])[MF](?P<age>\d{1,3})(?!\d)",
}
_NUMBER = r"(?<![^\W_])\d{1,3}(?![^\W_])"
_PLACES = 6
"""How many numbers of a name are looked at, from its start and from its end."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

_PARTS = r"(?:train(?:ing)?|test|val(?:id(?:ation)?)?|images?|photos?|faces?|data|parts?)[ _-]?\d*"
"""Folders that are called so hold a part of the photos, and no person."""
_ENOUGH = 0.5
"""Share of the photos that must have a label for it to be one, and of a person's for a person."""
_MOST_PHOTOS = 200
"""Of one person, at the median: what has more is no person."""

Found = tuple[int, int, int]
"""An age, and where in the text it begins and ends."""


@dataclass(frozen=True, eq=False)
class Guess:
    """What names say.

    Attributes:
        table: `path`, where people were found `identity`, and `age` (all str; "" where a name says
            nothing), in the order of the paths.
        age: Where ages were found, in words; "" where nowhere.
        identity: Where people were found, in words; "" where nowhere.
    """

    table: pd.DataFrame
    age: str
    identity: str


def guess(paths: Sequence[str]) -> Guess:
    """Guess ages and people from the names of photos and of their folders.

    Args:
        paths: Posix paths relative to the folder of all of them, each once.
    """
    photos = [PurePosixPath(path) for path in paths]
    names = [re.sub(_SUFFIXES, "", photo.name, flags=re.IGNORECASE) for photo in photos]
    folders = [photo.parent.as_posix().removeprefix(".") for photo in photos]
    counted = {
        f"the {_ordinal(place)} number of the name": partial(_number, place=place)
        for place in (*range(_PLACES), *range(-1, -_PLACES - 1, -1))
    }
    in_names: dict[str, Callable[[str], Found | None]] = {
        **{words: partial(_marked, pattern=pattern) for words, pattern in _MARKED.items()},
        **counted,
    }
    readings = {words: list(map(find, names)) for words, find in in_names.items()}
    readings |= {"the folder": [_marked(each, r"(?:.*/)?(?P<age>\d{1,3})\Z") for each in folders]}
    shares = {words: _share(found, folders) for words, found in readings.items()}
    # Of numbers in equally many names one that is never the same is likelier to count the photos.
    where = max(shares, key=lambda each: (shares[each], each in _MARKED, _recurs(readings[each])))
    found = readings[where] if shares[where] >= _ENOUGH else [None] * len(names)
    people, told = _people(names, folders, found, of_folder=where == "the folder")
    ages = ["" if each is None else str(each[0]) for each in found]
    columns = {"path": list(paths)} | ({"identity": people} if told else {}) | {"age": ages}
    return Guess(pd.DataFrame(columns, dtype="str"), where if any(ages) else "", told)


def read_by(pattern: str, paths: Sequence[str]) -> Guess:
    """Read ages and people with a regular expression.

    Args:
        pattern: It is searched in each path; its groups `age` and, where people are named,
            `identity` are what is taken.
        paths: Posix paths.

    Raises:
        DataError: It is none, or lacks the group `age`.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"{pattern!r} is no regular expression: {error}") from error
    groups = [name for name in ("identity", "age") if name in compiled.groupindex]
    if "age" not in groups:
        raise DataError(f"{pattern!r} lacks a group for the age: write it as (?P<age>[0-9]+)")
    matches = [compiled.search(path) for path in paths]
    columns = {name: [(match and match[name]) or "" for match in matches] for name in groups}
    told = "the group of that name" if "identity" in groups else ""
    return Guess(pd.DataFrame({"path": paths, **columns}, dtype="str"), "the group 'age'", told)


def _marked(text: str, pattern: str) -> Found | None:
    """Find the last age that a pattern marks, or the one between two dates."""
    matches = list(re.finditer(pattern, text, re.IGNORECASE))
    if not matches:
        return None
    values = matches[-1].groupdict()
    if "born" in values:
        # A photo of which the year alone is known is taken as one of its middle.
        age = int(values["taken"]) - int(values["born"]) - (int(values["month"]) > 6)
    else:
        age = int(values["age"])
    return (age, *matches[-1].span()) if AGE_MIN <= age <= AGE_MAX else None


def _number(name: str, place: int) -> Found | None:
    """Find the number at a place among all that stand alone and could be an age."""
    numbers = list(re.finditer(_NUMBER, name))
    if not -len(numbers) <= place < len(numbers):
        return None
    age = int(numbers[place][0])
    return (age, *numbers[place].span()) if AGE_MIN <= age <= AGE_MAX else None


def _ordinal(place: int) -> str:
    if place >= 0:
        return _ORDINALS[place]
    return "last" if place == -1 else f"{_ORDINALS[-place - 1]} last"


def _share(found: Sequence[Found | None], folders: Sequence[str]) -> float:
    """The share of photos with an age; 0 where these only count the photos, or are all the same."""
    ages = pd.Series([each and each[0] for each in found], dtype="Float64")
    known = ages.dropna()
    if known.nunique() < 2 or _counts(known, pd.Series(folders)[known.index]):
        return 0.0
    return len(known) / len(ages)


def _counts(ages: pd.Series, folders: pd.Series) -> bool:
    """Whether in most folders of several photos the numbers run on from 0 or 1."""
    groups = [group for _, group in ages.groupby(folders) if len(group) > 1]
    running = [
        group.min() in (0, 1) and sorted(group) == [group.min() + i for i in range(len(group))]
        for group in groups
    ]
    return 2 * sum(running) > len(groups)


def _recurs(found: Sequence[Found | None]) -> bool:
    ages = [each[0] for each in found if each]
    return len(set(ages)) < len(ages)


def _people(
    names: Sequence[str], folders: Sequence[str], found: Sequence[Found | None], *, of_folder: bool
) -> tuple[list[str], str]:
    """Name the person of each photo, by its folder or the rest of its name; and say which."""
    persons = [_without_parts(folder, drop_last=of_folder) for folder in folders]
    rests = [_rest(name, each) for name, each in zip(names, found, strict=True)]
    named = not of_folder and _are_people(rests)
    # Vast collections lie in folders from 00 to 99.
    numbered = named and all(re.fullmatch(r"\d{0,2}", person) for person in persons)
    if _are_people(persons) and not numbered:
        return persons, "the folder above" if of_folder else "the folder"
    return (rests, "the rest of the name") if named else ([], "")


def _without_parts(folder: str, *, drop_last: bool) -> str:
    parts = folder.split("/")[: -1 if drop_last else None]
    return "/".join(part for part in parts if not re.fullmatch(_PARTS, part, re.IGNORECASE))


def _rest(name: str, found: Found | None) -> str:
    """What a name says beside the age, before it or else behind it, without running numbers."""
    if found is None:
        return ""
    before, behind = (re.findall(r"[^\W_]+", text) for text in (name[: found[1]], name[found[2] :]))
    parts = before or behind
    words = [part for part in parts if not part.isdigit()]
    # An identity of digits has several, often with zeros before them.
    return "_".join(words) or next((part for part in parts if len(part) > 2), "")


def _are_people(persons: Sequence[str]) -> bool:
    """Whether these look like people: several, most of them with some photos, none with most."""
    photos = pd.Series([each for each in persons if each], dtype="str").value_counts()
    several = photos[photos > 1].sum()
    return bool(
        len(photos) > 1
        and photos.sum() >= _ENOUGH * len(persons)
        and several >= _ENOUGH * photos.sum()
        and photos.median() <= _MOST_PHOTOS
    )
