"""Predictions of made-up people."""

import numpy as np
import pandas as pd


def table(identities: list[str], errors: list[float]) -> pd.DataFrame:
    n = len(identities)
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:03d}" for row in range(n)],
            "identity": identities,
            "fold": [row % 2 for row in range(n)],
            "age": [30] * n,
            "predicted_age": [30.0 + error for error in errors],
            "predicted_std": 2.0,
        }
    )


def made_up(rng: np.random.Generator, subjects: int, spread: float = 2.0) -> pd.DataFrame:
    """Subjects with 1 to 9 images whose errors share the subject's own part."""
    images = rng.integers(1, 10, subjects)
    identity = np.repeat([f"p{number:03d}" for number in range(subjects)], images)
    own = np.repeat(rng.exponential(spread, subjects), images)
    return table(identity.tolist(), (own + rng.exponential(0.5, len(identity))).tolist())
