"""Decoded data, shared by all tests of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tracking.templates import shared_folder


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where decoded data sets go."""
    folder = shared_folder(tmp_path_factory) / "cache"
    folder.mkdir(exist_ok=True)
    return folder
