"""Labels as tables write them: ages and sexes."""

import pandas as pd

# Programs that know no missing whole numbers write 25 as 25.0, and some of them as 25,0.
_NUMBER = r"[0-9]{1,3}(?:[.,][0-9]*)?|[.,][0-9]+"
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


def ages(written: pd.Series) -> pd.Series:
    """Read ages, with a decimal point or a decimal comma.

    Args:
        written: Texts (str).

    Returns:
        Years (float64) with the same index, missing where there is no number; a sign or an exponent
        belongs to none.
    """
    numbers = written.where(written.str.fullmatch(_NUMBER).fillna(value=False))
    return numbers.str.replace(",", ".", regex=False).astype("float64")


def rounded(years: pd.Series) -> pd.Series:
    """Round ages to whole years (float64), halves up: 0.5 to 1, 2.5 to 3."""
    part = years % 1
    return years - part + (part >= 0.5)


def sexes(written: pd.Series) -> pd.Series:
    """Read sexes: `F, M, female, male` in any case as "F" and "M" (str), all else as missing."""
    return written.str.lower().map(_SEXES).astype("str")
