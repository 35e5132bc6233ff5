"""What a result depends on besides parameters and data: the code and the libraries that made it."""

import ast
import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "torch", "torchvision")
"""Libraries whose version can change what a network learns or says."""

PACKAGES = ("model", "training", "triplets")
"""Packages of this project whose code can."""


@cache
def versions() -> dict[str, str]:
    """Name the versions of the libraries and of this project's code that decide a result.

    Returns:
        The version of each of `LIBRARIES` and, as `code`, the digest of `PACKAGES`.
    """
    root = Path(__file__).parent
    found = {name: version(name) for name in LIBRARIES}
    return found | {"code": code_digest([root / name for name in PACKAGES])}


def code_digest(folders: list[Path]) -> str:
    """Name what the Python files below some folders do, in 16 hexadecimal digits.

    Comments, docstrings and layout do not count: rewording the code makes no result stale.

    Args:
        folders: Folders of Python files.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder.parent).as_posix().encode())
            digest.update(_meaning(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def _meaning(source: str) -> str:
    """Write the syntax tree out, without bare strings, which only document."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _documents(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _documents(line: ast.stmt) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )
