"""Photos decoded: by content, of any depth, vast, cut off, or not at all."""

import io
import re
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from contrastive_age.sources import decoding
from contrastive_age.sources.decoding import cause, decode, reduction, remark, size_of, upright
from sources.bad_input import face

Array = npt.NDArray[np.generic]


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def pixels(content: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(decode(io.BytesIO(content))).astype(np.int64)


def greys() -> npt.NDArray[np.int64]:
    """A photo's greys, from 0 to 255, int64 (200, 200)."""
    values = np.asarray(face().convert("L")).astype(np.int64)
    return (values - values.min()) * 255 // np.ptp(values)


def tiff(values: Array, **tags: int) -> bytes:
    names = {"largest": 281, "photometric": 262}
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info[names[name]] = value
    return encoded(Image.fromarray(values), "TIFF", tiffinfo=info)


def heic(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    pillow_heif.from_pillow(image).save(content, **options)
    return content.getvalue()


def reason(content: bytes) -> str:
    with pytest.raises(Exception) as error:
        decode(io.BytesIO(content))
    return cause(error.value)


def test_a_cause_is_one_line() -> None:
    assert cause(ValueError("Invalid input:\n  No 'ftyp' box\n")) == "Invalid input: No 'ftyp' box"
    assert cause(ValueError("\n")) == "ValueError"


FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda image: encoded(image, "JPEG", quality=95),
    "MPO": lambda image: encoded(image, "MPO", save_all=True, append_images=[image], quality=95),
    "PNG": lambda image: encoded(image, "PNG"),
    "WEBP": lambda image: encoded(image, "WEBP", quality=95),
    "TIFF": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "GIF": lambda image: encoded(image, "GIF"),
    "BMP": lambda image: encoded(image, "BMP"),
    "PPM": lambda image: encoded(image, "PPM"),
    "JPEG2000": lambda image: encoded(image, "JPEG2000"),
    "AVIF": lambda image: encoded(image, "AVIF", quality=95),
    "HEIF": lambda image: heic(image, quality=95),
}


def test_every_format_of_the_list_is_tried() -> None:
    assert {*FORMATS} == {*decoding.FORMATS, "MPO"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".jpg", ".txt"])
def test_a_photo_is_read_whatever_it_is_called(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(FORMATS[form](face()))
    image = decode(path)
    assert (image.mode, image.size) == ("RGB", face().size)
    difference = np.asarray(image).astype(int) - np.asarray(face()).astype(int)
    assert np.abs(difference).mean() < 4
    assert decoding.size_of(path) == face().size


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_turned_photo_is_turned_once(form: str) -> None:
    wide = face().crop((0, 0, 200, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = wide.transpose(Image.Transpose.ROTATE_90)
    make = heic if form == "HEIF" else encoded
    content = make(turned, exif=exif.tobytes()) if form == "HEIF" else encoded(
        turned, form, exif=exif
    )  # fmt: skip
    assert np.abs(pixels(content) - np.asarray(wide).astype(int)).mean() < 6
    assert decoding.size_of(io.BytesIO(content)) == wide.size


def test_without_its_plugin_a_heic_photo_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content, avif = heic(face()), encoded(face(), "AVIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "takes the extra heic: pip install 'contrastive-age[heic]'" in reason(content)
    assert decode(io.BytesIO(avif)).size == face().size


def test_the_plugin_is_left_out_of_what_others_open_with_pillow() -> None:
    # Another library of this process may have registered it.
    before = "HEIF" in Image.OPEN
    decode(io.BytesIO(heic(face())))
    assert ("HEIF" in Image.OPEN) == before


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.4", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript drawing"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"PK\3\4\x14\0", "a ZIP archive"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="">', "an SVG drawing"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL photo"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL photo"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"),
        (b"\0\0\0\x20ftypqt  \0\0\0\0", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\x1aE\xdf\xa3", "a video"),
        (b"P", "the content is no known image format"),
        (b"EP\0\0", "the content is no known image format"),
    ],
)
def test_what_is_not_read_is_named(head: bytes, kind: str) -> None:
    assert decoding.not_read(head).startswith(kind)
    assert reason(head).startswith(kind)


@pytest.mark.parametrize("tags", [{254: 1, 330: 8}, {50706: 1}])
def test_of_a_raw_file_the_preview_is_not_taken(tags: dict[int, int]) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
    assert "raw file" in reason(encoded(face().resize((160, 120)), "TIFF", tiffinfo=info))


FULL, TWELVE = 65535 / 255, 4095 / 255
DEPTHS = {
    "32 bits holding 8": lambda: tiff(greys().astype(np.int32)),
    "32 bits holding 16": lambda: tiff((greys() * FULL).astype(np.int32)),
    # Pillow writes that the numbers have a sign.
    "32 bits, full": lambda: tiff(
        (greys() * (2**32 - 1) // 255).astype(np.uint32).view(np.int32)
    ).replace(struct.pack("<HHIHH", 339, 3, 1, 2, 0), struct.pack("<HHIHH", 339, 3, 1, 1, 0)),
    "16 bits holding 8": lambda: encoded(Image.fromarray(greys().astype(np.uint16)), "PNG"),
    "16 bits holding 12": lambda: encoded(
        Image.fromarray((greys() * TWELVE).astype(np.uint16)), "PNG"
    ),
    "16 bits": lambda: encoded(Image.fromarray((greys() * FULL).astype(np.uint16)), "PNG"),
    "big endian": lambda: encoded(
        Image.fromarray((greys() * TWELVE).astype(">u2")), "TIFF", big_endian=True
    ),
    "white is 0": lambda: tiff((65535 - greys() * FULL).astype(np.uint16), photometric=0),
    "PGM up to 4095": lambda: (
        b"P5 200 200 4095\n" + (greys() * TWELVE).round().astype(">u2").tobytes()
    ),
    "real numbers up to 1": lambda: tiff((greys() / 255).astype(np.float32)),
    "real numbers up to 255": lambda: tiff(greys().astype(np.float32)),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_greys_are_scaled_by_what_they_hold(name: str) -> None:
    np.testing.assert_allclose(pixels(DEPTHS[name]())[:, :, 1], greys(), atol=1)


def test_a_named_white_is_kept_though_no_pixel_has_it() -> None:
    dark = (greys() * TWELVE / 10).astype(np.uint16)
    np.testing.assert_allclose(pixels(tiff(dark, largest=4095))[:, :, 0], greys() / 10, atol=1)


@pytest.mark.parametrize(
    "values",
    [
        greys() - 90.0,
        greys() / 240.0,
        np.where(greys() > 200, np.nan, greys()),
        np.where(greys() > 200, np.inf, greys()),
    ],
    ids=["below 0", "a little over 1", "no number", "infinite"],
)
def test_values_that_are_no_greys_are_refused(values: Array) -> None:
    assert "which of them are black and white is unknown" in reason(tiff(values.astype(np.float32)))


def test_colours_of_lab_are_converted() -> None:
    neutral = Image.new("L", face().size, 128)
    lab = Image.merge("LAB", [Image.new("L", face().size, 136), neutral, neutral])
    middle = pixels(encoded(lab, "TIFF"))
    # A lightness of 53 of 100 is the middle grey of sRGB.
    assert np.abs(middle - 127).max() <= 2


@pytest.mark.parametrize("mode", ["La", "LA", "PA", "RGBa", "RGBA", "HSV", "YCbCr", "RGBX", "1"])
def test_an_image_of_any_mode_becomes_rgb(mode: str) -> None:
    via = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode)
    image = face() if via is None else face().convert(via)
    assert upright(image.convert(mode)).mode == "RGB"


def test_texts_of_a_file_are_no_remarks_of_ours() -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for name in ("reduction", "remark", "full_size"):
        texts.add_text(name, "8")
    content = encoded(face(), "PNG", pnginfo=texts)
    for image in (decode(io.BytesIO(content)), upright(Image.open(io.BytesIO(content)))):
        assert (reduction(image), remark(image)) == (1, "")
        assert decoding.full_size(image) == face().size
    assert reduction(Image.open(io.BytesIO(content))) == 1


def test_a_photo_over_the_limit_is_refused_with_the_parameter_that_raises_it() -> None:
    content = encoded(face(), "JPEG")
    with pytest.raises(ValueError, match=r"200 x 200 pixels are more than most_megapixels=0\.039;"):
        decode(io.BytesIO(content), 0.039)
    assert decode(io.BytesIO(content), 0.04).size == (200, 200)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "TIFF"])
def test_pillows_own_limit_neither_decides_nor_is_changed(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = FORMATS[form](face())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(decoding, "VAST", 2000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoding.full_size(decode(io.BytesIO(content))) == (200, 200)
        assert decoding.size_of(io.BytesIO(content)) == (200, 200)
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "HEIF"])
@pytest.mark.parametrize(("vast", "factor"), [(40_000, 1), (39_999, 2), (9_999, 4), (600, 8)])
def test_a_vast_photo_is_read_smaller(
    monkeypatch: pytest.MonkeyPatch, form: str, vast: int, factor: int
) -> None:
    content = FORMATS[form](face())
    monkeypatch.setattr(decoding, "VAST", vast)
    image = decode(io.BytesIO(content))
    assert reduction(image) == factor
    assert image.size == (200 // factor, 200 // factor)
    assert decoding.full_size(image) == (200, 200)
    expected = np.asarray(face().reduce(factor)).astype(int)
    assert np.abs(np.asarray(image).astype(int) - expected).mean() < 4


def test_the_full_size_of_a_turned_photo_is_the_upright_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(face().crop((0, 0, 199, 101)), "JPEG", exif=exif)
    monkeypatch.setattr(decoding, "VAST", 9_000)
    image = decode(io.BytesIO(content))
    assert image.size == (51, 100)
    assert decoding.full_size(image) == (101, 199)


def whole_lines(image: Image.Image) -> int:
    """How many of its 200 lines a photo has, by its remark."""
    if remark(image) == "its end is missing, but no line":
        return 200
    [missing] = re.findall(r"its end is missing: the last (\d+) of 200 lines", remark(image))
    return 200 - int(missing)


def continued(whole: np.ndarray, lines: int) -> np.ndarray:
    """The photo's first lines, the last of them repeated."""
    return whole[np.minimum(np.arange(len(whole)), lines - 1)]


@pytest.mark.parametrize(
    ("form", "options", "least"),
    [
        ("JPEG", {}, 191),
        ("JPEG", {"subsampling": 0}, 192),
        ("JPEG", {"progressive": True}, 192),
        ("JPEG", {"restart_marker_rows": 1}, 182),
        ("PNG", {}, 198),
        ("TIFF", {}, 199),
        ("PPM", {}, 199),
    ],
)
def test_what_is_there_of_a_photo_without_its_end_is_as_in_the_whole_one(
    form: str, options: dict[str, object], least: int
) -> None:
    content = encoded(face(), form, **options)
    whole = pixels(content)
    image = decode(io.BytesIO(content[: -60 if form == "PNG" else -20]))
    lines = whole_lines(image)
    assert least <= lines < 200
    np.testing.assert_array_equal(np.asarray(image), continued(whole, lines))


@pytest.mark.parametrize("progressive", [False, True])
def test_of_a_jpeg_without_its_last_marker_nothing_is_missing(progressive: bool) -> None:
    content = encoded(face(), "JPEG", progressive=progressive)
    image = decode(io.BytesIO(content[:-2]))
    assert remark(image) == "its end is missing, but no line"
    np.testing.assert_array_equal(np.asarray(image), pixels(content))


def test_no_line_that_is_used_of_a_cut_off_jpeg_differs_from_the_whole_one() -> None:
    for options in ({}, {"progressive": True}, {"progressive": True, "subsampling": 0}):
        content = encoded(face(), "JPEG", **options)
        whole = pixels(content)
        for lacking in range(3, len(content) // 12, 61):
            with suppress(ValueError):
                image = decode(io.BytesIO(content[:-lacking]))
                np.testing.assert_array_equal(
                    np.asarray(image), continued(whole, whole_lines(image))
                )


# Of an MPO the first picture ends where its second begins.
@pytest.mark.parametrize("form", sorted({*FORMATS} - {"MPO"}))
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.85])
def test_a_photo_of_which_much_is_missing_is_refused(form: str, part: float) -> None:
    content = FORMATS[form](face())
    assert reason(content[: int(part * len(content))])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_without_its_end_has_its_pixels_where_they_are(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(face().crop((0, 0, 160, 200)), "JPEG", exif=exif)
    whole, cut = decode(io.BytesIO(content)), decode(io.BytesIO(content[:-20]))
    assert whole.size == cut.size == decoding.full_size(cut) == size_of(io.BytesIO(content))
    differ = (np.asarray(whole) != np.asarray(cut)).any(axis=2)
    # The last lines of the file are at the foot, at the head, or at one of the sides.
    across = differ.any(axis=1 if orientation < 5 else 0)
    at_the_end = across if orientation in (2, 5, 8) else across[::-1]
    lines = whole_lines(cut)
    assert 180 < lines < 200
    assert not at_the_end[:lines].any()
    assert at_the_end[lines:].any()


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_of_a_vast_photo_without_its_end_the_lines_are_those_of_the_file(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = encoded(face(), form)
    monkeypatch.setattr(decoding, "VAST", 10_000)
    image = decode(io.BytesIO(content[:-20]))
    assert reduction(image) == 2
    whole = np.asarray(face().reduce(2)).astype(int)
    lines = whole_lines(image)
    assert 184 < lines < 200
    assert np.abs(np.asarray(image).astype(int) - whole)[: lines // 2].mean() < 4
    assert image.size == (100, 100)
    assert decoding.full_size(image) == (200, 200)


@pytest.mark.endurance
def test_a_photo_of_200_megapixels_is_read_at_half_its_sides(tmp_path: Path) -> None:
    photo = Image.new("RGB", (16_320, 12_240), (120, 130, 140))
    photo.paste(face(size=800).resize((9000, 9000)), (3000, 1500))
    photo.save(tmp_path / "phone.jpg")
    del photo
    image = decode(tmp_path / "phone.jpg", decoding.MOST_MEGAPIXELS)
    assert (image.size, reduction(image)) == ((8160, 6120), 2)
    assert decoding.full_size(image) == (16_320, 12_240)
