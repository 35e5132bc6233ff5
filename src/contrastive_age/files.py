"""Writing files so that a reader never sees half of one, and naming what made them."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed onto it when the block succeeds.

    Args:
        path: The file to write; its folder is made when missing.

    Yields:
        A path in the same folder with the same suffix, for writers that look at the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        # A writer that was given an open file does not know what it is called.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def fingerprint(*parts: Any) -> str:
    """Name a set of values in 16 hexadecimal digits, the same on every machine.

    Args:
        parts: Anything JSON can hold; keys of mappings are sorted, so their order does not matter.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
