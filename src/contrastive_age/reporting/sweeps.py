"""Settings that differ in one parameter alone: the points of curves."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contrastive_age.reporting.groups import Group, data_of, values_of
from contrastive_age.reporting.papers import default_of

POINTS_OF_A_CURVE = 3
"""Fewer values of a parameter draw no curve."""

_LOSS = "loss."
_TRIPLET, _MARGIN = "loss.lambda_t", "loss.margin"
_BEFORE_FACES = ("alignment.", "detection.")
"""Of parameters by which faces are made: other faces follow from other values."""

_NO_ORDER = ("splitting.seed",)


@dataclass(frozen=True, eq=False)
class Curve:
    """Settings of the same data that differ in one number alone.

    Attributes:
        parameter: The dotted name of that number, such as `loss.lambda_c`.
        points: Settings by its values, from the smallest; those of a weight of 0 do without it.
    """

    parameter: str
    points: Mapping[float, Group]

    @property
    def losses(self) -> dict[str, float]:
        """The weights that all of them have, and the margin, by dotted name."""
        *_, largest = self.points.values()
        values = {f"{_LOSS}{name}": value for name, value in largest.losses.items()}
        return {name: value for name, value in values.items() if name != self.parameter}


def find(groups: Iterable[Group]) -> list[list[Curve]]:
    """Find all curves of at least `POINTS_OF_A_CURVE` points.

    The margin of triplets counts where there are any: without them a setting is a point of the
    curve over their weight for every margin.

    Args:
        groups: As `groups.group_seeds` gives them.

    Returns:
        Lists of the curves over one parameter that share data and budget, and differ in their
        losses; those over weights of losses first.
    """
    listed = list(groups)
    weights = {
        f"{_LOSS}{name}": default_of(name)
        for group in listed
        for name in sorted(group.losses)
        if name.startswith("lambda_")
    }
    sharing: dict[tuple[str, str], dict[str, list[tuple[float, Group]]]] = {}
    for group in listed:
        losses = {f"{_LOSS}{name}": value for name, value in group.losses.items()}
        budget = values_of(group.first)
        for path, value in {**weights, **losses, **budget}.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or path in _NO_ORDER:
                continue
            without = {path, _MARGIN} if path == _TRIPLET else {path}
            others, rest = (
                _named({name: known for name, known in values.items() if name not in without})
                for values in (losses, budget)
            )
            data = _named(data_of(group.first, faces=not path.startswith(_BEFORE_FACES)))
            of_budget = sharing.setdefault((path, data + rest), {})
            of_budget.setdefault(others, []).append((float(value), group))
    found = [
        [
            Curve(path, dict(sorted(points.items())))
            for known in of_budget.values()
            for points in _by_margin(path, known)
            if len(points) >= POINTS_OF_A_CURVE
        ]
        for (path, _), of_budget in sharing.items()
    ]
    return sorted(filter(None, found), key=lambda some: not some[0].parameter.startswith(_LOSS))


def _by_margin(path: str, points: Sequence[tuple[float, Group]]) -> Iterator[dict[float, Group]]:
    """The points of a curve for each margin where the weight of triplets varies; else of one."""
    margins = {group.losses.get("margin") for _, group in points} - {None}
    for margin in sorted(margins, key=str) if path == _TRIPLET else [None]:
        # The first of a value counts.
        yield {
            value: group
            for value, group in reversed(points)
            if margin is None or group.losses.get("margin", margin) == margin
        }


def _named(values: Any) -> str:
    return json.dumps(values, sort_keys=True, default=str)
