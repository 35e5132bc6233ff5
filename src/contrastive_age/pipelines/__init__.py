"""The Kedro pipelines: one folder a stage, thin nodes over the ground floor."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast


def of_fold(function: Callable[..., Any], fold: int | None) -> Callable[..., Any]:
    """Give a node's function with its last argument, `fold`, known.

    It is a function as it was written, which a `partial` is not: Kedro-Viz shows its file and code.
    """
    written = cast("FunctionType", function)
    own = FunctionType(written.__code__, written.__globals__, written.__name__, (fold,))
    own.__annotations__ = written.__annotations__
    return own
