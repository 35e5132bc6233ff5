"""Kedro commands in forks of one process that has imported everything, killed when told to.

As a script it serves: each line of its input is a command as JSON, each line of its output what
became of it. As a module it holds `Forks`, by which tests use that.
"""

import gc
import itertools
import json
import os
import resource
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WIDE = "500"  # columns, in which no line of a log is broken, whatever paths are in it
ENOUGH = 600  # seconds after which a command, or a process that it left behind, is given up


@dataclass(frozen=True)
class Moment:
    """When a command is stopped, and how.

    Attributes:
        node: Where the clock starts: at a node's beginning, or "" for that of the command.
        delay: In seconds of the command's own processor time, which other programs do not change.
        signal: KILL, or INT as Control-C sends it.
        sync: In place of a clock, if not 0: it is killed when it syncs so many files from there on.
    """

    node: str
    delay: float
    signal: str = "KILL"
    sync: int = 0


@dataclass(frozen=True)
class Ended:
    """What became of a command.

    Attributes:
        status: As `os.waitstatus_to_exitcode` gives it: negative when it was killed.
        stdout: What it said.
        stderr: What it said there.
        nodes: Seconds of its processor time at which it ("") and each node began, and at its end.
        left_behind: Whether a process of it was still there when it was given up.
    """

    status: int
    stdout: str
    stderr: str
    nodes: list[tuple[str, float]]
    left_behind: bool

    @property
    def killed(self) -> bool:
        return self.status < 0

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    def seconds(self, node: str) -> float:
        """What a node took, with what came between it and the next."""
        (own,) = (place for place, (name, _) in enumerate(self.nodes[:-1]) if name == node)
        return self.nodes[own + 1][1] - self.nodes[own][1]


class Forks:
    """The serving process, as tests see it."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # What it imports may ask for the width once and for all.
            env=os.environ | {"COLUMNS": WIDE},
        )

    def kedro(
        self,
        root: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stop: Moment | None,
    ) -> Ended:
        """Run a kedro command in a project, and stop it at a moment."""
        order = {
            "root": str(root),
            "arguments": arguments,
            "environment": dict(environment),
            "stop": vars(stop) if stop else None,
        }
        print(json.dumps(order), file=self._server.stdin, flush=True)
        return Ended(**json.loads(self._server.stdout.readline()))


@cache
def forks() -> Forks:
    """The serving process of these tests, which ends when they do."""
    return Forks()


def serve() -> None:
    """Import what a run needs, then fork for each command."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed is no answer
    before = set(os.environ)
    _import_all()
    # What the project's modules set where nothing else is set; a command would import them anew.
    defaults = {name: value for name, value in os.environ.items() if name not in before}
    gc.collect()
    gc.freeze()  # so that forks need not copy what they only look through
    for line in sys.stdin:
        order = json.loads(line)
        order["environment"] = defaults | order["environment"]
        print(json.dumps(_run(**order)), file=answers, flush=True)


def _import_all() -> None:
    import importlib
    import pkgutil

    import contrastive_age

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    names = ["kedro.framework.cli.cli", "kedro_viz.integrations.kedro.hooks", "matplotlib.pyplot"]
    names += ["mlflow.store.tracking.sqlalchemy_store", "kedro_datasets.pandas", "sklearn.svm"]
    names += ["kedro_datasets.json", "kedro_datasets.matplotlib", "torchvision", "skimage"]
    names += ["kedro_datasets.partitions", "kedro_mlflow.framework.hooks"]
    names += ["pandera.pandas", "git", "opentelemetry.sdk.trace"]
    names += ["mpl_toolkits.axes_grid1", "mlflow.tracking"]
    names += [
        own.name for own in pkgutil.walk_packages(contrastive_age.__path__, "contrastive_age.")
    ]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def _run(
    root: str, arguments: list[str], environment: dict[str, str], stop: dict[str, Any] | None
) -> dict[str, Any]:
    (output, to_output), (errors, to_errors) = os.pipe(), os.pipe()
    times = Path(root) / ".nodes.json"
    times.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.environ.clear()
            os.environ |= environment
            os.dup2(to_output, 1)
            os.dup2(to_errors, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.closerange(3, 100)
            _command(root, arguments, stop, times)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)
    os.close(to_output)
    os.close(to_errors)
    # What a command starts writes to its output, too: at its end, all of them have ended.
    said, left_behind = {output: b"", errors: b""}, False
    still_open = [output, errors]
    while still_open:
        ready = select.select(still_open, [], [], ENOUGH)[0]
        if not ready:
            left_behind = True
            os.killpg(child, signal.SIGKILL)
        for end in ready:
            part = os.read(end, 65536)
            said[end] += part
            if not part:
                still_open.remove(end)
                os.close(end)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    nodes = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else []
    times.unlink(missing_ok=True)
    return {
        "status": status,
        "stdout": said[output].decode(errors="replace"),
        "stderr": said[errors].decode(errors="replace"),
        "nodes": nodes,
        "left_behind": left_behind,
    }


def _command(root: str, arguments: list[str], stop: dict[str, Any] | None, times: Path) -> None:
    """Be the command."""
    from kedro.framework.cli.cli import main
    from kedro.pipeline.node import Node

    started, run = _processor_time(), Node.run
    began = [("", 0.0)]

    def observed(self: Node, *inputs: Any, **named: Any) -> Any:
        began.append((self.name, _processor_time() - started))
        if stop is not None and stop["node"] == self.name:
            _start_clock(stop)
        return run(self, *inputs, **named)

    Node.run = observed  # type: ignore[method-assign]
    # Where tests run in the background, Control-C may be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(root)
    sys.argv = ["kedro", *arguments]
    if stop is not None and stop["node"] == "":
        _start_clock(stop)
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    # As the interpreter does at its end.
    import atexit

    atexit._run_exitfuncs()
    times.write_text(json.dumps([*began, ("end", _processor_time() - started)]))
    os._exit(status or 0)


def _start_clock(stop: dict[str, Any]) -> None:
    if stop["sync"]:
        fsync, syncs = os.fsync, itertools.count(1)

        def killed(opened: int) -> None:
            if next(syncs) == stop["sync"]:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(opened)

        os.fsync = killed
        return
    if stop["signal"] == "INT":
        signal.signal(signal.SIGPROF, lambda *_: os.killpg(0, signal.SIGINT))
    else:
        # What a signal does by default is what KILL does: the process is no more.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, max(stop["delay"], 1e-4))


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    serve()
