import numpy as np

from contrastive_age.drawn.portrait.curves import both_sides, ellipse, moved, spline


def test_spline_passes_through_its_points() -> None:
    given = np.array([(0.0, 0.0), (1.0, 2.0), (2.5, -1.0), (3.0, 0.5)])
    curve = spline(given, steps=4)
    assert curve.shape == (13, 2)
    np.testing.assert_allclose(curve[::4], given, atol=1e-12)


def test_spline_of_a_line_is_that_line() -> None:
    curve = spline([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)], steps=5)
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-12)
    assert (np.diff(curve[:, 0]) > 0).all()


def test_both_sides_mirrors_without_doubling_the_midline() -> None:
    whole = both_sides([(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)])
    np.testing.assert_array_equal(whole, [(-2, 3), (-1, 2), (0, 1), (1, 2), (2, 3)])


def test_ellipse_and_moved() -> None:
    shape = moved(ellipse((1.0, 2.0), (3.0, 0.5), 40), u=1.0)
    on_it = ((shape[:, 0] - 2.0) / 3.0) ** 2 + ((shape[:, 1] - 2.0) / 0.5) ** 2
    np.testing.assert_allclose(on_it, 1.0)
