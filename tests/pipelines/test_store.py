"""Results can lie in an S3-compatible store, and are those that lie on a disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from conftest import TINY, Project, make_project
from contrastive_age.io.arrays import StateDict

FOLD = "synthetic_se/*/fold_0"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server on loopback, with credentials in the usual environment variables."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed; it is the extra `s3`")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "NO_PROXY": host,
    }.items():
        monkeypatch.setenv(name, value)
    _bucket().mkdir("results")
    yield "s3://results/faces"
    running.stop()


def _bucket() -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("s3", skip_instance_cache=True)


def _in_store(finished: Project, root: Path, store: str) -> Project:
    """A project whose shared results are in the store, and its faces on this machine."""
    project = make_project(root)
    environment = root / "conf" / "s3"
    environment.mkdir()
    (environment / "globals.yml").write_text(f"data_root: {store}\nlocal_root: data\n")
    (environment / "parameters.yml").write_text(yaml.safe_dump(TINY))
    shutil.copytree(finished.root / "data" / "03_primary", root / "data" / "03_primary")
    bucket = _bucket()
    for made in (
        "02_intermediate/synthetic/samples",
        "03_primary/synthetic/looks",
        "05_model_input/synthetic_se/folds",
    ):
        bucket.put_file(str(finished.one(f"{made}.parquet")), f"{store}/{made}.parquet")
    return project


def test_a_fold_in_a_store_is_what_it_is_on_disk(
    finished: Project, store: str, tmp_path: Path
) -> None:
    project = _in_store(finished, tmp_path / "project", store)
    project.kedro("run", "--env=s3", "--namespaces=synthetic_se.fold_0")
    fetched = tmp_path / "fetched"
    _bucket().get(f"{store}/", f"{fetched}/", recursive=True)

    def both(pattern: str) -> tuple[Path, Path]:
        (found,) = fetched.glob(pattern)
        return finished.one(pattern), found

    expected, found = map(pd.read_parquet, both(f"07_model_output/{FOLD}/predictions.parquet"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    expected, found = map(pd.read_parquet, both(f"06_models/{FOLD}/history.parquet"))
    ended = {"ended": expected.attrs["ended"]}
    assert found.attrs | ended == expected.attrs
    expected, found = (
        torch.load(path, weights_only=True) for path in both(f"06_models/{FOLD}/model.pth")
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    for name in ("outputs", "gradcam"):
        expected, found = map(np.load, both(f"07_model_output/{FOLD}/{name}.npz"))
        assert expected.files == found.files
        assert all(np.array_equal(found[array], expected[array]) for array in expected.files)
    (model,) = fetched.glob(f"06_models/{FOLD}/model.pth")
    kept = StateDict(f"{store}/{model.relative_to(fetched).as_posix()}")
    assert kept.exists()
    assert kept.load().keys() == torch.load(model, weights_only=True).keys()
    both("05_model_input/synthetic_se/fold_0/triplets.npz")
    assert not list((tmp_path / "project" / "data").rglob("*.pth"))
