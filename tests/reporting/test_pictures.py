"""Pictures of a page: taken from figures, with their size."""

from matplotlib.figure import Figure

from contrastive_age.reporting.pictures import PICTURE_DPI, SHARPNESS, Picture


def test_a_picture_knows_its_size_and_what_it_shows() -> None:
    picture = Picture.of(Figure(figsize=(4, 3)), "A caption.", "Nothing.", photos=True)
    assert picture.size == (4 * PICTURE_DPI / SHARPNESS, 3 * PICTURE_DPI / SHARPNESS)
    assert not picture.wide
    assert picture.png.startswith(b"\x89PNG")
    assert picture.uri.startswith("data:image/png;base64,iVBOR")
    assert (picture.caption, picture.alt, picture.photos) == ("A caption.", "Nothing.", True)


def test_a_wide_picture_is_one_that_a_phone_cannot_show_whole() -> None:
    assert Picture.of(Figure(figsize=(10, 2)), "", "").wide
