"""Weights of backbones: where they lie, which ones they are, and how they are read."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import filelock
import torch

from sweeper.errors import DataError, InputError
from sweeper.models.backbone_table import NETWORKS
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig

__all__ = ["find_weights", "load_weights", "weights_hash"]

# In files of before 2018 DenseNet's layers are called norm.1 and so on, which torch no longer allows.
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


def find_weights(config: TorchvisionConfig, places: Places | None) -> Path | None:
    """The file with the weights of a model; None for weights that are drawn at random. Downloads them if need be.

    Raises:
        DataError: They are nowhere; the message says where they were looked for, and what to do.
    """
    if config.weights == "none":
        return None
    data_dir = None if places is None else places.data_dir
    if config.weights != "imagenet":
        path = Path(config.weights) if data_dir is None else data_dir / config.weights
        if not path.is_file():
            under = " (in SWEEPER_DATA)" if data_dir is not None else " (SWEEPER_DATA is not set)"
            raise DataError(f"model.weights: there is no file {path.resolve()}{under}; give imagenet, none or a file")
        return path
    hub = Path(torch.hub.get_dir()) / "checkpoints" / NETWORKS[config.network].weights_file
    given = [] if data_dir is None else [data_dir / "weights" / f"{config.network}.pth"]
    found = next((path for path in (*given, hub) if path.is_file()), None)
    return found or _download(config.network, hub, given)


def weights_hash(path: Path, places: Places | None) -> str:
    """SHA-256 of a file, kept beside the cached features until size, time or inode of the file change."""
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    if places is None:
        return _sha256(path)
    folder = places.cache_dir / "weights"
    note = folder / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:20]}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        pass
    digest = _sha256(path)
    folder.mkdir(parents=True, exist_ok=True)
    partial = note.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"file": str(path), "state": state, "sha256": digest}), encoding="utf-8")
    partial.replace(note)
    return digest


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, on the CPU, float32 where they are floating point. Loaded as data only.

    Raises:
        InputError: The file is something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        EOFError,
        OSError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        ValueError,
        LookupError,
    ) as error:
        raise InputError(
            f"model.weights: {path} cannot be read as a state dict, and nothing else is loaded: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        inside = f" with {', '.join(map(str, list(state)[:5]))}" if isinstance(state, dict) else ""
        raise InputError(
            f"model.weights: {path} holds a {type(state).__name__}{inside}, not a state dict: names of weights, each "
            "with its tensor"
        )
    return {
        _OLD_DENSENET.sub(r"\1\2", name): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def _download(network: str, path: Path, given: list[Path]) -> Path:
    from torchvision import models

    url = models.get_model_weights(network).DEFAULT.url
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        if path.is_file():  # another process had the lock
            return path
        try:
            prefix = path.stem.rpartition("-")[2]  # of the file's SHA-256, as torch's hub has it
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
        except Exception as error:  # what is raised depends on the network, the proxy and the disk
            places = " and ".join(str(place) for place in (*given, path))
            hint = "" if given else " (SWEEPER_DATA is not set)"
            cause = (str(error).splitlines() or [type(error).__name__])[-1]
            raise DataError(
                f"weights of {network} were not found as {places}{hint}, and downloading {url} failed: {cause}. "
                f"Put the file there, or as weights/{network}.pth into the folder that SWEEPER_DATA names, or set "
                "model.weights to a file with a state dict, or to none"
            ) from error
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
