"""Makes folders and tables of every kind of bad input, each with the rule that it must meet."""

import functools
import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pillow_heif
from PIL import Image, TiffImagePlugin

from contrastive_age.drawn.face import portrait
from contrastive_age.sources import manifest, reading

GOOD = 16
"""Photos with nothing wrong: as many as the detector looks at in one call."""

USED = ""
NAME = "name does not parse"


@dataclass(frozen=True)
class Kind:
    """One bad file.

    Attributes:
        make: Writes it, given its path.
        expected: `USED`, or how the reason begins by which a source that is walked rejects it.
        in_manifest: The same where a manifest names the file.
        after: What follows the labels in the file's name.
        labels: Age, sex, race and a date, as UTKFace writes them.
        status: What detection must say where that is certain.
    """

    make: Callable[[Path], object]
    expected: str = USED
    in_manifest: str | None = None
    after: str = ".jpg"
    labels: str = "25_0_0_20170101"
    status: tuple[str, ...] = ("detected", "retried", "fallback")

    @property
    def rule(self) -> str:
        """How the reason begins in a manifest."""
        return self.expected if self.in_manifest is None else self.in_manifest


@functools.cache
def face(number: int = 0, size: int = 200) -> Image.Image:
    return portrait(number, 25, seed=3, size=size)[0]


def _jpeg(path: Path) -> bytes:
    face().save(path, quality=90)
    return path.read_bytes()


def _cut(lacking: int, **options: object) -> Callable[[Path], None]:
    """Write a photo that lacks so many bytes at its end."""

    def make(path: Path) -> None:
        content = io.BytesIO()
        face().save(content, **({"format": "JPEG", "quality": 90} | options))
        path.write_bytes(content.getvalue()[:-lacking])

    return make


def _save(
    change: Callable[[Image.Image], Image.Image], **options: object
) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        change(face()).save(path, **options)

    return make


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _grey16(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _greys(
    kind: type, scale: float = 1.0, shift: float = 0.0
) -> Callable[[Image.Image], Image.Image]:
    """Make greys of another type of number, from 0..255 times a scale."""

    def change(image: Image.Image) -> Image.Image:
        greys = np.asarray(image.convert("L")).astype(np.float64)
        return Image.fromarray((greys * scale + shift).astype(kind))

    return change


def _colours_of_12_bits(path: Path) -> None:
    """Write a PNG of 16 bits a channel, which Pillow cannot, that holds 0..4095."""
    colours = np.asarray(face()).astype(">u2") * 16
    lines = b"".join(b"\0" + line.tobytes() for line in colours.astype(">u2"))
    _png(path, 200, 16, 2, zlib.compress(lines))


def _raw(path: Path) -> None:
    """Write a TIFF whose first picture is a preview, as cameras' raw files are."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254], tags[330] = 1, 8
    face().resize((160, 120)).save(path, "TIFF", tiffinfo=tags)


def _alpha(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    layer.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda v: 128 + v // 2))
    return layer


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    face().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def _broken_exif(path: Path) -> None:
    content = _jpeg(path)
    block = b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(range(64))
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(content[:2] + segment + content[2:])


def _png(path: Path, side: int, depth: int, colour: int, pixels: bytes) -> None:
    """Write a square PNG from its compressed lines."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def _bomb(path: Path) -> None:
    """Write a whole PNG of 20,000 x 20,000 black pixels, one bit each."""
    side = 20_000
    _png(path, side, 1, 0, zlib.compress(bytes((side // 8 + 1) * side), 1))


def _heic(path: Path, **options: object) -> None:
    pillow_heif.from_pillow(face()).save(path, **options)


def _video(path: Path) -> None:
    """Write the begin of a video in a file too large to be read."""
    path.write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2")
    os.truncate(path, 2**31)


def _ten_faces(path: Path) -> None:
    crowd = Image.new("RGB", (800, 320), (120, 130, 140))
    for number in range(10):
        crowd.paste(face(number, 160), (160 * (number % 5), 160 * (number // 5)))
    crowd.save(path, quality=95)


def _small_face(path: Path) -> None:
    picture = Image.new("RGB", (300, 300), (120, 130, 140))
    # The face itself takes about half of the portrait's width.
    picture.paste(face().resize((24, 24)), (140, 140))
    picture.save(path, quality=95)


def _noise(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def _animated(path: Path) -> None:
    others = [Image.new("RGB", (200, 200), shade) for shade in ("red", "blue")]
    face().save(path, save_all=True, append_images=others)


def _sparse(path: Path) -> None:
    _jpeg(path)
    os.truncate(path, 2**31)


def _link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def _link_out(path: Path) -> None:
    outside = path.parents[1] / "outside"
    outside.mkdir(exist_ok=True)
    _noise(outside / "a.png")
    path.symlink_to(outside / "a.png")


def _plain(*size: int, mode: str = "RGB") -> Callable[[Path], None]:
    return lambda path: Image.new(mode, size, 90).save(path)  # type: ignore[arg-type]


OUT = manifest.OUTSIDE[:20]
PICTURES = {
    "zero bytes": Kind(Path.touch, "unreadable: the file is empty"),
    "truncated jpeg": Kind(_cut(4000), "unreadable: its end is missing"),
    "jpeg without its last 20 bytes": Kind(_cut(20), status=("detected",)),
    "progressive jpeg without its last 20 bytes": Kind(
        _cut(20, progressive=True), status=("detected",)
    ),
    "png without its end": Kind(_cut(3000, format="PNG"), after=".png", status=("detected",)),
    "tiff without its last 20 bytes": Kind(
        _cut(20, format="TIFF"), after=".tif", status=("detected",)
    ),
    "webp without its last 20 bytes": Kind(
        _cut(20, format="WEBP"), "unreadable: a WEBP file that cannot", after=".webp"
    ),
    "truncated gif": Kind(
        lambda path: path.write_bytes(b"GIF89a\x20\0\x20\0\x80\0\0"), "unreadable", after=".gif"
    ),
    "text": Kind(_bytes(b"not a picture"), "unreadable: the content is no known image format"),
    "web page": Kind(_bytes(b"<html>404</html>"), "unreadable: a web page"),
    "vector graphics": Kind(_bytes(b"<svg/>"), "unreadable: an SVG drawing", after=".png"),
    "video": Kind(_video, "unreadable: a video", after=".mp4"),
    "raw file": Kind(_raw, "unreadable: a camera's raw file", after=".NEF"),
    "heic": Kind(_heic, after=".HEIC", status=("detected",)),
    "heic named jpg": Kind(_heic, status=("detected",)),
    "avif": Kind(_save(lambda i: i), after=".avif", status=("detected",)),
    "jpeg 2000": Kind(_save(lambda i: i), after=".jp2", status=("detected",)),
    "several pictures": Kind(
        _save(lambda i: i, save_all=True, append_images=[Image.new("RGB", (200, 200), "red")]),
        after=".mpo",
        status=("detected",),
    ),
    "jfif": Kind(_jpeg, after=".jfif", status=("detected",)),
    "jpe": Kind(_jpeg, after=".jpe", status=("detected",)),
    "without a suffix": Kind(_save(lambda i: i, format="JPEG"), after="", status=("detected",)),
    "png named jpg": Kind(_save(lambda i: i, format="PNG"), status=("detected",)),
    "upper case suffix": Kind(_jpeg, after=".JPG"),
    "cmyk": Kind(_save(lambda i: i.convert("CMYK"), quality=95), status=("detected",)),
    "16 bit": Kind(_save(_grey16), after=".png", status=("detected",)),
    "12 bit in 16": Kind(_save(_greys(np.uint16, 4095 / 255)), after=".png", status=("detected",)),
    "8 bit in 32": Kind(_save(_greys(np.int32)), after=".tif", status=("detected",)),
    "real numbers": Kind(_save(_greys(np.float32, 1 / 255)), after=".tif", status=("detected",)),
    "values below 0": Kind(
        _save(_greys(np.float32, shift=-90)), "unreadable: its values run from -", after=".tif"
    ),
    "colours of 12 bits in 16": Kind(
        _colours_of_12_bits, "unreadable: it is black: its brightest value is 15", after=".png"
    ),
    "black": Kind(
        _save(lambda i: i.point(lambda v: v // 17)), "unreadable: it is black", after=".png"
    ),
    "palette": Kind(_save(lambda i: i.quantize(64)), after=".png"),
    "palette with transparency": Kind(
        _save(lambda i: i.quantize(64), transparency=0), after=".png"
    ),
    "alpha": Kind(_save(_alpha), after=".png"),
    "greyscale": Kind(_save(lambda i: i.convert("L")), status=("detected",)),
    "black and white": Kind(_save(lambda i: i.convert("1")), after=".png"),
    "animated gif": Kind(_animated, after=".gif", status=("detected",)),
    "animated webp": Kind(_animated, after=".webp", status=("detected",)),
    "exif rotated": Kind(_turned, status=("detected",)),
    "exif broken": Kind(_broken_exif, status=("detected",)),
    "1x1": Kind(_plain(1, 1), "unreadable: 1 x 1 pixels are too few", after=".png"),
    "3 pixels high": Kind(_plain(300, 3), "unreadable: 300 x 3 pixels", after=".png"),
    "4x4": Kind(_plain(4, 4), after=".png", status=("fallback",)),
    "2000x5": Kind(_plain(2000, 5), after=".png", status=("fallback",)),
    "20,000 x 20,000": Kind(
        _bomb,
        "unreadable: 20,000 x 20,000 pixels are more than most_megapixels=250; raise it",
        after=".png",
    ),
    "more than a gigabyte": Kind(_sparse, "unreadable: 2147483648 bytes are more"),
    "no face": Kind(_noise, after=".png", status=("fallback",)),
    "ten faces": Kind(_ten_faces, status=("detected",)),
    "a face 12 px wide": Kind(_small_face),
    "upside down": Kind(_save(lambda i: i.transpose(Image.Transpose.ROTATE_180))),
    "unicode": Kind(_jpeg, after=" Zoë 年齢 😀.jpg"),
    "spaces": Kind(_jpeg, after="  two  spaces .jpg"),
    "dots": Kind(_jpeg, after="...jpg..jpg"),
    "newline": Kind(_jpeg, after="\nface.jpg"),
    "quotation mark": Kind(_jpeg, after='"face".jpg'),
    "240 characters": Kind(_jpeg, after="." + "x" * 200 + ".jpg"),
    "age 999": Kind(_jpeg, "age 999 is outside", USED, labels="999_0_0_20170101"),
    "age -1": Kind(_jpeg, NAME, USED, labels="-1_0_0_20170101"),
    "age 3O": Kind(_jpeg, NAME, USED, labels="3O_0_0_20170101"),
    "no labels": Kind(_jpeg, NAME, USED, labels="face"),
    "same name, other suffix": Kind(_jpeg, "another file has the same", "the path, or the same"),
    "folder": Kind(lambda path: path.mkdir(), "", "unreadable: is a directory"),
    "pipe": Kind(os.mkfifo, "unreadable: neither a file nor"),
    "device": Kind(_link("/dev/zero"), "unreadable: neither a file nor", OUT),
    "link out of the folder": Kind(_link_out, USED, OUT, after=".png"),
    "link to itself": Kind(
        lambda path: path.symlink_to(path), "unreadable: too many levels of symbolic links"
    ),
    "link to nothing": Kind(_link("gone.jpg"), "unreadable: no such file"),
    "text file": Kind(_bytes(b"notes"), "unreadable: the content is no", after=".txt"),
    "loop of folders": Kind(_link("."), "a link to a folder that is read already", after=""),
    "loop to the parent": Kind(_link(".."), "a link to a folder that is read already", after=""),
    "loop to the root": Kind(_link("/"), "a link to a folder that is read already", after=""),
}
"""Kinds of files, by name. Folders are nothing that a manifest could name.

An empty folder named as an image is walked like any other, so it leaves no trace at all.
"""

FOLDERS = {"loop of folders", "loop to the parent", "loop to the root"}


def file_name(name: str) -> str:
    """The path of a kind's file in the folder that `make_pictures` fills."""
    kind = PICTURES[name]
    if name == "same name, other suffix":
        return "25_0_0_20160101000.png"
    return f"{kind.labels}{list(PICTURES).index(name):03d}{kind.after}"


def good_names() -> list[str]:
    return [f"25_0_0_20160101{number:03d}.jpg" for number in range(GOOD)]


def make_good(folder: Path) -> list[str]:
    """Write the good photos; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(good_names()):
        face(number).save(folder / name, quality=95)
    return good_names()


def make_pictures(folder: Path) -> dict[str, str]:
    """Write the good photos and one file of each kind among them; give each kind's path."""
    make_good(folder)
    paths = {name: file_name(name) for name in PICTURES}
    for name, path in paths.items():
        format_named = folder / path
        if name == "same name, other suffix":
            face(0).save(format_named)
        else:
            PICTURES[name].make(format_named)
    return paths


def rows_of(path: str, *, identity: str = "b", age: str = "30") -> str:
    """A row of a manifest, with the path quoted."""
    quoted = path.replace('"', '""')
    return f'"{quoted}",{identity},{age}'


ROWS = {
    "age -1": ("row01.jpg,a,-1", "age '-1' is not a whole number"),
    "age 999": ("row02.jpg,a,999", "age '999' is not"),
    "age NaN": ("row03.jpg,a,NaN", "age 'NaN' is not"),
    "age 3O": ("row04.jpg,a,3O", "age '3O' is not"),
    "age inf": ("row05.jpg,a,inf", "age 'inf' is not"),
    "age 1e1": ("row06.jpg,a,1e1", "age '1e1' is not"),
    "age 25.5": ("row07.jpg,a,25.5", "age '25.5' is not a whole number"),
    "age 25,5": ('row07b.jpg,a,"25,5"', "age '25,5' is not a whole number"),
    "age 120.5": ("row07c.jpg,a,120.5", "age '120.5' is not a whole number from 0 to 120 ("),
    "age in other digits": ("row08.jpg,a,٣٠", "age '٣٠' is not"),
    "no age": ("row09.jpg,a,", "age '' is not"),
    "empty identity": ("row10.jpg,,30", "the identity is empty"),
    "blank identity": ("row11.jpg,  ,30", "the identity is empty"),
    "no path": (",a,30", "the path is empty"),
    "no such file": ("gone.jpg,a,30", "unreadable: no such file"),
    "path through ..": ("sub/../../outside.jpg,a,30", OUT),
    "absolute path outside": (f"{os.devnull},a,30", OUT),
    "zero byte in the path": ("row12\0.jpg,a,30", "unreadable: no such file"),
    "path too long": (f"{'x' * 5000}.jpg,a,30", "unreadable: file name too long"),
    "more values than columns": ("row13.jpg,a,30,extra", "the row has more values"),
    "one value": ("row14.jpg", "the identity is empty"),
    "listed twice": ("good.jpg,b,31", "the path, or the same but for its suffix"),
    "listed twice by another spelling": ("./good.jpg,b,31", "the path, or the same but"),
}
"""Rows of a manifest with `path,identity,age` below a good one, and how their reason begins."""

TABLES: dict[str, tuple[bytes, str]] = {
    "byte order mark": (b"\xef\xbb\xbfpath,identity,age\ngood.jpg,a,30\n", USED),
    "semicolons": (b"path;identity;age\ngood.jpg;a;30\n", USED),
    "tabs": (b"path\tidentity\tage\ngood.jpg\ta\t30\n", USED),
    "mixed line ends": (b"path,identity,age\r\n\rgood.jpg,a,30\n\r\n", USED),
    "no last line end": (b"path,identity,age\ngood.jpg,a,30", USED),
    "header in capitals": (b" PATH , Identity,AGE\ngood.jpg,a,30\n", USED),
    "own columns": (b"row,file,surplus,path,identity,age\n1,2,3,good.jpg,a,30\n", USED),
    "columns without a name": (b"path,identity,age,,\ngood.jpg,a,30,,\n", USED),
    "missing columns": (b"path,identity\ngood.jpg,a\n", "needs a header line with the columns"),
    "nobody named": (b"path,age\ngood.jpg,30\n", USED),
    "people called otherwise": (b"path,Person ID,age\ngood.jpg,a,30\n", "Is 'person id' the ident"),
    "all called otherwise": (
        b"File,person,Label\ngood.jpg,a,30\n",
        "Is 'file' the path, 'person' the identity, 'label' the age",
    ),
    "no header": (b"good.jpg,a,30\ngood.jpg,a,30\n", "begins with 'good.jpg,a,30'.*needs a header"),
    "bars": (b"path|identity|age\ngood.jpg|a|30\n", USED),
    "other separators": (b"path:identity:age\ngood.jpg:a:30\n", "begins with 'path:identity:age'"),
    "sep=": (b"sep=;\r\npath;identity;age\r\ngood.jpg;a;30\r\n", USED),
    "sep= of a tab": (b"\xef\xbb\xbfSEP=\t\npath\tidentity\tage\ngood.jpg\ta\t30\n", USED),
    "sep= of another": (b'"sep=;"\npath,identity,age\ngood.jpg,a,30\n', USED),
    "sep= alone": (b"sep=;\n", "has 0 rows and the columns: none"),
    "decimal commas": (b"path;identity;age\ngood.jpg;a;30,0\n", USED),
    "quoted decimal commas": (b'path,identity,age\ngood.jpg,a,"30,0"\n', USED),
    "blank lines above": (b"\n ; ;\n,,\npath;identity;age\ngood.jpg;a;30\n", USED),
    "separators behind": (b"path;identity;age;;\ngood.jpg;a;30;;;;\n", USED),
    "blanks before quotes": (b'"path", "identity", "age"\n"good.jpg", "a", "30"\n', USED),
    "another separator in a name": (b'path,identity,age,"a;b;c;d;e"\ngood.jpg,a,30,\n', USED),
    "zero bytes at the end": (b"path,identity,age\ngood.jpg,a,30\n\0\0\0\0\n\0\0", USED),
    "a column twice": (b"path,identity,age,age\ngood.jpg,a,30,31\n", "each once"),
    "empty": (b"", "has 0 rows"),
    "header only": (b"path,identity,age\n", "has 0 rows"),
    "utf-16": ("path\tidentity\tage\ngood.jpg\ta\t30\n".encode("utf-16"), USED),
    "utf-16 without a mark": (
        "path,identity,age\ngood.jpg,a,30\n".encode("utf-16-le"),
        "is not UTF-8 text: there are zero bytes",
    ),
    "utf-16 cut off": ("path,identity,age\na,a,30".encode("utf-16")[:-1], "is damaged: its mark"),
    "utf-32": ("path,identity,age\ngood.jpg,a,30\n".encode("utf-32"), USED),
    "latin-1": (
        "path,identity,age\r\ngood.jpg,Zoë,30\r\n".encode("latin-1"),
        "is not UTF-8 text: .* line 2, 'good.jpg,Zo.,30'. Save it as UTF-8",
    ),
    "a workbook": (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xff\xfe", "is a workbook"),
    "zero bytes alone": (bytes(4096), "is not UTF-8 text: there are zero bytes"),
    "an open quotation mark": (
        b'path,identity,age\n"good.jpg,a,30\ngood.jpg,a,30\n',
        "damaged near line 2.*must be closed",
    ),
    "a value without end": (b'path,identity,age\n"' + b"x" * 200_000, "damaged near line 2"),
    "a header without end": (b"path,identity,age," + b"x" * 200_000 + b"\n", "damaged near line 1"),
    "no good row": (b"path,identity,age\ngone.jpg,a,30\n", "can be used: 1 entries were rejected"),
    "all outside": (
        b"path,identity,age\n../b.jpg,a,30\n/a.jpg,a,30\n",
        r"2 such as '../b.jpg': the path lies outside .*allow_outside_raw_root=true \(row 2\)",
    ),
    "no paths": (b"path,identity,age\n,a,30\n,b,30\n", "2 such as '': the path is empty"),
}
"""Manifests beside `good.jpg`, and what the error says, or `USED` where the good row is read."""


def read_manifest(table: Path, raw_root: Path, *, outside: bool = False) -> reading.Reading:
    base = manifest.base_folder(table, raw_root, outside=outside)
    paths = manifest.list_images(table, base, outside=outside)
    files = reading.inspect_files(base, paths, progress=False)
    return manifest.read(table, base, files, outside=outside)


def reasons(result: reading.Reading) -> dict[str, str]:
    """Each rejected path's reason; that of a path with several is one of them."""
    return dict(result.rejected.itertuples(index=False))


def without_origin(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples of the good photos alone."""
    return samples[samples["path"].isin(good_names())].reset_index(drop=True)
