"""Numbers, data and budgets in words, the same everywhere on the page.

Errors in years have two decimals and shares in percent one. A missing value is an en dash. Cells of
the page are set by `FILTERS`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from contrastive_age.reporting.papers import (
    LITE0,
    NETWORK,
    NOT_PRETRAINED,
    PROTOCOLS,
    value_in_words,
)

MISSING = "–"

DRAWN = "drawn faces"
ON_FACES = "pre-trained on faces (F)"

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
"""Verdicts on a difference; where there can be none, the reason stands in their place."""


def number(value: Any, decimals: int = 2) -> str:
    """Such as "4.95"; the minus sign is a real one, and no zero is negative."""
    return MISSING if pd.isna(value) else f"{value:z,.{decimals}f}".replace("-", "−")


def significant(value: Any) -> str:
    """Three digits, such as "0.00041" or "36.0": variances differ by orders of magnitude."""
    if pd.isna(value):
        return MISSING
    return f"{value:#.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def signed(value: Any, decimals: int = 2) -> str:
    """Such as "+0.12" or "−0.12"."""
    return MISSING if pd.isna(value) else f"{value:+z.{decimals}f}".replace("-", "−")


def percent(value: Any) -> str:
    """Such as "68.2%"; a small share does not read as none."""
    if pd.isna(value):
        return MISSING
    return "<0.1%" if 0 < value < 0.05 else f"{value:.1f}%"


def probability(value: Any) -> str:
    """Such as "0.021"; a small one does not read as none."""
    if pd.isna(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: Any) -> str:
    """Such as "1,002"."""
    return MISSING if pd.isna(value) else f"{int(value):,}"


def counted(value: Any, what: str) -> str:
    """Such as "1,002 images" or "1 image"."""
    return f"{whole(value)} {what}{'' if value == 1 else 's'}"


def interval(low: Any, high: Any, sign: bool = False, decimals: int = 2) -> str:
    """Such as "[4.50, 5.41]"; empty where there is none."""
    if pd.isna(low) or pd.isna(high):
        return ""
    write = signed if sign else number
    return f"[{write(low, decimals)}, {write(high, decimals)}]"


def seed_spread(deviation: Any) -> str:
    """Such as "SD 0.18"; of a single seed, which has no standard deviation, that it is one."""
    return "one seed" if pd.isna(deviation) else f"SD {number(deviation)}"


def protocol_name(protocol: str) -> str:
    """The protocol in words; an unknown one by its own name."""
    return PROTOCOLS.get(protocol, protocol)


def data(row: Mapping[str, Any]) -> str:
    """What was measured on, such as "1,002 images, 82 subjects, 5 folds, manifest 1a2b3c4d"."""
    words = [
        *(counted(row[f"{what}s"], what) for what in ("image", "subject", "fold")),
        f"manifest {str(row['manifest_hash'])[:8]}",
        row["inputs"] and f"inputs {row['inputs']}",
    ]
    return ", ".join(filter(None, [*words, DRAWN if row["drawn_faces"] else ""]))


def tags(row: Mapping[str, Any]) -> list[str]:
    """What must not be overlooked about a measurement."""
    known = {"ImageNet": "", LITE0: "", NOT_PRETRAINED: "not pre-trained"}
    start = ON_FACES if row["pretraining"] else known.get(row["start"], "not ImageNet")
    parts = tuple(value_in_words(name, "") for name in NETWORK)
    network = [word for word in row["budget"].split(", ") if word.startswith(parts)]
    tags = [DRAWN if row["drawn_faces"] else "", start, *network, row["mark"]]
    return [tag for tag in tags if tag]


SIZE = 2
"""So many of the words of a budget say its size: pixels and epochs."""


def size(budget: str) -> str:
    """Pixels and epochs of a budget, such as "48 px, 8 epochs"."""
    return ", ".join(budget.split(", ")[:SIZE])


def sizes_and_differences(budgets: Sequence[str]) -> list[str]:
    """Of each budget its size, and those words that not all of them have in common.

    Args:
        budgets: In words, as `Papers.describe` gives them.

    Returns:
        Such as "48 px, 8 epochs" and "48 px, 8 epochs, head dropout".
    """
    listed = [budget.split(", ") for budget in budgets]
    common = set.intersection(*map(set, listed)) if listed else set()
    return [
        ", ".join([*words[:SIZE], *(word for word in words[SIZE:] if word not in common)])
        for words in listed
    ]


def begun(start: str) -> str:
    """What a network started from, such as "not pre-trained" or "from ImageNet"."""
    return "not pre-trained" if start == NOT_PRETRAINED else f"from {start}"


def budget_in_short(budget: str, papers: str) -> str:
    """Size and epochs, or that it is the paper's budget.

    Args:
        budget: In words, as `Papers.describe` gives it.
        papers: The paper's, so.
    """
    return "the paper's budget" if budget == papers else size(budget)


def symbols(text: str) -> Markup:
    """Set the indices of symbols such as λ_c below the line, but for those inside of tags."""
    symbol = r"(λ|[μV](?=_[a-z]\b))_([a-z]\w*)\b(?![^<>]*>)"
    lowered = re.sub(symbol, r"\1<sub>\2</sub>", str(escape(text)))
    return Markup(re.sub(r"(?<=</sub>) (?=[\d=])", "&nbsp;", lowered))  # noqa: S704


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number,
    "significant": significant,
    "signed": signed,
    "percent": percent,
    "probability": probability,
    "whole": whole,
    "counted": counted,
    "interval": interval,
    "seed_spread": seed_spread,
    "protocol": protocol_name,
    "data": data,
    "tags": tags,
    "size": size,
    "begun": begun,
    "symbols": symbols,
}
"""By the names that templates call them."""
