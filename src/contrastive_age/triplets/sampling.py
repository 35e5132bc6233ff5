"""Drawing positives and negatives, and composing the batches of an epoch.

Two modes give batches of one form. `explicit` is the paper's: every anchor brings its own positive
and negative, about three images an anchor. `shared` sends each image through the network once, and
finds positives and negatives among the anchors of the batch.

What differs in shared mode:

- Every image of a batch is an anchor. So whether the supervised terms act on anchors or on all
  images, each image carries them once an epoch; in explicit mode an image is forwarded on average
  once more as a positive and once more as a negative.
- Positives are drawn uniformly among the images of the batch that are in P(x). Over epochs every
  member of P(x) occurs, but not equally often: where one identity holds most images of an age, each
  group holds one of the few others or two, and all the group's anchors draw from these.
- Negatives are drawn uniformly among the images of the batch that are in N(x). Groups are put into
  batches in random order, so over epochs a negative is close to uniform over N(x); but within an
  epoch the anchors of a batch share its few candidates. A batch without any member of N(x), say one
  that holds a single age, masks the negative, though the training part may have one.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.triplets.index import Ints, Rows, TripletIndex, build_index

Mask = npt.NDArray[np.bool_]
Mode = Literal["explicit", "shared"]

# Each round accepts more than half of what is left, but of people who have most rows of other ages.
_ROUNDS = 30

# Shared batches whose partners are drawn in one go: enough to hide a call's cost, little to hold.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Batch:
    """Images to forward together, and the triplets among them.

    Attributes:
        rows: (m,) training-row numbers of the images to forward.
        anchor: (b,) positions into `rows`.
        positive: (b,) positions into `rows`; the anchor itself where `has_positive` is False.
        negative: (b,) positions into `rows`; the anchor itself where `has_negative` is False.
        has_positive: (b,) whether the anchor has a positive.
        has_negative: (b,) whether the anchor has a negative.
    """

    rows: Ints
    anchor: Ints
    positive: Ints
    negative: Ints
    has_positive: Mask
    has_negative: Mask


def batches(
    index: TripletIndex, mode: Mode, batch_size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Give one epoch of batches in the mode named; at most ceil(n / batch_size) of them.

    Args:
        index: The training part, n rows.
        mode: "explicit" or "shared".
        batch_size: Anchors a batch, at least 2.
        rng: Source of randomness; the same generator gives another epoch next time.

    Raises:
        ValueError: When the mode is unknown or the batch size below 2.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"triplets.mode is {mode!r}; choose one of {', '.join(get_args(Mode))}")
    if batch_size < 2:
        raise ValueError(f"batch_size is {batch_size}; batch normalisation needs at least 2")
    compose = explicit_batches if mode == "explicit" else shared_batches
    return compose(index, batch_size, rng)


def sample_positives(index: TripletIndex, places: Ints, rng: np.random.Generator) -> Ints:
    """Draw a positive for each anchor, uniformly over P(x).

    P(x) is the run of the anchor's age without the run of its own identity in it.

    Args:
        index: The training part.
        places: (b,) places of the anchors, see `TripletIndex`.
        rng: Source of randomness.

    Returns:
        (b,) row numbers, -1 where P(x) is empty.
    """
    number = index.positives[places]
    drawn = index.age_first[places] + rng.integers(0, np.maximum(number, 1))
    drawn = _past(drawn, index.person_first[places], index.person_rows[places])
    return np.where(number > 0, index.order.take(drawn, mode="clip"), np.int64(-1))


def sample_negatives(index: TripletIndex, places: Ints, rng: np.random.Generator) -> Ints:
    """Draw a negative for each anchor, uniformly over N(x).

    A row of another age is drawn, which is all rows without one run, and drawn again while it is of
    the anchor's identity. An identity with most rows of other ages would be drawn again and again:
    what is left after some rounds is drawn from a list of all rows of others. There are few lists:
    no more than two identities of a batch can each have most rows of other ages than some age.

    Args:
        index: The training part.
        places: (b,) places of the anchors, see `TripletIndex`.
        rng: Source of randomness.

    Returns:
        (b,) row numbers, -1 where N(x) is empty.
    """
    drawn = np.full(len(places), -1)
    left = np.flatnonzero(index.negatives[places])
    for _ in range(_ROUNDS):
        asking = places[left]
        first, rows = index.age_first[asking], index.age_rows[asking]
        others = index.batch_first[asking] + rng.integers(0, index.batch_rows[asking] - rows)
        drawn[left] = index.order[_past(others, first, rows)]
        of_anchor = index.identities[index.order[asking]]
        left = left[index.identities[drawn[left]] == of_anchor]
        if not len(left):
            return drawn
    return _listed(index, places, left, drawn, rng)


def _listed(
    index: TripletIndex, places: Ints, left: Ints, drawn: Ints, rng: np.random.Generator
) -> Ints:
    """Draw the negatives of the anchors `left` from lists of the rows of other identities."""
    place = places[left]
    batch, who = index.batch_first[place], index.identities[index.order[place]]
    for _, (k, *_) in pd.Series(range(len(left))).groupby([batch, who]):
        rows = index.order[batch[k] : batch[k] + index.batch_rows[batch[k]]]
        others = rows[index.identities[rows] != who[k]]  # still by age
        same = (batch == batch[k]) & (who == who[k])
        age = index.ages[index.order[place[same]]]
        first, last = (np.searchsorted(index.ages[others], age, side) for side in ("left", "right"))
        ranks = rng.integers(0, len(others) - (last - first))
        drawn[left[same]] = others[_past(ranks, first, last - first)]
    return drawn


def _past(places: Ints, first: Rows | Ints, rows: Rows | Ints) -> Ints:
    """Number places anew where a run of rows is left out of them."""
    return places + np.where(places >= first, rows, 0)


def explicit_batches(
    index: TripletIndex, batch_size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Give one epoch of the paper's batches: each anchor with a positive and negative of its own.

    Every row is anchor once, in random order. `rows` are the anchors, then the positives, then the
    negatives. What is missing is left out of `rows`: a repeated anchor would weigh double in the
    statistics of batch normalisation, and cost a pass for a masked term. A last batch of a single
    anchor is joined to the one before.

    Args:
        index: The training part, n rows.
        batch_size: Anchors a batch.
        rng: Source of randomness.

    Yields:
        Batches of `batch_size` anchors, the last one smaller, or larger by one.
    """
    n = len(index)
    # Drawn by place and shuffled later: the index's arrays are then read in order.
    places, turn = np.arange(n), rng.permutation(n)
    anchors = index.order[turn]
    positives = sample_positives(index, places, rng)[turn]
    negatives = sample_negatives(index, places, rng)[turn]
    starts = _without_singles(np.arange(0, n, batch_size), n)
    for start, stop in itertools.pairwise([*starts.tolist(), n]):
        yield _explicit_batch(anchors[start:stop], positives[start:stop], negatives[start:stop])


def shared_batches(
    index: TripletIndex, batch_size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Give one epoch of batches whose anchors are each other's positives and negatives.

    Every row is anchor once, and `rows` are the batch's anchors only. Images of an age are matched
    into groups of at least two identities (pairs, one of three where their number is odd, stars
    around the scarce images where one identity holds most of the age), and a group is never parted:
    so a positive is masked only where P(x) is empty in the whole training part. A batch of a single
    anchor is joined to the one before.

    Args:
        index: The training part, n rows.
        batch_size: Anchors a batch.
        rng: Source of randomness.

    Yields:
        Batches of about `batch_size` anchors: each runs up to the end of the group that crosses its
        limit. A star is as large as the majority's images of an age over the other images of it, so
        only an age with a single other image and more than `batch_size` of the majority makes a
        much larger batch.
    """
    epoch, starts = _compose(index, batch_size, rng)
    every = np.append(_without_singles(starts, len(epoch)), len(epoch))
    for first in range(0, len(every) - 1, _AT_ONCE):
        bounds = every[first : first + _AT_ONCE + 1] - every[first]
        rows = epoch[every[first] :][: bounds[-1]]
        number = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        local = build_index(index.ages[rows], index.identities[rows], batch=number)
        places = np.arange(len(rows))
        positives = local.by_row(sample_positives(local, places, rng))
        negatives = local.by_row(sample_negatives(local, places, rng))
        for start, stop in itertools.pairwise(bounds.tolist()):
            positive, negative = positives[start:stop], negatives[start:stop]
            yield _batch(
                rows[start:stop], positive - start, negative - start, positive >= 0, negative >= 0
            )


def _without_singles(starts: Ints, n: int) -> Ints:
    """Join a batch of one row to the batch before: batch normalisation needs two."""
    kept: Mask = np.diff(starts, append=n) > 1
    kept[0] = True
    return np.compress(kept, starts)


def _explicit_batch(anchors: Rows, positives: Ints, negatives: Ints) -> Batch:
    has_positive, has_negative = positives >= 0, negatives >= 0
    drawn = (anchors, positives[has_positive], negatives[has_negative])
    # the k-th anchor that has a positive finds it k places into the second part of rows
    positive = len(anchors) - 1 + np.cumsum(has_positive)
    negative = positive[-1] + np.cumsum(has_negative)
    rows = np.concatenate(drawn, dtype=np.int64)
    return _batch(rows, positive, negative, has_positive, has_negative)


def _batch(
    rows: Ints, positive: Ints, negative: Ints, has_positive: Mask, has_negative: Mask
) -> Batch:
    """Have anchors without a partner be their own."""
    anchor = np.arange(len(has_positive))
    return Batch(
        rows=rows,
        anchor=anchor,
        positive=np.where(has_positive, positive, anchor),
        negative=np.where(has_negative, negative, anchor),
        has_positive=has_positive,
        has_negative=has_negative,
    )


def _compose(index: TripletIndex, batch_size: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Order the rows of an epoch so that groups stay together, and cut it into batches.

    Returns:
        The rows (n,) in their order, and where each batch starts in it.
    """
    rows, group = _groups(index, rng)
    turn = rng.permutation(group.max() + 1)[group]
    in_turn = np.argsort(turn, kind="stable")
    starts = np.flatnonzero(np.diff(turn[in_turn], prepend=-1))
    crosses = np.diff(starts // batch_size, prepend=-1) > 0
    return rows[in_turn], starts[crosses]


def _groups(index: TripletIndex, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Match the images of each age into small groups of at least two identities.

    Let an age have s images, c of them by its commonest identity. Lay them in a row, identity by
    identity in random order but the commonest first, and deal them in turn to
    g = min(floor(s / 2), s - c) groups, so that each gets at least two. If c <= g, no identity
    fills more than g places in a row, and images g places apart differ. If c > g, the commonest
    fills the first g places, and others the last g, so each group has one of both. If g = 0, the
    age has one identity, and every image stays alone.

    Returns:
        The rows by age, (n,), and the group of each, (n,).
    """
    size = index.person_rows[index.person_first == np.arange(len(index))]
    person = np.repeat(np.arange(len(size)), size)
    age = index.ages[index.order].astype(np.int64) - index.ages.min()
    images = np.bincount(age)
    commonest = np.zeros_like(images)
    np.maximum.at(commonest, age, index.person_rows)

    layer = 2 * age + (index.person_rows < commonest[age])
    key = layer * len(size) + rng.permutation(len(size))[person]
    shuffled = rng.permutation(len(index))
    laid = shuffled[np.argsort(key[shuffled], kind="stable")]

    groups = np.minimum(images // 2, images - commonest)
    groups = np.where(groups > 0, groups, images)
    place = np.arange(len(index)) - np.repeat(np.cumsum(images) - images, images)
    group = place % np.repeat(groups, images) + np.repeat(np.cumsum(groups) - groups, images)
    return index.order[laid].astype(np.int64), group
