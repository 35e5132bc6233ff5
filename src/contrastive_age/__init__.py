"""Age prediction from face images via contrastive learning (Chae et al.), as a Kedro project."""

import os
from typing import TYPE_CHECKING, Any

# Before torch and scikit-learn load their OpenMP, which read it then. Threads that wait by spinning
# take the processor from those that they wait for, as soon as other programs want it, too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before CUDA begins: without a workspace of its own for each stream, cuBLAS sums in any order.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

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
