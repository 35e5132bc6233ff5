"""What a model could know of a fold without looking: leaks, and baselines with no pixels.

A test image leaks when its subject also has images in the training part of its fold, or when a copy
of it trains there: another file of the same photo, under whatever name. Beside the leaks stand two
errors that need no image: the training median (constant), and the age of the same subject's
training picture taken nearest to the test picture (identity lookup).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols.parts import TRAINS

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NAMED = 5
_GROUPS_SHOWN = 20


def audit_leakage(
    folds: pd.DataFrame, samples: pd.DataFrame, pairs: pd.DataFrame, group: Ints, *, apart: bool
) -> dict[str, Any]:
    """Count leaked test images in every fold, and score the baselines that need no pixels.

    Args:
        folds: The folds table, N rows. Some may only train (`parts.TRAINS`).
        samples: The samples table; its `capture`, where it has one, says which pictures of a
            subject are neighbours. Without it the lookup takes the median age of the subject's
            training pictures.
        pairs: The copies among the rows of `folds`, as `copies.find_copies` gives them.
        group: The smallest row of each row's group of copies, (N,).
        apart: Whether copies of tested images leave the training part (`parts.keep_apart`).

    Returns:
        What `leakage.json` holds, of the samples that are tested. `folds`: for each fold `fold,
        n_test, n_train` (without those left out), `test_subjects, leaked_images` (test images whose
        subject is in the other folds), `leaked_subjects, share` (leaked_images over n_test),
        `leaked_identities` (the first few), `copies` (test images with a copy in other folds),
        `leaked_copies` (those with a copy that really trains) and `left_out` (images of other folds
        that do not train, being copies). In
        all: `n, leaked_images, leaked_share, leaked_copies, leaked_copies_share, mae_constant,
        mae_lookup` (years, pooled over all test images; subjects that are not in other folds get
        the median), `lookup` ("nearest capture" or "median of subject"), `looked_up`, the number of
        test images it could look up, and `copies`: `groups, images` (in groups), pairs `by_bytes,
        by_look, by_mirror`, `largest` (images of a group), the groups `across_identities` and
        `across_ages`, of whose labels at most one is right, and the first few of all (`examples`,
        by `sample_id`) and of these (`contradicting`, with `identity` and `age`).
        The baselines know all images of the other folds, also those left out. Where there are none,
        as nothing is trained, the constant is the median of the tested ages: none errs less.

    Raises:
        DataError: When samples lack a sample of the folds table.
    """
    identity, names = pd.factorize(folds["identity"], sort=True)
    fold, _ = pd.factorize(folds["fold"], sort=True)
    age = folds["age"].to_numpy(np.int64)
    constant = _constants(age, fold)
    if "capture" in samples:
        row = _nearest_capture(identity, fold, _captures(folds, samples))
        known = np.where(row >= 0, age[row], np.nan)
    else:
        known = _medians_outside(age, identity, fold)
    looked_up = ~np.isnan(known)
    lookup = np.where(looked_up, known, constant)
    numbered = folds["fold"].to_numpy()
    by_fold = [
        entry
        for entry in _by_fold(numbered, identity, names, group, looked_up, apart=apart)
        if entry["fold"] != TRAINS
    ]
    leaked_copies = sum(entry["leaked_copies"] for entry in by_fold)
    tested = numbered != TRAINS
    n = int(np.count_nonzero(tested))
    constant, lookup, looked_up, age = (each[tested] for each in (constant, lookup, looked_up, age))
    return {
        "n": n,
        "folds": by_fold,
        "leaked_images": int(looked_up.sum()),
        "leaked_share": float(looked_up.mean()),
        "leaked_copies": leaked_copies,
        "leaked_copies_share": leaked_copies / n,
        "mae_constant": float(np.abs(constant - age).mean()),
        "mae_lookup": float(np.abs(lookup - age).mean()),
        "lookup": "nearest capture" if "capture" in samples else "median of subject",
        "looked_up": int(looked_up.sum()),
        "copies": _describe_copies(folds, pairs, group),
    }


def constant_ages(folds: pd.DataFrame) -> dict[int, float]:
    """The median age in years outside of each fold, by the fold: that of `mae_constant`."""
    fold, _ = pd.factorize(folds["fold"])
    medians = _constants(folds["age"].to_numpy(np.int64), fold)
    return dict(zip(folds["fold"].tolist(), medians.tolist(), strict=True))


def leaking(folds: pd.DataFrame, group: Ints) -> Mask:
    """Tell which test images have their subject, or a copy, in the other folds.

    Args:
        folds: The folds table, n rows.
        group: The smallest row of each row's group of copies, (n,).

    Returns:
        bool (n,).
    """
    fold, _ = pd.factorize(folds["fold"])
    identity, _ = pd.factorize(folds["identity"])
    tested = (folds["fold"] != TRAINS).to_numpy()
    known: Mask = (_elsewhere(identity, fold) > 0) | (_elsewhere(group, fold) > 0)
    return known & tested


def refuse_leaks(report: dict[str, Any], protocol_name: str) -> None:
    """Stop a subject-exclusive protocol (SE, LOPO) whose folds share subjects.

    Args:
        report: What `audit_leakage` returned.
        protocol_name: The protocol, for the message.

    Raises:
        DataError: When any test image has its subject in training; names the first such fold and
            its first identities.
    """
    leaking = [entry for entry in report["folds"] if entry["leaked_images"]]
    if not leaking:
        return
    first = leaking[0]
    more = ", ..." if first["leaked_subjects"] > len(first["leaked_identities"]) else ""
    raise DataError(
        f"{protocol_name}: {len(leaking)} of {len(report['folds'])} folds share subjects with "
        f"their training part, which this protocol forbids. Fold {first['fold']}: "
        f"{first['leaked_images']} of {first['n_test']} test images, identities "
        f"{', '.join(first['leaked_identities'])}{more}. Give a split list that keeps every "
        "subject in one fold, use a random-split protocol, or, to compare with others who used "
        "this list, splitting.allow_leaks=true: errors are then given with and without what leaks"
    )


def refuse_overlap(folds: pd.DataFrame, group: Ints, protocol_name: str) -> None:
    """Stop a transfer whose sources share photos.

    Args:
        folds: The folds table, n rows.
        group: The smallest row of each row's group of copies, (n,).
        protocol_name: The protocol, for the message.

    Raises:
        DataError: A tested photo has a copy that trains; names the first few.
    """
    trains = folds["fold"].to_numpy() == TRAINS
    known = np.flatnonzero(~trains & np.isin(group, group[trains]))
    if not len(known):
        return
    names = folds["sample_id"].to_numpy()
    copy_of = names[trains][np.argsort(group[trains], kind="stable")]
    first = copy_of[np.searchsorted(np.sort(group[trains]), group[known[:_NAMED]])]
    shown = ", ".join(map("{} of {}".format, names[known], first)) + ", ..." * (len(known) > _NAMED)
    raise DataError(
        f"{protocol_name}: {len(known)} of {np.count_nonzero(~trains)} test photos are copies of "
        f"photos that train, by their bytes or their looks ({shown}). An error on photos seen in "
        "training says nothing: take them out of one of the sources"
    )


def _by_fold(
    fold: Ints, identity: Ints, names: pd.Index, group: Ints, leaked: Mask, *, apart: bool
) -> list[dict[str, Any]]:
    """Count each fold's images, subjects and copies, with what of them is in other folds."""
    copies = _elsewhere(group, fold)
    rows = pd.DataFrame({"fold": fold, "identity": identity, "leaked": leaked})
    rows["copies"] = copies > 0
    # Of a group in a fold, the copies outside are counted once.
    rows["outside"] = np.where(rows[["fold"]].assign(group=group).duplicated(), 0, copies)
    known = rows.loc[leaked, ["fold", "identity"]].drop_duplicates().sort_values("identity")
    subjects = known.groupby("fold")["identity"].agg(list)
    table = rows.groupby("fold", sort=True).agg(
        n_test=("leaked", "size"),
        test_subjects=("identity", "nunique"),
        leaked_images=("leaked", "sum"),
        copies=("copies", "sum"),
        left_out=("outside", "sum"),
    )
    table["left_out"] *= apart
    table["n_train"] = len(fold) - table["n_test"] - table["left_out"]
    table["share"] = table["leaked_images"] / table["n_test"]
    table["leaked_copies"] = 0 if apart else table["copies"]
    known_in = {number: subjects.get(number, []) for number in table.index}
    table["leaked_subjects"] = [len(people) for people in known_in.values()]
    table["leaked_identities"] = [names[people[:_NAMED]].tolist() for people in known_in.values()]
    records = table.reset_index().to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _elsewhere(label: Ints, fold: Ints) -> Ints:
    """Count, for each row, the rows of other folds that have its label, (n,)."""
    _, place, size = np.unique(
        label * (fold.max() + 1) + fold, return_inverse=True, return_counts=True
    )
    others: Ints = np.bincount(label)[label] - size[place]
    return others


def _describe_copies(folds: pd.DataFrame, pairs: pd.DataFrame, group: Ints) -> dict[str, Any]:
    sizes = np.bincount(group)
    several = np.flatnonzero(sizes > 1)
    how = pairs["how"].value_counts()
    copies = folds.assign(group=group)[np.isin(group, several)]
    # Where nobody is known, every photo is its own person.
    known = copies.assign(
        identity=copies["identity"].mask(copies["identity"] == copies["sample_id"])
    )
    labels = known.groupby("group")[["identity", "age"]].nunique().gt(1)
    contradicting = labels.index[labels.any(axis=1)]
    return {
        "groups": len(several),
        "images": int(sizes[several].sum()),
        **{f"by_{kind}": int(how.get(kind, 0)) for kind in ("bytes", "look", "mirror")},
        "largest": int(sizes[several].max(initial=0)),
        "across_identities": int(labels["identity"].sum()),
        "across_ages": int(labels["age"].sum()),
        "examples": [
            each["sample_id"].iloc[:_GROUPS_SHOWN].tolist()
            for each in _first_groups(copies, several)
        ],
        "contradicting": [
            each[["sample_id", "identity", "age"]].iloc[:_GROUPS_SHOWN].to_dict("records")
            for each in _first_groups(copies, contradicting.to_numpy())
        ],
    }


def _first_groups(copies: pd.DataFrame, groups: npt.NDArray[Any]) -> list[pd.DataFrame]:
    """The rows of the first few of some groups."""
    shown = copies[copies["group"].isin(groups[:_GROUPS_SHOWN])]
    return [rows for _, rows in shown.groupby("group", sort=True)]


def _captures(folds: pd.DataFrame, samples: pd.DataFrame) -> Ints:
    rows = pd.Index(samples["sample_id"]).get_indexer(pd.Index(folds["sample_id"]))
    if (rows < 0).any():
        missing = folds["sample_id"].to_numpy()[rows < 0]
        raise DataError(
            f"{len(missing)} samples of the folds table are not in the samples table "
            f"({', '.join(missing[:_NAMED])}): make both from the same source"
        )
    captures: Ints = samples["capture"].to_numpy(np.int64)[rows]
    return captures


def _runs(*columns: Ints) -> tuple[Ints, Ints]:
    """Where the run of equal rows of columns, sorted together, begins at each row, and ends."""
    changes = np.any([np.diff(column, prepend=-1) != 0 for column in columns], axis=0)
    begins = np.flatnonzero(changes)
    run = np.cumsum(changes) - 1
    return begins[run], np.append(begins[1:], len(run))[run]


def _constants(age: Ints, fold: Ints) -> npt.NDArray[np.float64]:
    """Give each row the median age outside of its fold; of all rows where none are outside."""
    medians = _medians_outside(age, np.zeros_like(fold), fold).astype(np.float64)
    return np.where(np.isnan(medians), np.median(age), medians)


def _medians_outside(age: Ints, group: Ints, fold: Ints) -> npt.NDArray[np.float64]:
    """Give each row the median age of its group's rows in other folds; NaN where there are none.

    Year by year it is counted how many ages outside a fold come before: the cost hardly depends on
    the number of folds.

    Args:
        age: (n,) years.
        group: (n,) group number of each row: one for all, or the identity.
        fold: (n,) fold number of each row.

    Returns:
        (n,) medians in years.
    """
    folds = fold.max() + 1
    pairs, pair, inside = np.unique(group * folds + fold, return_inverse=True, return_counts=True)
    group_of = pairs // folds
    outside = np.bincount(group)[group_of] - inside
    before = np.zeros_like(outside)
    middles = np.zeros_like(outside)
    for year in np.unique(age):
        of_year = age == year
        number = np.bincount(group[of_year], minlength=group.max() + 1)[group_of]
        after = before + number - np.bincount(pair[of_year], minlength=len(pairs))
        for rank in ((outside - 1) // 2, outside // 2):
            middles += year * ((before <= rank) & (rank < after))
        before = after
    return np.where(outside > 0, middles / 2, np.nan)[pair]


def _nearest_capture(identity: Ints, fold: Ints, capture: Ints) -> Ints:
    """Give each row its subject's picture in another fold that is nearest by capture number.

    Sorted by subject and capture, the nearest picture of another fold is the end of the run of
    equal folds before, or the beginning of the one after.

    Args:
        identity: (n,) identity number of each row.
        fold: (n,) fold number of each row.
        capture: (n,) order number of the picture among its identity's pictures.

    Returns:
        (n,) row numbers, -1 where the subject has no picture in another fold. Of two equally near
        the earlier by capture number, then by row.
    """
    n = len(identity)
    order = np.lexsort((capture, identity))
    identity, fold, capture = identity[order], fold[order], capture[order]
    begin, after = _runs(identity, fold)
    before = begin - 1

    def distance(other: Ints) -> npt.NDArray[np.float64]:
        inside = np.clip(other, 0, n - 1)
        same = (other == inside) & (identity[inside] == identity)
        return np.where(same, np.abs(capture[inside] - capture), np.inf)

    gap_before, gap_after = distance(before), distance(after)
    somewhere = np.isfinite(np.minimum(gap_before, gap_after))
    nearest = np.where(gap_before <= gap_after, before, after)[somewhere]
    # several pictures may bear the same number: the first of them that is in another fold
    first = _runs(identity, capture)[0][nearest]
    nearest = np.where(fold[first] != fold[somewhere], first, after[first])
    result = np.full(n, -1)
    result[order[somewhere]] = order[nearest]
    return result
