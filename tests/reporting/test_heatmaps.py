"""What the figures of Grad-CAM maps show: their panels, pictures, bars and texts."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.nn.functional import interpolate

from contrastive_age.errors import DataError
from contrastive_age.evaluation.gradcam import REGIONS, region_masks, region_mass
from contrastive_age.reporting.heatmaps import mean_maps, side_by_side, single

AGES = np.array([5, 7, 22, 25, 29, 41, 42, 8])


@pytest.fixture
def maps() -> np.ndarray:
    maps = np.random.default_rng(0).random((8, 7, 7)).astype(np.float32)
    maps /= maps.sum(axis=(1, 2), keepdims=True)
    maps[7] = 0
    return maps


@pytest.fixture
def faces() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def enlarged(one: np.ndarray) -> np.ndarray:
    cells = torch.from_numpy(one.astype(float))[None, None]
    return one.size * interpolate(cells, (224, 224), mode="bilinear")[0, 0].numpy()


def heat(axes):
    """The picture under a map, and the map."""
    under, over = axes.get_images()
    return np.asarray(under.get_array()), np.asarray(over.get_array())


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_mean_maps_have_a_column_for_each_group_with_a_map(maps, faces):
    figure = mean_maps(maps, AGES, faces)
    assert texts(figure)[1:4] == ["0–12 years (2)", "13–29 years (3)", "30–49 years (2)"]
    # A picture and bars for each group, and the colour scale.
    assert len(figure.axes) == 7
    assert png(figure).startswith(b"\x89PNG")


def test_each_column_shows_the_mean_of_its_maps_on_one_scale(maps, faces):
    pictures = mean_maps(maps, AGES, faces).axes[0:6:2]
    for axes, rows in zip(pictures, ([0, 1], [2, 3, 4], [5, 6]), strict=True):
        np.testing.assert_allclose(heat(axes)[1], enlarged(maps[rows].mean(axis=0)), rtol=1e-6)
    assert len({axes.get_images()[1].get_clim() for axes in pictures}) == 1


def test_bars_are_the_mean_mass_and_ticks_the_area(maps, faces):
    masks = region_masks(1.35)
    for axes, rows in zip(
        mean_maps(maps, AGES, faces).axes[1:6:2], ([0, 1], [2, 3, 4], [5, 6]), strict=True
    ):
        expected = region_mass(maps[rows], masks).mean(axis=0)
        assert [bar.get_width() for bar in axes.patches] == pytest.approx(expected.tolist())
        ticks = [segment[0, 0] for segment in axes.collections[0].get_segments()]
        assert ticks == pytest.approx([mask.mean() for mask in masks.values()])
    named = mean_maps(maps, AGES, faces).axes[1]
    assert [label.get_text() for label in named.get_yticklabels()] == list(REGIONS)


def test_maps_lie_on_the_centre_of_the_mean_face(maps, faces):
    axes = mean_maps(maps, AGES, faces).axes[0]
    mean = faces[:2].mean(axis=0)[4:60, 4:60] @ np.array([0.299, 0.587, 0.114]) / 255
    # Each of the 56 pixels of the centre stands for 4 x 4.
    np.testing.assert_allclose(heat(axes)[0][1::4, 2::4], mean, atol=1e-12)


@pytest.mark.parametrize("number", [0, 3])
def test_where_no_map_has_any_mass_it_is_said(faces, number):
    zeros = np.zeros((number, 7, 7), dtype=np.float32)
    figure = mean_maps(zeros, [20, 30, 40][:number], faces[:number])
    assert figure.get_suptitle() == f"No map: {number} faces explained"


def test_side_by_side_has_a_row_of_faces_and_a_row_for_each_setting(maps, faces):
    other = maps[::-1]
    predicted = {"mv": AGES + 1.26, "ternary": AGES - 2.0}
    figure = side_by_side(faces, {"mv": maps, "ternary": other}, predicted, AGES)
    assert len(figure.axes) == 3 * 8 + 1
    np.testing.assert_array_equal(
        figure.axes[2].get_images()[0].get_array()[2::4, 2::4], faces[2, 4:60, 4:60]
    )
    for place in range(8):
        np.testing.assert_allclose(heat(figure.axes[8 + place])[1], enlarged(maps[place]))
        np.testing.assert_allclose(heat(figure.axes[16 + place])[1], enlarged(other[place]))
    assert texts(figure)[1] == "mv: predicted / true age in years"
    assert texts(figure)[2:4] == ["6.3 / 5", "8.3 / 7"]
    assert texts(figure)[10] == "ternary: predicted / true age in years"
    assert texts(figure)[11] == "3.0 / 5"
    assert png(figure).startswith(b"\x89PNG")


def test_one_face_and_one_coarse_map_are_enough(faces):
    coarse = np.full((1, 2, 2), 0.25, dtype=np.float32)
    figure = side_by_side(faces[:1], {"ternary": coarse}, {"ternary": [30.0]}, [31])
    assert texts(figure)[-1] == "30.0 / 31"
    for small in (figure, mean_maps(coarse, [31], faces[:1])):
        small.canvas.draw()
        width = small.bbox.width
        assert all(text.get_window_extent().x1 <= width for text in small.texts)


def test_mean_maps_of_few_cells_say_that_they_are_too_coarse(maps, faces):
    assert texts(mean_maps(maps, AGES, faces))[0] == "Mean Grad-CAM by age"
    coarse = np.full((1, 2, 2), 0.25, dtype=np.float32)
    title = texts(mean_maps(coarse, [31], faces[:1]))[0]
    assert title == "Mean Grad-CAM: 2 × 2 cells, too coarse"


def test_the_colour_scale_begins_at_a_flat_map(maps, faces):
    for figure in (
        mean_maps(maps, AGES, faces),
        side_by_side(faces, {"mv": maps}, {"mv": AGES}, AGES),
    ):
        for axes in figure.axes:
            for over in axes.get_images()[1:]:
                assert over.norm(1) == 0
                assert over.cmap(over.norm(0.5))[3] == 0


def test_nothing_to_compare_is_an_error(maps, faces):
    with pytest.raises(DataError, match="no faces to compare"):
        side_by_side(faces[:0], {"mv": maps[:0]}, {"mv": []}, [])
    with pytest.raises(DataError, match="no faces to compare"):
        side_by_side(faces, {}, {}, AGES)


def test_what_does_not_go_together_is_an_error(maps, faces):
    with pytest.raises(ValueError, match="do not go together"):
        mean_maps(maps, AGES[:-1], faces)
    with pytest.raises(ValueError, match="do not go together"):
        mean_maps(maps, AGES, faces[:-1])
    with pytest.raises(ValueError, match="do not go together"):
        side_by_side(faces, {"mv": maps}, {"mv": AGES[:-1]}, AGES)
    with pytest.raises(ValueError, match="but predictions of"):
        side_by_side(faces, {"mv": maps}, {"ce": AGES}, AGES)


def test_a_single_face_stands_beside_itself_under_its_map(maps, faces):
    figure = single(faces[0], maps[0])
    plain, under, scale = figure.axes
    np.testing.assert_array_equal(
        plain.get_images()[0].get_array()[2::4, 2::4], faces[0, 4:60, 4:60]
    )
    np.testing.assert_allclose(heat(under)[1], enlarged(maps[0]))
    assert scale.get_ylabel() == "times a flat map"
    assert png(figure).startswith(b"\x89PNG")


def test_an_empty_map_leaves_a_single_face_grey_and_without_a_scale(maps, faces):
    figure = single(faces[7], maps[7])
    assert len(figure.axes) == 2
    over = figure.axes[1].get_images()[1]
    assert over.cmap(over.norm(0))[3] == 0
