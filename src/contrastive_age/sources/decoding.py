"""Photos as every part of the project sees them: upright, RGB, 8 bits a channel.

What a file is, its content says and not its name.
"""

import importlib
import io
import math
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

UNKNOWN = "the content is no known image format"
NO_PHOTO = "which is not read as a photo"
"""How the reasons end of files that are of none of the formats that are read."""

MOST_MEGAPIXELS = 250.0
"""Million pixels of a photo that is decoded, unless more are allowed."""

VAST = 64_000_000
"""Pixels above which a photo is read at a half, a quarter or an eighth of its sides."""

LEAST_LINES = 0.9
"""Share of its lines that a photo whose end is missing must have."""

LEAST_REAL = 16
"""From here up the largest of real numbers is taken to be one of bytes, as 255.0 is."""

FORMATS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
    "HEIF": "pillow_heif",
}
"""The formats that are read, and the module that reads each; MPO is a JPEG that holds others.

All have a signature, and none is read by another program. HEIF comes last: AVIF shares a part of
its signatures.
"""

HEAD = 1024
"""Bytes of a file's begin by which it is told what it is."""

_RAW = "a camera's raw file, of which no more than a preview could be read"
_NOT_READ = {
    rb"%PDF-": "a PDF",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript drawing",
    rb"8BPS": "a Photoshop file",
    rb"PK\x03\x04": "a ZIP archive",
    rb"(\xef\xbb\xbf)?\s*(?=<).*?<(!doctype )?html": "a web page",
    rb"(\xef\xbb\xbf)?\s*(?=<).*?<svg": "an SVG drawing",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL photo",
    rb"....ftypcrx |FUJIFILMCCD-RAW|II(RO|RS|U\0|\x1a\0\0\0HEAP)|MMOR|\0MRM|FOVb": _RAW,
    rb"....(ftyp|moov|mdat|wide)|RIFF....AVI |\x1aE\xdf\xa3|\0\0\1[\xb3\xba]|FLV": "a video",
}
"""What begins otherwise than any of `FORMATS`, as far as it has a name."""

_HEIC_BRANDS = rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)"
_WITHOUT_PLUGIN = "a HEIC photo, which takes the extra heic: pip install 'contrastive-age[heic]'"
_CUT_BY_LINES = {"JPEG", "MPO", "PNG", "TIFF", "GIF", "BMP", "PPM"}
_NEAREST = Image.Resampling.NEAREST
_NOISES = 4
"""One noise can happen to be what is missing: with one, 1 of 50 cuts had a line too many."""

_ONE_AT_A_TIME = threading.Lock()
"""Held while a vast photo is decoded: several would take the memory."""

_BITS = (8, 10, 12, 14, 16, 24, 32)
"""With so many bits scanners and cameras write greys."""


def decode(photo: Path | BinaryIO, most_megapixels: float = math.inf) -> Image.Image:
    """Decode a photo into an upright RGB image of 8 bits a channel.

    The EXIF orientation is applied, transparency is laid over white, greys of more bits are scaled
    to 8 (see `_grey`), and of several pictures the first is taken. A photo of more than `VAST`
    pixels is read smaller (see `reduction`). Where the end of a file is missing, its last whole
    line is repeated in the place of the others, if it has `LEAST_LINES` of them (see `remark`).

    Args:
        photo: The image file.
        most_megapixels: Photos of more million pixels are refused before any is decoded.

    Returns:
        An image of mode RGB, fully decoded.

    Raises:
        Exception: The content is damaged, no image, or of too many pixels; `cause` says it in a few
            words. Decoders raise OSError, SyntaxError, ValueError, struct.error, ...
    """
    with photo.open("rb") if isinstance(photo, Path) else nullcontext(photo) as file:
        image = _opened(file)
        require_no_more(image, most_megapixels)
        with _ONE_AT_A_TIME if math.prod(image.size) > VAST else nullcontext():
            return _decoded(file, image)


def require_no_more(image: Image.Image, most_megapixels: float) -> None:
    """Check that an opened photo has at most so many million pixels.

    Raises:
        ValueError: It has more.
    """
    if math.prod(image.size) > most_megapixels * 1e6:
        width, height = image.size
        raise ValueError(
            f"{width:,} x {height:,} pixels are more than most_megapixels="
            f"{most_megapixels:g}; raise it to read this photo"
        )


def upright(image: Image.Image) -> Image.Image:
    """Turn an opened photo into the upright RGB image that `decode` gives of its file.

    It is never read smaller, and has to be whole.

    Raises:
        Exception: As `decode`, where the pixels were not decoded yet.
    """
    rgb = _to_rgb(ImageOps.exif_transpose(image), _tags(image))
    return _described(rgb, 1, rgb.size, "")


def reduction(image: Image.Image) -> int:
    """By how much `decode` has reduced a photo's sides: 1, or 2, 4 or 8 of a vast one."""
    factor = image.info.get("reduction", 1)
    return factor if isinstance(factor, int) else 1  # a text of a file that `decode` did not read


def full_size(image: Image.Image) -> tuple[int, int]:
    """Width and height that a decoded photo has in its file, upright, in pixels."""
    width, height = image.info.get("full_size", image.size) if reduction(image) > 1 else image.size
    return int(width), int(height)


def remark(image: Image.Image) -> str:
    """What is to be noted of a photo that was decoded, such as an end that is missing; or ""."""
    return str(image.info.get("remark", ""))


def size_of(photo: Path | BinaryIO) -> tuple[int, int]:
    """Read a photo's upright width and height from its header.

    Raises:
        Exception: As `decode`.
    """
    with photo.open("rb") if isinstance(photo, Path) else nullcontext(photo) as file:
        image = _opened(file)
        width, height = image.size
        # Pillow turns the size of a TIFF itself.
        turned = image.format != "TIFF" and _orientation(image) >= 5
    return (height, width) if turned else (width, height)


def not_read(head: bytes) -> str:
    """Say what a file is that is no photo of a format that is read.

    Args:
        head: Its first `HEAD` bytes.

    Returns:
        Such as "a video, which is not read as a photo"; "" where one of `FORMATS` may follow.
    """
    if not head:
        return "the file is empty"
    if any(_begins(name, head) for name in FORMATS):
        return "" if _plugin_is_there(head) else _WITHOUT_PLUGIN
    for signature, kind in _NOT_READ.items():
        if re.match(signature, head, re.DOTALL | re.IGNORECASE):
            return f"{kind}, {NO_PHOTO}"
    return UNKNOWN


def cause(error: BaseException) -> str:
    """Say in a few words of one line why a photo does not decode, from what `decode` raised."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    # That of HEIF names the place of each fault in a line of its own.
    return " ".join(str(error).split()) or type(error).__name__


def _begins(name: str, head: bytes) -> bool:
    """Whether a file's begin has the signature of a format."""
    if name == "HEIF":
        return re.match(_HEIC_BRANDS, head, re.DOTALL) is not None
    importlib.import_module(FORMATS[name])
    accepts = Image.OPEN[name][1]
    # A reason in place of a yes means that Pillow was built without the format.
    return accepts is None or accepts(head[:16]) is True


def _plugin_is_there(head: bytes) -> bool:
    if not _begins("HEIF", head) or re.match(rb"....ftyp.{8,48}?avi[fs]", head, re.DOTALL):
        return True
    try:
        importlib.import_module(FORMATS["HEIF"])
    except ImportError:
        return False
    return True


def _opener(name: str) -> Callable[[BinaryIO, str], ImageFile.ImageFile]:
    module = importlib.import_module(FORMATS[name])
    # Registered, the plugin would read what others open with Pillow in this process.
    opener: Any = module.HeifImageFile if name == "HEIF" else Image.OPEN[name][0]
    return opener  # type: ignore[no-any-return]


def _opened(file: BinaryIO) -> ImageFile.ImageFile:
    """Open a photo by its content; its pixels are not decoded.

    `Image.open` would do, but for its limit of 179 megapixels, which is one for the whole process.

    Raises:
        ValueError: It is of no format that is read, or its header is damaged.
        OSError: It cannot be read.
    """
    file.seek(0)
    head = file.read(HEAD)
    if reason := not_read(head):
        raise ValueError(reason)
    faults: list[tuple[str, Exception]] = []
    for name in (name for name in FORMATS if _begins(name, head)):
        file.seek(0)
        try:
            image = _opener(name)(file, "")
        except OSError as error:
            if error.strerror:
                raise
            faults.append((name, error))
        except Exception as error:  # a damaged header can fail anywhere
            faults.append((name, error))
        else:
            if _is_raw(image, head):
                raise ValueError(f"{_RAW}; convert it")
            return image
    name, fault = faults[-1]
    raise ValueError(f"a {name} file that cannot be read: {cause(fault)}") from fault


def _is_raw(image: ImageFile.ImageFile, head: bytes) -> bool:
    """Whether a TIFF is a camera's raw file (DNG, NEF, ARW, CR2): its first picture is small."""
    tags = _tags(image)
    is_preview = bool(tags.get(_SUBFILE_TYPE, 0) & 1) and _SUBFILES in tags
    return is_preview or _DNG_VERSION in tags or (image.format == "TIFF" and head[8:10] == b"CR")


_SUBFILE_TYPE, _SUBFILES, _DNG_VERSION = 254, 330, 50706
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_MAX_VALUES = (281, 341)
_ORIENTATION = 274


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF; none of other images."""
    return getattr(image, "tag_v2", None) or {}


def _orientation(image: Image.Image) -> int:
    # Not PNG's own way, which decodes the whole picture to look behind it.
    turn = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return turn if isinstance(turn, int) else 1


def _decoded(file: BinaryIO, image: ImageFile.ImageFile) -> Image.Image:
    full, tags = image.size, _tags(image)
    factor = next((k for k in (1, 2, 4) if math.prod(full) <= VAST * k * k), 8)
    whole, said = _loaded(file, image, factor)
    stored = whole.size
    ImageOps.exif_transpose(whole, in_place=True)
    rgb = _to_rgb(whole, tags)
    done = round(full[0] / stored[0])
    if done < factor:
        rgb = rgb.reduce(factor)
    return _described(rgb, factor, full if whole.size == stored else full[::-1], said)


def _described(image: Image.Image, factor: int, full: tuple[int, int], said: str) -> Image.Image:
    # Always all: a file's own texts may have these names.
    image.info |= {"reduction": factor, "full_size": full, "remark": said}
    return image


def _loaded(file: BinaryIO, image: ImageFile.ImageFile, factor: int) -> tuple[Image.Image, str]:
    """Decode an opened photo, as far as it goes, and say what is missing."""
    (width, height), name = image.size, image.format
    _prepare(image, factor)
    fault = _fault_of_loading(image)
    if fault is not None:
        # Where it was decoded into may be vast, and is of no more use.
        image.im = Image.new(image.mode, (1, 1)).im
        there = _whole_lines(file, factor) if name in _CUT_BY_LINES else None
        if there is None:
            raise fault
        look, whole = there
        if whole == look.height:
            return look, "its end is missing, but no line"
        lines = whole * round(width / look.width)
        if lines < LEAST_LINES * height:
            raise ValueError(
                f"its end is missing: {lines:,} of {height:,} lines are there"
            ) from fault
        last = look.crop((0, whole - 1, look.width, whole))
        look.paste(last.resize((look.width, look.height - whole), _NEAREST), (0, whole))
        return look, f"its end is missing: the last {height - lines:,} of {height:,} lines"
    return image, ""


def _fault_of_loading(image: ImageFile.ImageFile) -> Exception | None:
    try:
        image.load()
    except Exception as error:
        return error.with_traceback(None)  # which would hold the decoder, and that the canvas
    return None


def _prepare(image: ImageFile.ImageFile, factor: int, shade: int | None = None) -> None:
    """Have a JPEG decoded smaller; and give the decoder a canvas of one shade, or its own."""
    width, height = image.size
    if factor > 1 and image.format in ("JPEG", "MPO"):
        image.draft(None, (width // factor, height // factor))
    # The decoder of TIFF asks for its own canvas only up to Pillow's limit.
    if shade is not None or (factor > 1 and image.format == "TIFF"):
        # The size of a TIFF is that of the upright photo, its canvas that of the stored one.
        turned = image.format == "TIFF" and _orientation(image) >= 5
        canvas = (height, width) if turned else image.size
        colour = (shade or 0,) * len(image.getbands())
        image.im = Image.new(image.mode, canvas, colour if len(colour) > 1 else colour[0]).im


def _whole_lines(file: BinaryIO, factor: int) -> tuple[Image.Image, int] | None:
    """Decode what a file holds, and count its whole lines from the top; None where there is none.

    It is decoded several times, with different things in the place of what is missing: decoders
    leave the pixels that they do not reach as they were. Where all agree, a pixel is there.
    """
    file.seek(0)
    first, *others = _continued(file.read())
    # One after the other, and the picture last: of a vast one there is memory for one alone.
    lines_of_others = [
        _lines(_as_far_as_it_goes(content, factor, 255 * (number % 2 == 0)))
        for number, content in enumerate(others)
    ]
    look = _as_far_as_it_goes(first, factor, 0)
    if look is None:
        return None
    own = _lines(look)
    there = np.logical_and.reduce([own == lines for lines in lines_of_others])
    lines = len(there) if there.all() else int(there.argmin())
    # Where lines come in another order, those at the top are not what is there.
    if lines == 0 or (len(others) == 1 and there[lines:].any()):
        return None
    return look, lines


def _lines(image: Image.Image | None) -> npt.NDArray[np.int64]:
    """What tells an image's lines apart from others: a number for each."""
    if image is None:
        return np.empty(0, np.int64)
    rows = (image.crop((0, top, image.width, top + 1)) for top in range(image.height))
    return np.array([hash(row.tobytes()) for row in rows], np.int64)


def _as_far_as_it_goes(content: bytes, factor: int, shade: int) -> Image.Image | None:
    """Decode a file on a canvas of one shade until its decoder fails; None of a turned TIFF."""
    image = _opened(io.BytesIO(content))
    if image.format == "TIFF" and _orientation(image) != 1:
        return None  # Pillow turns it at the end, which is not reached
    _prepare(image, factor, shade)
    with suppress(Exception):
        image.load()
    # As if it were whole, for Pillow would decode it once more.
    image.tile = []
    return image


def _continued(content: bytes) -> list[bytes]:
    """Go on where a file ends, in ways such that what is decoded behind its end differs.

    A decoder of JPEG keeps back the last lines that it has, or all where they are written in
    several scans, until it sees the end of the picture. So it gets to see one, behind nothing and
    behind noise; one noise can happen to be what is missing. Other files are left as they are.
    """
    if not _is_in_its_last_scan(content):
        return [content] * 2
    part = content.rstrip(b"\xff")  # what follows would be a marker
    noises = [np.random.default_rng(seed).bytes(len(part)) for seed in range(_NOISES)]
    return [part + noise.replace(b"\xff", b"") + b"\xff\xd9" for noise in (b"", *noises)]


def _is_in_its_last_scan(content: bytes) -> bool:
    """Whether a file without its end is a JPEG of which nothing but a part of a scan is missing.

    That is so where all coefficients of all channels have been begun to their last bit. Where the
    decoder restarts at intervals, it would pass over the noise: then it is not said.
    """
    bits: dict[int, list[int]] = {}
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while match := _MARKER.search(content, at):
        kind, at = match[0][-1], match.end()
        length = int.from_bytes(content[at : at + 2])
        body = content[at + 2 : at + length]
        if kind in (0xC0, 0xC1, 0xC2):  # a frame, coded by Huffman
            bits = {channel: [99] * 64 for channel in body[6::3]}
        elif kind == 0xDA and len(body) >= 4:  # a scan
            first, last, precision = body[-3:]
            for channel in body[1:-3:2]:
                bits.get(channel, [])[first : last + 1] = [precision & 15] * (last + 1 - first)
        elif kind in (0xDD, 0xD9):  # restarts; the picture's end
            return False
        at += length
    return bool(bits) and not any(map(any, bits.values()))


_MARKER = re.compile(rb"\xff+[^\xff\0\xd0-\xd7]", re.DOTALL)


def _to_rgb(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey(np.asarray(image), tags).convert("RGB")
    if image.mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(lab, srgb, "LAB", "RGB").apply(image)
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: npt.NDArray[Any], tags: Mapping[int, Any]) -> Image.Image:
    """Scale greys of more than 8 bits to 8, see `white_of`.

    Args:
        values: (h, w), whole or real numbers.
        tags: Of a TIFF.

    Returns:
        An image of mode L.

    Raises:
        ValueError: There are values below 0, or real numbers that are no greys.
    """
    if values.dtype == np.int32 and tags and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)
    low, high = float(values.min()), float(values.max())
    named = max((_largest(tags.get(tag)) for tag in _MAX_VALUES), default=0.0)
    bits = _largest(tags.get(_BITS_PER_SAMPLE))
    if 8 < bits < 16:
        named = max(named, 2**bits - 1)
    white = white_of(low, high, is_real=values.dtype.kind == "f", named=named)
    if white is None:
        raise ValueError(
            f"its values run from {low:g} to {high:g}: which of them are black and white is unknown"
        )
    grey = (values.astype(np.float32) / np.float32(white / 255)).round().clip(0, 255)
    if tags.get(_PHOTOMETRIC) == 0:  # white is 0
        grey = 255 - grey
    return Image.fromarray(grey.astype(np.uint8))


def white_of(low: float, high: float, *, is_real: bool, named: float = 0.0) -> int | None:
    """Say which value is white, of greys or colours that are no bytes; black is 0.

    White is the largest number of 8, 10, 12, 14, 16, 24 or 32 bits, the least of them that holds
    the largest value. Of real numbers up to 1 it is 1.

    Args:
        low: The least value in a photo.
        high: The largest.
        is_real: Whether they are real numbers.
        named: A larger one that the file names; 0 for none.

    Returns:
        None where it is unknown: there are values below 0 or of no number, or the largest is one of
        real numbers that is more than 1 and too small for bytes.
    """
    if not (low >= 0 and high < 2**32) or (is_real and 1 < high < LEAST_REAL):
        return None
    if is_real and high <= 1:
        return 1
    return next((2**bits - 1 for bits in _BITS if 2**bits > max(high, named)), 2**32 - 1)


def _largest(value: Any) -> float:
    """The largest number of a tag's value; 0 where it holds none."""
    numbers = value if isinstance(value, tuple) else (value,)
    return max((float(n) for n in numbers if isinstance(n, int | float)), default=0.0)
