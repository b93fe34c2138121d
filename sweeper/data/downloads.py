"""Finding the files of a data set that is known by name, and downloading them where they are not found."""

from __future__ import annotations

import hashlib
import tarfile
import urllib.request
from pathlib import Path

import filelock

from sweeper.data.catalog import BUILT_IN, BuiltIn
from sweeper.errors import DataError

__all__ = ["find_files"]


def find_files(name: str, *, cache_dir: Path, data_dir: Path | None, path: str | None = None) -> Path:
    """The folder below which a data set lies as torchvision lays it: `data_dir`, or else `cache_dir`/downloads, where
    it is downloaded to if it is in neither.

    `path` is a folder that was looked for before, for the message. Raises DataError where it can be neither found nor
    downloaded.
    """
    known = BUILT_IN[name]
    downloads = cache_dir / "downloads"
    places = [place for place in (data_dir, downloads) if place is not None]
    found = _first_complete(places, known)
    if found is not None:
        return found
    downloads.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(downloads / f"{name}.lock"):
        found = _first_complete(places, known)
        if found is not None:
            return found
        try:
            _download(name, downloads)
        except Exception as error:  # what torchvision raises depends on the mirror, the proxy and the disk
            looked = " and ".join(str(place) for place in places)
            hint = "" if data_dir is not None else " (SWEEPER_DATA is not set)"
            folder = "" if path is None else f"; its data.path {path!r} is no folder there either"
            raise DataError(
                f"{name} was not found in {looked}{hint}{folder}, and downloading it failed: {_brief(error)}. Put "
                f"{known.files[0]} and the files beside it into one of these folders, or set SWEEPER_DATA to the "
                "folder that has them"
            ) from error
    found = _first_complete(places, known)
    assert found is not None, f"{name} was downloaded, but its files are not where they are expected"
    return found


def _first_complete(places: list[Path], known: BuiltIn) -> Path | None:
    return next((place for place in places if all((place / file).exists() for file in known.files)), None)


def _download(name: str, folder: Path) -> None:
    from torchvision import datasets

    match name:
        case "mnist":
            datasets.MNIST(folder, train=True, download=True)
        case "fashion_mnist":
            datasets.FashionMNIST(folder, train=True, download=True)
        case "cifar10":
            datasets.CIFAR10(folder, train=True, download=True)
        case "flowers102":
            datasets.Flowers102(folder, split="train", download=True)
        case _:
            sums = dict(map(tuple, [*datasets.STL10.train_list, *datasets.STL10.test_list]))
            wanted = {Path(file).name: sums[Path(file).name] for file in BUILT_IN["stl10"].files}
            _extract(datasets.STL10.url, wanted, folder / datasets.STL10.base_folder)


def _extract(url: str, wanted: dict[str, str], folder: Path) -> None:
    """Keep the `wanted` files (name: MD5) of an archive on a server, as they come by, and leave when all are there.

    STL-10's archive holds 2.6 GB of unlabelled pictures, which are neither kept nor, where they come last, fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = set(wanted)
    with (
        urllib.request.urlopen(url, timeout=60) as stream,  # noqa: S310  # torchvision's address
        tarfile.open(fileobj=stream, mode="r|gz") as archive,
    ):
        for member in archive:
            name = Path(member.name).name
            source = archive.extractfile(member) if name in missing else None
            if source is None:
                continue
            partial = folder / f"{name}.partial"
            digest = hashlib.md5(usedforsecurity=False)
            with partial.open("wb") as file:
                while chunk := source.read(2**20):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != wanted[name]:
                partial.unlink()
                raise ValueError(f"{name} in {url} is damaged: its MD5 is not {wanted[name]}")
            partial.replace(folder / name)
            missing.remove(name)
            if not missing:
                return
    raise ValueError(f"{url} does not hold {', '.join(sorted(missing))}")


def _brief(error: BaseException) -> str:
    """The last line of an error's message, where libraries put the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
