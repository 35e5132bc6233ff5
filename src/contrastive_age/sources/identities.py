"""Who is who: the spellings of one person are brought together, and words that name nobody found.

Two identities are one person if they agree after Unicode's compatibility normalisation (NFKC), case
folding and the removal of what does not show: format characters such as zero-width blanks, blanks
around, and all but one of several blanks. A whole number that a program wrote as a float is that
number: `1.0` and `1.` are `1`. Leading zeros count: `007` is not `7`.

NFKC and not NFC, because tables of two programs differ in fullwidth digits, ligatures and
non-breaking blanks as they do in accents. It can join two people, `x²` and `x2`, but says so;
a person who stays two is in training and test, and nobody learns of it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby

import pandas as pd

_NOBODY = re.compile(r"nan|none|null|na|n/a|<na>|#n/a|#n/d|#nv|#.+[!?]|[\W_]*")
"""What pandas, R, SQL and spreadsheets of several languages write for a missing value or a mistake
in a formula, as `key` gives it; and what holds neither letter nor digit."""


def key(identity: str) -> str:
    """Give what two spellings of one person have in common, and those of two people have not."""
    text = identity.casefold() if identity.isascii() else _folded(identity)
    text = " ".join(text.split())
    return re.sub(r"\A([0-9]+)\.0*\Z", r"\1", text)


def _folded(text: str) -> str:
    shown = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    # Folding can leave accents in another order, so it is normalised before and after.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold())


def faults(identities: pd.Series) -> pd.Series:
    """Say of each identity (str) why it names nobody, "" where it names somebody."""
    written = identities.fillna("")
    return written.map({identity: _fault(identity) for identity in set(written)}).astype("str")


def _fault(identity: str) -> str:
    spelling = key(identity)
    if not _NOBODY.fullmatch(spelling):
        return ""
    if not spelling:
        return "the identity is empty"
    return (
        f"the identity '{identity}' stands for a missing one; if a person is called so, add "
        "another word"
    )


def join(identities: pd.Series) -> tuple[pd.Series, pd.DataFrame]:
    """Give each person one spelling: the most frequent, of equally frequent ones the smallest.

    Args:
        identities: One str an image, in any order.

    Returns:
        The kept spelling of each image, with the same index; and `identity` (the kept spelling) and
        `spellings` (a dictionary from spelling to number of images), one row for each person who
        is written in several ways, sorted.
    """
    images = Counter(identities)
    several = [spellings for spellings in _grouped(images, key) if len(spellings) > 1]
    # Of equal counts `max` gives the first, and the spellings are sorted.
    kept = [max(spellings, key=images.__getitem__) for spellings in several]
    joined = pd.DataFrame(
        {
            "identity": pd.Series(kept, dtype="str"),
            "spellings": [{each: images[each] for each in spellings} for spellings in several],
        }
    ).sort_values("identity", ignore_index=True)
    of_spelling = {
        each: one for one, spellings in zip(kept, several, strict=True) for each in spellings
    }
    return identities.map(lambda written: of_spelling.get(written, written)).astype("str"), joined


def differing_by_zeros(identities: pd.Series) -> pd.DataFrame:
    """List people whose identities differ only by leading zeros, which may be one person.

    Args:
        identities: One str an image, as `join` gives them.

    Returns:
        `identities`: one sorted list of str a row.
    """
    groups = _grouped(set(identities), lambda identity: key(identity).lstrip("0"))
    return pd.DataFrame({"identities": sorted(group for group in groups if len(group) > 1)})


def _grouped(identities: Iterable[str], common: Callable[[str], str]) -> list[list[str]]:
    """Group different identities by what they have in common, each group sorted."""
    ordered = sorted(sorted(identities), key=common)
    return [list(group) for _, group in groupby(ordered, common)]
