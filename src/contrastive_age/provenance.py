"""What decides a result, written into the file that holds it.

A file carries a record of two parts. What *decided* it are parameters, data, initial weights and
code: where one of them differs, the file is another one, and is made again or refused. What it was
*made with* are versions of libraries and the machine: where they differ, the file is used, and it
is said. Names of paths decide nothing.

Code counts by what it does: the digest covers the modules that the making function reaches by its
imports, and neither their comments, docstrings nor layout.
"""

import ast
import hashlib
import json
import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import distributions
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint, state_of

logger = logging.getLogger(__name__)

Maker = Callable[..., Any]

_PACKAGE = __name__.partition(".")[0]
_ROOT = Path(__file__).parent

_LAYOUT = {"ctx", "kind", "type_comment", "type_ignores"}
"""Fields of a syntax tree that follow from others, or change nothing."""

_SAID: set[str] = set()
"""Differences of libraries that were said in this process."""


@dataclass(frozen=True)
class Record:
    """What a file says of its making.

    Attributes:
        decided_by: What JSON can hold, by name.
        made_with: Versions and the machine, by name.
    """

    decided_by: Mapping[str, Any]
    made_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Name what decided it, in 16 hexadecimal digits."""
        return fingerprint(self.decided_by)

    @property
    def document(self) -> dict[str, Any]:
        """Give what `read` takes, for JSON or `DataFrame.attrs`."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def read(cls, document: Any) -> "Record":
        """Take a record out of a file's document; nothing is known of a file without one."""
        if not isinstance(document, Mapping) or not isinstance(document.get("decided_by"), Mapping):
            return cls({})
        return cls(document["decided_by"], document.get("made_with", {}))

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Record":
        """Take the record out of a table's attributes."""
        return cls.read(table.attrs.get("record"))

    def differences(self, wanted: Mapping[str, Any]) -> list[str]:
        """Say what decided the file otherwise than is wanted.

        Args:
            wanted: What would decide it now, by name.

        Returns:
            Such as "coverage was 1.35 and is now 1.0"; empty where the file is the wanted one.
        """
        if not self.decided_by:
            return ["it does not say what it was made from"]
        now: dict[str, Any] = json.loads(json.dumps(wanted))
        return [
            f"{name} was {self.decided_by.get(name)} and is now {now.get(name)}"
            for name in sorted({*now, *self.decided_by})
            if now.get(name) != self.decided_by.get(name)
        ]

    def require(self, wanted: Mapping[str, Any], what: str, remedy: str) -> None:
        """Refuse a file that something else decided than is wanted.

        Args:
            wanted: What would decide it now, by name.
            what: What is wrong, such as "The folds of fgnet_se were made otherwise".
            remedy: What to do.

        Raises:
            DataError: It is another; the message says in what.
        """
        differences = self.differences(wanted)
        if differences:
            raise DataError(f"{what}: {'; '.join(differences)}; {remedy}")

    def say_where(self, what: str, made_with: Mapping[str, str]) -> None:
        """Log, once a process, with which other libraries or machine a file was made.

        Args:
            what: The file, in words.
            made_with: The versions and the machine here.
        """
        others = [
            f"{name} {then} (here {made_with.get(name, 'none')})"
            for name, then in self.made_with.items()
            if made_with.get(name) != then
        ]
        said = f"{what}: made elsewhere, with {', '.join(others)}; used as it is"
        if others and said not in _SAID:
            _SAID.add(said)
            logger.warning("%s", said)


def made_with(*libraries: str) -> dict[str, str]:
    """Name the versions of libraries, as far as they are there, and the machine's kind.

    Args:
        libraries: As they are called in the package index.
    """
    return {name: number for name in libraries if (number := _version(name))} | {
        "machine": f"{platform.system()} {platform.machine()}"
    }


@cache
def _version(library: str) -> str | None:
    return next((one.version for one in distributions(name=library)), None)


@cache
def code_of(*makers: Maker) -> str:
    """Name what functions do, in 16 hexadecimal digits.

    Args:
        makers: Functions of this package. Their modules count, with all of it that these import,
            one from another.
    """
    digest = hashlib.sha256()
    for module, path in sorted(_reached({maker.__module__ for maker in makers}).items()):
        digest.update(module.encode())
        digest.update(_digest(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def _reached(start: set[str]) -> dict[str, Path]:
    """Follow imports inside the package; where each module's file is, by its name."""
    reached: dict[str, Path] = {}
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        path = _file(module)
        if path is not None and module not in reached:
            reached[module] = path
            # To import a module is to run its packages.
            waiting += [*_imported(module, path), module.rpartition(".")[0]]
    return reached


def _file(module: str) -> Path | None:
    """The file of a module of the package; None for anything else, such as a name inside one.

    None for the package itself, too, which says nothing but its version.
    """
    package, *parts = module.split(".")
    if package != _PACKAGE or not parts:
        return None
    place = _ROOT.joinpath(*parts)
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((path for path in candidates if path.is_file()), None)


def _imported(module: str, path: Path) -> Iterator[str]:
    """Names that a module imports from the package: modules, and names inside them."""
    home = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _executed(_parsed(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), home).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    yield node
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children = node.orelse
    for child in children:
        yield from _executed(child)


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def _digest(source: str) -> str:
    return hashlib.sha256("".join(_meaning(_parsed(source))).encode()).hexdigest()


def _meaning(value: Any) -> Iterator[str]:
    """Write a syntax tree out, the same under every version of Python.

    Bare strings are left out, which only document, and so is what is empty: versions differ in
    the fields that they have.
    """
    if isinstance(value, ast.AST):
        yield type(value).__name__
        for name, part in ast.iter_fields(value):
            if name not in _LAYOUT and part not in (None, []):
                yield f"({name}="
                yield from _meaning(part)
                yield ")"
    elif isinstance(value, list):
        for part in value:
            if not _documents(part):
                yield from _meaning(part)
                yield ","
    else:
        yield f"{type(value).__name__} {value!r}"


def _documents(value: Any) -> bool:
    return (
        isinstance(value, ast.Expr)
        and isinstance(value.value, ast.Constant)
        and isinstance(value.value.value, str)
    )


def table_digest(table: pd.DataFrame) -> str:
    """Name the values of a table, in 16 hexadecimal digits."""
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Name a file's bytes (SHA-256, hexadecimal), read anew only where the file may be another.

    Raises:
        OSError: It is missing or cannot be read.
    """
    return _file_digest(*state_of(path))


@cache
def _file_digest(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
