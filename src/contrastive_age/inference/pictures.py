"""What a caller may give as a photo: named, and opened, or why it cannot be."""

import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from contrastive_age.sources.decoding import cause, decode, require_no_more, upright, white_of
from contrastive_age.sources.reading import MOST_BYTES, UNREADABLE, require_something_to_see

Picture = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | npt.NDArray[Any]
)
"""A photo: its path, its file's content or open file, a PIL image, or an array.

An array is (h, w) or (h, w, 1), grey, (h, w, 3), RGB, or (h, w, 4), RGBA. What of it is white says
`decoding.white_of`, as for files.
"""

Item = tuple[str, Path | bytes | Image.Image | str]
"""A photo's name, and its absolute path, its file's content, its upright RGB image, or why there is
none."""

GIVE = "give a path, a file's bytes, a PIL image, or an array (h, w, 3) of 0 to 255"

# One slash: of two, a Path keeps one.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def require_list(pictures: Iterable[Picture]) -> None:
    """Check that many pictures were given, and not a single one in their place.

    Raises:
        TypeError: It is a single one, or nothing that holds any.
    """
    single = isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    single |= isinstance(pictures, np.ndarray) and pictures.ndim in (0, 2, 3)
    if single or hasattr(pictures, "read") or not hasattr(pictures, "__iter__"):
        raise TypeError(f"give a list of photos, even of a single one, not {_kind(pictures)}")


def items(pictures: Iterable[Picture], most_megapixels: float) -> Iterator[Item]:
    """Name pictures, and make ready what is in memory; whatever is no picture is said to be none.

    Args:
        pictures: Taken as they are needed.
        most_megapixels: A PIL image of more million pixels is not decoded.
    """
    for number, picture in enumerate(pictures):
        name, photo = f"image {number}", picture
        try:
            if isinstance(picture, str | os.PathLike):
                name = os.fsdecode(picture)
                photo = _path(name)
            else:
                photo = _in_memory(picture, most_megapixels)
        except Exception as error:  # anything can be wrong with anything
            photo = unreadable(error)
        yield name, photo


def opened(item: Item, most_megapixels: float) -> Image.Image | str:
    """Give the upright photo, or why there is none."""
    _, photo = item
    if isinstance(photo, str):
        return photo
    try:
        image = photo if isinstance(photo, Image.Image) else _decoded(photo, most_megapixels)
        require_something_to_see(image)
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return unreadable(error)
    return image


def unreadable(error: Exception) -> str:
    """Say why a photo has no faces when it cannot be read."""
    return f"{UNREADABLE}: {cause(error)}"


def held_pixels(item: Item) -> int:
    """How many pixels would take the memory that a photo takes before it is opened."""
    _, photo = item
    if isinstance(photo, Image.Image):
        return photo.width * photo.height
    return len(photo) // 3 if isinstance(photo, bytes) else 0


def _path(name: str) -> Path:
    if _ADDRESS.match(name) and not os.path.lexists(name):
        raise ValueError("photos are not fetched from addresses; download it, and give its file")
    # The current folder may be another one when it is read.
    return Path(name).absolute()


def _decoded(photo: Path | bytes, most_megapixels: float) -> Image.Image:
    if isinstance(photo, bytes):
        return decode(io.BytesIO(photo), most_megapixels)
    if photo.is_dir():
        raise ValueError("it is a folder; give the photos in it")
    # A pipe would be waited for without end.
    if photo.exists() and not photo.is_file():
        raise ValueError("neither a file nor a link to one")
    return decode(photo, most_megapixels)


def _in_memory(picture: Any, most_megapixels: float) -> bytes | Image.Image:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, np.ndarray):
        return upright(_image_of(picture))
    if isinstance(picture, Image.Image):
        require_no_more(picture, most_megapixels)
        return upright(picture)
    if hasattr(picture, "read") and not isinstance(picture, type):
        return _content(picture)
    raise ValueError(f"it is {_kind(picture)}; {GIVE}")


def _content(file: Any) -> bytes:
    """Read an open file from its beginning, as Pillow would."""
    if getattr(file, "seekable", bool)():
        file.seek(0)
    content = file.read(MOST_BYTES + 1)
    if not isinstance(content, bytes):
        raise TypeError("the file is open for text; open it with mode 'rb'")
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return content


def _image_of(array: npt.NDArray[Any]) -> Image.Image:
    kind = _kind(array)
    if array.ndim == 4:
        raise ValueError(f"it is {kind}, of several photos; give them one by one, as list(array)")
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        raise ValueError(f"it is {kind}, channels first; give array.transpose(1, 2, 0)")
    if array.size == 0 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(f"it is {kind}; give (h, w), (h, w, 3) or (h, w, 4)")
    array = array[:, :, 0] if array.shape[2:] == (1,) else array
    return Image.fromarray(np.ascontiguousarray(_bytes_of(array)))


def _bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"it is {_kind(array)}; give uint8")
    low, high = float(array.min()), float(array.max())
    white = white_of(low, high, is_real=array.dtype.kind in "bf")
    if white is None:
        raise ValueError(
            f"it is {_kind(array)} with values from {low:g} to {high:g}; give uint8, 0 to 255"
        )
    return np.asarray(array * (255 / white)).round().clip(0, 255).astype(np.uint8)


def _kind(thing: Any) -> str:
    """Say what something is, and what it could be made into."""
    if isinstance(thing, np.ndarray):
        return f"an array of type {thing.dtype} and shape {thing.shape}"
    if thing is None:
        return "None"
    name = type(thing).__name__
    if hasattr(thing, "__array__") and not isinstance(thing, Image.Image | np.generic):
        return f"a {name}, whose numpy.asarray(...) in the order (h, w, 3) would do"
    return f"of type {name}"
