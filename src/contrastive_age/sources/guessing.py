"""What the names of photos and their folders say of ages and people.

A guess, to be looked at before it is used: from what most names have in common. What is found in
them is told in words. Where two readings are as good, none is taken: a person taken for two would
be trained on and tested, and a number that counts photos is no age.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
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
_NUMBER = r"(?<![^\W_])(?:0|[1-9]\d{0,2})(?![^\W_])"
"""Without a mark an age stands alone, and has no zeros before it."""
_FOLDER = r"\A(?:\D*[ _-])?(?P<age>0|[1-9]\d{0,2})\Z"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
"""As many numbers of a name are looked at, from its start and from its end."""

_OLDEST, _SPAN = 10, 5
"""Of numbers without a mark, in years: codes of a sex or a race reach less far."""

_NO_PERSON = (
    r"(?:train(?:ing)?|test|val(?:id(?:ation)?)?|images?|imgs?|photos?|pictures?|faces?|data|parts?"
    r"|folds?|sets?|batch(?:es)?)?[ _-]?\d{0,2}|[fm]|(?:fe)?males?|(?:wo)?m[ae]n|boys?|girls?"
    r"|(?:19|20)\d\d([_-]?\d\d?){0,2}"
)
"""What is called so is a part of the photos, a sex or a date."""
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
        age: Where ages were found, in words, or why nowhere.
        identity: Where people were found, in words, or why nowhere.
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
    folders = [photo.parent.parts for photo in photos]
    where, found = _ages(names, folders)
    level = _LEVELS.get(where)
    people, told = _people(names, folders, found, level)
    ages = ["" if each is None else str(each[0]) for each in found]
    columns = {"path": list(paths)} | ({"identity": people} if people else {}) | {"age": ages}
    return Guess(pd.DataFrame(columns, dtype="str"), where, told)


def read_by(pattern: str, paths: Sequence[str]) -> Guess:
    """Read ages and people with a regular expression.

    Args:
        pattern: It is searched in each path; its groups `age` and, where people are named,
            `identity` are what is taken.
        paths: Posix paths.

    Raises:
        DataError: It is none, lacks the group `age`, or takes something else for an age.
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
    for path, age in zip(paths, columns["age"], strict=True):
        if age and not re.fullmatch(r"[0-9]+", age):
            raise DataError(f"{pattern!r} takes {age!r} for the age of {path}")
    told = "the group 'identity'" if "identity" in groups else "not asked for"
    return Guess(pd.DataFrame({"path": paths, **columns}, dtype="str"), "the group 'age'", told)


def _ages(
    names: Sequence[str], folders: Sequence[tuple[str, ...]]
) -> tuple[str, Sequence[Found | None]]:
    """Find the reading that gives most photos an age, and say where it is; or why there is none."""
    finders: dict[str, Callable[[str], Found | None]] = {
        **{words: partial(_marked, pattern=pattern) for words, pattern in _MARKED.items()},
        **{words: partial(_number, place=place) for words, place in _PLACES.items()},
    }
    readings = {words: list(map(find, names)) for words, find in finders.items()}
    for words, level in _LEVELS.items():
        at = [parts[level] if len(parts) >= -level else "" for parts in folders]
        readings[words] = [_marked(part, _FOLDER) for part in at]
    shares = {
        words: _share(found, names, folders, marked=words in _MARKED)
        for words, found in readings.items()
    }
    ranks = {words: (share, words in _MARKED) for words, share in shares.items()}
    best = max(ranks.values())
    nowhere = [None] * len(names)
    if best[0] < _ENOUGH:
        return "no name says one", nowhere
    equals = [words for words, rank in ranks.items() if rank == best]
    first, *others = equals
    for words in others:
        if not best[1] and _values(readings[words]) != _values(readings[first]):
            return f"either {first} or {words}", nowhere
    return first, readings[first]


def _values(found: Iterable[Found | None]) -> list[int | None]:
    return [each and each[0] for each in found]


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


_PLACES = {f"the {word} number of the name": place for place, word in enumerate(_ORDINALS)} | {
    "the last number of the name": -1,
    "the number before the last of the name": -2,
}
_LEVELS = {"the folder": -1, "the folder above": -2}


def _share(
    found: Sequence[Found | None],
    names: Sequence[str],
    folders: Sequence[tuple[str, ...]],
    *,
    marked: bool,
) -> float:
    """The share of photos with an age; 0 where these only count photos, or are codes."""
    known = [place for place, each in enumerate(found) if each]
    ages = [each[0] for each in found if each]
    if len(set(ages)) < 2:
        return 0.0
    if not marked:
        # A few odd names are no reason to take a code for an age.
        most = sorted(ages)[len(ages) // 10 : len(ages) - len(ages) // 10]
        if most[-1] < _OLDEST or most[-1] - most[0] < _SPAN:
            return 0.0
        owners = [(folders[place], *_words(names[place], found[place])) for place in known]
        if _counts(ages, owners):
            return 0.0
    return len(ages) / len(found)


def _counts(ages: Sequence[int], owners: Sequence[tuple[object, ...]]) -> bool:
    """Whether of most owners of several photos the numbers run on, or of all photos together."""
    groups = defaultdict(list)
    for age, owner in zip(ages, owners, strict=True):
        groups[owner].append(age)
    several = [sorted(group) for group in groups.values() if len(group) > 1]
    running = [
        group[0] in (0, 1) and group == list(range(group[0], group[0] + len(group)))
        for group in several
    ]
    whole = sorted(ages)
    return 2 * sum(running) > len(several) or whole == list(range(whole[0], whole[0] + len(whole)))


def _people(
    names: Sequence[str],
    folders: Sequence[tuple[str, ...]],
    found: Sequence[Found | None],
    level: int | None,
) -> tuple[list[str], str]:
    """Name the person of each photo, by its folders or the rest of its name; and say which.

    Args:
        names: Of the photos, without suffixes.
        folders: The names of the folders that each lies in.
        found: Their ages, and where in the name.
        level: The folder that is the age, from the last; None where the name holds it.
    """
    above = [parts if level is None else parts[:level] for parts in folders]
    by_folder = _persons([[part for part in parts if _is_person(part)] for parts in above])
    by_name = _persons([_words(*each) for each in zip(names, found, strict=True)])
    if by_folder:
        # They may be albums, with the same people in several.
        doubt = ", unless the rest of the name is" if _cross(by_name, by_folder) else ""
        return by_folder, f"the folder{doubt}"
    if by_name:
        return by_name, "the rest of the name"
    return [], "nothing that names people is seen"


def _is_person(part: str) -> bool:
    return re.fullmatch(_NO_PERSON, part, re.IGNORECASE) is None


def _words(name: str, found: Found | None) -> list[str]:
    """What a name says beside the age, before it or else behind it, without running numbers."""
    begin, end = (found[1], found[2]) if found else (0, 0)
    before, behind = (re.findall(r"[^\W_]+", text) for text in (name[:begin], name[end:]))
    parts = before or behind
    words = [part for part in parts if not part.isdigit() and _is_person(part)]
    # The number of a person has several digits, often with zeros before it.
    return words + [part for part in parts if part.isdigit() and len(part) > 2]


def _persons(parts: Sequence[Sequence[str]]) -> list[str]:
    """Take of what is written of each photo so much as looks like a person; none where nothing.

    What most of those who have it share with others, as `left` and `right` or the name of an
    occasion, is left out: one person must not become two.
    """
    longest = max(map(len, parts), default=0)
    for depth in range(1, longest):
        owners = defaultdict(set)
        for each in parts:
            if len(each) > depth:
                owners[each[depth]].add(tuple(each[:depth]))
        shared = sum(len(prefixes) > 1 for prefixes in owners.values())
        if 2 * shared >= len(owners):
            longest = depth
            break
    for depth in range(longest, 0, -1):
        persons = ["_".join(each[:depth]) for each in parts]
        if _are_people(persons):
            return persons
    return []


def _cross(people: Sequence[str], others: Sequence[str]) -> bool:
    """Whether what one reading takes for a person is several people by another."""
    both = set(zip(people, others, strict=True)) if people else set()
    return len(both) > len({one for one, _ in both})


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
