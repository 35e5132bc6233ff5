"""The node that reads a source: what it says of what it has read."""

import json
from pathlib import Path

import pytest
from PIL import Image

from contrastive_age.parameters.given import Source
from contrastive_age.pipelines.ingestion.nodes import ingest
from contrastive_age.provenance import file_digest


def make_source(folder: Path, layout: str) -> Source:
    """Four good photos and six bad ones, and perhaps a manifest of them."""
    names = [f"{age}_0_0_20170109150557335.jpg" for age in range(20, 24)]
    names += [f"unknown {number}.jpg" for number in range(6)]
    folder.mkdir()
    for shade, name in enumerate(names):
        Image.new("RGB", (8, 8), (shade, 200, 0)).save(folder / name)
    manifest = None
    if layout == "manifest":
        manifest = folder / "m.csv"
        rows = [f"{name},p,{20 if name[0] == '2' else 11.27}" for name in names]
        manifest.write_text("\n".join(["path,identity,age", *rows]))
    return Source(
        layout=layout,
        folder=folder,
        name=layout,
        manifest=manifest,
        manifest_digest=None if manifest is None else file_digest(manifest),
        most_megapixels=250,
        round_ages=False,
    )


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("utkface", "6 such as 'unknown 0.jpg': name does not parse: expected <age>_<sex"),
        ("manifest", "6 such as 'unknown 0.jpg': age '11.27' is not a whole number"),
    ],
)
def test_rejections_of_more_than_a_tenth_are_a_warning(
    tmp_path: Path, layout: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_source(tmp_path / "raw", layout)
    samples, _, report = ingest(source, tmp_path / "ingested")
    assert len(samples) == 4
    json.dumps(report, allow_nan=False)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    said = warning.getMessage()
    assert said.startswith(f"{layout}: 6 of 10 entries (60%) were rejected: {reason}")
    assert said.endswith(f"All are listed in {tmp_path / 'ingested' / 'audit.json'}")


def test_a_rejection_among_many_is_counted_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_source(tmp_path / "raw", "utkface")
    for photo in list(source.folder.glob("unknown [1-9].jpg")):
        photo.unlink()
    for number in range(30, 36):
        Image.new("RGB", (8, 8), "white").save(
            source.folder / f"{number}_0_0_20170109150557335.png"
        )
    with caplog.at_level("INFO"):
        ingest(source, tmp_path / "ingested")
    assert "10 samples of 10 identities, 1 entries rejected" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
