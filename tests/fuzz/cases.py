"""What hypothesis makes of good input: photos of every format, names, tables and values, damaged.

A door is anything that takes what people bring. Each has 2,000 cases, always the same ones; what is
good among them must come out as it does alone.
"""

import faulthandler
import functools
import io
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pillow_heif
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from inference import detectors

CASES = 2000
AT_ONCE = 8
"""Files, or rows, of one reading, each a case: most of the time it takes goes by once."""

LONGEST = 120
"""Seconds after which a case hangs; an ordinary one takes some hundredths."""


def cases(number: int = CASES) -> settings:
    """The settings of a door: the same cases each time, and no folder for those that failed."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def watched() -> Iterator[None]:
    """Fail where a case hangs, be it in Python or inside a decoder."""

    def fail(*_: Any) -> None:
        raise TimeoutError(f"a case has taken {LONGEST} seconds")

    # pytest keeps what is logged, with the errors in it and all that their frames hold; and names
    # that are no Unicode cannot be sent to the process that gathers its reports.
    logging.disable()
    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LONGEST)
    # Python itself cannot interrupt a decoder; pytest may have taken stderr.
    faulthandler.dump_traceback_later(2 * LONGEST, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        logging.disable(logging.NOTSET)


FORMATS: dict[str, dict[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 90},
    "jpeg": {"format": "JPEG", "progressive": True},
    "jfif": {"format": "JPEG", "subsampling": 0, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "avif": {"format": "AVIF", "speed": 10},
    "heic": {},
    "tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff": {"format": "TIFF"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
    "jp2": {"format": "JPEG2000"},
    "ppm": {"format": "PPM"},
    "mpo": {"format": "MPO", "save_all": True},
}
"""How Pillow writes a photo, by the suffix of its file."""

MODES = {"png": ("RGB", "L", "LA", "P", "RGBA", "1", "I;16"), "tif": ("RGB", "I;16", "F", "CMYK")}
"""Of the formats that know several."""


@functools.cache
def whole(suffix: str, mode: str = "RGB") -> bytes:
    """Give the bytes of a sound photo of a format."""
    small = detectors.photo("face", size=(96, 80))
    picture = Image.new("I;16", small.size, 900) if mode == "I;16" else small.convert(mode)
    file = io.BytesIO()
    if suffix == "heic":
        pillow_heif.from_pillow(small).save(file)
    else:
        options = dict(FORMATS[suffix])
        if options.get("save_all"):
            options["append_images"] = [picture]
        picture.save(file, **options)
    return file.getvalue()


def kinds() -> list[tuple[str, str]]:
    """Each format with each of its modes."""
    return [(suffix, mode) for suffix in FORMATS for mode in MODES.get(suffix, ("RGB",))]


EXTREMES = [
    *(b"\0", b"\xff", b"\0\0", b"\xff\xff", b"\x7f\xff", b"\xff\x7f"),
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"),
    *(b"\0\0\0\1", b"\1\0\0\0", b"\0\0\x80\0", b"\0\x80\0\0", b"\xff\xd8", b"\xff\xd9"),
]
"""What a length, a dimension or a marker may be overwritten with."""


@st.composite
def damaged(draw: st.DrawFn, content: bytes, others: tuple[bytes, ...] = ()) -> bytes:
    """Damage bytes in one to four places, mostly where formats keep their headers."""
    damage = bytearray(content)

    def place() -> int:
        last = max(len(damage) - 1, 0)
        head = st.integers(0, min(last, 300))
        tail = st.integers(max(0, last - 300), last)
        return draw(st.one_of(head, st.integers(0, last), tail))

    for _ in range(draw(st.integers(1, 4))):
        at, how = (
            place(),
            draw(st.sampled_from(["flip", "set", "cut", "drop", "twice", "swap", "splice", "add"])),
        )
        if not damage:
            break
        if how == "flip":
            damage[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            value = draw(st.sampled_from(EXTREMES))
            damage[at : at + len(value)] = value
        elif how == "cut":
            del damage[at:]
        elif how == "drop":
            del damage[at : at + draw(st.integers(1, 64))]
        elif how == "twice":
            damage[at:at] = damage[at : at + draw(st.integers(1, 400))]
        elif how == "swap":
            other = place()
            damage[at], damage[other] = damage[other], damage[at]
        elif how == "splice":
            other = draw(st.sampled_from(others)) if others else content
            damage[at:] = other[min(at, len(other)) :]
        else:
            damage[at:at] = draw(st.binary(min_size=1, max_size=40))
    return bytes(damage)


@st.composite
def photo_bytes(draw: st.DrawFn) -> bytes:
    """Give what a photo's file may hold: mostly a damaged photo, or anything, or a photo."""
    sound = whole(*draw(st.sampled_from(kinds())))
    others = tuple(whole(*kind) for kind in kinds())
    return draw(
        st.one_of(
            damaged(sound, others), damaged(sound, others), st.binary(max_size=80), st.just(sound)
        )
    )


AWKWARD = [
    *("\n", "\r\n", "\t", " ", ".", "..", "%", "*", "~", "'", '"', "\\", "\u200b", "\u202e", "\0"),
    *("é", "e\u0301", "ß", "İ", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")),
    *("-", "_", "A", "a", "M", "F", "0", "00", "007", "9" * 30, "١", "x" * 300),
]


def names(*near: str) -> st.SearchStrategy[str]:
    """Give names of files: any that a file can have, and such as nearly follow a pattern.

    Args:
        near: Names that follow it.
    """
    part = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=6), st.sampled_from(near))

    @st.composite
    def nearly(draw: st.DrawFn) -> str:
        name = draw(st.sampled_from(near))
        at = draw(st.integers(0, len(name)))
        skipped = draw(st.integers(0, 2))
        return name[:at] + draw(part) + name[at + skipped :]

    stray = st.binary(min_size=1, max_size=12).map(
        lambda raw: raw.decode("utf-8", "surrogateescape")
    )
    stem = st.one_of(nearly(), nearly(), st.lists(part, min_size=1, max_size=4).map("".join), stray)
    suffix = st.sampled_from(["", *(f".{each}" for each in FORMATS), ".JPG", ".txt", ".jpg.jpg"])
    return st.builds("{}{}".format, stem, suffix).map(_of_a_file).filter(_is_seen)


def _of_a_file(name: str) -> str:
    """Make a name one that a file can have."""
    raw = name.replace("/", "_").replace("\0", "0").encode("utf-8", "surrogateescape")
    return raw[:200].decode("utf-8", "surrogateescape")


def _is_seen(name: str) -> bool:
    return not name.startswith(".") and name != ""


def texts(*good: str) -> st.SearchStrategy[str]:
    """Give what a cell of a table may hold.

    Args:
        good: What it should hold.
    """
    number = st.one_of(st.integers(), st.floats()).map(str)
    awkward = st.sampled_from(
        [*AWKWARD, "", "nan", "NaN", "None", "-1", "1e3", "25,0", "11.27", "inf"]
    )
    return st.one_of(st.sampled_from(good), awkward, number, st.text(max_size=12))


VALUES = st.recursive(
    st.one_of(
        *(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=8),
            st.binary(max_size=4),
        ),
        st.sampled_from([-1, 0, 1, 2, 1e308, 10**40, "", "none", "auto", "1", "../x", "~", "2024"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
"""Values as YAML and JSON can give them, and others."""
