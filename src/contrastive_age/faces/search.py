"""Looking through many photos: on several threads, whatever becomes of a single one."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

from PIL import Image

MOST_WORKERS = 8
"""Threads, unless more are asked for: beyond, Python's own lock is in the way."""

MOST_PIXELS = 2**26
"""Of decoded photos that are held at a time, for each thread, before the last: 200 MB."""
MOST_FAILURES = 16
"""A photo or two may make detection fail; when more do, the fault is elsewhere and it stops."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Give the number of threads to find faces on: one a processor, at most `MOST_WORKERS`."""
    # A batch system gives a part of the machine's.
    asked = hasattr(os, "sched_getaffinity")
    return min(len(os.sched_getaffinity(0)) if asked else os.cpu_count() or 1, MOST_WORKERS)


def on_threads(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Do a task for many items, several at a time, each on one thread of the processor.

    Args:
        task: What to do; it may call the detector.
        items: Taken as they are needed: two for each worker are under way.
        workers: How many at a time. One alone, or a single item, is done in the calling thread,
            with all the threads that torch has.

    Yields:
        The results, in the order of the items.
    """
    items = iter(items)
    first = list(islice(items, 2))
    rest = chain(first, items)
    if workers == 1 or len(first) < 2:
        yield from map(task, rest)
        return
    import torch

    # Threads that begin later, and this one where it has not asked yet, would take over what was
    # last said on any.
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "faces", torch.set_num_threads, (1,))
    try:
        running = deque(pool.submit(task, item) for item in islice(rest, 2 * workers))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(task, item) for item in islice(rest, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def found_in(
    items: Sequence[Item],
    opened: Callable[[Item], Image.Image | str],
    find: Callable[[Sequence[Image.Image]], Sequence[Result]],
) -> list[Result | str | Exception]:
    """Open photos and find something in each, whatever becomes of the others.

    Args:
        items: What stands for the photos.
        opened: Gives an upright RGB photo, or why there is none.
        find: Gives a result for each photo. Where it fails, they are tried one by one.

    Returns:
        For each item the result, why there is no photo, or the error with which `find` failed on it
        alone.
    """
    outcomes: list[Any] = []
    for item in items:
        outcomes.append(opened(item))
        # Photos stand in their places until something is found in them.
        photos = [photo for photo in outcomes if isinstance(photo, Image.Image)]
        pixels = sum(math.prod(photo.size) for photo in photos)
        if pixels >= MOST_PIXELS or len(outcomes) == len(items):
            results = iter(_one_by_one(find, photos))
            outcomes = [next(results) if isinstance(of, Image.Image) else of for of in outcomes]
    return outcomes


def _one_by_one(
    find: Callable[[Sequence[Image.Image]], Sequence[Result]], photos: Sequence[Image.Image]
) -> list[Result | Exception]:
    """Find something in all photos at once, and one by one where that fails."""
    try:
        return list(find(photos))
    except Exception as error:  # whatever it is, the other photos are not at fault
        if len(photos) == 1:
            return [error]
        return [outcome for photo in photos for outcome in _one_by_one(find, [photo])]


def too_many_failures(failures: int, name: str) -> RuntimeError:
    """The error that ends detection when more than `MOST_FAILURES` photos fail in it."""
    return RuntimeError(
        f"{failures} photos failed in detection, {name} the last; look for a common cause, such as "
        "too little memory"
    )
