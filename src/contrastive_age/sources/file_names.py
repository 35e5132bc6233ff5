"""Files found although a table writes their names in another case or Unicode form."""

import functools
import os
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

_NEVER_LISTED = ("/", "..")


def key(name: str) -> str:
    """Give what a file's name has in common with itself in another case or Unicode form."""
    # Folding can leave accents in another order, so it is normalised before and after.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def finder(base: Path, *, outside: bool = False) -> Callable[[str], list[str]]:
    """Make a function that looks paths up below a folder.

    It lists each folder once and asks for no single file. As the names are those that the folders
    list, it also tells how a file is called where the file system takes any case.

    Args:
        base: The folder that the paths are relative to.
        outside: Whether folders outside `base` are looked into.

    Returns:
        A function from a posix path to the paths that fit: the path alone where it exists as it is
        written, else all that differ from it in case or Unicode form, in any of their parts; none
        where there is none, or where a folder cannot be listed. It never raises.
    """
    root = os.path.realpath(base)

    @functools.cache
    def names(folder: str) -> dict[str, list[str]]:
        listed = defaultdict(list)
        try:
            place = os.path.realpath(posixpath.join(root, folder))
            if outside or is_inside(place, root):
                for name in sorted(os.listdir(place)):  # noqa: PTH208 - names, no paths, of millions
                    listed[key(name)].append(name)
        except (OSError, ValueError):  # no folder, a closed one, or a zero byte
            pass
        return listed

    def below(places: list[str], part: str) -> list[str]:
        return [
            posixpath.join(place, name)
            for place in places
            for name in ([part] if part in _NEVER_LISTED else names(place).get(key(part), []))
        ]

    @functools.cache
    def folders(path: str) -> list[str]:
        return functools.reduce(below, PurePosixPath(path).parts, [""])

    def find(path: str) -> list[str]:
        parent, name = posixpath.split(path)
        fits = below(folders(parent), name)
        return [path] if path in fits else fits

    return find


def is_inside(place: str, root: str) -> bool:
    """Whether a path, free of links, is that of a folder or lies in it."""
    return place == root or place.startswith(posixpath.join(root, ""))
