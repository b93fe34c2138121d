"""The command line in an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweep.conftest import CommandLine, cache_dir

__all__ = ["cache_dir"]


@pytest.fixture
def command_line(tmp_path: Path, cache_dir: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path, cache_dir)
    yield command_line
    command_line.end()
