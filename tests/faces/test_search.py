"""Looking through many photos: in order, with bounded memory, whatever fails."""

import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Never

import pytest
import torch
from PIL import Image

from contrastive_age.faces import search
from contrastive_age.faces.search import (
    MOST_FAILURES,
    default_workers,
    found_in,
    on_threads,
    too_many_failures,
)


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (3, 3), (64, 8)])
def test_there_is_a_worker_for_each_processor_that_is_ours(
    processors: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 256)
    assert default_workers() == workers
    monkeypatch.delattr(os, "sched_getaffinity")
    assert default_workers() == 8


class TestOnThreads:
    @pytest.fixture(autouse=True)
    def three_threads(self) -> Iterator[None]:
        """Let torch have a number of threads that it would not choose."""
        before = torch.get_num_threads()
        torch.set_num_threads(3)
        yield
        torch.set_num_threads(before)

    def test_a_thread_that_has_not_computed_yet_keeps_torchs_threads(self) -> None:
        numbers: list[int] = []

        def ask() -> None:
            list(on_threads(str, range(4), 2))
            numbers.append(torch.get_num_threads())

        for _ in range(2):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert numbers == [3, 3]

    def test_results_come_in_the_order_of_the_items(self) -> None:
        ended = [threading.Event() for _ in range(8)]

        def task(number: int) -> int:
            # The first of two ends after the second.
            if number % 2 == 0:
                assert ended[number + 1].wait(60)
            ended[number].set()
            return number * number

        assert list(on_threads(task, range(8), 2)) == [number**2 for number in range(8)]

    @pytest.mark.parametrize("workers", [1, 3])
    def test_of_nothing(self, workers: int) -> None:
        assert list(on_threads(str, [], workers)) == []

    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_items_are_taken_as_they_are_needed(self, workers: int) -> None:
        taken = 0

        def endless() -> Iterator[int]:
            nonlocal taken
            while True:
                taken += 1
                yield taken

        results = on_threads(str, endless(), workers)
        assert taken == 0
        for number in range(1, 50):
            assert next(results) == str(number)
            assert taken - number <= 2 * workers
        results.close()  # type: ignore[attr-defined]
        at_last = taken
        with pytest.raises(StopIteration):
            next(results)
        assert taken == at_last

    @pytest.mark.parametrize("workers", [1, 2])
    def test_an_error_comes_in_its_place_and_ends_it(self, workers: int) -> None:
        def task(number: int) -> float:
            return 6 / (3 - number)

        results = on_threads(task, range(100), workers)
        assert [next(results) for _ in range(3)] == [2, 3, 6]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []
        assert not workers_left()

    @pytest.mark.parametrize("workers", [1, 2])
    def test_an_error_of_the_items_ends_it(self, workers: int) -> None:
        def items() -> Iterator[int]:
            yield from range(9)
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            list(on_threads(str, items(), workers))
        assert not workers_left()

    def test_closing_ends_it_and_leaves_the_rest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[int] = []
        go_on = threading.Event()
        shutdown = ThreadPoolExecutor.shutdown

        def task(number: int) -> int:
            assert number == 0 or go_on.wait(60)
            done.append(number)
            return number

        def shut_down(
            self: ThreadPoolExecutor, *given: Any, wait: bool = True, **more: Any
        ) -> None:
            shutdown(self, wait=False, **more)
            go_on.set()
            shutdown(self, wait=wait)

        results = on_threads(task, itertools.count(), 2)
        assert next(results) == 0
        monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shut_down)
        results.close()  # type: ignore[attr-defined]
        assert not workers_left()
        # The two workers had one each; the third was waiting.
        assert set(done) <= {0, 1, 2}

    def test_a_single_item_is_done_in_the_calling_thread(self) -> None:
        def task(_: int) -> tuple[int, int]:
            return threading.get_ident(), torch.get_num_threads()

        here = (threading.get_ident(), 3)
        assert list(on_threads(task, [0], 4)) == [here]
        assert list(on_threads(task, range(5), 1)) == [here] * 5
        several = set(on_threads(task, range(20), 2))
        assert threading.get_ident() not in {thread for thread, _ in several}
        assert {number for _, number in several} == {1}

    @pytest.mark.parametrize("end", ["all", "closed", "failed"])
    def test_torch_has_its_threads_afterwards(self, end: str) -> None:
        def task(number: int) -> int:
            if end == "failed" and number == 5:
                raise LookupError
            return number

        results = on_threads(task, range(9), 2)
        if end == "closed":
            next(results)
            results.close()  # type: ignore[attr-defined]
        elif end == "failed":
            with pytest.raises(LookupError):
                list(results)
        else:
            list(results)
        assert torch.get_num_threads() == 3
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [3]


def workers_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("faces")]


class TestFoundIn:
    def test_whatever_fails_takes_no_other_along(self) -> None:
        calls: list[int] = []

        def opened(number: int) -> Image.Image | str:
            return f"no photo {number}" if number in (1, 4) else Image.new("RGB", (number + 1, 1))

        def find(images: Sequence[Image.Image]) -> list[str]:
            calls.append(len(images))
            if any(image.width == 4 for image in images):
                raise MemoryError("too wide")
            return [f"found {image.width - 1}" for image in images]

        outcomes = found_in(range(7), opened, find)
        assert [repr(own) if isinstance(own, Exception) else own for own in outcomes] == [
            "found 0",
            "no photo 1",
            "found 2",
            "MemoryError('too wide')",
            "no photo 4",
            "found 5",
            "found 6",
        ]
        assert calls == [5, 1, 1, 1, 1, 1]

    def test_of_nothing(self) -> None:
        assert found_in([], never, never) == []

    def test_of_no_photo_at_all(self) -> None:
        assert found_in([5, 6], lambda _: "no", lambda _: []) == ["no", "no"]

    def test_no_more_pixels_are_held_than_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "MOST_PIXELS", 10_000)
        sides = [60, 60, 60, 60, 200, 10, 100, 10]
        held = 0
        batches: list[list[int]] = []

        def opened(side: int) -> Image.Image:
            nonlocal held
            assert held < 10_000
            held += side**2
            return Image.new("RGB", (side, side))

        def find(images: Sequence[Image.Image]) -> list[int]:
            nonlocal held
            held = 0
            batches.append([image.width for image in images])
            return batches[-1]

        assert found_in(sides, opened, find) == sides
        assert batches == [[60, 60, 60], [60, 200], [10, 100], [10]]


def never(*_: object) -> Never:
    raise AssertionError("nothing of the kind is called for")


def test_many_failures_are_named_with_the_last() -> None:
    words = str(too_many_failures(MOST_FAILURES + 1, "b.jpg"))
    assert words.startswith(f"{MOST_FAILURES + 1} photos failed in detection, b.jpg the last")
