"""What processes do when Control-C is pressed, or when the one they work for ends."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path

INTERRUPTED = 128 + signal.SIGINT
"""The exit status of a command that Control-C ended."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Control-C back until the block ends.

    Processes that are started within never see it, from their first instruction on: what becomes of
    them is for the one who started them to say.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_when_interrupted() -> None:
    """Let Control-C end this process in a word, while it has done nothing that could be told."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    os.write(sys.stderr.fileno(), b"\nInterrupted; nothing was done yet\n")
    os._exit(INTERRUPTED)


def interrupt_as_usual() -> None:
    """Let Control-C be a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def warm_start(module: str) -> BaseContext:
    """Give the way to start processes that have a module imported from their first moment on.

    On Linux a server, which lives as long as this process, imports it now, and every process is a
    fork of it: it shares the memory of what is imported, and has the environment in which the
    server was started. Elsewhere (on macOS libraries of the system do not survive a fork) each
    process starts anew, and imports what it needs itself.

    Args:
        module: Imports others, and neither starts a thread nor looks for a GPU.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    # Started before the server, since it lets Control-C through when it starts.
    resource_tracker.ensure_running()
    try:
        with interrupts_held():
            forkserver.ensure_running()
    except OSError:  # its socket has no place in a temporary folder of a long name
        return get_context("spawn")
    return context


def end_with_parent() -> None:
    """Let this process end when its parent does; it would else wait for work for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def stop(pool: ProcessPoolExecutor) -> None:
    """Shut a pool of processes down without waiting for what they are at.

    All processes that `multiprocessing` has started for this one are ended, not the pool's alone.
    """
    for process in active_children():
        process.terminate()
    pool.shutdown(cancel_futures=True)


def command_line() -> str:
    """The command that this process was started with, as it can be typed again."""
    name = Path(sys.argv[0]).name
    if name == "__main__.py":  # python -m kedro
        name = Path(sys.argv[0]).parent.name
    # Kedro calls itself `python -m kedro`, which is not one word.
    return " ".join([name, *map(shlex.quote, sys.argv[1:])])
