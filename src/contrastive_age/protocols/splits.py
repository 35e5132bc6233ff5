"""Which sample is tested in which fold: RS, SE, LOPO, transfers and published split lists.

Every function gives the folds table: `sample_id` str, `identity` str, `age` int64 (years) and
`fold` int64, the fold in which the sample is TESTED; rows in the order of the samples table.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols import published
from contrastive_age.protocols.copies import Ints, linked
from contrastive_age.protocols.listed import fold_numbers, refuse, refuse_surplus
from contrastive_age.protocols.parts import TRAINS
from contrastive_age.sources import delimited
from contrastive_age.sources.names import NONE, SEVERAL, find

logger = logging.getLogger(__name__)

LIST_COLUMNS = (
    ("sample_id", "filename", "file", "path", "image", "photo", "name"),
    ("fold", "split", "set"),
)
"""What the two columns of a published split list may be called."""

LARGEST_SHARE = 0.01
FEW = 10
"""A group of copies of more than this share of all images, and of more than so many, is a fault."""

_SHOWN = 5


def random_split(
    samples: pd.DataFrame, folds: int, seed: int, group: Ints | None = None
) -> pd.DataFrame:
    """Random split (RS): images are dealt to folds whatever their subject.

    Args:
        samples: The samples table, N rows.
        folds: Number of folds K, at least 2.
        seed: Seed of the shuffle.
        group: The smallest row of each image's group of copies, (N,): a group is tested in one
            fold. None deals every image for itself.

    Returns:
        The folds table; fold sizes differ by the images of the largest group at most, which is one
        where there are no copies.

    Raises:
        DataError: When there are fewer images, copies counted once, than folds.
    """
    from sklearn.model_selection import KFold

    n = len(samples)
    codes, groups = pd.factorize(np.arange(n) if group is None else group)
    _check_enough(folds, len(groups), "images" + ", copies counted once" * (len(groups) < n))
    if len(groups) < n:
        return _table(samples, _deal(np.bincount(codes)[:, None], folds, seed)[codes])
    fold = np.empty(n, np.int64)
    splits = KFold(folds, shuffle=True, random_state=seed).split(np.empty(n))
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return _table(samples, fold)


def subject_exclusive(
    samples: pd.DataFrame, folds: int, seed: int, group: Ints | None = None
) -> pd.DataFrame:
    """Subject-exclusive split (SE): all images of a subject are tested in one fold.

    The images of each decade of age are spread over the folds as evenly as subjects allow.

    Args:
        samples: The samples table, N rows.
        folds: Number of folds K, at least 2.
        seed: Decides among subjects of equal weight.
        group: The smallest row of each image's group of copies, (N,): subjects that copies link are
            tested in one fold. None links none.

    Returns:
        The folds table; fold sizes differ by the images of the largest subject at most, with those
        that are linked as one.

    Raises:
        DataError: When there are fewer subjects than folds.
    """
    person = linked(samples["identity"], np.arange(len(samples)) if group is None else group)
    codes, people = pd.factorize(person, sort=True)
    joined = len(people) < samples["identity"].nunique()
    _check_enough(folds, len(people), "subjects" + " whom no copies link" * joined)
    decade, decades = pd.factorize(samples["age"] // 10, sort=True)
    cells = np.bincount(codes * len(decades) + decade, minlength=len(people) * len(decades))
    counts = cells.reshape(len(people), len(decades))
    return _table(samples, _deal(counts, folds, seed)[codes])


def leave_one_person_out(samples: pd.DataFrame) -> pd.DataFrame:
    """Leave one person out (LOPO): fold i tests the i-th identity in sorted order.

    Args:
        samples: The samples table, N rows.

    Returns:
        The folds table, with as many folds as identities; nothing in it is random.

    Raises:
        DataError: When there are fewer than two subjects.
    """
    codes, subjects = pd.factorize(samples["identity"], sort=True)
    _check_enough(2, len(subjects), "subjects")
    return _table(samples, codes.astype(np.int64))


def transfer(samples: pd.DataFrame, tested: int) -> pd.DataFrame:
    """Test all samples of one source; those of another only train.

    Args:
        samples: Of both, N rows, those that are tested first.
        tested: How many they are.

    Returns:
        The folds table: fold 0, and `parts.TRAINS` for those that only train.
    """
    return _table(samples, np.where(np.arange(len(samples)) < tested, 0, TRAINS))


def from_file(samples: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Read a published split list.

    The list is a text table (`sources.delimited`) with a column of names and one of folds, called
    as in `LIST_COLUMNS`, every sample exactly once. A name may carry a suffix, and more or fewer
    leading folders than the sample's own id, as long as it fits one sample only; one that fits none
    is looked for in another case or Unicode form, which is said. Folds are numbered 0..K-1 or 1..K.
    Or it is one of `published.LISTS`: of such a list it is said how many samples it lacks, which
    then take part in nothing, and how many ages are others.

    A list covers the whole source: apply it before samples are capped.

    Args:
        samples: The samples table, N rows.
        path: The list.

    Returns:
        The folds table, folds numbered from 0; `parts.TRAINS` for those that only train.

    Raises:
        DataError: When the file cannot be read, lacks a column or has two that could be it, names
            an unknown sample, has a name that fits several samples, lists a sample twice or not at
            all, or does not number its folds without gaps; the first few offenders are named.
    """
    shipped = published.read(path)
    if shipped is not None:
        return _as_shipped(samples, shipped, path)
    listed = delimited.read(path, LIST_COLUMNS)
    refuse_surplus(listed, "sample_id", path)
    rows = _match(listed["sample_id"], samples["sample_id"], path)
    ids = samples["sample_id"].to_numpy()
    times = np.bincount(rows, minlength=len(samples))
    refuse(ids[times > 1], path, "samples listed more than once", "list each once")
    refuse(ids[times == 0], path, "samples without a fold", "add them to the list")
    fold = np.empty(len(samples), np.int64)
    fold[rows] = fold_numbers(listed["fold"], path)
    return _table(samples, fold)


def _as_shipped(samples: pd.DataFrame, listed: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Make the folds table of what a published list says, with those samples that it has."""
    rows = _match(listed["name"], samples["sample_id"], path)
    ids, ages = samples["sample_id"].to_numpy(), samples["age"].to_numpy()
    times = np.bincount(rows, minlength=len(samples))
    refuse(ids[times > 1], path, "samples listed more than once", "list each once")
    if absent := int((times == 0).sum()):
        logger.warning(
            "%s lacks %d of %d samples, which take part in nothing; the first is %s",
            path.name,
            absent,
            len(samples),
            ids[times == 0][0],
        )
    others = np.flatnonzero(ages[rows] != listed["age"])
    if len(others):
        first = others[0]
        logger.warning(
            "%s: %d of %d ages differ from those of the samples, which are used; the first is that "
            "of %s, %d in the list and %d here",
            path.name,
            len(others),
            len(listed),
            ids[rows[first]],
            listed["age"].iloc[first],
            ages[rows[first]],
        )
    fold = np.empty(len(samples), np.int64)
    fold[rows] = listed["fold"]
    return _table(samples, fold)[times > 0].reset_index(drop=True)


def cap_samples(
    samples: pd.DataFrame, max_samples: int | None, seed: int, *, keep_identities: bool
) -> pd.DataFrame:
    """Keep at most `max_samples` samples, chosen at random.

    Args:
        samples: The samples table, N rows.
        max_samples: How many to keep; None or more than N keeps all.
        seed: Seed of the choice.
        keep_identities: False takes whole identities in random order (the last one cut short), so
            that identities keep the number of images they have. True takes one image of every
            identity in turn, so that each keeps at least one, as LOPO needs.

    Returns:
        The chosen rows in their order, numbered anew.

    Raises:
        DataError: When `max_samples` is less than one, or less than the number of identities that
            must be kept.
    """
    if max_samples is None or max_samples >= len(samples):
        return samples
    codes, subjects = pd.factorize(samples["identity"], sort=True)
    if max_samples < 1:
        raise DataError(f"max_samples is {max_samples}: give at least 1, or null for all samples")
    if keep_identities and max_samples < len(subjects):
        raise DataError(
            f"max_samples is {max_samples}, but each of {len(subjects)} identities must keep an "
            f"image in this protocol: give at least {len(subjects)}"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(samples))
    turn = rng.permutation(len(subjects))[codes[shuffled]]
    taken_before = pd.Series(turn).groupby(turn).cumcount().to_numpy()
    by_turn = np.lexsort((turn, taken_before) if keep_identities else (taken_before, turn))
    return samples.iloc[np.sort(shuffled[by_turn[:max_samples]])].reset_index(drop=True)


def refuse_large_groups(samples: pd.DataFrame, group: Ints) -> None:
    """Refuse to hold together what cannot all be one photo.

    Args:
        samples: The samples table, N rows.
        group: The smallest row of each image's group of copies, (N,).

    Raises:
        DataError: A group has more than 1% of the images, and more than 10; names some of them.
    """
    sizes = np.bincount(group)
    largest = sizes.argmax()
    if sizes[largest] > max(FEW, LARGEST_SHARE * len(samples)):
        names = ", ".join(samples["sample_id"][group == largest][:_SHOWN])
        raise DataError(
            f"{sizes[largest]} of {len(samples)} photos count as copies of one ({names}, ...), too "
            "many to keep in one fold. Remove them if they are one photo; if they are not, lower "
            "overlap.most_bits, from which on two faces are one"
        )


def _check_enough(folds: int, available: int, what: str) -> None:
    if folds < 2:
        raise DataError(f"{folds} folds asked for: cross-validation needs at least 2")
    if available < folds:
        raise DataError(
            f"{folds} folds need at least {folds} {what}, but there are only {available}: "
            "lower protocols.<protocol>.folds, raise max_samples, or remove copies of photos"
        )


def _deal(counts: Ints, folds: int, seed: int) -> Ints:
    """Deal subjects to folds so that images of each kind, and all images, are spread evenly.

    A subject weighs, for each kind and for all images, the share of them that are its own. Dealt
    from the greatest weight down, so that few old faces are spread before many young ones, each
    goes where the folds' squared loads grow least, by `2 load . weight` and a constant. No fold is
    taken that would then hold more than the lightest and the largest subject together.

    Args:
        counts: How many images of each kind each subject has, (subjects, kinds).
        folds: Number of folds, at most that of the subjects.
        seed: Decides among equal weights.

    Returns:
        The fold of each subject, (subjects,); none is empty.
    """
    images = counts.sum(axis=1)
    largest = images.max()
    weights = np.column_stack((counts / counts.sum(axis=0), images / images.sum()))
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    loads = np.zeros((folds, weights.shape[1]))
    held = np.zeros(folds, np.int64)
    fold = np.empty(len(counts), np.int64)
    for subject in shuffled[np.argsort(-weights.max(axis=1)[shuffled], kind="stable")]:
        growth = loads @ weights[subject]
        growth[held + images[subject] > held.min() + largest] = np.inf
        chosen = growth.argmin()
        fold[subject] = chosen
        loads[chosen] += weights[subject]
        held[chosen] += images[subject]
    return fold


def _table(samples: pd.DataFrame, fold: Ints) -> pd.DataFrame:
    table = samples[["sample_id", "identity", "age"]].reset_index(drop=True)
    return table.assign(fold=fold)


def _match(names: "pd.Series[str]", sample_ids: "pd.Series[str]", path: Path) -> Ints:
    """Give the row that each listed name means, see `sources.names.find`."""
    rows, loosely = find(names, sample_ids)
    listed = names.to_numpy()
    refuse(
        listed[rows == NONE],
        path,
        "names that are no sample of this source",
        "remove them, or check that the list belongs to this source",
    )
    refuse(
        listed[rows == SEVERAL],
        path,
        "names that fit several samples",
        "write the sample_id as in samples.parquet",
    )
    if loosely.any():
        first = loosely.argmax()
        logger.warning(
            "%s: %d names are of samples in another case or Unicode form, such as %r of %r.",
            path,
            loosely.sum(),
            listed[first],
            sample_ids.iloc[rows[first]],
        )
    return rows
