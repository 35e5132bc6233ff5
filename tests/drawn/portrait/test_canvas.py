import numpy as np
import pytest

from contrastive_age.drawn.portrait.canvas import Canvas, Pose, coloured, tone
from contrastive_age.drawn.portrait.curves import ellipse
from contrastive_age.drawn.portrait.people import blend, moment

STRAIGHT = Pose(origin=(100.0, 90.0), unit=40.0, angle=0.0, turn=(0.0, 0.0))
TURNED = Pose(origin=(100.0, 90.0), unit=40.0, angle=0.2, turn=(0.1, -0.05))


def test_a_straight_pose_scales_and_shifts() -> None:
    np.testing.assert_allclose(
        STRAIGHT.pixels(np.array([(0.0, 0.0), (0.5, 1.0)])), [(100, 90), (120, 130)]
    )


def test_a_turn_moves_the_middle_and_leaves_the_edge() -> None:
    pose = Pose(origin=(0.0, 0.0), unit=1.0, angle=0.0, turn=(0.1, 0.0))
    middle, edge = pose.pixels(np.array([(0.0, 0.15), (1.1, 0.15)]))
    assert middle[0] == pytest.approx(0.1)
    assert edge[0] == pytest.approx(1.1)


def test_face_undoes_pixels() -> None:
    points = np.array([(u, v) for u in (-0.5, 0.0, 0.4) for v in (-0.6, 0.1, 0.8)])
    back = TURNED.face(TURNED.pixels(points).astype(np.float32))
    np.testing.assert_allclose(back, points, atol=0.02)


def test_a_patch_covers_its_outline_and_no_more() -> None:
    canvas = Canvas(200, STRAIGHT)
    patch = canvas.patch(ellipse((0.0, 0.0), (0.5, 0.25)))
    x0, y0, x1, y1 = patch.box
    assert x0 <= 80 and y0 <= 80 and x1 >= 120 and y1 >= 100
    assert patch.mask.size == (x1 - x0, y1 - y0)
    area = np.asarray(patch.mask).sum() / 255
    assert area == pytest.approx(np.pi * 20 * 10, rel=0.1)
    assert np.asarray(patch.faded(0.5).mask).max() == 128


def test_a_patch_outside_the_picture_changes_nothing_but_its_corner() -> None:
    canvas = Canvas(200, STRAIGHT)
    canvas.paste((255, 0, 0), canvas.patch(ellipse((9.0, 9.0), (0.5, 0.5)), blur=2))
    assert np.asarray(canvas.image).sum() == 0


def test_light_from_the_left_brightens_the_left_of_a_ball() -> None:
    canvas = Canvas(200, STRAIGHT)
    shot = moment(1, 30, 0, 0)
    light = (-0.6, 0.0, 0.8)
    ball = np.sqrt(np.maximum(1 - canvas.u**2 - canvas.v**2, 0.05)).astype(np.float32)
    shade, gloss = canvas.lit(ball, type(shot)(**{**vars(shot), "light": light}))
    row = round(90 / 4)
    assert shade[row, 15] > shade[row, 35]
    assert gloss.min() >= 0 and gloss.max() <= 1


def test_colours() -> None:
    assert blend((0, 0, 0), (200, 100, 50), 0.5) == (100, 50, 25)
    assert tone((100, 100, 100), 1.0) == (100, 100, 100)
    assert tone((100, 100, 100), 2.0) == (255, 255, 255)
    red, green, blue = tone((100, 100, 100), 0.5)
    assert red > green > blue
    np.testing.assert_allclose(
        coloured((10, 20, 30), np.ones((3, 3), np.float32))[1, 1], [10, 20, 30]
    )
