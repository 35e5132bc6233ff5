"""Servers of a team, started by tests on loopback and stopped by them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ROOT = Path(__file__).resolve().parents[1]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def system_folder() -> Iterator[Path]:
    """A fresh folder in the system's own temporary directory, whatever TMPDIR says.

    Its name is short, as those of sockets must be, and other users can reach it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.delenv(name, raising=False)
        patch.setattr(tempfile, "tempdir", None)
        folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def postgresql() -> Iterator[str]:
    """A fresh PostgreSQL cluster; gives the address of its database."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    # PostgreSQL refuses root, and pytest's folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    as_user: list[str] = []
    if os.getuid() == 0:
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
        as_user = ["setpriv", *ids, "--clear-groups"]

    def call(name: str, *arguments: str) -> None:
        # To a file: the server would keep a pipe open.
        with (folder / "said.txt").open("ab") as said:
            done = subprocess.run(
                [*as_user, str(BINARIES[-1] / name), "-D", str(folder / "data"), *arguments],
                cwd=folder,
                stdout=said,
                stderr=said,
                check=False,
            )
        if done.returncode:
            pytest.fail(f"{name} failed:\n{(folder / 'said.txt').read_text()}")

    try:
        call("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        port = free_port()
        options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
        call("pg_ctl", "start", "--wait", "-o", options)
        try:
            # SQLAlchemy's own choice of a driver changes with its version.
            yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


@contextmanager
def mlflow_server(backend: str, folder: Path) -> Iterator[str]:
    """A tracking server over a database; gives its address."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts")),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "server.txt").open("wb") as said:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, address, folder / "server.txt")
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


@contextmanager
def model_server(model: str, folder: Path) -> Iterator[str]:
    """`mlflow models serve` for a model's folder or URI; gives the address of its invocations.

    At the end it alone is told to stop, and all that it started has to end with it.
    """
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--timeout", "600"),
    ]
    environment = os.environ | {
        # Its uvicorn is looked for there.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with (folder / "served.txt").open("wb") as said:
        server = psutil.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, address, folder / "served.txt")
        yield f"{address}/invocations"
    finally:
        if server.poll() is None:
            started = [server, *server.children(recursive=True)]
            server.terminate()
            _, left = psutil.wait_procs(started, timeout=60)
            for process in left:
                process.kill()
            assert not left, f"the server left running: {left}"


def _wait_for(server: "subprocess.Popen[bytes]", address: str, said: Path) -> None:
    with requests.Session() as session:
        patience = Retry(total=10, backoff_factor=0.1, backoff_max=0.2)
        session.mount("http://", HTTPAdapter(max_retries=patience))
        while not _answers(session, address):
            if server.poll() is not None:
                pytest.fail(f"the server ended:\n{said.read_text()}")


def _answers(session: requests.Session, address: str) -> bool:
    try:
        return session.get(f"{address}/health", timeout=60).ok
    except requests.ConnectionError:
        return False
