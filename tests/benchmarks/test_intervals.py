"""Coverage is counted as it should be, and every line says something."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import intervals
from contrastive_age.evaluation.confidence import mae_interval
from evaluation.people import made_up


def test_made_up_errors_and_shares_have_the_mean_that_they_should() -> None:
    rng = np.random.default_rng(0)
    for draw in intervals.IMAGES.values():
        counts = draw(rng, (500, 82))
        assert counts.min() >= 1
        sums = intervals.absolute_errors(counts, rng)
        assert sums.sum() / counts.sum() == pytest.approx(intervals.MEAN, rel=0.03)
        for share in intervals.SHARES:
            held = intervals.images_held(counts, share, rng)
            assert (held <= counts).all()
            assert held.sum() / counts.sum() == pytest.approx(share, rel=0.1)


def test_bootstrap_and_simple_interval_are_those_of_loops() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, (1, 6))
    sums = rng.gamma(counts) * 5
    means = []
    for _ in range(4000):
        chosen = rng.integers(0, 6, 6)
        means.append(sums[0, chosen].sum() / counts[0, chosen].sum())
    low, high = intervals.bootstrap_ends(sums, counts, rng)
    assert low[0] == pytest.approx(np.quantile(means, 0.025), rel=0.05)
    assert high[0] == pytest.approx(np.quantile(means, 0.975), rel=0.05)
    mean = sums.sum() / counts.sum()
    parts = [
        (total - mean * n) ** 2 / counts.sum() ** 2
        for total, n in zip(sums[0], counts[0], strict=True)
    ]
    simple_low, simple_high = intervals.simple_ends(sums, counts)
    # 2.5706 is the quantile of 5 degrees of freedom
    half = 2.5706 * (sum(parts) * 6 / 5) ** 0.5
    assert (simple_low[0], simple_high[0]) == pytest.approx((mean - half, mean + half), rel=1e-4)


def test_each_line_has_as_many_cells_as_its_head() -> None:
    lines = [*intervals.means(20), *intervals.shares(20)]
    assert len(lines) == 3 * (6 + 5)
    assert {line.count("|") for line in lines} == {9}


def test_a_result_is_told_by_its_subjects() -> None:
    predictions = made_up(np.random.default_rng(0), 30)
    assert [line.count("|") for line in intervals.real(predictions, 20)] == [9, 9, 9]
    (line,) = intervals.decades(predictions)
    interval = mae_interval(predictions)
    assert interval is not None
    ours = f"{max(interval.low, 0):.2f} to {interval.high:.2f} |"
    assert line.startswith(f"| 30–39 | {len(predictions)} | 30 |")
    assert line.endswith(ours)
    few = predictions[predictions["identity"].isin(predictions["identity"].unique()[:3])]
    assert [*intervals.decades(pd.DataFrame(few))] == []
