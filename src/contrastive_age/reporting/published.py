"""Every number the paper prints in its tables, once, as data; and a few that others published.

They stand in `published.csv`, one row a number, as printed: where two tables of the paper disagree
(Tables 2 and 3 against Table 6) both numbers are there. What stands beside a protocol that the
paper does not have has its name in place of the table's number.
"""

from functools import cache
from importlib.resources import files

import pandas as pd


def table(number: int) -> pd.DataFrame:
    """Give the numbers of one of the paper's tables, in the order of its lines.

    Args:
        number: 1 (age distribution), 2 (MORPH II, random split), 3 (MORPH II, subject-exclusive),
            4 (FG-NET, leave one person out), 5 (variance within an identity) or 6 (losses).

    Returns:
        One row a printed number: `table`, `row` (the method with the number of its reference in the
        paper, or what the line is about), `column` (as printed; (I) is pre-training on ImageNet,
        (F) on faces), `value` (images in Table 1, else years of MAE, or the variances of Table 5),
        `year` of the method (missing for the paper's own), `note` (empty or a remark, such as
        another pre-training) and `is_paper` (a result of the paper's own method).

    Raises:
        ValueError: The paper has no such table.
    """
    printed = of_protocol(str(number))
    if printed.empty:
        raise ValueError(f"the paper has Tables 1 to 6, not {number}")
    return printed


def of_protocol(protocol: str) -> pd.DataFrame:
    """Give what others published of a protocol that the paper does not have, as `table` does.

    Args:
        protocol: Such as `utkface_to_fgnet`.
    """
    numbers = _numbers()
    return numbers[numbers["table"] == protocol].reset_index(drop=True)


@cache
def _numbers() -> pd.DataFrame:
    with files("contrastive_age.reporting").joinpath("published.csv").open(encoding="utf-8") as csv:
        return pd.read_csv(
            csv,
            # Years are whole numbers, and some are absent.
            dtype={
                "table": "str",
                "row": "str",
                "column": "str",
                "value": "float64",
                "year": "Int64",
            },
        ).assign(note=lambda numbers: numbers["note"].fillna(""))
