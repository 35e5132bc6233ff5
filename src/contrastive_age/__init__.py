"""Age prediction from face images via contrastive learning (Chae et al.), as a Kedro project."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastive_age.inference.estimator import AgeEstimator

__all__ = ["AgeEstimator", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the estimator when it is asked for: it takes torch, which few commands need."""
    if name == "AgeEstimator":
        from contrastive_age.inference.estimator import AgeEstimator

        return AgeEstimator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
