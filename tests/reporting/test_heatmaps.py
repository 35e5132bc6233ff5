"""Maps over faces: panels, captions, and what is drawn where nothing is known."""

import numpy as np
import numpy.typing as npt
import pytest

from contrastive_age.reporting.heatmaps import mean_maps, side_by_side

AGES = np.array([5, 20, 25, 40])


@pytest.fixture
def faces() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (4, 256, 256, 3), dtype=np.uint8)


@pytest.fixture
def maps() -> npt.NDArray[np.float32]:
    maps = np.zeros((4, 7, 7), dtype=np.float32)
    maps[0, 0, 0] = maps[1, 6, 6] = maps[2, 6, 0] = 1
    return maps


def test_each_age_group_shows_the_mean_of_its_maps_over_its_mean_face(
    faces: npt.NDArray[np.uint8], maps: npt.NDArray[np.float32]
) -> None:
    figure = mean_maps(maps, AGES, faces)
    assert [axes.get_title() for axes in figure.axes] == [
        "0-12 years, n = 1",
        "13-29 years, n = 2",
        "30-49 years, n = 0",
        "50+ years, n = 0",
    ]
    crops = faces[:, 16:240, 16:240]
    face, heat = (np.asarray(image.get_array()) for image in figure.axes[1].images)
    np.testing.assert_array_equal(face, crops[1:3].mean(axis=0).astype(np.uint8))
    assert heat[-1, -1] == heat[-1, 0] == pytest.approx(0.5)
    assert heat[0].max() == 0
    # A map that is zero everywhere belongs to no mean, and an empty group says so.
    assert not figure.axes[2].images
    assert figure.axes[2].texts[0].get_text() == "no map"


def test_maps_stand_alone_without_faces(maps: npt.NDArray[np.float32]) -> None:
    assert [len(axes.images) for axes in mean_maps(maps, AGES).axes] == [1, 1, 0, 0]


def test_settings_are_rows_over_the_same_faces(
    faces: npt.NDArray[np.uint8], maps: npt.NDArray[np.float32]
) -> None:
    predicted = {"mv": [4.04, 21, 26, 41], "ternary": [6, 22.2, 27, 42]}
    figure = side_by_side(faces, {"mv": maps, "ternary": maps[::-1]}, predicted, AGES)
    assert len(figure.axes) == 3 * 4
    panels = np.array(figure.axes).reshape(3, 4)
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["", "mv", "ternary"]
    assert panels[1, 0].get_xlabel() == "4.0 / 5"
    assert panels[2, 1].get_xlabel() == "22.2 / 20"
    for column in range(4):
        for row in range(3):
            np.testing.assert_array_equal(
                panels[row, column].images[0].get_array(), faces[column, 16:240, 16:240]
            )
    # The last face has no map under mv, the first none under ternary.
    assert [len(axes.images) for axes in panels[1]] == [2, 2, 2, 1]
    assert [len(axes.images) for axes in panels[2]] == [1, 2, 2, 2]


def test_what_does_not_go_together_is_refused(
    faces: npt.NDArray[np.uint8], maps: npt.NDArray[np.float32]
) -> None:
    with pytest.raises(ValueError, match="ages"):
        mean_maps(maps, AGES[:2])
    with pytest.raises(ValueError, match="mv"):
        side_by_side(faces, {"mv": maps[:3]}, {"mv": AGES}, AGES)
    with pytest.raises(ValueError, match="at least one"):
        side_by_side(faces[:0], {"mv": maps[:0]}, {"mv": []}, [])
