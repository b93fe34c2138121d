"""Folders of generated pictures, and the real ones where there are some."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from PIL import Image

MakeFolder: TypeAlias = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """`make_folder({"cat": 8, "train/dog": 5}, size=(6, 6))`: random RGB pictures, so many in each folder."""

    def make(counts: Mapping[str, int], *, size: tuple[int, int] = (6, 6), root: str = "pictures") -> Path:
        random = np.random.default_rng(0)
        for folder, count in counts.items():
            (tmp_path / root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / root / folder / f"{index:03}.png")
        return tmp_path / root

    return make


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("SWEEPER_DATA")
    if folder is None:
        pytest.skip("SWEEPER_DATA is not set: no real pictures")
    return Path(folder)
