"""What a change of the recipe or of the network does by itself, with the same losses and folds."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from contrastive_age.reporting import wording
from contrastive_age.reporting.groups import SETTING, Evidence, Group, data_of, rows_of, values_of
from contrastive_age.reporting.papers import NETWORK, value_in_words
from contrastive_age.reporting.sections.comparisons import Pair, compared
from contrastive_age.reporting.sections.section import (
    DIFFERENCE,
    SEEDS,
    Column,
    Contents,
    Grid,
    Part,
    Section,
    heading,
    meanings,
)

CHANGES = (
    ("training.average",),
    ("training.reweight",),
    ("training.head_epochs",),
    ("training.validated_on", "training.keep"),
    ("training.schedule",),
    ("testing.mirrored",),
    ("testing.rounded",),
    ("model.head",),
    ("model.backbone", "model.weights", "model.digest"),
    ("loss.smoothing",),
)
"""What counts as one change: by dotted name what is changed, and what goes with it."""

_WEIGHTS = "model.weights"
_SMOOTHING = "smoothing"
_TOLD = ("training.schedule", *NETWORK)
"""Values that are said of a setting without the change, too."""

COLUMNS = (
    Column("Change", "{{ change }}{{ small(setting ~ ', ' ~ losses, mark) }}", number=False),
    Column("Against", "{{ without or '–' }}{{ small(both) }}", number=False),
    DIFFERENCE,
    Column(
        "Verdict",
        "{{ coloured(verdict, verdict) }}"
        "{{ small(after('p', p_holm | probability), could_have_seen(detectable)) }}",
        "p after Holm",
        number=False,
    ),
    SEEDS,
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Hold each setting against the one that is without one of its changes, and equal in all else.

    Returns:
        A row a setting and change: `SETTING`, `status`, `change` and `without` (in words what the
        setting has, and what the other has in its place), `reference_budget`, `seed_sd`,
        `difference` (of MAE in years, below zero the change is better), `low`, `high`, `p`,
        `p_holm` (adjusted for all rows), `detectable`, `verdict` and `reference_seeds` as in
        `comparisons`.
    """
    changes, pairs = [], []
    for change in CHANGES:
        for group, reference in _pairs(evidence.groups, change):
            changes.append(
                {
                    "change": _in_words(group, reference, change),
                    "without": _in_words(reference, group, change),
                    "reference_budget": reference.columns["budget"],
                }
            )
            pairs.append((group, reference))
    rows = [row | change for row, change in zip(compared(pairs, ""), changes, strict=True)]
    columns = ["status", "change", "without", "reference_budget", "seed_sd", "difference", "low"]
    columns += ["high", "p", "p_holm", "detectable", "verdict", "reference_seeds"]
    return pd.DataFrame(rows, columns=[*SETTING, *columns])


def _pairs(groups: Sequence[Group], change: Sequence[str]) -> Iterator[Pair]:
    """Each setting with a change, and the one that it is held against.

    That is the one without, and where none was measured, the first. Of several without, which
    differ in what goes with the change, it is the one that differs in the least.
    """
    alike: dict[str, list[Group]] = {}
    for group in groups:
        alike.setdefault(_all_else(group, change), []).append(group)
    for same in alike.values():
        without = [group for group in same if not _values(group).get(change[0])] or same[:1]
        for group in same:
            if _values(group).get(change[0]) != _values(without[0]).get(change[0]):
                yield group, min(without, key=lambda other: len(_differing(group, other, change)))


def _all_else(group: Group, change: Sequence[str]) -> str:
    """What names losses, data and all values but those of a change."""
    # Another network starts from other weights: then the folds alone name the data.
    data = [*data_of(group.first)[:3], group.first.folds, group.columns["pretraining"]]
    data += [] if _WEIGHTS in change else data_of(group.first)[3:]
    losses = {name: value for name, value in group.losses.items() if name != _SMOOTHING}
    values = {path: value for path, value in _values(group).items() if path not in change}
    return json.dumps([data, losses, values], sort_keys=True, default=str)


def _values(group: Group) -> dict[str, Any]:
    """What decides a result; what is off, or the paper's network, counts as not there."""
    values = values_of(group.first) | {f"loss.{_SMOOTHING}": group.losses.get(_SMOOTHING)}
    return {path: value for path, value in values.items() if value and value != NETWORK.get(path)}


def _differing(group: Group, other: Group, change: Sequence[str]) -> list[str]:
    values, others = _values(group), _values(other)
    return [path for path in change if values.get(path) != others.get(path)]


def _in_words(group: Group, other: Group, change: Sequence[str]) -> str:
    """What a setting has of that in which it differs from another one."""
    known = {path: NETWORK.get(path) for path in _TOLD} | _values(group)
    differing = [path for path in _differing(group, other, change) if known.get(path)]
    return ", ".join(
        f"weights {group.columns['start']}"
        if path == _WEIGHTS
        else value_in_words(path, known[path])
        for path in differing
        if path != "model.digest"
    )


def _show(contents: Contents) -> list[Part]:
    """A part a protocol and its data."""
    parts: list[Part] = []
    same = ["protocol", "images", "subjects", "folds", "drawn_faces", "manifest_hash"]
    for _, rows in contents.tables["recipe"].groupby(same, sort=False):
        both = wording.sizes_and_differences(list(rows["reference_budget"]))
        lines = rows_of(rows.assign(both=both))
        title, about = heading(lines[0] | {"budget": "", "pretraining": "", "inputs": ""})
        grid = Grid(_CAPTION, COLUMNS, lines, "cards uneven", meanings(rows))
        parts.append(Part(title, about.removeprefix("; "), [grid], unfolded=not parts))
    return parts


_CAPTION = "With one change less the same setting, on the same test images; below zero is better."

SECTION = Section(
    "recipe",
    "Changes of the recipe",
    (
        "Each row is a setting beside one that differs from it in one thing alone: averaged or "
        "reweighted training, a head that is trained last, the choice of the epoch, the schedule, "
        "mirrored or rounded tests, smoothed labels, the head, or the network with the weights "
        "that it starts from. Losses, folds and all other values are the same.",
        "The difference is paired by subject and by seed, and a change is called better or worse "
        "when its p-value is below 0.05 after Holm's adjustment for all rows here, as under "
        "“Settings compared”.",
    ),
    "recipe",
    make,
    show=_show,
    nothing="",
)
