import numpy as np
import numpy.typing as npt

from contrastive_age.drawn.portrait.anatomy import anatomy, landmarks
from contrastive_age.drawn.portrait.people import moment, stage, traits


def points_of(identity: int, age: int, picture: int = 0) -> npt.NDArray[np.float64]:
    person = traits(identity, 0)
    return landmarks(anatomy(person, stage(person, age), moment(identity, age, picture, 0)))


def test_landmarks_lie_as_in_fgnet() -> None:
    points = points_of(4, 30)
    assert points.shape == (68, 2)
    left_pupil, right_pupil, nose = points[31], points[36], points[67]
    left_corner, right_corner, middle = points[48], points[54], points[66]
    assert left_pupil[0] < nose[0] < right_pupil[0]
    assert left_corner[0] < middle[0] < right_corner[0]
    assert left_pupil[1] < nose[1] < middle[1] < points[7][1]
    # the jaw from left to right with the chin as its lowest point
    assert (np.diff(points[:15, 0])[2:-2] > 0).all()
    assert points[:15, 1].argmax() == 7
    # right brow and eye first outwards, as FG-NET numbers them
    assert points[15, 0] > points[18, 0] > 0 > points[24, 0] > points[21, 0]
    assert points[29, 0] > points[27, 0]
    assert points[34, 0] < points[32, 0]
    assert (points[16:18, 1] < points[19:21, 1]).all()
    # upper lip above lower lip, openings above and below the eyes
    assert points[51, 1] < points[64, 1] <= points[61, 1] < points[57, 1]
    assert points[28, 1] < points[31, 1] < points[30, 1]
    assert points[33, 1] < points[36, 1] < points[35, 1]


def test_identity_shapes_a_face_more_than_the_picture_does() -> None:
    widths = np.array(
        [
            [np.linalg.norm(np.subtract(*points_of(who, 30, k)[[31, 36]])) for k in range(5)]
            for who in range(20)
        ]
    )
    assert widths.mean(axis=1).std() > 1.5 * widths.std(axis=1).mean()


def test_a_face_grows_longer_until_grown() -> None:
    def length(age: int) -> float:
        faces = [points_of(who, age) for who in range(12)]
        return float(np.mean([points[7, 1] for points in faces]))

    lengths = [length(age) for age in (0, 3, 8, 14, 20)]
    assert (np.diff(lengths) > 0.03).all()
    assert abs(length(35) - length(25)) < 0.02
