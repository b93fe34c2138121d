"""Downloads from a server of our own; those of torchvision are tested with its sources."""

from __future__ import annotations

import hashlib
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision import datasets

from sweeper.data.downloads import find_files
from sweeper.errors import DataError
from tests.data.test_sources import write_stl10


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def pack(root: Path, monkeypatch: pytest.MonkeyPatch, server: str, *, without: str = "") -> None:
    """STL-10's archive, with unlabelled pictures in it, and its checksums."""
    folder = root / "original" / "stl10_binary"
    write_stl10(folder)
    (folder / "unlabeled_X.bin").write_bytes(bytes(10_000))
    files = sorted(folder.iterdir())
    with tarfile.open(root / "served" / "stl10.tar.gz", "w:gz") as archive:
        for file in files:
            if file.name != without:
                archive.add(file, f"stl10_binary/{file.name}")
    sums = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in files}
    monkeypatch.setattr(datasets.STL10, "url", f"{server}/stl10.tar.gz")
    for which in ("train_list", "test_list"):
        monkeypatch.setattr(datasets.STL10, which, [[name, sums[name]] for name, _ in getattr(datasets.STL10, which)])


def test_stl10_is_downloaded_without_its_unlabelled_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    pack(tmp_path, monkeypatch, server)
    found = find_files("stl10", cache_dir=tmp_path / "cache", data_dir=None)
    assert found == tmp_path / "cache" / "downloads"
    names = sorted(file.name for file in (found / "stl10_binary").iterdir())
    assert names == ["test_X.bin", "test_y.bin", "train_X.bin", "train_y.bin"]
    for name in names:
        original = tmp_path / "original" / "stl10_binary" / name
        assert (found / "stl10_binary" / name).read_bytes() == original.read_bytes()


def test_what_does_not_have_its_checksum_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    pack(tmp_path, monkeypatch, server)
    monkeypatch.setattr(datasets.STL10, "test_list", [["test_X.bin", "0" * 32], *datasets.STL10.test_list[1:]])
    with pytest.raises(DataError, match=r"downloading it failed: test_X\.bin in .* is damaged"):
        find_files("stl10", cache_dir=tmp_path / "cache", data_dir=None)
    assert not list((tmp_path / "cache" / "downloads" / "stl10_binary").glob("test_X*"))


def test_an_archive_that_lacks_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    pack(tmp_path, monkeypatch, server, without="train_y.bin")
    with pytest.raises(DataError, match=r"does not hold train_y\.bin"):
        find_files("stl10", cache_dir=tmp_path / "cache", data_dir=None, path="stl10")
