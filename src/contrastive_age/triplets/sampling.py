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

from contrastive_age.triplets.index import Ints, Rows, TripletIndex, build_index

Mask = npt.NDArray[np.bool_]
Mode = Literal["explicit", "shared"]

# Anchors whose partners are drawn in one go: enough to hide the cost of a call, little to hold.
_CHUNK = 65_536


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


def sample_positives(index: TripletIndex, anchors: Ints | Rows, rng: np.random.Generator) -> Ints:
    """Draw a positive for each anchor, uniformly over P(x).

    Args:
        index: The training part.
        anchors: (b,) row numbers.
        rng: Source of randomness.

    Returns:
        (b,) row numbers, -1 where P(x) is empty.
    """
    count = index.positives[index.block[anchors]]
    ranks = rng.integers(0, np.maximum(count, 1))
    some = count > 0
    drawn = np.full(len(anchors), -1)
    drawn[some] = positive_at(index, anchors[some], ranks[some])
    return drawn


def sample_negatives(index: TripletIndex, anchors: Ints | Rows, rng: np.random.Generator) -> Ints:
    """Draw a negative for each anchor, uniformly over N(x).

    Args:
        index: The training part.
        anchors: (b,) row numbers.
        rng: Source of randomness.

    Returns:
        (b,) row numbers, -1 where N(x) is empty.
    """
    count = index.negatives[index.block[anchors]]
    ranks = rng.integers(0, np.maximum(count, 1))
    some = count > 0
    drawn = np.full(len(anchors), -1)
    drawn[some] = negative_at(index, anchors[some], ranks[some])
    return drawn


def positive_at(index: TripletIndex, anchors: Ints | Rows, ranks: Ints) -> Ints:
    """Give the element of each anchor's P(x) that has the rank asked for.

    P(x) is the run of the anchor's age without the run of its own identity in it.

    Args:
        index: The training part.
        anchors: (b,) row numbers.
        ranks: (b,) from 0 to the size of P(x) - 1.

    Returns:
        (b,) row numbers.
    """
    block = index.block[anchors]
    place = index.age_place[block] + ranks
    own = index.rows_before[block + 1] - index.rows_before[block]
    place += np.where(place >= index.place[block], own, 0)
    rows: Ints = index.order[place].astype(np.int64)
    return rows


def negative_at(index: TripletIndex, anchors: Ints | Rows, ranks: Ints) -> Ints:
    """Give the element of each anchor's N(x) that has the rank asked for.

    Leave out the anchor's identity: what is left of its age is still one run, so a rank in N(x) is
    moved past it. That gives a rank among all rows of other identities; its place lies further by
    the identity's rows before it, whose number bisection finds.

    Args:
        index: The training part.
        anchors: (b,) row numbers.
        ranks: (b,) from 0 to the size of N(x) - 1.

    Returns:
        (b,) row numbers.
    """
    block = index.block[anchors]
    place = index.batch_place[block] + ranks
    place += np.where(place >= index.outside_before[block], index.positives[block], 0)
    sought = index.run[block] * np.int64(len(index) + 1) + place
    passed = np.searchsorted(index.keys, sought, side="right")
    place += index.rows_before[passed] - index.run_rows[block]
    rows: Ints = index.order[place].astype(np.int64)
    return rows


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
    # drawn block by block and dealt to random steps, since the blocks' arrays are then read in
    # order: anchors in random order would wait for memory several times as long
    step = rng.permutation(np.arange(n, dtype=np.int32))
    epoch, positives, negatives = (np.empty(n, np.int32) for _ in range(3))
    for first in range(0, n, _CHUNK):
        anchors = index.by_block[first : first + _CHUNK]
        at = step[first : first + _CHUNK]
        epoch[at] = anchors
        positives[at] = sample_positives(index, anchors, rng)
        negatives[at] = sample_negatives(index, anchors, rng)
    starts = _without_singles(np.arange(0, n, batch_size), n)
    for start, stop in itertools.pairwise([*starts.tolist(), n]):
        yield _explicit_batch(epoch[start:stop], positives[start:stop], negatives[start:stop])


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
    for bounds in _chunks(_without_singles(starts, len(epoch)), len(epoch)):
        anchors = epoch[bounds[0] : bounds[-1]]
        inside = np.arange(len(anchors))
        local = build_index(
            index.ages[anchors],
            index.identities[anchors],
            batch=np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)),
        )
        positives = sample_positives(local, inside, rng)
        negatives = sample_negatives(local, inside, rng)
        for start, stop in _spans(bounds):
            own = np.arange(stop - start)
            has_positive = positives[start:stop] >= 0
            has_negative = negatives[start:stop] >= 0
            yield Batch(
                rows=anchors[start:stop],
                anchor=own,
                positive=np.where(has_positive, positives[start:stop] - start, own),
                negative=np.where(has_negative, negatives[start:stop] - start, own),
                has_positive=has_positive,
                has_negative=has_negative,
            )


def _without_singles(starts: Ints, n: int) -> Ints:
    """Join a batch of one row to the batch before: batch normalisation needs two."""
    kept: Mask = np.diff(starts, append=n) > 1
    kept[0] = True
    return np.compress(kept, starts)


def _chunks(starts: Ints, n: int) -> Iterator[Ints]:
    """Give the bounds of a number of whole batches at a time, about `_CHUNK` rows."""
    bounds = np.append(starts, n)
    chunk = np.flatnonzero(np.diff(starts // _CHUNK, prepend=-1))
    for first, last in zip(chunk, np.append(chunk[1:], len(starts)), strict=True):
        yield bounds[first : last + 1]


def _spans(bounds: Ints) -> Iterator[tuple[int, int]]:
    """Give start and stop of each batch within its chunk."""
    inside = (bounds - bounds[0]).tolist()
    return itertools.pairwise(inside)


def _explicit_batch(anchors: Rows, positives: Rows, negatives: Rows) -> Batch:
    has_positive = positives >= 0
    has_negative = negatives >= 0
    drawn = (anchors, positives[has_positive], negatives[has_negative])
    rows = np.concatenate(drawn, dtype=np.int64)
    own = np.arange(len(anchors))
    # the k-th anchor that has a positive finds it k places into the second part of rows
    positive = len(anchors) - 1 + np.cumsum(has_positive)
    negative = positive[-1] + np.cumsum(has_negative)
    return Batch(
        rows=rows,
        anchor=own,
        positive=np.where(has_positive, positive, own),
        negative=np.where(has_negative, negative, own),
        has_positive=has_positive,
        has_negative=has_negative,
    )


def _compose(index: TripletIndex, batch_size: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Order the rows of an epoch so that groups stay together, and cut it into batches.

    Returns:
        The rows (n,) in their order, and where each batch starts in it.
    """
    rows, group, member = _groups(index, rng)
    size = np.bincount(group)
    shuffled = rng.permutation(len(size))
    in_order = np.cumsum(size[shuffled]) - size[shuffled]
    start = np.empty_like(size)
    start[shuffled] = in_order
    epoch = np.empty(len(rows), np.int64)
    epoch[start[group] + member] = rows
    crosses = np.diff(in_order // batch_size, prepend=-1) > 0
    return epoch, in_order[crosses]


def _groups(index: TripletIndex, rng: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Match the images of each age into small groups of at least two identities.

    Let an age have s images, c of them by its commonest identity. Lay them in a row, identity by
    identity in random order but the commonest first, and deal them in turn to
    g = min(floor(s / 2), s - c) groups, so that each gets at least two. If c <= g, no identity
    fills more than g places in a row, and images g places apart differ. If c > g, the commonest
    fills the first g places, and others the last g, so each group has one of both. If g = 0, the
    age has one identity, and every image stays alone.

    Returns:
        The rows (n,) by age, the group of each (n,), and its number in the group (n,).
    """
    size = np.diff(index.rows_before)
    age = index.ages[index.order[index.place]]
    age -= age.min()
    images = np.bincount(age, weights=size).astype(np.int32)
    commonest = np.zeros_like(images)
    np.maximum.at(commonest, age, size)

    # two bytes are sorted in linear time; a stable sort leaves ties in their random order
    shuffled = rng.permutation(np.arange(len(size), dtype=np.int32))
    layer = (2 * age + (size < commonest[age])).astype(np.uint16)
    laid = shuffled[np.argsort(layer[shuffled], kind="stable")]
    rows = index.by_block[_turned(index.rows_before[:-1][laid], size[laid], rng)]

    groups = np.minimum(images // 2, images - commonest)
    groups = np.where(groups > 0, groups, images)
    first_group = np.cumsum(groups, dtype=np.int32) - groups
    first_image = np.cumsum(images, dtype=np.int32) - images
    place = np.arange(len(index), dtype=np.int32) - np.repeat(first_image, images)
    member, group = np.divmod(place, np.repeat(groups, images))
    group += np.repeat(first_group, images)
    return rows, group, member


def _turned(start: Rows, size: Rows, rng: np.random.Generator) -> Rows:
    """Concatenate the ranges from `start`, `size` long, each begun at random and wrapped around."""
    within = np.arange(size.sum(), dtype=np.int32)
    within -= np.repeat(np.cumsum(size, dtype=np.int32) - size, size)
    within += np.repeat(rng.integers(0, size, dtype=np.int32), size)
    within %= np.repeat(size, size)
    within += np.repeat(start, size)
    return within
