"""What the names of photos and their folders say of ages and people.

A guess, to be looked at before it is used: from what most names have in common. What is found in
them is told in words. Where two readings are as good, none is taken: a person taken for two would
be trained on and tested, and a number that counts photos is no age.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_MAX, AGE_MIN

_SUFFIXES = r"(\.(?:avif|bmp|chip|face|gif|hei[cf]|jfif|jp2|jpe?g|mpo|png|tiff?|webp))+\Z"
_CERTAIN = {
    "the year of the photo less the date of birth": (
        r"(?<!\d)(?P<born>1[89]\d\d|20\d\d)-(?P<month>\d\d?)-\d\d?[_ -]+(?P<taken>1[89]\d\d|20\d\d)"
    ),
    "the number after 'age'": r"(?<![a-z])age[ _=-]?(?P<age>\d{1,3})(?!\d|s(?![a-z])|\+|-\d\d)",
    "the number before 'y', 'yo' or 'years'": (
        r"(?<!\d)(?<!\d-)(?P<age>\d{1,3})[ _-]?y(?:o|rs?|ears?(?:[ _-]?old)?)?(?![a-z])"
    ),
}
"""What is marked so is an age, and no range of ages."""
_LETTERS = {
    "the number after 'A'": r"(?<![a-z])A(?P<age>\d{1,2}|1\d\d)(?!\d)",
    "the number after 'M' or 'F'": r"(?<![a-z])[MF](?P<age>\d{1,2}|1\d\d)(?!\d)",
}
"""These may count as well: A1, A2, or M001."""
_NUMBER = r"(?<![^\W_])(?:0|[1-9]\d{0,2})(?![^\W_]|-\d{1,3}[ _-]?y)"
"""Without a mark an age stands alone, and has no zeros before it."""
_FOLDER = r"\A(?P<age>0|[1-9]\d{0,2})\Z"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
"""As many numbers of a name are looked at, from its start and from its end."""

_OLDEST, _SPAN = 10, 5
"""Of numbers without a certain mark, in years: codes of a sex or a race reach less far."""
_DENSE = 0.8
"""Share of the numbers of a row that are there where they count: some photos were removed."""

_NO_PERSON = (
    r"(?:train(?:ing)?|test|val(?:id(?:ation)?)?|images?|imgs?|photos?|pictures?|faces?|data|parts?"
    r"|folds?|sets?|batch(?:es)?)?[ _-]?\d{0,2}|[fm]|(?:fe)?males?|(?:wo)?m[ae]n|boys?|girls?"
    r"|(?:19|20)\d\d([_-]?\d\d?){0,2}"
    r"|(?:age[ds]?[ _-]?)?\d{1,3}(?:\+|s|(?:-|–| - | to |_to_)\d{1,3})|age[ds]?[ _-]?\d{1,3}"
)
"""What is called so is a part of the photos, a sex, a date, an age or a range of ages."""
_ENOUGH = 0.5
"""Share of the photos that must have a label for it to be one, and of a person's for a person."""
_MOST_PHOTOS = 200
"""Of one person, at the median: what has more is no person."""

Found = tuple[int, int, int]
"""An age, and where in the photo's name it begins and ends; at 0 where a folder holds it."""


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
    # Of a composed letter no part counts as a sign that parts words.
    composed = [unicodedata.normalize("NFC", photo.name) for photo in photos]
    names = [re.sub(_SUFFIXES, "", name, flags=re.IGNORECASE) for name in composed]
    folders = [photo.parent.parts for photo in photos]
    where, level, found = _ages(names, folders)
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
    table = pd.DataFrame({"path": paths, **columns}, dtype="str")
    if not any(matches):
        return Guess(table, "the pattern fits no photo", "the pattern fits no photo")
    told = "the group 'identity'" if "identity" in groups else "not asked for"
    return Guess(table, "the group 'age'", told)


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


@dataclass(frozen=True)
class _Place:
    """Where an age may stand.

    Attributes:
        words: The place in words.
        find: Finds the age in the name of the photo or the folder.
        certain: Whether what is found can be nothing else.
        level: The folder, from the last; None for the photo's name.
    """

    words: str
    find: Callable[[str], Found | None]
    certain: bool = False
    level: int | None = None


_LEVELS = {-1: "the folder", -2: "the folder above"}
_PLACES = (
    *(_Place(words, partial(_marked, pattern=each), True) for words, each in _CERTAIN.items()),
    *(
        _Place(f"{words} in the name of {folder}", partial(_marked, pattern=each), True, level)
        for words, each in _CERTAIN.items()
        for level, folder in _LEVELS.items()
    ),
    *(_Place(words, partial(_marked, pattern=each)) for words, each in _LETTERS.items()),
    *(
        _Place(f"the {word} number of the name", partial(_number, place=place))
        for place, word in enumerate(_ORDINALS)
    ),
    _Place("the last number of the name", partial(_number, place=-1)),
    _Place("the number before the last of the name", partial(_number, place=-2)),
    *(
        _Place(folder, partial(_marked, pattern=_FOLDER), level=level)
        for level, folder in _LEVELS.items()
    ),
)


def _ages(
    names: Sequence[str], folders: Sequence[tuple[str, ...]]
) -> tuple[str, int | None, Sequence[Found | None]]:
    """Find the place that gives most photos an age; and say where it is, or why there is none.

    Returns:
        The place in words, the folder's level, and the ages.
    """
    everywhere = {place: _read(place, names, folders) for place in _PLACES}
    often = {place: found for place, found in everywhere.items() if _is_often(found)}
    counting = {
        place
        for place, found in often.items()
        if not place.certain and _only_counts(place, found, names, folders)
    }
    ages = {
        place: found
        for place, found in often.items()
        if place.certain or (place not in counting and not _are_codes(found))
    }
    nowhere = [None] * len(names)
    for certain in (True, False):
        places = [place for place in ages if place.certain is certain]
        if not places:
            continue
        best = max(places, key=lambda place: len(_values(ages[place])))
        for other in places:
            if _differ(ages[best], ages[other]):
                return f"either {best.words} or {other.words}", None, nowhere
        return best.words, best.level, ages[best]
    return "the numbers only count photos" if counting else "no name says one", None, nowhere


def _read(
    place: _Place, names: Sequence[str], folders: Sequence[tuple[str, ...]]
) -> list[Found | None]:
    level = place.level
    if level is None:
        return [place.find(name) for name in names]
    found = [place.find(parts[level]) if len(parts) >= -level else None for parts in folders]
    return [each and (each[0], 0, 0) for each in found]


def _values(found: Iterable[Found | None]) -> list[int]:
    return [each[0] for each in found if each]


def _differ(found: Sequence[Found | None], others: Sequence[Found | None]) -> bool:
    return any(
        one and other and one[0] != other[0] for one, other in zip(found, others, strict=True)
    )


def _is_often(found: Sequence[Found | None]) -> bool:
    """Whether most photos have a number, and not all the same."""
    numbers = _values(found)
    return len(set(numbers)) > 1 and len(numbers) >= _ENOUGH * len(found)


def _are_codes(found: Sequence[Found | None]) -> bool:
    """Whether numbers reach no further than codes of a sex or a race."""
    numbers = sorted(_values(found))
    # A few odd names are no reason to take a code for an age.
    most = numbers[len(numbers) // 10 : len(numbers) - len(numbers) // 10]
    return most[-1] < _OLDEST or most[-1] - most[0] < _SPAN


def _only_counts(
    place: _Place,
    found: Sequence[Found | None],
    names: Sequence[str],
    folders: Sequence[tuple[str, ...]],
) -> bool:
    """Whether what is found at a place counts the photos of each owner, or the folders."""
    known = [i for i, each in enumerate(found) if each]
    ages = _values(found)
    if place.level is not None:
        # A folder counts once, however many photos it holds.
        each = {(folders[i][: place.level], age) for i, age in zip(known, ages, strict=True)}
        return _run_on([age for _, age in each], [parents for parents, _ in each])
    owners = [(folders[i], _mark(names[i], found[i]), *_words(names[i], found[i])) for i in known]
    return _run_on(ages, owners) or _row(ages)


def _mark(name: str, found: Found | None) -> str:
    return re.sub(r"\d", "", name[found[1] : found[2]]) if found else ""


def _run_on(numbers: Sequence[int], owners: Sequence[Hashable]) -> bool:
    """Whether of most owners with several numbers these run on from 0 or 1."""
    groups = defaultdict(list)
    for number, owner in zip(numbers, owners, strict=True):
        groups[owner].append(number)
    several = [group for group in groups.values() if len(group) > 1]
    running = [min(group) in (0, 1) and _row(group) for group in several]
    return 2 * sum(running) > len(several)


def _row(numbers: Collection[int]) -> bool:
    """Whether these are a row of numbers, each once, of which hardly one is missing."""
    length = max(numbers) - min(numbers) + 1
    return len(set(numbers)) == len(numbers) >= _DENSE * length


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
    by_folder = _persons(
        [
            [part for at, part in enumerate(parts, -len(parts)) if at != level and _is_person(part)]
            for parts in folders
        ]
    )
    by_name = _persons([_words(*each) for each in zip(names, found, strict=True)])
    if _are_counted(by_name, folders):
        by_name = []
    if by_folder:
        # They may be albums, with the same people in several.
        doubt = ", unless the rest of the name is" if _cross(by_name, by_folder) else ""
        return by_folder, f"the folder{doubt}"
    if by_name:
        return by_name, "the rest of the name"
    return [], "nothing that names people is seen"


def _are_counted(people: Sequence[str], folders: Sequence[tuple[str, ...]]) -> bool:
    """Whether what might name people are numbers that count the photos of each folder."""
    ends = [re.fullmatch(r"(.*?)([0-9]+)", each) for each in people]
    pairs = [
        (int(end[2]), (folder, end[1])) for end, folder in zip(ends, folders, strict=False) if end
    ]
    return 2 * len(pairs) > len(people) and _run_on(*zip(*pairs, strict=True))


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
