"""Whatever the bytes of a photo are: its decoder ends, soon and within the memory that is allowed.

Each format has its own cases, also those whose decoders bring their own readers of headers.
"""

import io
import resource
import struct

import pytest
from hypothesis import given
from PIL import Image

from contrastive_age.sources.decoding import cause, decode, full_size, size_of
from fuzz.cases import CASES, FORMATS, cases, damaged, kinds, watched, whole

pytestmark = pytest.mark.endurance

MOST_MEGAPIXELS = 1
MOST_BYTES = 300 * 2**20
"""By which a process may grow: some tens of canvases of that size, and what decoders hold."""


def memory() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_photo_is_decoded_or_refused(suffix: str) -> None:
    modes = [mode for each, mode in kinds() if each == suffix]
    others = tuple(whole(*kind) for kind in kinds())
    before = memory()

    for mode in modes:

        @cases(CASES // len(modes))
        @given(damaged(whole(suffix, mode), others))
        def each(content: bytes) -> None:
            with watched():
                try:
                    image = decode(io.BytesIO(content), MOST_MEGAPIXELS)
                except Exception as error:
                    assert not isinstance(error, TimeoutError | MemoryError)
                    assert cause(error)
                    assert "\n" not in cause(error)
                    return
            assert image.mode == "RGB"
            width, height = full_size(image)
            assert 0 < width * height <= MOST_MEGAPIXELS * 1e6

        each()
    assert memory() - before < MOST_BYTES


@pytest.mark.parametrize(("suffix", "mode"), kinds())
def test_the_photos_from_which_cases_are_made_are_read(suffix: str, mode: str) -> None:
    file = io.BytesIO(whole(suffix, mode))
    assert size_of(file) == (96, 80)
    image = decode(file)
    assert isinstance(image, Image.Image)
    assert image.size == (96, 80)


PROMISED = {
    "bmp": lambda small, side: small[:18] + struct.pack("<ii", side, side) + small[26:],
    "ppm": lambda small, side: small.replace(b"96 80", b"%d %d" % (side, side), 1),
}
"""Files whose header says so many lines and columns, and which hold next to none of them."""


@pytest.mark.parametrize("suffix", PROMISED)
def test_what_a_header_promises_takes_the_memory_of_one_canvas(suffix: str) -> None:
    side = 9_000
    content = PROMISED[suffix](whole(suffix), side)
    before = memory()
    with pytest.raises((OSError, ValueError), match=r"missing|truncated"):
        decode(io.BytesIO(content))
    # Four bytes a pixel of RGB.
    assert memory() - before < 1.5 * 4 * side**2
